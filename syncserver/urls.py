from django.contrib import admin
from django.urls import include, path

from syncserver.home import home

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("laptop/", include("sync_api.pages.urls")),
    path("records/", include("sync_api.records.urls")),
    path("observatory/", include("syncserver.observatory.urls")),
    path("reconcile/", include("sync_api.reconciliation.urls")),
    path("", include("sync_api.urls")),
]
