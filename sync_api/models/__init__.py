"""The tables in which the stations meet, in the order of the data's way."""

from sync_api.models.enrolment import DeviceCredential, EnrolmentCode
from sync_api.models.incoming import Alarm, IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.models.local import CaptureSchema, LocalDevice
from sync_api.models.outgoing import OutgoingBatch, OutgoingTransaction
from sync_api.models.parked import ParkedRecord, ParkedUnit

__all__ = [
    "Alarm",
    "CaptureSchema",
    "DeviceCredential",
    "EnrolmentCode",
    "IncomingBatch",
    "IncomingEpoch",
    "IncomingTransaction",
    "LocalDevice",
    "OutgoingBatch",
    "OutgoingTransaction",
    "ParkedRecord",
    "ParkedUnit",
]
