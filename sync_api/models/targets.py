"""Where this device pushes, and how that went."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from sync_api.models.local import LocalDevice


class PushTarget(models.Model):
    """One server or middleman that this device pushes to, with its own position, failures and circuit breaker."""

    class Kind(models.TextChoices):
        HOME = "home", "the server this device is enrolled with"
        SERVER = "server", "another server"
        RELAY = "relay", "middleman"

    device = models.ForeignKey(LocalDevice, on_delete=models.CASCADE, related_name="targets")
    name = models.CharField(max_length=64, help_text="Name of the installation there.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    url = models.URLField()
    public_key = models.CharField(max_length=64, blank=True)
    is_active = models.BooleanField(default=True)
    epoch = models.CharField(max_length=32, blank=True)
    acknowledged_number = models.BigIntegerField(default=0, help_text="Batches of `epoch` up to here are held there.")
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    open_until = models.DateTimeField(null=True, blank=True, help_text="The circuit is open: not tried before this.")
    last_tried_at = models.DateTimeField(null=True, blank=True)
    last_held_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["device", "name"], name="sync_push_target_unique")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
