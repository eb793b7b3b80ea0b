"""The addresses of MeteorPi's wire, below `/compat/meteorpi/`."""

from django.urls import path

from sync_api.compat.meteorpi import views

urlpatterns = [
    path("import", views.import_entity, name="meteorpi-import"),
    path("import/data/<str:file_id>/<str:md5>", views.import_data, name="meteorpi-import-data"),
]
