"""The addresses below the prefix that a project gives them; `/api/v1/` by `sync_api.urls`."""

from django.urls import path, re_path

from sync_api.rest import description, files, outgoing, recipients, reconciliation, trust, views

app_name = "sync_api"
urlpatterns = [
    path("enrolments", views.Enrolments.as_view(), name="enrolments"),
    path("batches", views.Batches.as_view(), name="batches"),
    path("devices/me", views.OwnDevice.as_view(), name="own-device"),
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
    re_path(r"", views.Nothing.as_view(), name="nothing"),
]
