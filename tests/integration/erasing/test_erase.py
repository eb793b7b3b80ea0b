"""Erasing a finalized record: its content goes everywhere, the fact stays, the chains verify."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from audit.correct import correct
from audit.engine import preserve_device
from audit.erasure import on_erased
from audit.exceptions import EraReused, NotFinalized, RecordUnknown
from audit.mirror.tables import table_for
from audit.models import Device, TableChanges
from audit.transactions import immediate
from sync_api.deserializer import consume
from sync_api.erasing.erase import erase
from sync_api.exceptions import ErasedLineUnproven, ErasureReasonMissing
from sync_api.inbox import accept
from sync_api.models import (
    IncomingBatch,
    IncomingTransaction,
    OutgoingBatch,
    OutgoingTransaction,
    Statement,
)
from sync_api.simulation.kills import Killed, killed_at
from sync_api.trust import statements_for, take_statements
from sync_api.verification import verify_chain
from sync_api.wire.erasing import erase_lines
from sync_api.wire.format import decode
from tests.integration.finalizing.day import Day
from tests.integration.mirror.committing import change, commit, new_device, stamp
from tests.matrix.models import Person, Word
from tests.mirrored.models import Letter

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)

SECRET = "tested positive in Mochudi"
LATER = "and again in Kanye"


@pytest.fixture
def told(day: Day) -> dict[str, Any]:
    """A finalized word with a past of two states, and another word beside it."""
    word = Word.objects.using(day.laptop).create(code="w", text=SECRET)
    Word.objects.using(day.laptop).create(code="other", text="stays")
    day.carry()
    first = timezone.now()
    word.text = LATER
    word.save(using=day.laptop)
    day.carry()
    second = timezone.now()
    key = str(word.pk)
    day.finalize()
    return {"key": key, "first": first, "second": second}


def erased(day: Day, told: dict[str, Any], **more: Any) -> Any:
    return erase(day.server, "matrix.Word", [told["key"]], device=day.name, reason="asked for it", **more)


def texts(day: Day, moment: Any, timeline: Any = "captured") -> set[tuple[Any, ...]]:
    state = Word.mirror.using(day.server).as_of(moment, timeline)
    return set(state.values_list("code", "text", "mirror_erased"))


def stored_bytes(alias: str) -> bytes:
    """Every stored envelope, unpacked, and every payload."""
    parts = []
    for model in (IncomingBatch, OutgoingBatch):
        for content in model.objects.using(alias).values_list("content", flat=True):
            envelope = decode(bytes(content))
            parts += envelope.lines
    for rows in (IncomingTransaction, OutgoingTransaction):
        parts += [(payload or "").encode() for payload in rows.objects.using(alias).values_list("payload", flat=True)]
    return b"\n".join(parts)


def test_content_goes_and_fact_hash_and_justification_stay(day: Day, told: dict[str, Any]) -> None:
    before = list(IncomingBatch.objects.using(day.server).values_list("hash", flat=True))
    report = erased(day, told, by="dr. ada")
    assert (report.versions, report.transactions) == (2, 2)
    content = stored_bytes(day.server)
    assert SECRET.encode() not in content
    assert LATER.encode() not in content
    assert b"stays" in content
    versions = Word.mirror.using(day.server).history(day.name, told["key"])
    assert [(row.text, row.mirror_erased, row.mirror_erased_by) for row in versions] == [(None, True, "dr. ada")] * 2
    assert {row.mirror_erased_reason for row in versions} == {"asked for it"}
    assert all(row.mirror_captured_on and row.mirror_captured_at for row in versions)
    assert list(IncomingBatch.objects.using(day.server).values_list("hash", flat=True)) == before
    assert verify_chain(day.server).problems == []
    changes = TableChanges.objects.using(day.server).get(erased=2)
    assert (changes.text, changes.committed_by) == ("asked for it", "dr. ada")
    assert "2 erased, PKs [" in changes.line()


def test_as_of_shows_the_erased_fact_at_each_past_moment(day: Day, told: dict[str, Any]) -> None:
    assert texts(day, told["first"]) == {("w", SECRET, None), ("other", "stays", None)}
    assert texts(day, told["second"]) == {("w", LATER, None), ("other", "stays", None)}
    erased(day, told)
    for moment in (told["first"], told["second"], timezone.now()):
        assert texts(day, moment) == {("w", None, True), ("other", "stays", None)}
        assert texts(day, moment, "committed") == {("w", None, True), ("other", "stays", None)}


def test_the_laptops_own_batches_follow_when_the_order_comes(day: Day, told: dict[str, Any]) -> None:
    assert SECRET.encode() in stored_bytes(day.laptop)
    erased(day, told)
    day.tell()
    content = stored_bytes(day.laptop)
    assert SECRET.encode() not in content
    assert LATER.encode() not in content
    assert b"stays" in content
    assert verify_chain(day.laptop).problems == []
    day.tell()
    said = Statement.objects.using(day.laptop).filter(kind="custody", signer=day.name)
    assert {facts["action"] for facts in said.values_list("facts", flat=True)} == {"erased"}
    assert said.count() == Statement.objects.using(day.laptop).filter(kind="erasure").count()
    Word.objects.using(day.laptop).create(code="next")
    day.carry()
    assert day.parked() == []


def test_again_it_changes_nothing(day: Day, told: dict[str, Any]) -> None:
    erased(day, told)
    orders = Statement.objects.using(day.server).count()
    again = erased(day, told, by="somebody else")
    assert (again.versions, again.transactions, again.orders) == (0, 0, 0)
    assert Statement.objects.using(day.server).count() == orders
    assert set(Word.mirror.using(day.server).filter(mirror_erased=True).values_list("mirror_erased_by")) == {
        (Word.mirror.using(day.server).filter(mirror_erased=True).first().mirror_erased_by,)
    }


@pytest.mark.parametrize("point", ["erase.before_commit", "erase.after_commit"])
def test_killed_anywhere_and_repeated_it_is_whole(day: Day, told: dict[str, Any], point: str) -> None:
    with pytest.raises(Killed), killed_at(point):
        erased(day, told)
    is_there = SECRET.encode() in stored_bytes(day.server)
    assert is_there is (point == "erase.before_commit")
    assert Word.mirror.using(day.server).filter(mirror_erased=True).exists() is not is_there
    erased(day, told)
    assert SECRET.encode() not in stored_bytes(day.server)
    assert verify_chain(day.server).problems == []


def test_a_record_that_is_not_finalized_is_refused_with_the_remedy(day: Day) -> None:
    word = Word.objects.using(day.laptop).create(code="w", text=SECRET)
    day.carry()
    with pytest.raises(NotFinalized, match="force_finalize"):
        erase(day.server, "matrix.Word", [str(word.pk)], device=day.name, reason="asked for it")
    assert SECRET.encode() in stored_bytes(day.server)
    with pytest.raises(RecordUnknown):
        erase(day.server, "matrix.Word", ["0" * 32], device=day.name, reason="asked for it")
    with pytest.raises(ErasureReasonMissing):
        erase(day.server, "matrix.Word", [str(word.pk)], device=day.name, reason=" ")


def test_a_corrected_version_is_erased_too_and_the_hooks_see_the_content_first(day: Day, told: dict[str, Any]) -> None:
    era = Word.mirror.using(day.server).current().filter(code="w").get().mirror_era
    correct(
        Word,
        device=day.name,
        key=told["key"],
        era=era,
        values={"text": "corrected"},
        user="op",
        reason="typo",
        using=day.server,
    )
    seen = []

    def hook(alias: str, device: Device, chosen: Any) -> None:
        for table, pks in chosen:
            rows = table.mirror.objects.using(alias).filter(pk__in=pks).order_by("pk")
            seen.extend(rows.values_list("text", flat=True))

    on_erased.append(hook)
    try:
        erased(day, told)
    finally:
        on_erased.remove(hook)
    assert seen == [SECRET, LATER, "corrected"]
    assert not Word.mirror.using(day.server).filter(text="corrected").exists()


def test_nothing_of_it_is_left_in_a_sqlite_file(day: Day, told: dict[str, Any]) -> None:
    if connections[day.server].vendor != "sqlite":
        pytest.skip("PostgreSQL keeps old rows until it vacuums")
    path = Path(connections[day.server].settings_dict["NAME"])
    uncompressed = b"asked for it"
    erased(day, told)
    found = b"".join(part.read_bytes() for part in path.parent.glob(f"{path.name}*"))
    assert SECRET.encode() not in found
    assert LATER.encode() not in found
    assert uncompressed in found


def test_another_server_takes_the_erased_batches_with_the_order_only(day: Day, told: dict[str, Any]) -> None:
    """A batch that never was there: it arrives with its erased lines, is consumed as a fact, its era ends."""
    erased(day, told)
    batches = list(IncomingBatch.objects.using(day.server).order_by("epoch__ordinal", "number"))
    orders = [facts for facts in statements_for(day.server, [day.name]) if facts["kind"] == "erasure"]
    forget_device(day)
    with pytest.raises(ErasedLineUnproven):
        accept(day.server, bytes(batches[0].content), handed_over_by=day.name)
    assert not take_statements(day.server, orders, via="the tests").refused
    for batch in batches:
        accept(day.server, bytes(batch.content), handed_over_by=day.name)
    assert not consume(day.server).errors
    assert day.parked() == []
    versions = Word.mirror.using(day.server).history(day.name, told["key"])
    assert [(row.text, row.mirror_erased, row.mirror_erased_reason) for row in versions] == [
        (None, True, "asked for it")
    ] * 2
    assert day.current(Word).exclude(mirror_era="NOW").count() == 2
    assert verify_chain(day.server).problems == []


def test_a_batch_that_comes_whole_by_a_slower_road_is_stored_without_the_ordered_lines(
    day: Day, told: dict[str, Any]
) -> None:
    whole = list(IncomingBatch.objects.using(day.server).order_by("epoch__ordinal", "number"))
    erased(day, told)
    orders = [facts for facts in statements_for(day.server, [day.name]) if facts["kind"] == "erasure"]
    forget_device(day)
    take_statements(day.server, orders, via="the tests")
    for batch in whole:
        accept(day.server, bytes(batch.content), handed_over_by=day.name)
    content = stored_bytes(day.server)
    assert SECRET.encode() not in content
    assert b"stays" in content


def forget_device(day: Day) -> None:
    """What a server that never met these batches is like."""
    with connections[day.server].cursor() as cursor:
        for name in ("audit_tablechanges", "sync_api_incomingtransaction", "sync_api_incomingera"):
            cursor.execute(f"DELETE FROM {name}")
        for name in ("sync_api_incomingbatch", "sync_api_incomingepoch", "audit_source", "sync_api_statement"):
            cursor.execute(f"DELETE FROM {name}")
        cursor.execute(f'DELETE FROM "{Word._meta.mirror_model._meta.db_table}"')  # type: ignore[attr-defined]
        cursor.execute(f'DELETE FROM "{Person._meta.mirror_model._meta.db_table}"')  # type: ignore[attr-defined]


def test_a_forged_order_is_not_followed(day: Day, told: dict[str, Any]) -> None:
    erased(day, told)
    (order, *_) = [facts for facts in statements_for(day.server, [day.name]) if facts["kind"] == "erasure"]
    spoilt = {**order, "lines": [[*order["lines"][0][:1], *order["lines"][0][1:]]], "reason": "another"}
    taken = take_statements(day.laptop, [spoilt], via="the tests")
    assert dict(taken.refused) == {"wrong_signer": 1}
    assert SECRET.encode() in stored_bytes(day.laptop)


def test_the_command_reports_and_refuses_plainly(day: Day, told: dict[str, Any]) -> None:
    out = StringIO()
    options = {"device": day.name, "reason": "asked for it", "database": day.server}
    call_command("erase", "matrix.Word", told["key"], **options, json=True, stdout=out)
    assert json.loads(out.getvalue())["versions"] == 2
    assert "erased before" in call_command("erase", "matrix.Word", told["key"], **options)
    with pytest.raises(CommandError, match="no model"):
        call_command("erase", "matrix.Nothing", "1", **options)
    with pytest.raises(CommandError, match="never delivered"):
        call_command("erase", "matrix.Word", "0" * 32, **options)


def test_erasing_lines_twice_gives_the_same_bytes(day: Day, told: dict[str, Any]) -> None:
    content = bytes(OutgoingBatch.objects.using(day.laptop).order_by("id").first().content)  # type: ignore[union-attr]
    once = erase_lines(content, [0])
    assert erase_lines(once, [0]) == once
    assert decode(once).hash == decode(content).hash
    with pytest.raises(ValueError, match="no such line"):
        erase_lines(content, [99])


def test_a_fork_kept_beside_the_chain_is_erased_too(day: Day, told: dict[str, Any]) -> None:
    batches = IncomingBatch.objects.using(day.server).order_by("epoch__ordinal", "number")
    first = batches[0]
    IncomingBatch.objects.using(day.server).create(
        epoch=first.epoch,
        number=first.number,
        hash=first.hash[::-1],
        state="fork",
        header=first.header,
        content=first.content,
        size=first.size,
        lines=first.lines,
        first_sequence=first.first_sequence,
        received_from=day.name,
    )
    report = erased(day, told)
    assert (report.batches, report.transactions) == (3, 2)
    assert SECRET.encode() not in stored_bytes(day.server)


def test_a_device_without_batches_and_a_key_used_again(server: str, db: None) -> None:
    """What came by uploads: the mirror alone holds it; a key that counts from 1 in each era needs the era."""
    device, table = new_device(server), table_for(Letter)
    eras = ["2026-05-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00"]
    for era in eras:
        commit(server, device, [change("I", Letter, 1, (1, era[:10]), stamp())])
        with immediate(server):
            preserve_device(server, device, era, "op", False)
    facts: dict[str, Any] = {"device": device.name, "reason": "asked for it"}
    with pytest.raises(EraReused, match=eras[1][:10]):
        erase(server, "mirrored.Letter", ["1"], **facts)
    assert erase(server, "mirrored.Letter", ["1"], **facts, era=eras[0]).versions == 1
    assert list(table.mirror.objects.using(server).order_by("mirror_pk").values_list("text", flat=True)) == [
        None,
        eras[1][:10],
    ]
    Letter.mirror.using(server).all().delete()
