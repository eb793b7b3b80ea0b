"""What synchronization can refuse, each with a stable code and the next step.

The class takes facts and builds the sentence; `code` is what REST answers with.
"""

from __future__ import annotations


class SyncError(Exception):
    """Base of all errors of `sync_api`. The text is for people and ends with the remedy."""

    code = "sync_error"


# --- capture ---------------------------------------------------------------------------------------------


class UnsupportedField(SyncError):
    """A column's values have no loss-free form in a payload."""

    code = "unsupported_field"

    def __init__(self, *, model: str, field: str, type_name: str) -> None:
        super().__init__(
            f"{model}.{field} is a {type_name}, which cannot be captured without loss. "
            "Use one of Django's own column types for it, or keep it in a model that is not synced."
        )


class NaturalKeyMissing(SyncError):
    """A synced model without natural_key(), or its manager without get_by_natural_key()."""

    code = "natural_key_missing"

    def __init__(self, *, model: str, missing: str) -> None:
        super().__init__(
            f"{model} is synced but has no {missing}. Write `def natural_key(self): return (...,)` on the model "
            "and `def get_by_natural_key(self, ...): return self.get(...)` on its default manager."
        )


class ReasonRequired(SyncError):
    """The model's policy asks for a reason and none was given."""

    code = "reason_required"

    def __init__(self, *, model: str) -> None:
        super().__init__(
            f'A change of {model} needs a reason. Give one: `with sync_context(reason="...")`, '
            "or the form's reason field."
        )


class UnitUnclear(SyncError):
    """A write that bypasses Django's cursor, outside a transaction."""

    code = "unit_unclear"

    def __init__(self) -> None:
        super().__init__(
            "A write went past Django's cursor outside a transaction, so its unit is not known. "
            "Nothing was written. Use connection.cursor(), or open transaction.atomic() first."
        )


class UnitTooLarge(SyncError):
    """One database transaction changes more rows than one batch may carry."""

    code = "unit_too_large"

    def __init__(self, *, rows: int, rows_max: int, setting: str = "SYNC_UNIT_LINES_MAX", record: str = "") -> None:
        which = f" (it begins with {record})" if record else ""
        what = "bytes" if "BYTES" in setting else "rows"
        super().__init__(
            f"One database transaction{which} changes {rows} rows or more; at most {rows_max} {what} travel as one "
            "unit. "
            f"Split the work into several atomic() blocks, or raise {setting} here and on the server."
        )


class TruncateRefused(SyncError):
    """TRUNCATE fires no row trigger, so its deletes would not be recorded."""

    code = "truncate_refused"

    def __init__(self, *, table: str) -> None:
        super().__init__(
            f"TRUNCATE of the synced table {table} would delete rows unrecorded. Nothing was deleted. "
            "Delete the rows with DELETE or QuerySet.delete()."
        )


class FlushRefused(SyncError):
    """`flush` empties synced tables, and the log that should record it, without a trace."""

    code = "flush_refused"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"flush would empty the synced tables of the database '{alias}' and the log of their changes. "
            "Nothing was deleted. Delete rows with QuerySet.delete(), which is recorded, or remove the whole "
            "database and enrol anew."
        )


class CaptureBroken(SyncError):
    """Triggers are missing or stale."""

    code = "capture_broken"

    def __init__(self, *, alias: str, problems: list[str]) -> None:
        listed = "; ".join(problems[:5]) + ("; ..." if len(problems) > 5 else "")
        super().__init__(
            f"Capture is not whole in the database '{alias}': {listed}. Nothing was sent. "
            f"Run `manage.py migrate --database {alias}` (it installs the triggers), then "
            f"`manage.py reconcile_capture --database {alias}`, and push again."
        )


class BaselineMissing(SyncError):
    """Rows from before capture have not been recorded yet."""

    code = "baseline_missing"

    def __init__(self, *, alias: str, models: list[str]) -> None:
        super().__init__(
            f"Rows of {', '.join(models)} were there before capture and are not recorded yet. Nothing was sent. "
            f"Run `manage.py baseline --database {alias}` once, then push again."
        )


# --- certificates and receipts --------------------------------------------------------------------------


class CertificateInvalid(SyncError):
    """A certificate is not signed by the server it names, or says something else than expected."""

    code = "certificate_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The certificate is not valid: {what}. Enrol the device again with a new code.")


class IssuerUnknown(CertificateInvalid):
    """The certificate's issuer is no server that is trusted here."""

    code = "issuer_unknown"

    def __init__(self, *, device: str, issuer: str) -> None:
        SyncError.__init__(
            self,
            f"The certificate of '{device}' was issued by '{issuer}', a server that is not trusted here. If it should "
            f"be, run `trust_server {issuer} --key KEY` here with the key that its operator reads out.",
        )


