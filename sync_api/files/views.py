"""Files as people open them: of this installation's own records, and of any version in the mirror.

Who may see the record may see its file. The bytes are given out as what they were declared to be only where a browser
can do nothing but show them; anything else is a download. Nothing in a file can act on this site.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from audit.exceptions import NotMirrored
from audit.mirror.tables import table_for
from sync_api.conf import files_alias, server_alias
from sync_api.files.fields import file_fields
from sync_api.files.reading import file_of
from sync_api.files.store import ContentStore
from sync_api.models import StoredName

SHOWN = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "video/webm", "audio/mpeg"})
"""What a browser shows and never runs."""
OCTETS = "application/octet-stream"


@login_required(login_url="admin:login")
@require_safe
def own_file(request: HttpRequest, name: str) -> HttpResponseBase:
    """A file of one of this installation's records, for who may view such records."""
    alias = files_alias()
    row = StoredName.objects.using(alias).filter(name=name).first()
    if row is None or not may_see(request, alias, name):
        raise Http404
    return answer(request, alias, row.sha256, row.size, row.media_type, name)


def may_see(request: HttpRequest, alias: str, name: str) -> bool:
    """Whether a record that names this file is one of those the user may view."""
    for label, fields in file_fields().items():
        model: Any = apps.get_model(label)
        if may_view(request, model) and any(
            model._base_manager.using(alias).filter(**{field: name}).exists() for field in fields
        ):
            return True
    return False


@login_required(login_url="admin:login")
@require_safe
def version_file(request: HttpRequest, label: str, version: int, field: str) -> HttpResponseBase:
    """The file that one version in the mirror names, as it was."""
    try:
        model: Any = apps.get_model(label)
        table = table_for(model)
    except (LookupError, ValueError, NotMirrored) as error:
        raise Http404 from error
    if field not in file_fields().get(table.label, {}):
        raise Http404
    if not may_view(request, table.mirror):
        raise PermissionDenied
    alias = server_alias()
    row = table.mirror.objects.using(alias).select_related("mirror_device").filter(pk=version).first()
    if row is None:
        raise Http404
    file = file_of(alias, row, field)
    if file.state != "here":
        return HttpResponse(file.words, status=404, content_type="text/plain; charset=utf-8")
    return answer(request, alias, file.sha256, file.size, file.media_type, file.name)


def may_view(request: HttpRequest, model: Any) -> bool:
    user: Any = request.user
    return bool(user.is_staff and user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))


def answer(
    request: HttpRequest, alias: str, sha256: str, size: int, media_type: str, name: str
) -> StreamingHttpResponse | HttpResponse:
    """The bytes, checked to the last: of a damaged file the end is never sent."""
    store = ContentStore(alias)
    if not store.holds(sha256):
        return HttpResponse("The file's bytes are not here.", status=404, content_type="text/plain; charset=utf-8")
    is_shown = media_type in SHOWN
    response = StreamingHttpResponse(
        nothing() if request.method == "HEAD" else store.read(sha256), content_type=media_type if is_shown else OCTETS
    )
    response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = disposition(name, inline=is_shown)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response


def nothing() -> Iterator[bytes]:
    yield from ()


def disposition(name: str, *, inline: bool) -> str:
    """RFC 6266, with the last part of the name only."""
    from django.utils.http import content_disposition_header

    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return content_disposition_header(not inline, last) or "attachment"
