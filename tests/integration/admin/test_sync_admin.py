"""The admin of synchronization: every table can be read, payloads are decoded, what was received stays."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import models
from django.test import Client
from django.urls import reverse

from audit.models import Device
from sync_api import models as sync_models
from sync_api.capture import sync_context
from sync_api.deserializer import consume
from sync_api.models import (
    AccessKey,
    Alarm,
    Bundle,
    CaptureSchema,
    CarriedBatch,
    Content,
    ContentUse,
    DeviceCredential,
    EnrolmentCode,
    ExportConfiguration,
    ExportTask,
    FileDelivery,
    FileFact,
    FileUpload,
    Finalization,
    ImportedContent,
    ImportSession,
    IncomingBatch,
    IncomingEpoch,
    IncomingEra,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
    OutgoingTransaction,
    ParkedUnit,
    PushTarget,
    Recipient,
    SingleRecordUser,
    Statement,
    StoredName,
    TrustedServer,
    Upload,
    UploadedOffset,
    UploadStep,
    UsedNonce,
    Visit,
)
from syncserver.study.models import Site
from tests.factories import SiteFactory, VisitFactory
from tests.integration.deserializer.received import Laptop, insert, update

pytestmark = pytest.mark.django_db

MODELS = [getattr(sync_models, name) for name in sync_models.__all__]
SITE = UUID(int=1).hex
LOST = UUID(int=2).hex


def page(model: type[models.Model], name: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


@pytest.fixture
def rows() -> Laptop:
    """Something in every table: captured here, received from laptop-9, one unit parked and one behind it."""
    with sync_context(user="ann", reason="first visit"):
        VisitFactory()
    local = LocalDevice.objects.first()
    assert local is not None
    OutgoingBatch.objects.create(
        device=local, epoch=local.epoch, number=1, hash="ab" * 32, first_sequence=1, lines=4, units=1, first_id=1,
        last_id=4, content=b"bytes", size=5,
    )  # fmt: skip
    laptop = Laptop("default")
    laptop.deliver(
        [insert(Site, id=SITE, code="MOC", name="Mochudi <b>north</b>")],
        [update(Site, id=LOST, code="X", name="never made")],
        [update(Site, id=LOST, code="Y", name="behind it")],
    )
    consume("default")
    EnrolmentCode.objects.create(device=laptop.device, code_hash="c" * 64, expires_at="2030-01-01T00:00Z")
    DeviceCredential.objects.create(
        device=laptop.device, public_key="d" * 64, certificate={"device": "laptop-9"}, token_hash="e" * 64
    )
    Alarm.objects.create(device=laptop.device, code="batch_fork", text="Two batches have number 1.")
    CarriedBatch.objects.create(
        device="laptop-9", epoch="ab" * 16, number=1, hash="ab" * 32, lines=4, size=5, content=b"bytes",
        received_from="laptop-9", received_via="pull",
    )  # fmt: skip
    Bundle.objects.create(direction="imported", name="laptop-9.zip", state="done", exporter="laptop-9")
    PushTarget.objects.create(device=local, name="relay-1", kind="relay", url="https://relay-1.example")
    TrustedServer.objects.create(name="site-1", public_key="d" * 64, pinned_by="ann")
    Statement.objects.create(
        kind="held", signer="site-1", device="laptop-9", epoch="ab" * 16, number=1, facts={"kind": "held"},
        digest="f" * 64,
    )  # fmt: skip
    Visit.objects.create(
        device="laptop-9", role="client", public_key="d" * 64, certificate={"device": "laptop-9"}, token_hash="a" * 64,
        ends_at="2030-01-01T00:00Z",
    )  # fmt: skip
    UsedNonce.objects.create(digest="ab" * 32, public_key="d" * 64, ends_at="2030-01-01T00:00Z")
    Content.objects.create(sha256="ab" * 32, size=5)
    ContentUse.objects.create(sha256="ab" * 32, user="tests", key="1")
    FileFact.objects.create(
        device="laptop-9", epoch="ab" * 16, number=1, label="study.participant", field="photo", name_digest="cd" * 32,
        sha256="ab" * 32, size=5, media_type="image/jpeg",
    )  # fmt: skip
    FileDelivery.objects.create(peer="site-1", sha256="ab" * 32)
    StoredName.objects.create(name="participants/a.jpg", sha256="ab" * 32, size=5, media_type="image/jpeg")
    FileUpload.objects.create(
        id="ab" * 16, sha256="ab" * 32, size=5, brought_by="laptop-9", expires_at="2030-01-01T00:00Z"
    )
    if not Recipient.objects.exists():
        Recipient.objects.create(name="server-1", key_id="ab" * 8, public_key="d" * 64)
    epoch = IncomingEpoch.objects.get(device=laptop.device)
    IncomingEra.objects.get_or_create(epoch=epoch, ordinal=0)
    configuration = ExportConfiguration.objects.create(
        name="open", entity_type="study.Site", target_url="https://x.example"
    )
    moment = configuration.created_at
    ExportTask.objects.create(configuration=configuration, entity="1/a", version=1, due_at=moment, marked_at=moment)
    ImportSession.objects.create(user="ann", entity_type="event", entity_id="a" * 32, body={})
    ImportedContent.objects.create(file_id="a" * 32, md5="b" * 32, sha256="c" * 64, size=1, user="ann")
    Finalization.objects.create(device=local, mark_id="ab" * 16, era_ordinal=0, transaction_id=1, manifest={})
    key = AccessKey.objects.create(
        key_hash="ab" * 32, model="study.site", identity={"code": "MOC"}, group=Group.objects.create(name="field")
    )
    SingleRecordUser.objects.create(
        user=User.objects.create_user("phone-record-1"), device=laptop.device, access_key=key
    )
    upload = Upload.objects.create(device=laptop.device, user="ann")
    UploadStep.objects.create(upload=upload, operation="upload_table", request_hash="a" * 64, content=b"{}")
    UploadedOffset.objects.create(upload=upload, table="study.site", field="at", utc_offset=60, versions=[1])
    return laptop


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_list_opens_filters_and_searches(admin_client: Client, rows: Laptop, model: type[models.Model]) -> None:
    assert model._default_manager.exists()
    for query in ("", "?q=1", "?q=laptop-9"):
        answer = admin_client.get(page(model, "changelist") + query)
        assert answer.status_code == 200


@pytest.mark.parametrize("model", [m for m in MODELS if m is not ExportConfiguration], ids=lambda model: model.__name__)
def test_every_row_opens_and_nothing_can_be_added_changed_or_deleted(
    admin_client: Client, rows: Laptop, model: type[models.Model]
) -> None:
    row = model._default_manager.first()
    assert row is not None
    assert admin_client.get(page(model, "change", row.pk)).status_code == 200
    assert admin_client.get(page(model, "add")).status_code == 403
    assert admin_client.post(page(model, "change", row.pk), {}).status_code == 403
    assert admin_client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_lists_number_of_queries_does_not_grow_with_its_rows(
    admin_client: Client, rows: Laptop, model: type[models.Model]
) -> None:
    before = queries_of(admin_client, model)
    another = Laptop("default", name="laptop-10")
    another.deliver(
        [insert(Site, id=SITE, code="OOD", name="Oodi")],
        *([update(Site, id=UUID(int=number).hex, code="Z", name="gone")] for number in range(5, 12)),
    )
    consume("default")
    SiteFactory.create_batch(5)
    Alarm.objects.create(device=another.device, code="batch_fork", text="Two batches have number 2.")
    assert queries_of(admin_client, model) <= before


def queries_of(client: Client, model: type[models.Model]) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        assert client.get(page(model, "changelist")).status_code == 200
    return len(queries)


def test_batches_are_listed_without_reading_their_bytes(admin_client: Client, rows: Laptop) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for model in (CarriedBatch, IncomingBatch, OutgoingBatch, IncomingTransaction, ParkedUnit):
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(page(model, "changelist"))
        assert not [query for query in queries if '"content"' in query["sql"]]


def test_a_captured_row_is_shown_by_field_and_decoded(admin_client: Client, rows: Laptop) -> None:
    captured = OutgoingTransaction.objects.get(tx_name="study.visit")
    text = admin_client.get(page(OutgoingTransaction, "change", captured.pk)).content.decode()
    for shown in ("weight_kg", "61.50", "2026-05-04 09:15:30.123456+00:00", "ann", "first visit"):
        assert shown in text


def test_a_received_row_is_decoded_and_escaped(admin_client: Client, rows: Laptop) -> None:
    received = IncomingTransaction.objects.get(tx_pk=SITE)
    text = admin_client.get(page(IncomingTransaction, "change", received.pk)).content.decode()
    assert "Mochudi &lt;b&gt;north&lt;/b&gt;" in text
    assert str(UUID(SITE)) in text


def test_a_payload_that_does_not_decode_is_shown_as_it_came(admin_client: Client, rows: Laptop) -> None:
    IncomingTransaction.objects.filter(tx_pk=SITE).update(payload='["one", "two"]')
    received = IncomingTransaction.objects.get(tx_pk=SITE)
    text = admin_client.get(page(IncomingTransaction, "change", received.pk)).content.decode()
    assert "[&quot;one&quot;, &quot;two&quot;]" in text


def test_a_parked_unit_shows_what_happened_the_row_and_the_next_step(admin_client: Client, rows: Laptop) -> None:
    unit = ParkedUnit.objects.get(code="record_missing")
    text = admin_client.get(page(ParkedUnit, "change", unit.pk)).content.decode()
    assert "never made" in text
    assert unit.next_step[:30] in text


def test_retrying_from_the_admin_applies_what_can_be_applied_now(admin_client: Client, rows: Laptop) -> None:
    unit = ParkedUnit.objects.get(code="record_missing")
    answer = retry(admin_client, unit)
    assert "0 units applied, 2 still parked" in answer.content.decode()


def retry(client: Client, unit: ParkedUnit) -> Any:
    return client.post(page(ParkedUnit, "changelist"), {"action": "retry", "_selected_action": [unit.pk]}, follow=True)


def test_an_alarm_is_resolved_once_with_the_operators_name(admin_client: Client, rows: Laptop) -> None:
    alarm = Alarm.objects.get()
    data = {"action": "resolve", "_selected_action": [alarm.pk]}
    admin_client.post(page(Alarm, "changelist"), data)
    alarm.refresh_from_db()
    assert alarm.resolved_at is not None
    assert alarm.resolved_by == "admin"
    resolved_at = alarm.resolved_at
    admin_client.post(page(Alarm, "changelist"), data)
    alarm.refresh_from_db()
    assert alarm.resolved_at == resolved_at


def test_who_may_only_look_cannot_resolve_or_retry(client: Client, rows: Laptop) -> None:
    user = User.objects.create_user("nurse", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_alarm", "view_parkedunit"]))
    client.force_login(user)
    assert client.get(page(Alarm, "changelist")).status_code == 200
    client.post(page(Alarm, "changelist"), {"action": "resolve", "_selected_action": [Alarm.objects.get().pk]})
    assert Alarm.objects.get().resolved_at is None
    retry(client, ParkedUnit.objects.get(code="record_missing"))
    assert ParkedUnit.objects.get(code="record_missing").attempts == 1


@pytest.mark.parametrize("model", [EnrolmentCode, DeviceCredential])
def test_no_page_shows_a_secrets_hash(admin_client: Client, rows: Laptop, model: type[models.Model]) -> None:
    row = model._default_manager.get()
    text = admin_client.get(page(model, "change", row.pk)).content.decode()
    assert "c" * 64 not in text
    assert "e" * 64 not in text


def test_a_schema_lists_its_columns(admin_client: Client, rows: Laptop) -> None:
    schema = CaptureSchema.objects.filter(tx_name="study.visit").get()
    text = admin_client.get(page(CaptureSchema, "change", schema.pk)).content.decode()
    assert "<td>temperature_c</td><td>float</td>" in text
    assert "<td>participant</td><td>uuid</td><td>study.participant</td>" in text


def test_devices_are_known_by_name(rows: Laptop) -> None:
    assert str(Device.objects.get(name="laptop-9")) == "laptop-9"


def test_access_keys_are_ended_by_those_who_may_and_their_hashes_are_not_shown(
    admin_client: Client, client: Client, rows: Laptop
) -> None:
    key = AccessKey.objects.get()
    assert key.key_hash not in admin_client.get(page(AccessKey, "change", key.pk)).content.decode()
    asked = {"action": "end_keys", "_selected_action": [key.pk]}
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_accesskey"))
    client.force_login(viewer)
    client.post(page(AccessKey, "changelist"), asked)
    key.refresh_from_db()
    assert key.ended_at is None
    assert admin_client.post(page(AccessKey, "changelist"), asked).status_code == 302
    key.refresh_from_db()
    assert key.ended_at is not None
