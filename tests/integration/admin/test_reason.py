"""Forms of synced models ask why, as the model's policy wants it, and the reason arrives in the record."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from sync_api.models import OutgoingTransaction
from syncserver.study.models import Symptom
from tests.factories import SymptomFactory

pytestmark = pytest.mark.django_db

ADD = reverse("admin:study_symptom_add")
LIST = reverse("admin:study_symptom_changelist")


def last() -> OutgoingTransaction:
    return OutgoingTransaction.objects.latest("id")


def test_a_form_hands_user_and_reason_to_the_record(admin_client: Client) -> None:
    data = {"code": "COUGH", "name": "cough", "_sync_reason": "on the new list"}
    assert admin_client.post(ADD, data).status_code == 302
    assert (last().action, last().user, last().reason) == ("I", "admin", "on the new list")


def test_an_optional_reason_may_be_left_out(admin_client: Client) -> None:
    assert admin_client.post(ADD, {"code": "COUGH", "name": "cough"}).status_code == 302
    assert last().reason is None


def test_a_required_reason_must_be_given(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    symptom = SymptomFactory()
    monkeypatch.setattr(Symptom, "sync_reason", "required")
    answer = admin_client.post(ADD, {"code": "COUGH", "name": "cough"})
    assert b"This field is required" in answer.content
    delete = reverse("admin:study_symptom_delete", args=[symptom.pk])
    assert b"required></textarea>" in admin_client.get(delete).content
    admin_client.post(delete, {"post": "yes"})
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [symptom.pk], "post": "yes"})
    assert Symptom.objects.filter(pk=symptom.pk).exists()
    admin_client.post(delete, {"post": "yes", "_sync_reason": "entered twice"})
    assert (last().action, last().reason) == ("D", "entered twice")


def test_deleting_several_asks_for_one_reason(admin_client: Client) -> None:
    chosen = [symptom.pk for symptom in SymptomFactory.create_batch(2)]
    data = {"action": "delete_selected", "_selected_action": chosen}
    assert b'name="_sync_reason"' in admin_client.post(LIST, data).content
    admin_client.post(LIST, {**data, "post": "yes", "_sync_reason": "not used any more"})
    assert [row.reason for row in OutgoingTransaction.objects.order_by("-id")[:2]] == ["not used any more"] * 2


def test_without_a_policy_no_reason_is_asked(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Symptom, "sync_reason", "none")
    assert b"_sync_reason" not in admin_client.get(ADD).content


@pytest.mark.parametrize("name", ["site", "household", "participant", "visit", "specimen", "symptom"])
def test_every_form_of_the_study_opens(admin_client: Client, name: str) -> None:
    assert admin_client.get(reverse(f"admin:study_{name}_add")).status_code == 200
    assert admin_client.get(reverse(f"admin:study_{name}_changelist") + "?q=a").status_code == 200
