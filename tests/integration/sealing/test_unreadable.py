"""What raw SQL can put into a text column of SQLite and nothing can read: it stops nothing, and is not lost."""

from __future__ import annotations

import pytest
from django.db import connections

from sync_api.conf import alias_settings
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.sealing import seal
from sync_api.wire.format import decode
from tests.integration.field import local
from tests.matrix.models import Word

pytestmark = [
    pytest.mark.django_db(databases=["default"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


def test_text_that_is_no_utf8_travels_in_hex_and_stops_nothing() -> None:
    alias, name = "default", alias_settings("default").device
    LocalDevice.objects.using(alias).filter(name=name).delete()
    local(alias, name)
    Word.objects.create(code="a", text='gr\u00fcn \\ "zitiert"')
    with connections[alias].cursor() as cursor:
        cursor.execute("UPDATE matrix_word SET text = CAST(x'ff41' AS TEXT)")
        cursor.execute("UPDATE matrix_word SET text = 'again'")
    assert seal(alias).transactions == 3
    lines = b"".join(
        b"\n".join(decode(bytes(batch.content)).lines) for batch in OutgoingBatch.objects.using(alias).order_by("id")
    )
    assert b'{"blob":"FF41"}' in lines
    assert 'gr\u00fcn \\\\ \\"zitiert\\"'.encode() in lines
    ends = [row.payload[-9:].lstrip(":,") for row in OutgoingTransaction.objects.order_by("id")]
    assert ends[1:] == ['"FF41"}]', '"again"]']
    Word.objects.all().delete()
