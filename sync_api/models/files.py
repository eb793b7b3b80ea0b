"""Bytes that travel beside the records: what contents are here, which file of which device is which, and uploads."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Content(models.Model):
    """Bytes known by their SHA-256. `held_at` says that they are in the store; without it they are wanted or gone."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    md5 = models.CharField(max_length=32, blank=True, help_text="For wires that know files by MD5 only.")
    held_at = models.DateTimeField(null=True, blank=True)
    touched_at = models.DateTimeField(default=timezone.now, help_text="Not cleaned up for a while after this.")
    damaged_at = models.DateTimeField(null=True, blank=True, help_text="The stored bytes were found changed.")

    class Meta:
        ordering = ["-touched_at"]
        indexes = [models.Index(fields=["md5"], condition=~Q(md5=""), name="sync_content_md5")]

    def __str__(self) -> str:
        return self.sha256[:12]


class ContentUse(models.Model):
    """Keeps a content for a row that neither a fact nor a stored name speaks of."""

    sha256 = models.CharField(max_length=64, db_index=True)
    user = models.CharField(max_length=40, help_text="Which part of the program.")
    key = models.CharField(max_length=200, help_text="Which of its rows.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key", "sha256"], name="sync_content_use_unique")]

    def __str__(self) -> str:
        return f"{self.user} {self.key}"


class FileFact(models.Model):
    """What a device told of one file: which bytes the name in a record's field means, from this batch on.

    The name itself stands in the record only; here is its SHA-256. An empty `sha256` is a file that the device itself
    could not find when it sealed: unknown.
    """

    device = models.CharField(max_length=64)
    epoch = models.CharField(max_length=32)
    number = models.BigIntegerField(help_text="The batch that told it.")
    label = models.CharField(max_length=201)
    field = models.CharField(max_length=100)
    name_digest = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(default=0)
    media_type = models.CharField(max_length=100, blank=True)
    is_sealed = models.BooleanField(default=False, help_text="Its model is sealed: never on a relay or in a bundle.")
    known_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "epoch", "label", "field", "name_digest", "number"], name="sync_file_fact_unique"
            )
        ]
        indexes = [models.Index(fields=["sha256"], name="sync_file_fact_content")]

    def __str__(self) -> str:
        return f"{self.label}.{self.field} of {self.device}"


class FileDelivery(models.Model):
    """Another installation said that it holds these bytes."""

    peer = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    told_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "file deliveries"
        constraints = [models.UniqueConstraint(fields=["peer", "sha256"], name="sync_file_delivery_unique")]
        indexes = [models.Index(fields=["sha256"], name="sync_file_delivery_content")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} at {self.peer}"


class StoredName(models.Model):
    """A file of this installation's own records. A name is given once, so it always means these bytes."""

    name = models.CharField(max_length=500, unique=True)
    sha256 = models.CharField(max_length=64, db_index=True)
    size = models.BigIntegerField()
    media_type = models.CharField(max_length=100, blank=True)
    stored_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True, help_text="The program deleted the file.")
    released_at = models.DateTimeField(null=True, blank=True, help_text="Its bytes need not be kept here any more.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"stored file {self.pk}"


class FileUpload(models.Model):
    """A tus upload: one content, brought by one installation. Its bytes lie in a part file until all are there."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        DONE = "done", "done"
        ENDED = "ended", "ended without the content"

    id = models.CharField(max_length=32, primary_key=True)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    brought_by = models.CharField(max_length=64)
    state = models.CharField(max_length=5, choices=State.choices, default=State.OPEN)
    code = models.CharField(max_length=40, blank=True, help_text="Why it ended without the content.")
    writer = models.PositiveIntegerField(default=0, help_text="Goes up when a silent writer is given up.")
    began_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-began_at"]
        indexes = [models.Index(fields=["sha256", "brought_by"], name="sync_upload_content")]

    def __str__(self) -> str:
        return f"upload of {self.sha256[:12]} by {self.brought_by}"
