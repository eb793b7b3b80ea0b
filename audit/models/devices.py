"""Who delivers data: the registered installations."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from audit.fields import MicrosecondsField

DEVICE_NAME_LENGTH_MAX = 64

device_name_validator = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
    "A device name is 1 to 64 letters, digits, dots, hyphens or underscores, and begins with a letter or digit.",
    code="device_name",
)


class Device(models.Model):
    """A registered installation: field laptop or tablet, middleman, or server."""

    class Role(models.TextChoices):
        CLIENT = "client", "field laptop or tablet"
        RELAY = "relay", "middleman"
        SERVER = "server", "server"

    class Kind(models.TextChoices):
        LOG = "log", "delivers a log of changes"
        STATE = "state", "uploads its tables"

    name = models.CharField(max_length=DEVICE_NAME_LENGTH_MAX, unique=True, validators=[device_name_validator])
    friendly_name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.CLIENT)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LOG)
    group = models.ForeignKey(
        "auth.Group",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Whose members may upload for it; without one only superusers may.",
    )
    registered_at = models.DateTimeField(default=timezone.now)
    registered_by = models.CharField(max_length=150, blank=True)
    app_version = models.CharField(max_length=50, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    known_until = MicrosecondsField(
        null=True,
        blank=True,
        help_text="Captured moment of its last change in the mirror; later ones may still arrive.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
