"""The shapes of uploads' requests and answers. Rows are described here and checked by the operations."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from sync_api.rest.serializers import StrictCharField


class AsSent(serializers.Serializer[Any]):
    """`as_sent` names the members that the operations read themselves, as they came."""

    as_sent: ClassVar[tuple[str, ...]] = ()


class RowsField(serializers.JSONField):
    """Rows: a list of objects by column name, or {"fields": [...], "rows": [[...], ...]}. Not copied, not checked."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data is serializers.empty and self.required:
            self.fail("required")
        return data


ROWS_HELP = 'Objects by column name, or {"fields": [...], "rows": [[...], ...]}; `_move_off_tablet` beside the columns.'


class StrictBooleanField(serializers.BooleanField):
    """True or false: DRF's own also takes "yes" and 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input="it")
        return data


class StartSerializer(AsSent):
    device = StrictCharField(max_length=64, help_text="Name of a registered device.")
    app_version = StrictCharField(max_length=50, required=False, allow_blank=True, help_text="Semantic version.")


class OneStepSerializer(StartSerializer):
    as_sent = ("tables",)
    preserving = StrictBooleanField(required=False, help_text="Everything of the device leaves the era NOW.")
    tables = RowsField(help_text=f"By table: {ROWS_HELP}")


class RowsSerializer(AsSent):
    as_sent = ("rows",)
    rows = RowsField(help_text=ROWS_HELP)


class RecordSerializer(AsSent):
    as_sent = ("row",)
    row = RowsField(help_text="An object by column name.")


class KeysSerializer(AsSent):
    as_sent = ("keys",)
    keys = RowsField(help_text="The client's keys.")


class WhichKeysSerializer(AsSent):
    as_sent = ("keys", "modified", "moved")
    keys = RowsField(help_text="The client's keys.")
    modified = RowsField(required=False, help_text="Beside the keys: when each record was modified.")
    moved = RowsField(required=False, help_text="Beside the keys: 1 for a record that is to leave the era NOW.")


class EmptyTablesSerializer(AsSent):
    tables = serializers.ListField(child=StrictCharField(max_length=201), help_text="Tables by name.")


class StartedSerializer(serializers.Serializer[Any]):
    upload = serializers.UUIDField()
    state = serializers.ChoiceField(["open"])
    started_at = serializers.DateTimeField()


class StepSerializer(serializers.Serializer[Any]):
    upload = serializers.UUIDField(required=False)
    state = serializers.CharField(required=False)
    preserving = serializers.BooleanField(required=False)
    table = serializers.CharField(required=False)
    tables = serializers.ListField(child=serializers.CharField(), required=False)
    rows = serializers.IntegerField(required=False)
    keys = serializers.IntegerField(required=False)


class WantedSerializer(serializers.Serializer[Any]):
    table = serializers.CharField()
    keys = serializers.ListField(child=serializers.JSONField(), help_text="Keys of the records to send.")


class CountsSerializer(serializers.Serializer[Any]):
    added = serializers.IntegerField(required=False, help_text="New versions, of modified records too.")
    modified = serializers.IntegerField(required=False, help_text="Versions that a new one took the place of.")
    deleted = serializers.IntegerField(required=False)
    identical = serializers.IntegerField(required=False)
    preserved = serializers.IntegerField(required=False, help_text="Versions, current or not.")


class CommittedSerializer(serializers.Serializer[Any]):
    upload = serializers.UUIDField()
    state = serializers.ChoiceField(["committed"])
    committed_at = serializers.DateTimeField()
    era = serializers.CharField(allow_blank=True, help_text="The era that records were preserved in.")
    tables = serializers.DictField(child=CountsSerializer(), help_text="By table, those with anything to tell.")


class UploadSerializer(serializers.Serializer[Any]):
    upload = serializers.UUIDField()
    device = serializers.CharField()
    state = serializers.ChoiceField(["open", "committed", "rolled_back", "refused"])
    preserving = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    why = serializers.CharField(allow_blank=True, help_text="Why it was rolled back or refused.")
    code = serializers.CharField(allow_blank=True)
    reply = serializers.JSONField(allow_null=True, help_text="The answer to the commit.")
    refusals = serializers.ListField(child=serializers.JSONField(), help_text="Requests that were refused.")
