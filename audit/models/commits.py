"""What was committed to the mirror, when, and from which source."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.fields import MicrosecondsField
from audit.models.devices import Device

KINDS_OF_CHANGE = {
    "added": "added",
    "modified": "modified out",
    "deleted": "deleted",
    "preserved": "preserved",
    "erased": "erased",
}
"""Kinds of change with keys, in the words of a line. A modified record's new version is among the added."""


class CommitClock(models.Model):
    """One row (id 1): the last committed moment, and the latest moment that a reader has asked for.

    Committed moments are allotted under this row's lock, each later than both columns, so that an
    `as_of` once answered never changes.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    committed_at = MicrosecondsField(default=0)
    asked_until = MicrosecondsField(default=0)

    class Meta:
        verbose_name = "commit clock"

    def __str__(self) -> str:
        return f"last commit {self.committed_at}"


class Source(models.Model):
    """The batch, upload or correction that mirror versions came from (`_source`)."""

    class Kind(models.TextChoices):
        BATCH = "batch", "batch"
        UPLOAD = "upload", "upload"
        CORRECTION = "correction", "correction on the server"

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="sources")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    reference = models.CharField(max_length=100, help_text="For a batch: epoch/number.")
    app_version = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "kind", "reference"], name="audit_source_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference} of {self.device_id}"


class TableChanges(models.Model):
    """One table's changes in one commit: counts and mirror keys, all of them. Never updated, never deleted.

    A commit that failed has its row too: `code` and `text` say why, and the counts are 0.
    """

    source = models.ForeignKey(Source, null=True, on_delete=models.PROTECT, related_name="changes")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="changes")
    committed_at = MicrosecondsField(db_index=True)
    committed_by = models.CharField(max_length=150, blank=True)
    model = models.CharField(max_length=201, help_text="app_label.model of the source model.")
    added = models.PositiveIntegerField(default=0)
    modified = models.PositiveIntegerField(default=0)
    identical = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    preserved = models.PositiveIntegerField(default=0)
    erased = models.PositiveIntegerField(default=0)
    code = models.CharField(max_length=60, blank=True, help_text="Stable code of a failure; empty where it went well.")
    text = models.TextField(blank=True, help_text="The failure's sentence, or why it was done.")
    keys = models.JSONField(
        default=dict,
        help_text='Mirror keys (_pk) by kind of change: {"added": [...], "modified": [...], ...}.',
    )

    class Meta:
        verbose_name = "table changes"
        verbose_name_plural = "table changes"
        ordering = ["-committed_at", "id"]
        indexes = [
            models.Index(fields=["model", "device", "committed_at"], name="audit_changes_table"),
            models.Index(fields=["committed_by", "committed_at"], name="audit_changes_user"),
        ]

    def __str__(self) -> str:
        return self.line()

    def line(self, *, keys_max: int | None = None) -> str:
        """As CamCOPS writes it: `ref_satis_gen (1 added, PKs [3]; 1 modified out, PKs [2])`.

        `keys_max` shortens long lists of keys.
        """
        parts = []
        for kind, words in KINDS_OF_CHANGE.items():
            keys = self.keys.get(kind)
            if keys:
                shown = ", ".join(map(str, keys[:keys_max])) + (", ..." if len(keys) > len(keys[:keys_max]) else "")
                parts.append(f"{len(keys)} {words}, PKs [{shown}]")
        if self.code:
            parts = [f"failed, {self.code}"]
        return f"{self.model} ({'; '.join(parts) or 'no change'})"
