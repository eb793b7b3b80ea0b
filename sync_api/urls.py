"""`include("sync_api.urls")` in a project's urls gives it the whole REST interface, and files to open."""

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("sync_api.rest.urls")),
    path("files/", include("sync_api.files.urls")),
]
