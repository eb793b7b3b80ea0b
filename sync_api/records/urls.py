"""The pages of the records; a project includes them where it likes, `syncserver` at /records/."""

from django.urls import path

from sync_api.records import views

app_name = "records"
urlpatterns = [
    path("", views.front, name="front"),
    path("changes/", views.changes_page, name="changes"),
    path("dictionary/", views.dictionary_page, name="dictionary"),
    path("<str:label>/download", views.download, name="download"),
]
