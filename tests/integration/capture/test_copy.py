"""COPY by the driver's own call, past Django's cursor: it is captured as any write, with who, why and the device."""

from __future__ import annotations

import pytest
from django.db import connections, transaction

from sync_api.capture import sync_context
from sync_api.models import OutgoingTransaction
from tests.matrix.models import Symptom

pytestmark = pytest.mark.django_db(databases=["laptop_pg"], transaction=True)
ALIAS = "laptop_pg"


@pytest.mark.parametrize("in_block", [True, False], ids=["atomic", "autocommit"])
def test_copied_rows_say_who_and_why(in_block: bool) -> None:
    def copied() -> None:
        with connections[ALIAS].cursor() as cursor, cursor.copy("COPY matrix_symptom (name) FROM STDIN") as copy:
            copy.write_row(("cough",))
            copy.write_row(("cold",))

    connections[ALIAS].close()
    with sync_context(user="mona", reason="imported"):
        if in_block:
            with transaction.atomic(using=ALIAS):
                copied()
        else:
            copied()
    assert Symptom.objects.using(ALIAS).count() == 2
    rows = OutgoingTransaction.objects.using(ALIAS).filter(tx_name="matrix.symptom")
    assert set(rows.values_list("user", "reason", "device")) == {("mona", "imported", "laptop-2")}
    assert rows.values("unit").distinct().count() == 1
    assert all(row.producer for row in rows)
