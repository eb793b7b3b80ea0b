"""The OpenAPI description of this interface, and a page to read it without any script or network."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny

from sync_api.rest.views import SyncView

SETTINGS: dict[str, Any] = {
    "TITLE": "syncserver",
    "DESCRIPTION": "Sealed batches in, signed receipts out. Every error is application/problem+json.",
    "VERSION": "1",
    "PREPROCESSING_HOOKS": ["sync_api.rest.description.only_own_views"],
    "POSTPROCESSING_HOOKS": [],
    "SCHEMA_PATH_PREFIX_TRIM": False,
    "APPEND_COMPONENTS": {},
    "SECURITY": [],
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "sync_api.rest.authentication.TokenAuthentication"
    name = "deviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class UserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "sync_api.rest.people.UserAuthentication"
    name = "user"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


def only_own_views(endpoints: list[Any]) -> list[Any]:
    """In a project with other REST views, describe only those of this package."""
    return [endpoint for endpoint in endpoints if issubclass(getattr(endpoint[3], "cls", object), SyncView)]


class Description(SpectacularAPIView):
    """The OpenAPI description, as YAML or JSON."""

    authentication_classes = []
    permission_classes = [AllowAny]
    custom_settings = SETTINGS


def page(request: HttpRequest) -> HttpResponse:
    """The description as one plain page."""
    with patched_settings(SETTINGS):
        generator = SchemaGenerator(patterns=None)  # type: ignore[no-untyped-call]
        schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    operations = [
        {"method": method.upper(), "path": path, **operation, "answers": sorted(operation["responses"].items())}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = [
        {
            "name": name,
            "members": [
                {"name": member, **facts, "required": member in shape.get("required", [])}
                for member, facts in shape.get("properties", {}).items()
            ],
        }
        for name, shape in schema["components"]["schemas"].items()
    ]
    return render(request, "sync_api/description.html", {"schema": schema, "operations": operations, "shapes": shapes})