class CertificateRevoked(CertificateInvalid):
    """The certificate's key was revoked."""

    code = "certificate_revoked"

    def __init__(self, *, device: str) -> None:
        SyncError.__init__(
            self,
            f"The certificate of '{device}' has been revoked. Ask the operator of the server that it enrolled with; "
            "nothing is lost on the device.",
        )


class DeviceNameTaken(SyncError):
    """A device of another server has the name of one that is known here."""

    code = "device_name_taken"

    def __init__(self, *, device: str, issuer: str) -> None:
        super().__init__(
            f"A device '{device}' that enrolled elsewhere is known here already, and this one was enrolled by "
            f"'{issuer}'. Nothing was stored. If it is the same device, run `add_device {device}` here and `enrol` "
            "there; else give one of them another name.",
        )


class VisitRefused(SyncError):
    """A visitor that could not show that it has its certificate's key."""

    code = "visit_refused"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The visit of '{device}' was refused: {what}. Ask for a new nonce (GET /api/v1/server) and sign that one "
            "with the name that this answer gives."
        )


class PinDiffers(SyncError):
    """Another key is pinned under that name already."""

    code = "pin_differs"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"Another key is pinned for '{name}' already. Nothing was changed. Ask its operator by telephone whether "
            "its key changed; if so, run it again with --replace."
        )


class PinUnknown(SyncError):
    """No key is pinned under that name."""

    code = "pin_unknown"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"No key is pinned for '{name}' here. `trust_server` without a name lists them. The server that this "
            "installation enrolled with is trusted by that enrolment: enrol elsewhere to change it."
        )


class PinInvalid(SyncError):
    """Not a name and key that can be pinned."""

    code = "pin_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"This cannot be pinned: {what}. The other server's `trust_server` prints its name and key.")


class BackupUnclear(SyncError):
    """It is not clear what a backup holds."""

    code = "backup_unclear"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"Nothing was marked as durable: {what}. Give --backup with the SQLite file itself, or with a label and "
            "--at with the moment at which the verified backup began, as 2026-01-31T18:00+01:00."
        )


class TooManyStatements(SyncError):
    """Not a list of statements, or a longer one than one request may have."""

    code = "too_many_statements"

    def __init__(self, *, statements_max: int) -> None:
        super().__init__(
            f'The body must be {{"statements": [...]}} with {statements_max} statements at most. Nothing was taken. '
            "Send them in several requests."
        )


class StatementInvalid(SyncError):
    """A statement that is not believed; `code` says why."""

    def __init__(self, *, code: str, what: str) -> None:
        self.code = code
        super().__init__(f"A statement was not believed: {what}. It was left out; nothing else is affected.")


class ReceiptInvalid(SyncError):
    """A receipt is not signed by the pinned server, or speaks of another batch."""

    code = "receipt_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"The server's receipt is not valid: {what}. Nothing was marked as delivered. "
            "Check the server's address; if the server was set up anew, enrol this device again."
        )


class KeyFolderUnusable(SyncError):
    """The folder of the keys cannot be read or written."""

    code = "key_folder_unusable"

    def __init__(self, *, folder: str, what: str) -> None:
        super().__init__(
            f"The folder of the keys, {folder}, cannot be used: {what}. Let the user that runs this program own it "
            "(and nobody else read it), or set SYNC_KEY_DIR to another folder and move the keys there."
        )


class KeyMissing(SyncError):
    """The device has no key yet."""

    code = "key_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' has no key on this machine. "
            "Run `enrol --server URL --code CODE` with a code from `add_device` on the server."
        )


# --- inbox ----------------------------------------------------------------------------------------------


class DeviceUnknown(SyncError):
    """No device of that name is enrolled here."""

    code = "device_unknown"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' is not enrolled on this server. Run `add_device {device}` here and `enrol` there."
        )


class KeyUnknown(SyncError):
    """The batch is signed with a key that this device never enrolled."""

    code = "key_unknown"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"The batch of device '{device}' is signed with a key that is not enrolled here. "
            "Enrol the device again with a new code."
        )


class DeviceRevoked(SyncError):
    """The device or its key was revoked before this batch."""

    code = "device_revoked"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' has been revoked, and this comes after the cut-off. "
            "Ask the server's operator; nothing is lost on the device."
        )


class WrongDevice(SyncError):
    """A device hands over another's batch."""

    code = "wrong_device"

    def __init__(self, *, device: str, handed_over_by: str) -> None:
        super().__init__(
            f"'{handed_over_by}' handed over a batch of device '{device}'. A device pushes only its own "
            "batches; carry others' with a device of role relay."
        )


