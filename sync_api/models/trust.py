"""Whom this installation believes: servers' keys, recipients' keys, and the signed statements it has of others."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class TrustedServer(models.Model):
    """A server whose certificates and statements count here, by its pinned key."""

    name = models.CharField(max_length=64, unique=True)
    public_key = models.CharField(max_length=64, help_text="Ed25519, in hex.")
    pinned_at = models.DateTimeField(default=timezone.now)
    pinned_by = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Statement(models.Model):
    """A signed fact that this installation issued or was handed, by whatever road; it goes on to whom it concerns.

    Of receipts and heartbeats only the latest per signer, device and epoch is kept; of custody the newest
    (SYNC_CUSTODY_KEPT_MAX); of the other kinds all.
    """

    class Kind(models.TextChoices):
        HELD = "held", "receipt: held"
        APPLIED = "applied", "receipt: applied"
        DURABLE = "durable", "receipt: durable"
        REVOCATION = "revocation", "revocation of a device"
        CUSTODY = "custody", "custody of a batch"
        HEARTBEAT = "heartbeat", "state of a device"
        ERASURE = "erasure", "order to erase"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    signer = models.CharField(max_length=64)
    device = models.CharField(max_length=64, help_text="Name of the device that it is about.")
    epoch = models.CharField(max_length=32, blank=True)
    number = models.BigIntegerField(default=0, help_text="Receipts: up to this batch. Custody and erasure: this one.")
    facts = models.JSONField(help_text="The whole statement with its signature.")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of its canonical bytes and signature.")
    via = models.CharField(max_length=80, blank=True, help_text="Who handed it over, by which road.")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["device", "kind"], name="sync_statement_about")]

    def __str__(self) -> str:
        return f"{self.kind} about {self.device} by {self.signer}"


class Recipient(models.Model):
    """A key to which payloads may be sealed: a server's or a named inspector's."""

    name = models.CharField(max_length=64)
    key_id = models.CharField(max_length=16, unique=True, help_text="First 16 hex digits of the key's SHA-256.")
    public_key = models.CharField(max_length=64, help_text="X25519, in hex.")
    added_at = models.DateTimeField(default=timezone.now)
    added_by = models.CharField(max_length=150, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Nothing more is sealed to it.")

    class Meta:
        ordering = ["name", "-added_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.key_id}"


class Visit(models.Model):
    """A short-lived pass that an installation gave a certified device: a hashed bearer token."""

    device = models.CharField(max_length=64)
    role = models.CharField(max_length=10)
    public_key = models.CharField(max_length=64)
    certificate = models.JSONField()
    token_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the bearer token, in hex.")
    began_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()

    class Meta:
        ordering = ["-began_at"]

    def __str__(self) -> str:
        return f"{self.device} until {self.ends_at:%Y-%m-%d %H:%M}"


class UsedNonce(models.Model):
    """A nonce that a visitor has signed and used; kept for as long as it would be good."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the nonce, in hex.")
    public_key = models.CharField(max_length=64, db_index=True, help_text="Of the visitor.")
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"nonce of key {self.public_key[:8]}"
