"""`include("sync_api.urls")` in a project's urls gives it the whole REST interface."""

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("sync_api.rest.urls")),
    path("compat/meteorpi/", include("sync_api.meteorpi.urls")),
]