class BatchFork(SyncError):
    """Another batch already has this place in the chain: a cloned or restored device."""

    code = "batch_fork"

    def __init__(self, *, device: str, number: int, kept: bool) -> None:
        self.number = number
        copy = "A copy is kept and" if kept else "It is not kept (too many copies already), but"
        super().__init__(
            f"Batch {number} of device '{device}' does not continue what this server holds: the device was "
            f"cloned, or restored from an older copy. {copy} the operator is warned. Run `add_device {device}` "
            "on the server and `enrol` on the device: that begins a new epoch, and a baseline tells what the "
            "device holds now."
        )


class DeviceRestored(SyncError):
    """The server holds more of this device than the device itself knows."""

    code = "device_restored"

    def __init__(self, *, device: str, held: int, own: int) -> None:
        super().__init__(
            f"The server holds batches up to {held} of device '{device}', and this database knows only {own}: it was "
            "cloned, or restored from an older copy. Nothing was sent and nothing is lost. If another copy is in use, "
            "go on there. Otherwise ask the operator to run "
            f"`add_device {device}` on the server, then run `enrol`, `baseline` and `push_transactions` here; "
            f"`device_differences {device}` on the server then tells what this copy lacks."
        )


class EpochClosed(SyncError):
    """A later epoch of this device has begun."""

    code = "epoch_closed"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"This batch belongs to an earlier epoch of device '{device}', which a newer one has "
            "replaced. If an old copy of the device is still in use, take it out of use, or enrol it under "
            "another name."
        )


class EpochUnknown(SyncError):
    """A batch begins or continues an epoch that does not fit what is known here."""

    code = "epoch_unknown"

    def __init__(self, *, device: str, what: str, remedy: str = "Enrol the device again.") -> None:
        super().__init__(f"The epoch of device '{device}' does not fit: {what}. {remedy}")


class EarlyLimit(SyncError):
    """Too many batches wait behind a gap."""

    code = "early_limit"

    def __init__(self, *, device: str, expected: int, limit: str) -> None:
        self.expected = expected
        super().__init__(
            f"Too much of device '{device}' already waits behind a gap ({limit}). Send batch {expected} first."
        )


class SequenceMismatch(SyncError):
    """The header's count of earlier lines or time does not fit the chain's."""

    code = "sequence_mismatch"

    def __init__(self, *, device: str, field: str) -> None:
        super().__init__(
            f"The batch of device '{device}' does not continue the one before it: {field} differs. "
            "Enrol the device again: that begins a new epoch."
        )


# --- envelope --------------------------------------------------------------------------------------------


class MalformedEnvelope(SyncError):
    """Bytes that are no envelope, or one that contradicts itself."""

    code = "malformed_envelope"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This is not a whole batch: {what}. Nothing was stored. Send the stored batch again; if it comes back "
            "refused, run `manage.py verify_chain` on the device and show its answer to the operator."
        )


class EnvelopeTooLarge(SyncError):
    """A named limit is exceeded."""

    code = "envelope_too_large"

    def __init__(self, *, what: str, size: int, size_max: int, setting: str) -> None:
        self.what, self.size, self.size_max, self.setting = what, size, size_max, setting
        super().__init__(
            f"The batch's {what} of {size} is over the limit of {size_max}. Nothing was stored. "
            f"Ask the server's operator to raise {setting}, or send smaller units."
        )


class BadSignature(SyncError):
    """The signature does not fit the device's key."""

    code = "bad_signature"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"The signature on this batch is not that of device '{device}'. Nothing was stored. "
            "If the device was enrolled again, its older batches stay with its older key; else ask the operator."
        )


class ErasedLineUnproven(SyncError):
    """A line was replaced by its hash and no signed order for it is known here."""

    code = "erased_line_unproven"

    def __init__(self, *, line: int) -> None:
        super().__init__(
            f"Line {line} of the batch was erased and no signed order for it is known here. Nothing was stored. "
            "Bring the erasure order first, or send the batch as the device sealed it."
        )


# --- sealing ---------------------------------------------------------------------------------------------


class NothingKnownOfSchema(SyncError):
    """A captured row names a schema that is not in CaptureSchema."""

    code = "schema_missing"

    def __init__(self, *, schema_id: int) -> None:
        super().__init__(
            f"The captured schema {schema_id} is missing from this database. Nothing was sealed. "
            "Restore the table sync_api_captureschema from a backup; the captured rows are whole."
        )


class RecordTooLarge(SyncError):
    """A captured record would make a batch that no server with these limits takes."""

    code = "record_too_large"

    def __init__(self, *, record: str, cause: EnvelopeTooLarge) -> None:
        super().__init__(
            f"The change of {record} cannot be sealed: its batch's {cause.what} of {cause.size} would be over the "
            f"limit of {cause.size_max}. Nothing is lost: what was recorded before it is sent, this change and what "
            f"follows wait here. Raise {cause.setting} on the server and here, then push again."
        )


