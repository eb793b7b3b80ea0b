from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate


class SyncApiConfig(AppConfig):
    name = "sync_api"
    verbose_name = "Synchronization"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.erasure import on_erased
        from audit.presenting import PRESENTERS
        from sync_api.capture import checks, migrations  # noqa: F401  (importing registers the checks)
        from sync_api.capture.connection import prepare_connection
        from sync_api.files import checks as files_checks  # noqa: F401
        from sync_api.files.erasing import forget_files
        from sync_api.files.showing import present_file
        from sync_api.recipients import checks as sealed_checks  # noqa: F401
        from sync_api.rest import checks as address_checks  # noqa: F401

        connection_created.connect(prepare_connection, dispatch_uid="sync_api.capture")
        PRESENTERS.append(present_file)
        on_erased.append(forget_files)
        pre_migrate.connect(migrations.remove_before, sender=self, dispatch_uid="sync_api.remove_triggers")
        post_migrate.connect(migrations.install_after, sender=self, dispatch_uid="sync_api.install_triggers")
