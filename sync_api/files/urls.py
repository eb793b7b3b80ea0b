"""Where people open files; `sync_api.urls` includes it."""

from django.urls import path

from sync_api.files import views

app_name = "sync_files"
urlpatterns = [
    path("own/<path:name>", views.own_file, name="own"),
    path("version/<str:label>/<int:version>/<str:field>", views.version_file, name="version"),
]