class NoLocalDevice(SyncError):
    """The database does not know which device it is."""

    code = "no_local_device"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"The database '{alias}' is not set up as a device. "
            f"Give it a role in SYNC_DATABASES or SYNC_ROLE and run `manage.py migrate --database {alias}`."
        )


# --- sealed payloads --------------------------------------------------------------------------------------------


class RecipientKeyMissing(SyncError):
    """A model's payloads are to be sealed to someone whose key is not known here."""

    code = "recipient_key_missing"

    def __init__(self, *, model: str, recipient: str) -> None:
        super().__init__(
            f"The payloads of {model} are sealed to '{recipient}', of whom no key is known here. Nothing was sealed, "
            f"nothing is lost. Ask for the key that `recipients own` prints there, run "
            f"`recipients add {recipient} --key HEX` here, then push again."
        )


class SealedModelsInvalid(SyncError):
    """SYNC_SEALED_MODELS does not say what it must."""

    code = "sealed_models_invalid"

    def __init__(self, *, what: str) -> None:
        self.what = what
        super().__init__(
            f"SYNC_SEALED_MODELS is not valid: {what}. Nothing was sealed, nothing is lost. Write it as "
            '{"study.visit": ["server-1", "inspector-1"]}, with the labels of synced models (or "*") and the names '
            "of recipients, then push again."
        )


class RecipientKeyInvalid(SyncError):
    """Not a key that payloads can be sealed to."""

    code = "recipient_key_invalid"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"This is not a key that payloads can be sealed to for '{name[:80]}'. Give the 64 hex digits that "
            "`recipients own` prints there, whole, and a name of 1 to 64 letters, digits, dots, hyphens or underscores."
        )


class RecipientKeyTaken(SyncError):
    """The key is known under another name."""

    code = "recipient_key_taken"

    def __init__(self, *, key_id: str, name: str) -> None:
        super().__init__(
            f"The key {key_id} belongs to '{name}' already. Ask again for the key: each recipient has its own."
        )


class RecipientKeyUnknown(SyncError):
    """No recipient's key has that id."""

    code = "recipient_key_unknown"

    def __init__(self, *, key_id: str) -> None:
        super().__init__(f"No recipient's key {key_id[:40]} is known here. See the key ids with `recipients list`.")


class RecipientKeyFileBroken(SyncError):
    """A private recipient key cannot be read from its file."""

    code = "recipient_key_file_broken"

    def __init__(self, *, file: str) -> None:
        super().__init__(
            f"The file {file} in the key folder is missing or damaged. Restore the key folder from its backup; "
            "if there is none, run `recipients rotate` and give the new key to those who seal to this installation."
        )


class RecipientsUnproven(SyncError):
    """A list of recipients' keys that is not signed by the server which the device is enrolled with."""

    code = "recipients_unproven"

    def __init__(self, *, server: str) -> None:
        super().__init__(
            f"The list of recipients' keys is not signed by server '{server}'. Nothing was changed here. "
            "Ask the server's operator; enrol again if the server has a new key."
        )


# --- deserializer ------------------------------------------------------------------------------------------------


class DeviceNotRegistered(SyncError):
    """No device of that name is registered in the database."""

    code = "device_not_registered"

    def __init__(self, *, device: str, alias: str) -> None:
        self.device = device
        super().__init__(
            f"No device '{device}' is registered in database '{alias}'. Register it with add_device, or see its name "
            "in the admin."
        )


class ParkedUnitUnknown(SyncError):
    """No open parked unit has that number."""

    code = "parked_unit_unknown"

    def __init__(self, *, unit_id: int, alias: str) -> None:
        super().__init__(f"No unit {unit_id} is parked in database '{alias}'. See the numbers with `parked list`.")


class ReasonMissing(SyncError):
    """A parked unit may be ignored only with a reason."""

    code = "reason_missing"

    def __init__(self, *, unit_id: int) -> None:
        super().__init__(f"Ignoring unit {unit_id} needs a reason. Give it with --reason 'why it is left out'.")


# --- enrolment -------------------------------------------------------------------------------------------


class CodeMistyped(SyncError):
    """The code's check word does not fit: a typing error, found before the server is asked."""

    code = "code_mistyped"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The enrolment code was mistyped: {what}. Read it again, word by word.")


class CodeRefused(SyncError):
    """No valid code: unknown, used, or expired."""

    code = "code_refused"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"The enrolment code {what}. Ask the server's operator for a new one: `add_device NAME` prints it."
        )


