"""A unit that becomes visible while the sealer looks is sealed whole, later."""

from __future__ import annotations

import pytest

from sync_api.models import LocalDevice, OutgoingTransaction
from sync_api.sealing.pending import whole_units, window_bound
from tests.integration.field import captured, local

pytestmark = [
    pytest.mark.django_db(databases=["laptop_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
ALIAS, NAME = "laptop_pg", "test-laptop"


def test_a_unit_that_commits_between_two_looks_of_the_sealer_is_not_split() -> None:
    device: LocalDevice = local(ALIAS, NAME)
    first, second, third = captured(ALIAS, NAME, [1, 1, 1])
    # the slow writer drew the first id and has not committed when the sealer looks for its bound
    OutgoingTransaction.objects.using(ALIAS).filter(pk__in=[first.pk, third.pk]).update(device="test-elsewhere")
    bound = window_bound(ALIAS, device, 100, 1_000_000)
    assert bound == second.pk
    # it writes once more and commits before the sealer reads
    late = OutgoingTransaction.objects.using(ALIAS).filter(pk__in=[first.pk, third.pk])
    late.update(device=NAME, unit=first.unit)
    units = whole_units(ALIAS, device, bound)
    assert [[row.id for row in unit] for unit in units] == [[second.pk]]
