from django.apps import AppConfig


class SyncserverConfig(AppConfig):
    name = "syncserver"
    verbose_name = "syncserver"