class ProofInvalid(SyncError):
    """The enrolment request is not signed with the key it brings."""

    code = "proof_invalid"

    def __init__(self) -> None:
        super().__init__("The enrolment request is not signed with the key it brings. Run `enrol` again on the device.")


class KeyTaken(SyncError):
    """The key belongs to another device, or was revoked."""

    code = "key_taken"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The device's key {what}. Run `enrol` again with --new-key: that makes a new one.")


class DeviceNameInvalid(SyncError):
    """Not a name a device can have."""

    code = "device_name_invalid"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"'{name[:80]}' cannot be a device's name. Use 1 to 64 letters, digits, dots, hyphens or underscores; "
            "begin with a letter or digit."
        )


class DeviceNameDiffers(SyncError):
    """The code is for another device than this installation is set up as."""

    code = "device_name_differs"

    def __init__(self, *, enrolled: str, configured: str) -> None:
        super().__init__(
            f"The code is for device '{enrolled}', but this installation captures as '{configured}'. "
            f"Set SYNC_DEVICE={enrolled} (or the device in SYNC_DATABASES) there, and run `enrol` again with the "
            "same code."
        )


# --- finalizing ------------------------------------------------------------------------------------------


class FinalizeInsideTransaction(SyncError):
    """A mark must be committed by itself."""

    code = "finalize_inside_transaction"

    def __init__(self) -> None:
        super().__init__("A device is finalized outside of any transaction. Nothing was marked. Leave atomic() first.")


class FinalizationOpen(SyncError):
    """An earlier finalization is not ended."""

    code = "finalization_open"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"A finalization of '{device}' is under way. Nothing new was marked. Go on with `finalize --resume`, or "
            "give it up with `finalize --abandon`: then everything stays on the device."
        )


class FinalizationMissing(SyncError):
    """There is none to go on with."""

    code = "finalization_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"No finalization of '{device}' is under way. Begin one with `finalize`.")


class NothingToFinalize(SyncError):
    """No synced record is here."""

    code = "nothing_to_finalize"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"'{device}' holds no records that are synced: there is nothing to finalize.")


class TablesBusy(SyncError):
    """Writers did not leave the synced tables in time."""

    code = "tables_busy"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"Other programs keep writing to the synced tables of the database '{alias}'. Nothing was changed. "
            "Close them, or raise SYNC_FINALIZE_LOCK_SECONDS, and run `finalize` again."
        )


class RecordNameInvalid(SyncError):
    """A record named by an operator is not here."""

    code = "record_name_invalid"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(
            f"'{name[:120]}' chooses no record: {what}. Nothing was marked. Name records as app.Model:key, "
            "with the primary key as the admin's address shows it."
        )


class RecordsReferredTo(SyncError):
    """Records that are to leave are referred to by others that stay."""

    code = "records_referred_to"

    def __init__(self, *, count: int, listed: list[str]) -> None:
        more = f", and {count - len(listed)} more" if count > len(listed) else ""
        super().__init__(
            f"Other records still refer to those that are to leave: {'; '.join(listed)}{more}. Nothing was marked. "
            "Name these as well, or leave out what they refer to."
        )


class FinalizationWaits(SyncError):
    """The server has not yet preserved what was marked."""

    code = "finalization_waits"

    def __init__(self, *, device: str, server: str, why: str) -> None:
        super().__init__(
            f"'{server}' has not preserved the records of '{device}' yet: {why}. Nothing was removed here. "
            "Run `finalize --resume` later."
        )


class PreservationUnproven(SyncError):
    """No receipt of the pinned server proves that the marked records are preserved."""

    code = "preservation_unproven"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The records of '{device}' are not proven to be preserved: {what}. Nothing was removed here. Run "
            "`finalize --resume` to fetch the server's receipt, or `finalize --abandon` to keep everything."
        )


class ForceReasonMissing(SyncError):
    """A device's records are preserved without its word only for a reason."""

    code = "force_reason_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"Preserving the records of '{device}' without its word needs a reason: --reason 'lost'.")


class WipeRefused(SyncError):
    """The database would not let the marked rows go."""

    code = "wipe_refused"

    def __init__(self, *, label: str) -> None:
        super().__init__(
            f"The rows of {label} could not all be removed: something changed or refers to them. Nothing was removed. "
            "Run `finalize --resume`; if it happens again, look for triggers or tables that Django does not know."
        )


# --- client ----------------------------------------------------------------------------------------------


class NotEnrolled(SyncError):
    """The device knows no server."""

    code = "not_enrolled"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' is not enrolled with a server. "
            "Run `enrol --server URL --code CODE` with a code from `add_device` on the server."
        )


