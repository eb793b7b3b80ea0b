"""kill -9 of the server around an upload's commit: sent again with its key, the upload is there exactly once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from sync_api.client.uploads import UploadClient
from sync_api.exceptions import ServerUnreachable
from sync_api.failpoints import FAILPOINTS
from tests.processes import Installation, installation, start_web

PASSWORD = "a-long-secret-of-a-nurse"
POINTS = [name for name in FAILPOINTS if name.startswith("upload.")]
ROWS = {"patient": [{"id": key, "surname": f"Osei {key}"} for key in range(1, 31)]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("vendor", "point"), [*(("sqlite", point) for point in POINTS), ("postgresql", "upload.after_commit")]
)
def test_a_kill_around_the_commit_of_a_move_loses_nothing_and_repeats_nothing(
    tmp_path: Path, vendor: str, point: str
) -> None:
    central = installation(tmp_path, role="server", device="central", apps=["tests.camcops"], vendor=vendor)
    central.manage(
        *("createsuperuser", "--noinput", "--username", "nurse", "--email", "nurse@study.example"),
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )
    web = start_web(central, SYNC_FAILPOINT=point)
    try:
        with client(web.url) as tablet, suppress(ServerUnreachable):
            tablet.register()
            tablet.one_step(ROWS, preserving=True, key="move-1")
        assert "SIGKILL" in (central.folder / "web.log").read_text()
        web.kill()
        web = start_web(central)
        with client(web.url) as tablet:
            told = tablet.one_step(ROWS, preserving=True, key="move-1")
            assert told["tables"] == {"patient": {"added": 30, "preserved": 30}}
            assert tablet.one_step({})["tables"] == {}
    finally:
        web.stop()
    assert held(central) == 30


def client(url: str) -> UploadClient:
    return UploadClient(url, user="nurse", password=PASSWORD, device="tablet-1", sleep=lambda _: None)


def held(central: Installation) -> int:
    """Versions of patients in the mirror, of whichever era."""
    code = "from tests.camcops.models import PatientMirror as m; print(m.objects.count())"
    return int(central.manage("shell", "--verbosity", "0", "--command", code).split()[-1])
