from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Records and their past"
    default_auto_field = "django.db.models.BigAutoField"
