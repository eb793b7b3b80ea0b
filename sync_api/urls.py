"""`include("sync_api.urls")` in a project's urls gives it the whole REST interface, and files to open."""

from django.urls import include, path, re_path

from sync_api.compat.camcops.views import camcops

urlpatterns = [
    path("api/v1/", include("sync_api.rest.urls")),
    re_path(r"^compat/camcops/?\Z", camcops, name="camcops"),
    path("files/", include("sync_api.files.urls")),
    path("compat/meteorpi/", include("sync_api.compat.meteorpi.urls")),
]
