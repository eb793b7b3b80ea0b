"""kill -9 while a laptop is finalized: whatever was gone is preserved on the server, and the next run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Installation, enrol, installation, start_web

pytestmark = pytest.mark.long

KILLED = -9
ROWS = 30
APPS = ["tests.portal"]
OWN = ("finalize.after_mark", "finalize.before_wipe", "finalize.after_wipe")
OTHERS = ("seal.after_commit", "push.before_send", "push.after_answer", "push.after_receipt")


@pytest.mark.parametrize("failpoint", [*OWN, *OTHERS])
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_kill_while_finalizing_loses_nothing_and_repeats_nothing(tmp_path: Path, vendor: str, failpoint: str) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20", **QUICK)
    central = installation(tmp_path, role="server", device="central", apps=APPS, vendor=vendor)
    web = start_web(central)
    try:
        enrol(laptop, central, web.url)
        laptop.manage("portal_make", "0", str(ROWS))
        made = counted(laptop)
        with central.start("consume_transactions", "--follow") as consumer:
            laptop.manage("finalize", status=KILLED, SYNC_FAILPOINT=failpoint)
            is_gone = counted(laptop)["rows"] == 0
            assert counted(laptop)["rows"] in (0, ROWS)
            assert is_gone == (failpoint == "finalize.after_wipe")
            if not is_gone:
                laptop.manage("finalize", "--resume")
            consumer.kill()
        assert counted(laptop)["rows"] == 0
        held = mirrored(central)
        assert (held["rows"], held["sha256"]) == (made["rows"], made["sha256"])
        assert held["transactions"] == counted(laptop)["transactions"]
        central.manage("verify_chain")
        assert marks(laptop) == 1
        laptop.manage("portal_make", "0", str(ROWS))
        laptop.manage("push_transactions")
        central.manage("consume_transactions")
        assert mirrored(central)["rows"] == 2 * ROWS
    finally:
        web.stop()


QUICK = {"SYNC_FINALIZE_ASK_SECONDS": "0.2"}


def counted(laptop: Installation) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads(laptop.manage("portal_count"))
    return counts


def mirrored(central: Installation) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads(central.manage("portal_count", "--mirror"))
    return counts


def marks(laptop: Installation) -> int:
    script = "from sync_api.models import OutgoingTransaction as T; print(T.objects.filter(action='P').count())"
    return int(laptop.manage("shell", "--no-imports", "-c", script).split()[-1])
