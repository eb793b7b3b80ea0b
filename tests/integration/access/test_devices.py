"""Who may register devices and upload for them: groups, permissions, names, tries."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import Device
from sync_api.exceptions import NotPermitted
from sync_api.models import Upload
from sync_api.uploads.devices import check_may_upload, find_device
from sync_api.uploads.operations import open_upload_of
from sync_api.uploads.registry import IdNumber, registry
from tests.camcops.models import EveryKind, RefSatisGen
from tests.integration.registering import Rest, group, member

pytestmark = pytest.mark.django_db(databases=["default", "server", "server_pg"])
REGISTER, UPLOAD = "register_devices", "upload_records"


@pytest.fixture
def study(server: str) -> Any:
    return group(server, REGISTER, UPLOAD)


def test_a_registered_device_belongs_to_its_group(server: str, study: Any) -> None:
    registry.server(title="Study", upload_policy="forename", id_numbers=(IdNumber(1, "NHS number", "NHS"),))
    rest = Rest(member(server, study))
    status, told = rest.post("devices/", device="tablet-a", friendly_name="The red one")
    assert (status, told["group"], told["kind"]) == (201, study.name, "state")
    assert told["server"]["id_numbers"] == [{"which": 1, "description": "NHS number", "short": "NHS"}]
    assert rest.post("devices", device="tablet-a")[0] == 201  # met again
    status, again = rest.get("devices/tablet-a")
    assert (status, again["friendly_name"]) == (200, "The red one")
    assert Device.objects.using(server).filter(name="tablet-a").count() == 1


def test_the_name_of_another_groups_device_is_refused(server: str, study: Any) -> None:
    """Defect 14: a user of another group can empty and re-register any device by name."""
    Rest(member(server, study)).post("devices/", device="tablet-a")
    other = Rest(member(server, group(server, REGISTER, UPLOAD)))
    status, told = other.post("devices/", device="tablet-a", friendly_name="mine now")
    assert (status, told["code"]) == (409, "device_of_another_group")
    status, told = other.post("uploads", device="tablet-a")
    assert (status, told["code"]) == (403, "permission_denied")
    assert find_device(server, "tablet-a").friendly_name == ""
    assert not Upload.objects.using(server).exists()


def test_a_superuser_does_not_take_a_name_for_another_group_either(server: str, study: Any) -> None:
    Rest(member(server, study)).post("devices/", device="tablet-a")
    other = group(server)
    boss = Rest(member(server, superuser=True))
    assert boss.post("devices/", device="tablet-a", group=other.name)[1]["code"] == "device_of_another_group"
    assert boss.post("devices/", device="tablet-a")[0] == 201
    assert boss.post("devices/", device="tablet-b")[1]["group"] is None
    assert boss.post("devices/", device="tablet-c", group=other.name)[1]["group"] == other.name


@pytest.mark.parametrize("right", [REGISTER, UPLOAD])
def test_each_right_is_its_own(server: str, right: str) -> None:
    own = group(server, right)
    Device.objects.using(server).create(name="tablet-a", kind="state", group=own)
    rest = Rest(member(server, own))
    assert (rest.post("devices/", device="tablet-a")[0] == 201) == (right == REGISTER)
    assert (rest.post("uploads", device="tablet-a")[0] == 201) == (right == UPLOAD)


def test_a_right_given_to_the_user_counts_in_groups_of_theirs_only(server: str) -> None:
    own, other = group(server), group(server)
    user = member(server, own)
    user.user_permissions.add(Permission.objects.using(server).get(codename=UPLOAD))
    mine = Device.objects.using(server).create(name="tablet-a", kind="state", group=own)
    theirs = Device.objects.using(server).create(name="tablet-b", kind="state", group=other)
    nobodys = Device.objects.using(server).create(name="tablet-c", kind="state")
    assert check_may_upload(server, user, mine).single is None
    for device in (theirs, nobodys):
        with pytest.raises(NotPermitted):
            check_may_upload(server, user, device)
    user.is_active = False
    with pytest.raises(NotPermitted):
        check_may_upload(server, user, mine)


def test_a_user_of_two_groups_says_which(server: str, study: Any) -> None:
    second = group(server, REGISTER)
    rest = Rest(member(server, study, second))
    assert rest.post("devices/", device="tablet-a")[1]["code"] == "group_unclear"
    assert rest.post("devices/", device="tablet-a", group="unheard of")[1]["code"] == "group_unclear"
    assert rest.post("devices/", device="tablet-a", group=second.name)[1]["group"] == second.name


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "-a", "ä", "a b"])
def test_a_name_that_is_none_is_refused(server: str, study: Any, name: str) -> None:
    status, _ = Rest(member(server, study)).post("devices/", device=name)
    assert status == 400
    assert not Device.objects.using(server).exists()


def test_a_revoked_device_stays_out(server: str, study: Any) -> None:
    rest = Rest(member(server, study))
    rest.post("devices/", device="tablet-a")
    Device.objects.using(server).update(revoked_at=timezone.now())
    for status, told in (
        rest.post("devices/", device="tablet-a"),
        rest.get("devices/tablet-a"),
        rest.post("uploads", device="tablet-a"),
    ):
        assert (status, told["code"]) == (403, "device_revoked")


def test_who_has_no_right_learns_nothing_of_a_device(server: str, study: Any) -> None:
    Rest(member(server, study)).post("devices/", device="tablet-a")
    stranger = Rest(member(server, group(server, UPLOAD)))
    for path in ("devices/tablet-a", "devices/tablet-a/tables", "devices/tablet-a/strings"):
        assert stranger.get(path)[1]["code"] == "permission_denied"
    assert stranger.get("devices/tablet-z")[1]["code"] == "device_not_registered"
    assert Rest().get("devices/tablet-a")[0] == 401


def test_another_users_open_upload_is_rolled_back_when_one_begins(server: str, study: Any) -> None:
    first, second = Rest(member(server, study)), Rest(member(server, study))
    first.post("devices/", device="tablet-a")
    begun = first.post("uploads", device="tablet-a")[1]["upload"]
    theirs = second.post("uploads", device="tablet-a")[1]["upload"]
    device = find_device(server, "tablet-a")
    assert str(open_upload_of(server, device).pk) == theirs  # type: ignore[union-attr]
    assert Upload.objects.using(server).get(pk=begun).state == Upload.State.ROLLED_BACK
    assert first.post(f"uploads/{begun}/commit")[0] >= 400
    assert second.post(f"uploads/{theirs}/commit")[0] == 200


def test_allowed_tables_and_strings_are_what_the_study_registered(server: str, study: Any) -> None:
    registry.closed_to_uploads(RefSatisGen)
    registry.string("phq9", "title", "Patient's questions")
    registry.string("phq9", "title", "Patient Health Questionnaire")
    rest = Rest(member(server, study))
    rest.post("devices/", device="tablet-a")
    tables = {one["table"]: one["min_client_version"] for one in rest.get("devices/tablet-a/tables")[1]["tables"]}
    assert tables["every_kind"] == EveryKind.min_client_version
    assert tables["patient"] == "0.0.0"
    assert "ref_satis_gen" not in tables
    assert rest.get("devices/tablet-a/strings")[1]["strings"] == [
        {"task": "phq9", "name": "title", "language": "", "value": "Patient Health Questionnaire"}
    ]


def test_wrong_passwords_are_limited_and_a_right_pair_known_before_is_not(
    server: str, study: Any, settings: Any
) -> None:
    settings.SYNC_PASSWORD_TRIES_PER_MINUTE_MAX = 3
    user = member(server, study)
    good = Rest(user)
    assert good.get("devices/tablet-z")[0] == 404
    for _ in range(3):
        assert Rest(user, password="wrong").get("devices/tablet-z")[1]["code"] == "credentials_refused"
    status, told = Rest(user, password="wrong").get("devices/tablet-z")
    assert (status, told["code"]) == (429, "throttled")
    assert Rest(member(server, study)).get("devices/tablet-z")[0] == 429
    assert good.get("devices/tablet-z")[0] == 404  # its pair was right before


def test_a_changed_password_ends_what_was_known(server: str, study: Any) -> None:
    user = member(server, study)
    good = Rest(user)
    assert good.get("devices/tablet-z")[0] == 404
    user.set_password("another-secret")
    user.save(using=server)
    assert good.get("devices/tablet-z")[0] == 401
    assert Rest(user, password="another-secret").get("devices/tablet-z")[0] == 404
    user.is_active = False
    user.save(using=server)
    assert Rest(user, password="another-secret").get("devices/tablet-z")[0] == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + "QQ" * 9_000, "Basic bm9jb2xvbg==", "Bearer x"])
def test_a_broken_header_is_no_credential(server: str, header: str) -> None:
    rest = Rest()
    rest.headers = {"Authorization": header}
    status, told = rest.get("devices/tablet-a")
    assert (status, told["code"]) in ((401, "credentials_refused"), (401, "not_authenticated"))


def test_the_devices_of_logs_are_taken_over_only_when_their_records_are_preserved(server: str, study: Any) -> None:
    log = Device.objects.using(server).create(name="laptop-a", kind="log", group=study)
    rest = Rest(member(server, study))
    assert rest.post("devices/", device="laptop-a")[1]["kind"] == "state"
    log.refresh_from_db()
    assert log.kind == "state"


def test_an_operator_gives_a_device_to_another_group(server: str, study: Any, capsys: Any) -> None:
    first = Rest(member(server, study))
    first.post("devices/", device="tablet-a")
    begun = first.post("uploads", device="tablet-a")[1]["upload"]
    other = group(server, UPLOAD)
    call_command("device_group", "tablet-a", other.name, database=server)
    call_command("device_group", "tablet-a", other.name, database=server)
    assert ["now belongs" in line for line in capsys.readouterr().out.splitlines()] == [True, False]
    assert first.post(f"uploads/{begun}/commit")[1]["code"] == "permission_denied"
    assert Rest(member(server, other)).post("uploads", device="tablet-a")[0] == 201
    with pytest.raises(CommandError, match="which group"):
        call_command("device_group", "tablet-a", "unheard of", database=server)
