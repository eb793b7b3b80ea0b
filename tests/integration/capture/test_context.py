"""Who, why, when and where: handed to the triggers by the connection that writes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from sync_api.capture import not_captured, sync_context
from sync_api.capture.middleware import SyncContextMiddleware
from sync_api.conf import host_name
from sync_api.exceptions import ReasonRequired
from tests.integration.capture.log import recorded, values_of
from tests.matrix.models import Consent, Draft, Place, Signature, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg"])


def word(alias: str, code: str) -> None:
    Word.objects.using(alias).create(code=code)


def test_user_and_reason_of_the_context(laptop: str) -> None:
    with recorded(laptop) as log:
        with sync_context(user="ann", reason="visit day"):
            word(laptop, "a")
            with sync_context(reason="typing error"):
                word(laptop, "b")
            word(laptop, "c")
        word(laptop, "d")

    assert [(tx.user, tx.reason) for tx in log] == [
        ("ann", "visit day"),
        ("ann", "typing error"),
        ("ann", "visit day"),
        (None, None),
    ]


def test_user_may_be_a_user_object(laptop: str) -> None:
    with recorded(laptop) as log, sync_context(user=User(username="bea")):
        word(laptop, "a")

    assert log[0].user == "bea"


def test_context_survives_the_rollback_of_a_savepoint(laptop: str) -> None:
    with recorded(laptop) as log, transaction.atomic(using=laptop), sync_context(user="ann"):
        sid = transaction.savepoint(using=laptop)
        word(laptop, "lost")
        transaction.savepoint_rollback(sid, using=laptop)
        word(laptop, "a")

    assert [(tx.tx_pk, tx.user) for tx in log] == [("a", "ann")]


def test_command_is_the_user_when_nobody_else_is(laptop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["manage.py", "loaddata", "x.json"])
    with recorded(laptop) as log, sync_context(reason="import"):
        word(laptop, "a")

    assert log[0].user == "command loaddata"


def test_producer_device_and_times(laptop: str) -> None:
    before = timezone.now()
    with recorded(laptop) as log:
        word(laptop, "a")

    device = {"default": "laptop-1", "laptop_pg": "laptop-2"}[laptop]
    assert (log[0].device, log[0].producer) == (device, f"{device}/{host_name()}/{laptop}")
    assert before <= log[0].captured_at <= timezone.now()
    offset = dt.datetime.now().astimezone().utcoffset()
    assert offset is not None
    assert log[0].utc_offset == offset.total_seconds() // 60


def test_required_reason_is_asked_for_by_the_database(laptop: str) -> None:
    consents = Consent.objects.using(laptop)
    with recorded(laptop) as log:
        for write in (
            lambda: consents.create(name="a"),
            lambda: consents.bulk_create([Consent(name="b")]),
        ):
            with pytest.raises(ReasonRequired, match="needs a reason"), transaction.atomic(using=laptop):
                write()
        with sync_context(reason="signed on paper"):
            consents.create(name="c")

    assert [(values_of(tx)["name"], tx.reason) for tx in log] == [("c", "signed on paper")]


def test_required_reason_is_asked_for_on_update_and_delete(laptop: str) -> None:
    with sync_context(reason="signed"):
        Consent.objects.using(laptop).create(name="a")
    rows = Consent.objects.using(laptop)
    for write in (lambda: rows.update(given=True), rows.all().delete):
        with pytest.raises(ReasonRequired), transaction.atomic(using=laptop):
            write()
    rows.update(given=False)  # changes nothing, so it needs no reason

    assert rows.count() == 1


def test_reasons_are_not_kept_where_the_policy_is_none(laptop: str) -> None:
    with recorded(laptop) as log, sync_context(user="ann", reason="because"):
        Draft.objects.using(laptop).create(name="a")

    assert (log[0].user, log[0].reason) == ("ann", None)


def test_reference_travels_as_its_natural_key_and_content_type_by_name(laptop: str) -> None:
    user = User.objects.using(laptop).create(username='o"brien')
    about = ContentType.objects.db_manager(laptop).get_for_model(Place)
    with recorded(laptop) as log:
        Signature.objects.using(laptop).create(name="s", by=user, about=about)
        Signature.objects.using(laptop).update(by=None, about=None)

    assert [values_of(tx)["by"] for tx in log] == [('o"brien',), None]
    assert [values_of(tx)["about"] for tx in log] == ["matrix.place", None]


def test_not_captured_needs_a_why_and_ends_with_its_block(laptop: str) -> None:
    with recorded(laptop) as log, transaction.atomic(using=laptop):
        with not_captured("applying what was captured elsewhere"):
            word(laptop, "a")
            Consent.objects.using(laptop).create(name="needs no reason here")
        word(laptop, "b")

    assert log.brief() == [("I", "word", "b")]
    with pytest.raises(ValueError, match="Say why"), not_captured(" "):
        pass


def respond(laptop: str, request: HttpRequest) -> list[tuple[str | None, str | None]]:
    def view(request: HttpRequest) -> HttpResponse:
        word(laptop, "a")
        return HttpResponse()

    with recorded(laptop) as log:
        SyncContextMiddleware(view)(request)
    return [(tx.user, tx.reason) for tx in log]


def test_request_gives_its_user_and_the_reason_of_header_or_form(laptop: str) -> None:
    header = RequestFactory().post("/", headers={"X-Sync-Reason": "by header"})
    form = RequestFactory().post("/", {"_sync_reason": "by form"})
    header.user, form.user = User(username="ann"), AnonymousUser()

    assert respond(laptop, header) == [("ann", "by header")]
    Word.objects.using(laptop).all().delete()
    assert respond(laptop, form) == [("anonymous", "by form")]


@pytest.mark.django_db(databases=["default", "laptop_pg"])
def test_user_of_a_request_may_be_looked_up_in_the_same_database(laptop: str) -> None:
    User.objects.using(laptop).create(username="ann")

    class Lazy:
        is_authenticated = True

        def get_username(self) -> str:
            return User.objects.using(laptop).get(username="ann").username

    request: Any = RequestFactory().get("/")
    request.user = Lazy()

    assert respond(laptop, request) == [("ann", None)]


def test_statements_of_the_program_are_not_joined_by_our_own(laptop: str) -> None:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connections[laptop]) as queries, sync_context(user="ann"):
        word(laptop, "a")

    assert len(queries) == 1
