"""What the audit layer can refuse, each with a stable code and the next step."""

from __future__ import annotations


class AuditError(Exception):
    """Base of all errors of `audit`. The text is for people and ends with the remedy."""

    code = "audit_error"
