from django.apps import AppConfig


class SyncApiConfig(AppConfig):
    name = "sync_api"
    verbose_name = "Synchronization"
    default_auto_field = "django.db.models.BigAutoField"
