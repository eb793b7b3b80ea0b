"""What can be wrong with the bytes of files and with their uploads."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class ContentMismatch(SyncError):
    """The bytes are not those that were declared."""

    code = "content_mismatch"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The bytes are not those that were declared: {what}. Nothing was kept; send the file anew.")


class ContentMissing(SyncError):
    """The bytes are not here."""

    code = "content_missing"

    def __init__(self, *, sha256: str) -> None:
        self.sha256 = sha256
        super().__init__(
            f"The bytes of content {sha256[:12]} are not here. They come with the next push of a device that has them."
        )


class ContentHeld(SyncError):
    """The bytes are here already."""

    code = "content_held"

    def __init__(self, *, sha256: str) -> None:
        super().__init__(f"The bytes of content {sha256[:12]} are here already. There is nothing to send.")


class ContentDamaged(SyncError):
    """Stored bytes were found changed."""

    code = "content_damaged"

    def __init__(self, *, sha256: str) -> None:
        self.sha256 = sha256
        super().__init__(
            f"The stored bytes of content {sha256[:12]} have changed; the disk may be failing. They are asked for "
            "again; look at the disk, or restore the file from a backup."
        )


class FilesDiskFull(SyncError):
    """There is no room for the bytes."""

    code = "files_disk_full"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"There is no room for the file: {what}. Make room on the disk, then send again.")


class FileTooLarge(SyncError):
    """A file above the limit."""

    code = "file_too_large"

    def __init__(self, *, size: int, size_max: int) -> None:
        super().__init__(
            f"The file has {size} bytes, more than SYNC_FILE_BYTES_MAX = {size_max}. Raise the limit there."
        )


class FileUploadUndeclared(SyncError):
    """No record here declares such a file of the device that brings it."""

    code = "file_upload_undeclared"

    def __init__(self) -> None:
        super().__init__(
            "No record that is held here declares a file with this hash and size from this device. Push the records "
            "first; files of sealed models go only to a server that can read them."
        )


class FileUploadMetadataInvalid(SyncError):
    """A creation request that does not say what it brings."""

    code = "file_upload_metadata_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The upload cannot begin: {what}. Give Upload-Length, and `sha256` in Upload-Metadata.")


class FileUploadUnknown(SyncError):
    """There is no such upload."""

    code = "file_upload_unknown"

    def __init__(self) -> None:
        super().__init__("There is no such upload here. Ask `files/missing`, and begin a new one.")


class FileUploadGone(SyncError):
    """The upload expired, was terminated, or ended with other bytes than declared."""

    code = "file_upload_gone"

    def __init__(self, *, why: str) -> None:
        super().__init__(f"The upload has ended: {why}. Ask `files/missing`, and begin a new one.")


class FileUploadNotYours(SyncError):
    """Only who began an upload may continue it."""

    code = "file_upload_not_yours"

    def __init__(self) -> None:
        super().__init__("Another installation began this upload. Begin one of your own.")


class FileUploadOffsetDiffers(SyncError):
    """The bytes sent do not continue those that are here."""

    code = "file_upload_offset_differs"

    def __init__(self, *, offset: int, sent: int) -> None:
        self.expected = offset
        super().__init__(
            f"The upload has {offset} bytes here, and these begin at {sent}. Ask by HEAD, go on from there."
        )


class FileUploadTooLong(SyncError):
    """More bytes than the upload declared."""

    code = "file_upload_too_long"

    def __init__(self, *, size: int) -> None:
        super().__init__(f"The upload was declared with {size} bytes, and these would be more. Send the declared file.")


class FileUploadLocked(SyncError):
    """Another request is writing to the upload."""

    code = "file_upload_locked"

    def __init__(self) -> None:
        super().__init__("Another request is writing to this upload. Wait until it ends, ask by HEAD, and go on.")


class FileUploadsTooMany(SyncError):
    """One device has too many uploads open."""

    code = "file_uploads_too_many"

    def __init__(self, *, count_max: int) -> None:
        super().__init__(
            f"This device has {count_max} uploads open, as many as SYNC_UPLOADS_PER_DEVICE_MAX allows. Finish or "
            "terminate some, or let them expire."
        )


class ChecksumMismatch(SyncError):
    """A chunk's bytes are not those of its checksum."""

    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("The bytes are not those of Upload-Checksum; they were thrown away. Ask by HEAD, send again.")


class ChecksumUnusable(SyncError):
    """A checksum in a form or algorithm that is not known."""

    code = "checksum_unusable"

    def __init__(self, *, known: str) -> None:
        super().__init__(f"Upload-Checksum is not an algorithm and a base64 value. Use one of: {known}.")


class TusVersionUnsupported(SyncError):
    """Another version of the protocol."""

    code = "tus_version_unsupported"

    def __init__(self) -> None:
        super().__init__("This server speaks tus 1.0.0. Send `Tus-Resumable: 1.0.0`.")
