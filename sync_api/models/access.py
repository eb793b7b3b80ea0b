"""Who may upload one record's data: access keys, and the users that were made with them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from audit.models import Device


class AccessKey(models.Model):
    """Stands for one record (a participant, say): whoever knows it may collect that record's data, on one device each.

    The key itself is kept only as a keyed hash.
    """

    key_hash = models.CharField(max_length=64, unique=True)
    model = models.CharField(max_length=201, help_text="app_label.model of the record.")
    identity = models.JSONField(help_text="The values by which the record is known, by field name.")
    group = models.ForeignKey("auth.Group", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on no device can be registered.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="From then on its users cannot upload either.")
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        permissions = [
            ("register_devices", "Can register devices that upload their tables"),
            ("upload_records", "Can upload the tables of devices"),
        ]

    def __str__(self) -> str:
        return f"access key {self.pk} to a record of {self.model}"


class SingleRecordUser(models.Model):
    """A user who may upload only from this device, and only what belongs to its access key's record."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+")
    access_key = models.ForeignKey(AccessKey, on_delete=models.PROTECT, related_name="users")
    created_at = models.DateTimeField(default=timezone.now)
    password_set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["device", "access_key"], name="sync_one_user_per_device_and_key"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} on device {self.device_id}"