class PushTargetUnknown(SyncError):
    """No push target of that name."""

    code = "push_target_unknown"

    def __init__(self, *, name: str, known: list[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"This device has no push target '{name}' (there are: {listed}). See `push_targets list`.")


class PushTargetExists(SyncError):
    """That name is taken."""

    code = "push_target_exists"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"There is a push target '{name}' already. To change its address, `push_targets remove {name}` first; the "
            "home server's address changes with `enrol`."
        )


class HomeTargetFixed(SyncError):
    """The home server is not removed like another target."""

    code = "home_target_fixed"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"'{name}' is the server this device is enrolled with, so it stays a push target. To change it, run "
            "`enrol --server URL --code CODE` with a code from the other server."
        )


class TargetDiffers(SyncError):
    """Another installation answers at a target's address."""

    code = "target_differs"

    def __init__(self, *, name: str, found: str, url: str) -> None:
        super().__init__(
            f"At {url} answers '{found}', not '{name}'. Nothing was sent there. Correct the address: "
            f"`push_targets remove {name}` and `push_targets add`."
        )


class PlainHttpRefused(SyncError):
    """A server's address without TLS that is not on this machine."""

    code = "plain_http_refused"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"{url} is not encrypted. Use https://, or add --allow-http if the road is protected in another way."
        )


class AddressInvalid(SyncError):
    """Not a web address."""

    code = "address_invalid"

    def __init__(self, *, url: str) -> None:
        super().__init__(f"'{url}' is not a server's address. Write it as https://sync.example.org.")


class ServerUnreachable(SyncError):
    """No answer after all attempts."""

    code = "server_unreachable"

    def __init__(self, *, url: str, what: str, attempts: int) -> None:
        super().__init__(
            f"{url} did not answer ({what}) in {attempts} attempts. Nothing is lost: it goes on from here with the "
            "next `push_transactions`."
        )


class NotTheServer(SyncError):
    """Something else answered: a captive portal, a proxy, another web site."""

    code = "not_the_server"

    def __init__(self, *, url: str, status: int) -> None:
        super().__init__(
            f"Something other than the sync server answered at {url} (status {status}): perhaps the network's "
            "login page, or a wrong address. Open a web page in a browser to log in, or check the address."
        )


class BatchGone(SyncError):
    """The server asks for a batch that is no longer stored here."""

    code = "batch_gone"

    def __init__(self, *, device: str, number: int) -> None:
        super().__init__(
            f"The server asks for batch {number} of device '{device}', which is no longer stored here. "
            "Run `enrol` again with a new code: that begins a new epoch, and a baseline tells everything anew."
        )


class ServerRefused(SyncError):
    """The server's problem+json answer; `code` is the server's."""

    code = "server_refused"

    def __init__(self, *, status: int, code: str, detail: str) -> None:
        self.code = code
        self.status = status
        super().__init__(detail)


class MissingReason(SyncError):
    """Preserving what a device lacks needs a reason."""

    code = "missing_reason"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Say why the records that '{device}' no longer has are preserved: --reason \"...\". It is kept with them."
        )


class NotABaseline(SyncError):
    """Only a baseline that differs can be accepted."""

    code = "not_a_baseline"

    def __init__(self, *, unit_id: int, code: str) -> None:
        super().__init__(
            f"Unit {unit_id} is parked for another cause ({code}) than a baseline that differs, so there is nothing to "
            f"accept. See `parked show {unit_id}` for its next step."
        )


class ConsumeStopped(SyncError):
    """The database stopped consuming for some devices; what was committed before stays."""

    code = "consume_stopped"

    def __init__(self, *, errors: list[str]) -> None:
        super().__init__(" ".join(errors))


# --- router --------------------------------------------------------------------------------------------------------


class NotAServer(SyncError):
    """Only a server applies transactions."""

    code = "not_a_server"

    def __init__(self, *, device: str, role: str | None) -> None:
        super().__init__(
            f"'{device}' has the role {role or 'none'} and may not apply transactions. Give a device with the role "
            "server, or set the database's role in SYNC_DATABASES."
        )


class SameDatabaseAlias(SyncError):
    """Copying needs two databases."""

    code = "same_database"

    def __init__(self, *, alias: str) -> None:
        super().__init__(f"The transactions are in database '{alias}' already. Name the server's database alias.")


class OwnHostRefused(SyncError):
    """What was made on this host is not to be applied on it."""

    code = "own_host"

    def __init__(self, *, producer: str, host: str) -> None:
        super().__init__(
            f"The transactions of '{producer}' were made on this host ({host}). Give check_hostname=False to apply "
            "them all the same."
        )


class FilterSplitsUnit(SyncError):
    """A filter takes some changes of a database transaction and leaves others."""

    code = "filter_splits_unit"

    def __init__(self, *, tx_name: str, tx_pk: str) -> None:
        super().__init__(
            f"The filter leaves out {tx_name} {tx_pk}, which was changed in one database transaction with others that "
            "it takes. Take all of them: filter by nothing but what is not consumed yet."
        )


