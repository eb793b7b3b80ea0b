"""The relay's page for reconciling; a project includes it where it likes, `syncserver` at /reconcile/."""

from django.urls import path

from sync_api.reconciliation import views

app_name = "reconciliation"
urlpatterns = [path("", views.page, name="page")]
