"""Who may push: one-time codes, and the credentials of enrolled devices."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.models import Device


class EnrolmentCode(models.Model):
    """A one-time code for one device, kept only as a keyed hash."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="enrolment_codes")
    code_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150, blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by_key = models.CharField(max_length=64, blank=True, help_text="Public key that used it, in hex.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"code for {self.device_id}, valid until {self.expires_at:%Y-%m-%d %H:%M}"


class DeviceCredential(models.Model):
    """An enrolled device's public key, certificate and hashed token; revoked with a cut-off."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="credentials")
    public_key = models.CharField(max_length=64, unique=True, help_text="Ed25519, in hex.")
    certificate = models.JSONField()
    token_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the bearer token, in hex.")
    enrolled_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.TextField(blank=True)
    revoked_after = models.JSONField(
        null=True, blank=True, help_text='Cut-off: {"epoch": hex, "number": n}; batches up to it stay valid.'
    )

    class Meta:
        ordering = ["-enrolled_at"]

    def __str__(self) -> str:
        return f"key {self.public_key[:8]} of {self.device_id}"