class FilterSkipsEarlier(SyncError):
    """A filter takes a change and leaves an earlier one."""

    code = "filter_skips_earlier"

    def __init__(self, *, tx_name: str, tx_pk: str) -> None:
        super().__init__(
            f"The filter leaves out {tx_name} {tx_pk}, which was changed before others that it takes. Take it too: "
            "filter by nothing but what is not consumed yet."
        )


class FilterSplitsBatch(SyncError):
    """A filter ends inside a batch, which is the unit of transfer."""

    code = "filter_splits_batch"

    def __init__(self, *, number: int | None, left: int) -> None:
        which = "the batch that would be sealed now" if number is None else f"batch {number}"
        super().__init__(
            f"The filter leaves {left} transactions of {which} behind. Take them too: filter by nothing but what is "
            "not consumed yet."
        )


# --- relay -------------------------------------------------------------------------------------------------------


class RelayFull(SyncError):
    """The middleman has no room for another batch."""

    code = "relay_full"

    def __init__(self, *, size: int, size_max: int) -> None:
        super().__init__(
            f"This middleman carries {size} bytes for others and may carry {size_max}. Nothing was taken; the device "
            "keeps its batches. Run `relay_transactions` and `purge_transport` here, or raise SYNC_CARRIED_BYTES_MAX."
        )


class NotARelay(SyncError):
    """Only a middleman or a server takes or hands on others' batches."""

    code = "not_a_relay"

    def __init__(self, *, device: str, role: str | None) -> None:
        super().__init__(
            f"'{device}' has the role {role or 'none'} and takes no batches of others. Send them to a server or a "
            "middleman, or set SYNC_ROLE=relay where this installation is one."
        )


class VisitorRefused(SyncError):
    """Only a middleman or a server may fetch what waits on a device."""

    code = "visitor_refused"

    def __init__(self, *, visitor: str, role: str) -> None:
        super().__init__(
            f"'{visitor}' has the role {role} and may not fetch batches here. Only a middleman or a server may; "
            "enrol it with `add_device --role relay`."
        )


class BatchNotHere(SyncError):
    """A visitor asks for a batch that this device does not have."""

    code = "batch_not_here"

    def __init__(self, *, device: str, number: int) -> None:
        super().__init__(f"Batch {number} of device '{device}' is not stored here. Ask for the list again.")


class PeerNotTrusted(SyncError):
    """The installation at an address does not show that it is the one it says."""

    code = "peer_not_trusted"

    def __init__(self, *, url: str, what: str) -> None:
        super().__init__(
            f"The installation at {url} is not trusted here: {what}. Check the address; if it is right, pin its "
            "server's key with `trust_server`."
        )


class HandingOnUnfinished(SyncError):
    """Some carried batches were refused or could not be sent; the others were handed on."""

    code = "handing_on_unfinished"

    def __init__(self, *, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


# --- bundles -------------------------------------------------------------------------------------------------------


class BundleDamaged(SyncError):
    """A file that is no bundle, or not as its exporter wrote it."""

    code = "bundle_damaged"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This file is not a whole bundle: {what}. Nothing of it was stored. Copy the file again from where it was "
            "made; if it comes back refused, export again."
        )


class BundleUntrusted(SyncError):
    """The exporter is not one whose bundles count here."""

    code = "bundle_untrusted"

    def __init__(self, *, exporter: str, what: str) -> None:
        super().__init__(
            f"The bundle is from '{exporter}', which is not trusted here: {what} Nothing of it was stored. If the "
            "exporter is enrolled with another server, run `trust_server` for that server here and import again."
        )


class BundleUnreadable(SyncError):
    """The file is not there, is not an ordinary file, or cannot be read."""

    code = "bundle_unreadable"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(f"The file '{name}' cannot be read: {what}. Nothing of it was stored. Check the stick.")


class BundleNotWritten(SyncError):
    """The folder could not take the bundle."""

    code = "bundle_not_written"

    def __init__(self, *, folder: str, what: str) -> None:
        super().__init__(
            f"The bundle could not be written to '{folder}': {what}. No half file is left there, and everything still "
            "waits here. Make room or use another stick, then run the command again."
        )


class PieceTooSmall(SyncError):
    """One batch does not fit into a piece."""

    code = "piece_too_small"

    def __init__(self, *, device: str, number: int, size: int, size_max: int) -> None:
        super().__init__(
            f"Batch {number} of device '{device}' needs a piece of {size} bytes, and a piece may have {size_max}. "
            "Nothing was written. Give a larger --piece-size."
        )


