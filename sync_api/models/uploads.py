"""State-based uploads: what a client without a log sends, kept apart from the mirror until it is committed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from audit.fields import RowIdField
from audit.models import Device

KEY_LENGTH_MAX = 100
"""Of an idempotency key."""


class Upload(models.Model):
    """One upload of one device's tables: open until it is committed as a whole, rolled back or refused."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        COMMITTED = "committed", "committed"
        ROLLED_BACK = "rolled_back", "rolled back"
        REFUSED = "refused", "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="uploads")
    user = models.CharField(max_length=150, help_text="User name of the one who began it.")
    key = models.CharField(max_length=KEY_LENGTH_MAX, blank=True, help_text="The client's idempotency key.")
    request_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the request that began it.")
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    is_one_step = models.BooleanField(default=False)
    is_preserving = models.BooleanField(default=False, help_text="Everything of the device leaves the era NOW.")
    app_version = models.CharField(max_length=50, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_why = models.TextField(blank=True, help_text="Of one rolled back or refused. Never a field's value.")
    code = models.CharField(max_length=40, blank=True, help_text="Of one refused: the problem's code.")
    era = models.CharField(max_length=32, blank=True, help_text="The era that its records were preserved in, if any.")
    has_moved = models.BooleanField(default=False, help_text="It preserved all or some records.")
    reply = models.JSONField(null=True, blank=True, help_text="The last answer, given again to the same request.")
    staged_steps = models.PositiveIntegerField(default=0)
    staged_bytes = models.PositiveBigIntegerField(default=0)
    refusals = models.JSONField(default=list, blank=True, help_text="Refused steps: when, what, which code.")

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["device", "key"], condition=~Q(key=""), name="sync_upload_key_unique"),
            models.UniqueConstraint(fields=["device"], condition=Q(state="open"), name="sync_upload_one_open"),
        ]
        indexes = [models.Index(fields=["device", "-started_at"], name="sync_upload_of_device")]

    def __str__(self) -> str:
        return f"{self.state} upload {self.id.hex[:8]} of {self.device_id}"


class UploadStep(models.Model):
    """One accepted step of an upload, in order. The content is what is staged, and goes when the upload ends."""

    id = RowIdField(primary_key=True)
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="steps")
    operation = models.CharField(max_length=30)
    key = models.CharField(max_length=KEY_LENGTH_MAX, blank=True)
    request_hash = models.CharField(max_length=64)
    content = models.BinaryField(null=True, help_text="JSON, as the client sent its values.")
    reply = models.JSONField(default=dict)
    taken_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["upload", "key"], condition=~Q(key=""), name="sync_upload_step_key_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} of {self.upload_id}"


class UploadedOffset(models.Model):
    """Which versions' times came with another UTC offset than the version's own `_utc_offset`."""

    upload = models.ForeignKey(Upload, on_delete=models.PROTECT, related_name="offsets")
    table = models.CharField(max_length=201, help_text="Label of the model.")
    field = models.CharField(max_length=100)
    utc_offset = models.SmallIntegerField(help_text="Minutes.")
    versions = models.JSONField(help_text="Mirror keys (_pk).")

    class Meta:
        ordering = ["upload", "table", "field", "utc_offset"]
        constraints = [
            models.UniqueConstraint(
                fields=["upload", "table", "field", "utc_offset"], name="sync_uploaded_offset_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table}.{self.field} {self.utc_offset:+}"
