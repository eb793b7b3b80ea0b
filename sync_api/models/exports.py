"""Feeding other systems: standing searches, and what each of them still has to send."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from audit.fields import RowIdField

SEALED_LENGTH_MAX = 4_000


class ExportConfiguration(models.Model):
    """A standing search over one kind of entity, and where what it finds is sent. Off when created.

    The counters stand here, so they outlive a restart. `target_password` is written through
    `sync_api.exports.credentials` only: what is stored is sealed, and no page or answer shows it.
    """

    class Protocol(models.TextChoices):
        RECORDS = "records", "records as JSON"
        METEORPI = "meteorpi", "MeteorPi's import"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    entity_type = models.CharField(max_length=100, help_text="A mirrored model as app.model, or a registered name.")
    search = models.JSONField(default=dict, blank=True, help_text="Conditions as data; see the reference.")
    protocol = models.CharField(max_length=10, choices=Protocol.choices, default=Protocol.RECORDS)
    target_url = models.CharField(max_length=500)
    target_user = models.CharField(max_length=150, blank=True)
    sealed_password = models.CharField(max_length=SEALED_LENGTH_MAX, blank=True, editable=False)
    sends_deletions = models.BooleanField(default=False, help_text="Also tell the target of what was removed.")
    is_enabled = models.BooleanField(default=False)

    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    deferred_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent before this.")
    disabled_at = models.DateTimeField(null=True, blank=True, help_text="Disabled after too many failures.")
    last_error = models.TextField(blank=True)
    completed_count = models.PositiveBigIntegerField(default=0)
    failed_count = models.PositiveBigIntegerField(default=0)
    dead_count = models.PositiveBigIntegerField(default=0)
    last_completed_at = models.DateTimeField(null=True, blank=True)
    marked_at = models.DateTimeField(null=True, blank=True)
    marked_search = models.CharField(max_length=64, blank=True, editable=False)
    marked_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return self.name or str(self.pk)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Whoever switches a configuration on gives it a fresh start: its failures are forgotten."""
        if self.is_enabled and self.disabled_at is not None:
            self.failures, self.disabled_at, self.deferred_until, self.last_error = 0, None, None, ""
            if kwargs.get("update_fields") is not None:
                fresh = {"failures", "disabled_at", "deferred_until", "last_error"}
                kwargs["update_fields"] = {*kwargs["update_fields"], *fresh}
        super().save(*args, **kwargs)


class ExportTask(models.Model):
    """One version of one entity that one configuration has to send, once. Pending while `done_at` is null."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        COMPLETE = "complete", "complete"
        DEAD = "dead", "given up"

    id = RowIdField(primary_key=True)
    configuration = models.ForeignKey(
        ExportConfiguration, on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    entity = models.CharField(max_length=255)
    version = models.BigIntegerField()
    is_deletion = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0, help_text="Failures that were about this entity.")
    lease = models.CharField(max_length=32, blank=True, default="")
    leased_until = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    marked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["due_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["configuration", "entity", "version", "is_deletion"], name="sync_export_task_unique"
            ),
        ]
        indexes = [
            models.Index(
                fields=["configuration", "due_at", "id"], condition=Q(done_at__isnull=True), name="sync_export_pending"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entity} version {self.version}"


class ImportSession(models.Model):
    """An entity on its way in, as it was last sent whole. In the table, so any process of the server can go on."""

    user = models.CharField(max_length=150)
    entity_type = models.CharField(max_length=100)
    entity_id = models.CharField(max_length=255)
    body = models.JSONField()
    began_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-touched_at", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "entity_id"], name="sync_import_session_unique")]

    def __str__(self) -> str:
        return f"{self.entity_type} {self.entity_id}"


class ImportedContent(models.Model):
    """Bytes that were declared by an import and have arrived, before their record is there."""

    file_id = models.CharField(max_length=32, unique=True)
    md5 = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64, db_index=True)
    size = models.PositiveBigIntegerField()
    user = models.CharField(max_length=150)
    received_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.file_id
