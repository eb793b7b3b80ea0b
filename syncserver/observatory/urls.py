"""The observatory's addresses, below `/observatory/`."""

from django.urls import path

from syncserver.observatory import views

app_name = "observatory"
urlpatterns = [
    path("events", views.events, name="events"),
    path("files", views.files, name="files"),
    path("files/<uuid:file_id>/content", views.content, name="content"),
]
