"""The tables in which the stations meet, in the order of the data's way."""

from sync_api.models.carried import Bundle, CarriedBatch
from sync_api.models.enrolment import DeviceCredential, EnrolmentCode
from sync_api.models.exports import ExportConfiguration, ExportTask, ImportedContent, ImportSession
from sync_api.models.finalizing import Finalization, IncomingEra
from sync_api.models.incoming import Alarm, IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.models.local import CaptureSchema, LocalDevice
from sync_api.models.outgoing import OutgoingBatch, OutgoingTransaction
from sync_api.models.parked import ParkedRecord, ParkedUnit
from sync_api.models.targets import PushTarget
from sync_api.models.trust import Recipient, Statement, TrustedServer, Visit

__all__ = [
    "Alarm",
    "Bundle",
    "CaptureSchema",
    "CarriedBatch",
    "DeviceCredential",
    "EnrolmentCode",
    "ExportConfiguration",
    "ExportTask",
    "Finalization",
    "ImportSession",
    "ImportedContent",
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
    "Statement",
    "TrustedServer",
    "Visit",
]
