from django.apps import AppConfig


class ObservatoryConfig(AppConfig):
    name = "syncserver.observatory"
    label = "observatory"
    verbose_name = "Observatory"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from sync_api.exports.sources import register
        from sync_api.imports.receivers import register_receiver
        from syncserver.observatory.exports import EventSource, FileSource
        from syncserver.observatory.receiver import DatabaseImportReceiver

        register(EventSource())
        register(FileSource())
        register_receiver(DatabaseImportReceiver())
