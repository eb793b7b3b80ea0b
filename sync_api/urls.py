"""`include("sync_api.urls")` in a project's urls gives it the whole REST interface."""

from django.urls import include, path, re_path

from sync_api.compat.camcops.views import camcops

urlpatterns = [
    path("api/v1/", include("sync_api.rest.urls")),
    re_path(r"^compat/camcops/?\Z", camcops, name="camcops"),
]
