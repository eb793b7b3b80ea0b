"""The shapes of requests and answers, for checking and for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

HEX_32 = r"\A[0-9a-f]{32}\Z"
HEX_64 = r"\A[0-9a-f]{64}\Z"


class StrictCharField(serializers.CharField):
    """Text only: DRF's own also takes numbers."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class EnrolmentRequestSerializer(serializers.Serializer[Any]):
    code = StrictCharField(
        max_length=200, help_text="Five words from `add_device`, in any spelling of case and spaces."
    )
    device = StrictCharField(max_length=64, help_text="The name this installation captures under.")
    public_key = StrictCharField(min_length=64, max_length=64, help_text="Ed25519, in hex.")
    signature = StrictCharField(
        min_length=128, max_length=128, help_text="Over the other members' canonical JSON, in hex: proof of possession."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(self.initial_data) - set(self.fields):
            raise serializers.ValidationError({str(name)[:50]: "not known" for name in sorted(unknown)}, code="unknown")
        return attrs


class ServerIdentitySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    public_key = serializers.RegexField(HEX_64)


class CertificateSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    role = serializers.CharField()
    public_key = serializers.CharField()
    issuer = serializers.CharField()
    issuer_key = serializers.CharField()
    issued_at = serializers.CharField()
    serial = serializers.CharField()
    signature = serializers.CharField()


class RecipientSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    public_key = serializers.RegexField(HEX_64, help_text="X25519, in hex.")


class RecipientListSerializer(serializers.Serializer[Any]):
    signer = serializers.CharField(help_text="The server.")
    at = serializers.CharField()
    recipients = RecipientSerializer(many=True)
    signature = serializers.CharField(help_text="By the server's key, in hex.")


class ServerSerializer(ServerIdentitySerializer):
    role = serializers.CharField(help_text="client, relay or server.")
    certificate = CertificateSerializer(allow_null=True, help_text="Null before it enrolled.")
    time = serializers.DateTimeField(help_text="Its clock.")
    nonce = serializers.CharField(help_text="To be signed for a visit; good for a short time.")


class CertificateGivenSerializer(serializers.Serializer[Any]):
    device = StrictCharField(max_length=64)
    role = StrictCharField(max_length=10)
    public_key = StrictCharField(min_length=64, max_length=64)
    issuer = StrictCharField(max_length=64)
    issuer_key = StrictCharField(min_length=64, max_length=64)
    issued_at = StrictCharField(max_length=64)
    serial = StrictCharField(max_length=64)
    signature = StrictCharField(min_length=128, max_length=128)


class VisitRequestSerializer(serializers.Serializer[Any]):
    certificate = CertificateGivenSerializer()
    address = StrictCharField(max_length=260, help_text="Host, and port unless it is the scheme's, that was dialled.")
    nonce = StrictCharField(max_length=200, help_text="From `GET server`.")
    signature = StrictCharField(min_length=128, max_length=128, help_text="By the certificate's key, in hex.")


class PassSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown once; its hash is kept.")
    ends_at = serializers.DateTimeField()
    certificate = CertificateSerializer(allow_null=True, help_text="This installation's own.")


class StatementsBroughtSerializer(serializers.Serializer[Any]):
    statements = serializers.ListField(
        child=serializers.JSONField(), help_text="Signed objects with kind, device, signer, at and signature."
    )


class StatementsSerializer(StatementsBroughtSerializer):
    next = serializers.CharField(allow_null=True, help_text="Give it as `after` for more; null at the end.")


class StatementsTakenSerializer(serializers.Serializer[Any]):
    taken = serializers.IntegerField(help_text="Believed and new here.")
    known = serializers.IntegerField(help_text="Known before, or older than what is known.")
    refused = serializers.DictField(child=serializers.IntegerField(), help_text="By code: how many were left out.")


class EnrolledSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    role = serializers.CharField()
    token = serializers.CharField(help_text="Shown once; the server keeps its hash.")
    certificate = CertificateSerializer()
    server = ServerIdentitySerializer()
    recipients = RecipientListSerializer(help_text="To whom payloads may be sealed.")
    epochs = serializers.ListField(
        child=serializers.RegexField(HEX_32), help_text="The device's epochs of which batches are held."
    )


class ReceiptSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["held", "applied", "durable"])
    device = serializers.CharField()
    epoch = serializers.RegexField(HEX_32)
    number = serializers.IntegerField(help_text="Batches up to this number.")
    hash = serializers.RegexField(HEX_64)
    signer = serializers.CharField()
    at = serializers.CharField()
    signature = serializers.CharField()


class AcceptedSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["held", "duplicate", "early"])
    device = serializers.CharField()
    epoch = serializers.RegexField(HEX_32)
    number = serializers.IntegerField()
    hash = serializers.RegexField(HEX_64)
    expected = serializers.IntegerField(help_text="The number to send next.")
    receipt = ReceiptSerializer(allow_null=True)
    statements = serializers.ListField(
        child=serializers.JSONField(), required=False, help_text="Signed statements about the batch's device."
    )
    recipients = RecipientListSerializer(required=False, help_text="Where the device knows another list.")


class EpochSerializer(serializers.Serializer[Any]):
    epoch = serializers.RegexField(HEX_32)
    ordinal = serializers.IntegerField()
    head_number = serializers.IntegerField(help_text="Batches up to this number are held.")
    head_hash = serializers.CharField(allow_blank=True)
    consumed_number = serializers.IntegerField(help_text="Batches up to this number are applied.")
    receipts = ReceiptSerializer(many=True)


class DeviceSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    role = serializers.CharField()
    server = ServerIdentitySerializer()
    epochs = EpochSerializer(many=True)
    parked = serializers.IntegerField(help_text="Units set aside until someone removes the cause.")
    recipients = RecipientListSerializer(required=False, help_text="Where the device knows another list.")


class ProblemSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable.")
    detail = serializers.CharField()
    next_step = serializers.CharField()
    expected = serializers.IntegerField(required=False, help_text="The batch number to send next.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="By member: what is wrong.",
    )
    refusals = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Of refused records: model, key, field and reason, the first 20.",
    )
