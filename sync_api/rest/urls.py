"""The addresses below the prefix that a project gives them; `/api/v1/` by `sync_api.urls`."""

from django.urls import path, re_path

from sync_api.rest import description, devices, files, outgoing, recipients, reconciliation, trust, uploads, views

app_name = "sync_api"
urlpatterns = [
    path("enrolments", views.Enrolments.as_view(), name="enrolments"),
    path("batches", views.Batches.as_view(), name="batches"),
    path("devices/me", views.OwnDevice.as_view(), name="own-device"),
    path("devices", devices.Devices.as_view(), name="devices"),
    path("devices/", devices.Devices.as_view(schema=None)),
    path("devices/<str:name>", devices.OneDevice.as_view(), name="device"),
    path("devices/<str:name>/tables", devices.Tables.as_view(), name="device-tables"),
    path("devices/<str:name>/strings", devices.Strings.as_view(), name="device-strings"),
    path("devices/<str:name>/schedules", devices.Schedules.as_view(), name="device-schedules"),
    path("devices/<str:name>/validation", devices.Validation.as_view(), name="device-validation"),
    path("devices/<str:name>/access", devices.Access.as_view(), name="device-access"),
    path("recipients", recipients.Recipients.as_view(), name="recipients"),
    path("visits", trust.Visits.as_view(), name="visits"),
    path("statements", trust.Statements.as_view(), name="statements"),
    path("manifest", reconciliation.DayManifest.as_view(), name="manifest"),
    path("outgoing", outgoing.Outgoing.as_view(), name="outgoing"),
    path("files/outgoing", files.OutgoingFiles.as_view(), name="outgoing-files"),
    path("files/outgoing/<str:sha256>", files.OutgoingFile.as_view(), name="outgoing-file"),
    path("outgoing/<str:epoch>/<int:number>", outgoing.OutgoingContent.as_view(), name="outgoing-content"),
    path("files/missing", files.MissingFiles.as_view(), name="missing-files"),
    path("files/uploads", files.Uploads.as_view(), name="file_uploads"),
    path("files/uploads/<str:upload_id>", files.OneUpload.as_view(), name="file_upload"),
    path("server", views.Server.as_view(), name="server"),
    path("schema/", description.Description.as_view(), name="schema"),
    path("schema/page/", description.page, name="schema-page"),
    path("uploads", uploads.Uploads.as_view(), name="uploads"),
    path("uploads/", uploads.Uploads.as_view(schema=None)),
    path("uploads/one-step", uploads.OneStep.as_view(), name="upload-one-step"),
    path("uploads/<str:upload>", uploads.OneUpload.as_view(), name="upload"),
    path("uploads/<str:upload>/preservation", uploads.Preservation.as_view(), name="upload-preservation"),
    path("uploads/<str:upload>/empty-tables", uploads.EmptyTables.as_view(), name="upload-empty-tables"),
    path("uploads/<str:upload>/tables/<str:table>", uploads.Table.as_view(), name="upload-table"),
    path("uploads/<str:upload>/tables/<str:table>/record", uploads.Record.as_view(), name="upload-record"),
    path("uploads/<str:upload>/tables/<str:table>/wanted", uploads.WhichKeys.as_view(), name="upload-wanted"),
    path("uploads/<str:upload>/tables/<str:table>/keys", uploads.OtherKeys.as_view(), name="upload-keys"),
    path("uploads/<str:upload>/commit", uploads.Commit.as_view(), name="upload-commit"),
    path("uploads/<str:upload>/rollback", uploads.RollBack.as_view(), name="upload-rollback"),
    re_path(r"", views.Nothing.as_view(), name="nothing"),
]
