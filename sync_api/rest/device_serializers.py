"""The shapes of requests and answers about devices that upload their tables."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from audit.models.devices import DEVICE_NAME_LENGTH_MAX
from sync_api.rest.serializers import StrictCharField
from sync_api.uploads.devices import FRIENDLY_NAME_LENGTH_MAX


class OnlyKnown(serializers.Serializer[Any]):
    """Refuses members that it does not know."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(self.initial_data) - set(self.fields):
            raise serializers.ValidationError({str(name)[:50]: "not known" for name in sorted(unknown)}, code="unknown")
        return attrs


class RegistrationSerializer(OnlyKnown):
    device = StrictCharField(
        max_length=DEVICE_NAME_LENGTH_MAX, help_text="1 to 64 letters, digits, dots, hyphens or underscores."
    )
    friendly_name = StrictCharField(max_length=FRIENDLY_NAME_LENGTH_MAX, required=False, allow_blank=True)
    group = StrictCharField(
        max_length=150, required=False, allow_blank=True, help_text="Needed when the user has several."
    )
    app_version = StrictCharField(max_length=50, required=False, allow_blank=True)


class IdNumberSerializer(serializers.Serializer[Any]):
    which = serializers.IntegerField()
    description = serializers.CharField()
    short = serializers.CharField()


class ServerInfoSerializer(serializers.Serializer[Any]):
    title = serializers.CharField()
    upload_policy = serializers.CharField(allow_blank=True)
    finalize_policy = serializers.CharField(allow_blank=True)
    id_numbers = IdNumberSerializer(many=True)


class UploadDeviceSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    friendly_name = serializers.CharField(allow_blank=True)
    group = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(["log", "state"])
    registered_at = serializers.DateTimeField()
    server = ServerInfoSerializer()


class AllowedTableSerializer(serializers.Serializer[Any]):
    table = serializers.CharField(help_text="The name that uploads use.")
    model = serializers.CharField()
    min_client_version = serializers.CharField()


class AllowedTablesSerializer(serializers.Serializer[Any]):
    tables = AllowedTableSerializer(many=True)


class StringSerializer(serializers.Serializer[Any]):
    task = serializers.CharField()
    name = serializers.CharField()
    language = serializers.CharField(allow_blank=True)
    value = serializers.CharField(allow_blank=True)


class StringsSerializer(serializers.Serializer[Any]):
    strings = StringSerializer(many=True)


class ScheduleItemSerializer(serializers.Serializer[Any]):
    table = serializers.CharField()
    due_from_days = serializers.IntegerField()
    due_by_days = serializers.IntegerField()


class ScheduleSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    begins_on = serializers.CharField(allow_null=True)
    items = ScheduleItemSerializer(many=True)


class SchedulesSerializer(serializers.Serializer[Any]):
    record = serializers.DictField(child=serializers.JSONField(), help_text="What is known of the record now.")
    schedules = ScheduleSerializer(many=True)


class AccessSerializer(OnlyKnown):
    key = StrictCharField(max_length=200, help_text="Five words, in any spelling of case and spaces.")
    friendly_name = StrictCharField(max_length=FRIENDLY_NAME_LENGTH_MAX, required=False, allow_blank=True)
    app_version = StrictCharField(max_length=50, required=False, allow_blank=True)


class AccessGivenSerializer(SchedulesSerializer):
    device = serializers.CharField()
    user = serializers.CharField()
    password = serializers.CharField(help_text="Shown once; its hash is kept.")
    model = serializers.CharField()
    server = ServerInfoSerializer()


class QuestionSerializer(OnlyKnown):
    tables = serializers.DictField(
        child=serializers.ListField(child=serializers.DictField(child=serializers.JSONField(allow_null=True))),
        help_text="By table: records by column or field name. A record without its key is a new one.",
    )


class RefusalSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    key = serializers.JSONField(allow_null=True, help_text="The record's key on the device; null for a new one.")
    field = serializers.CharField(allow_null=True)
    reason = serializers.CharField()


class JudgedSerializer(serializers.Serializer[Any]):
    valid = serializers.BooleanField()
    refusals = RefusalSerializer(many=True, help_text="The first 100.")