class BundleIncomplete(SyncError):
    """Some batches of a whole bundle were refused; the others were stored."""

    code = "bundle_incomplete"

    def __init__(self, *, name: str, stored: int, refused: list[str]) -> None:
        listed = " ".join(refused[:3]) + (" ..." if len(refused) > 3 else "")
        super().__init__(f"Of '{name}', {stored} batches were stored and {len(refused)} were not. {listed}")


class ConfirmationUnknown(SyncError):
    """No exported bundle has this confirmation code."""

    code = "confirmation_unknown"

    def __init__(self, *, code: str) -> None:
        super().__init__(
            f"No bundle that was exported here is confirmed by '{code[:60]}'. Have the importer read the code again; "
            "each piece of a bundle has its own."
        )


class SameDisk(SyncError):
    """A folder is on the disk that it should secure."""

    code = "same_disk"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"'{folder}' is on the same disk as this device's data, so a copy there would be lost with it. Nothing was "
            "written. Put the stick in, or add --same-disk if this is meant."
        )


class RestoreRefused(SyncError):
    """The copy cannot become this device's again."""

    code = "restore_refused"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The copy cannot be restored to device '{device}': {what} Nothing was restored. Import the copy on the "
            "server instead: `import_bundle FILE`."
        )


# --- reconciling -----------------------------------------------------------------------------------------


class ReconcileModelsInvalid(SyncError):
    """SYNC_RECONCILE_MODELS names what cannot be reconciled."""

    code = "reconcile_models_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"SYNC_RECONCILE_MODELS is not right: {what}. Write labels of synced models: study.specimen.")


class DayInvalid(SyncError):
    """Not a day."""

    code = "day_invalid"

    def __init__(self, *, day: str) -> None:
        super().__init__(f"'{day[:20]}' is not a day. Write it as 2026-05-04.")


class ManifestTooLarge(SyncError):
    """More records of one day than a manifest holds."""

    code = "manifest_too_large"

    def __init__(self, *, records_max: int) -> None:
        super().__init__(
            f"More than {records_max} records changed on that day. Name the models that matter in "
            "SYNC_RECONCILE_MODELS, or raise SYNC_RECONCILE_RECORDS_MAX."
        )


class ManifestInvalid(SyncError):
    """A manifest that is damaged, changed, or none."""

    code = "manifest_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This is not a laptop's manifest, or not a whole one: {what}. Make it again on the laptop with "
            "`reconcile_manifest --output FILE`."
        )


class ManifestOfAnother(SyncError):
    """The manifest is of another device or day than was asked for."""

    code = "manifest_of_another"

    def __init__(self, *, found: str, asked: str) -> None:
        super().__init__(f"The manifest is of {found}, and {asked} was asked for. Choose the right file.")


# --- simulation ------------------------------------------------------------------------------------------


class SimulatorMissing(SyncError):
    """The simulator's own package is not installed."""

    code = "simulator_missing"

    def __init__(self, *, missing: str) -> None:
        super().__init__(
            f"The simulator needs {missing}, which is not installed. "
            "Install it with `pip install 'syncserver[simulate]'`."
        )


class NotInspecting(SyncError):
    """This process does not feed what it carries into a mirror."""

    code = "not_inspecting"

    def __init__(self, *, role: str | None) -> None:
        super().__init__(
            f"Only a relay with SYNC_INSPECT=true applies what it carries to its own mirror (the role here is "
            f"{role or 'none'}). Set both for this process."
        )


class RouterTargetMissing(SyncError):
    """No database to copy to is named."""

    code = "router_target_missing"

    def __init__(self, *, alias: str, target: str) -> None:
        what = f"'{target}' is not in DATABASES" if target else f"none is named for '{alias}'"
        super().__init__(
            f"There is no database to copy to: {what}. Give --to ALIAS, or set copy_to in SYNC_DATABASES, or "
            "SERVER_DATABASE_URL."
        )


class ServerKeyElsewhere(SyncError):
    """The key of that name in this process's key folder is not the one the server signs with."""

    code = "server_key_elsewhere"

    def __init__(self, *, server: str) -> None:
        super().__init__(
            f"This machine does not have the key with which '{server}' signs, so it cannot write receipts in its name. "
            "Nothing was copied. Run `copy_transactions` on the server's machine or with its SYNC_KEY_DIR, or use "
            "`push_transactions`."
        )


class NotTheHomeServer(SyncError):
    """The router's way leads to another server than the device is enrolled with."""

    code = "not_the_home_server"

    def __init__(self, *, device: str, home: str, server: str) -> None:
        super().__init__(
            f"Device '{device}' is enrolled with '{home}', and this copies to '{server}'. Nothing was copied. Copy to "
            f"'{home}', or add '{server}' with `push_targets`."
        )
