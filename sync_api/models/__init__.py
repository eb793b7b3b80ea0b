"""The tables in which the stations meet, in the order of the data's way."""

from sync_api.models.access import AccessKey, SingleRecordUser
from sync_api.models.carried import Bundle, CarriedBatch
from sync_api.models.enrolment import DeviceCredential, EnrolmentCode
from sync_api.models.files import Content, ContentUse, FileDelivery, FileFact, FileUpload, StoredName
from sync_api.models.finalizing import Finalization, IncomingEra
from sync_api.models.incoming import Alarm, IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.models.local import CaptureSchema, LocalDevice
from sync_api.models.outgoing import OutgoingBatch, OutgoingTransaction
from sync_api.models.parked import ParkedRecord, ParkedUnit
from sync_api.models.targets import PushTarget
from sync_api.models.trust import Recipient, Statement, TrustedServer, UsedNonce, Visit
from sync_api.models.uploads import Upload, UploadedOffset, UploadStep

__all__ = [
    "AccessKey",
    "Alarm",
    "Bundle",
    "CaptureSchema",
    "CarriedBatch",
    "Content",
    "ContentUse",
    "DeviceCredential",
    "EnrolmentCode",
    "FileDelivery",
    "FileFact",
    "FileUpload",
    "Finalization",
    "IncomingBatch",
    "IncomingEpoch",
    "IncomingEra",
    "IncomingTransaction",
    "LocalDevice",
    "OutgoingBatch",
    "OutgoingTransaction",
    "ParkedRecord",
    "ParkedUnit",
    "PushTarget",
    "Recipient",
    "SingleRecordUser",
    "Statement",
    "StoredName",
    "TrustedServer",
    "Upload",
    "UploadStep",
    "UploadedOffset",
    "UsedNonce",
    "Visit",
]
