from django.apps import AppConfig


class StudyConfig(AppConfig):
    name = "syncserver.study"
    label = "study"
    verbose_name = "Example study"
    default_auto_field = "django.db.models.BigAutoField"
