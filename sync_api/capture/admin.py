"""Admin forms of synced models: they ask why, as the model's reason policy wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse

from sync_api.capture.context import REASON_LENGTH_MAX
from sync_api.capture.middleware import REASON_FIELD

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = admin.ModelAdmin


class SyncModelAdmin(AnyAdmin):
    """A ModelAdmin whose forms and delete pages have a field for the reason, by the model's `sync_reason`.

    none: no field; optional: a field; required: it must be filled in. SyncContextMiddleware hands the reason to the
    triggers.
    """

    delete_confirmation_template = "sync_api/admin/delete_confirmation.html"
    delete_selected_confirmation_template = "sync_api/admin/delete_selected_confirmation.html"

    @property
    def reason_policy(self) -> str:
        return str(getattr(self.model, "sync_reason", "optional"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The model's form with the reason's field declared on it."""
        if self.reason_policy == "none":
            return super().get_form(request, obj, change, **kwargs)
        base = kwargs.pop("form", self.form)
        return super().get_form(request, obj, change, form=self.with_reason(base), **kwargs)

    def with_reason(self, form: type[forms.BaseModelForm[Any]]) -> type[forms.BaseModelForm[Any]]:
        field = forms.CharField(
            label="Reason for this change",
            required=self.reason_policy == "required",
            max_length=REASON_LENGTH_MAX,
            widget=forms.Textarea(attrs={"rows": 2, "cols": 80}),
            help_text="Kept with the change, for those who read the record's history.",
        )
        return type(form.__name__, (form,), {REASON_FIELD: field})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """The fieldsets, the reason last."""
        fieldsets: list[tuple[Any, Any]] = [
            (name, {**options, "fields": without_reason(options["fields"])})
            for name, options in super().get_fieldsets(request, obj)
        ]
        if self.reason_policy != "none" and self.may_save(request, obj):
            fieldsets.append(("Why", {"fields": [REASON_FIELD]}))
        return fieldsets

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        if self.lacks_reason(request):
            self.message_user(request, "Give a reason for the deletion.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().delete_view(request, object_id, {**self.reason_context(), **(extra_context or {})})

    def response_action(self, request: HttpRequest, queryset: Any, *arguments: Any, **options: Any) -> Any:
        if request.POST.get("action") == "delete_selected" and "post" in request.POST and self.lacks_reason(request):
            self.message_user(request, "Nothing was deleted: give a reason for the deletion.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        response = super().response_action(request, queryset, *arguments, **options)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data.update(self.reason_context())
        return response

    def lacks_reason(self, request: HttpRequest) -> bool:
        """Whether a form came without the reason that the policy requires."""
        given = request.POST.get(REASON_FIELD, "").strip()
        return request.method == "POST" and self.reason_policy == "required" and not given

    def reason_context(self) -> dict[str, Any]:
        return {"reason_field": REASON_FIELD, "reason_policy": self.reason_policy}

    def may_save(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)


def without_reason(fields: Any) -> list[Any]:
    return [field for field in fields if field != REASON_FIELD]
