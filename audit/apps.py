from django.apps import AppConfig
from django.core.checks import register


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Records and their past"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.checks import check_index_fields, check_mirror_names

        register(check_mirror_names)
        register(check_index_fields)
