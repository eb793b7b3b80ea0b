"""The laptop's page; a project includes it where it likes, `syncserver` at /laptop/."""

from django.urls import path

from sync_api.pages import views

app_name = "laptop"
urlpatterns = [
    path("", views.page, name="page"),
    path("state", views.state, name="state"),
    path("send", views.send, name="send"),
    path("login", views.Login.as_view(), name="login"),
    path("logout", views.Logout.as_view(), name="logout"),
]
