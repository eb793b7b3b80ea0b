"""Every table of synchronization to look at: lists to search, payloads decoded.

What was captured or received is never changed here. An operator can resolve alarms and
have parked units tried again.
"""

from sync_api.admin.access import AccessKeyAdmin, SingleRecordUserAdmin
from sync_api.admin.bundles import BundleAdmin
from sync_api.admin.carried import CarriedBatchAdmin
from sync_api.admin.enrolment import DeviceCredentialAdmin, EnrolmentCodeAdmin
from sync_api.admin.exports import ExportConfigurationAdmin, ExportTaskAdmin, ImportedContentAdmin, ImportSessionAdmin
from sync_api.admin.files import (
    ContentAdmin,
    ContentUseAdmin,
    FileDeliveryAdmin,
    FileFactAdmin,
    FileUploadAdmin,
    StoredNameAdmin,
)
from sync_api.admin.finalizing import FinalizationAdmin, IncomingEraAdmin
from sync_api.admin.fleet import FleetAdmin, PushTargetAdmin
from sync_api.admin.incoming import (
    AlarmAdmin,
    IncomingBatchAdmin,
    IncomingEpochAdmin,
    IncomingTransactionAdmin,
)
from sync_api.admin.local import CaptureSchemaAdmin, LocalDeviceAdmin
from sync_api.admin.outgoing import OutgoingBatchAdmin, OutgoingTransactionAdmin
from sync_api.admin.parked import ParkedRecordAdmin, ParkedUnitAdmin
from sync_api.admin.recipients import RecipientAdmin
from sync_api.admin.trust import StatementAdmin, TrustedServerAdmin, UsedNonceAdmin, VisitAdmin
from sync_api.admin.uploads import UploadAdmin, UploadedOffsetAdmin, UploadStepAdmin

__all__ = [
    "AccessKeyAdmin",
    "AlarmAdmin",
    "BundleAdmin",
    "CaptureSchemaAdmin",
    "CarriedBatchAdmin",
    "ContentAdmin",
    "ContentUseAdmin",
    "DeviceCredentialAdmin",
    "EnrolmentCodeAdmin",
    "ExportConfigurationAdmin",
    "ExportTaskAdmin",
    "FileDeliveryAdmin",
    "FileFactAdmin",
    "FileUploadAdmin",
    "FinalizationAdmin",
    "FleetAdmin",
    "ImportSessionAdmin",
    "ImportedContentAdmin",
    "IncomingBatchAdmin",
    "IncomingEpochAdmin",
    "IncomingEraAdmin",
    "IncomingTransactionAdmin",
    "LocalDeviceAdmin",
    "OutgoingBatchAdmin",
    "OutgoingTransactionAdmin",
    "ParkedRecordAdmin",
    "ParkedUnitAdmin",
    "PushTargetAdmin",
    "RecipientAdmin",
    "SingleRecordUserAdmin",
    "StatementAdmin",
    "StoredNameAdmin",
    "TrustedServerAdmin",
    "UploadAdmin",
    "UploadStepAdmin",
    "UploadedOffsetAdmin",
    "UsedNonceAdmin",
    "VisitAdmin",
]
