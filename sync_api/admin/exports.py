"""Export configurations to make and switch, and their tasks to look at. A password goes in and never comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from audit.admin import ReadOnlyAdmin
from sync_api.exceptions import SyncError
from sync_api.exports.credentials import is_password_fit, set_password
from sync_api.exports.sources import check_configuration, source_names
from sync_api.exports.targets import checked_target
from sync_api.exports.tasks import revive
from sync_api.models import ExportConfiguration, ExportTask, ImportedContent, ImportSession

if TYPE_CHECKING:
    ConfigurationForm = forms.ModelForm[ExportConfiguration]
    ConfigurationAdmin = admin.ModelAdmin[ExportConfiguration]
else:
    ConfigurationForm, ConfigurationAdmin = forms.ModelForm, admin.ModelAdmin


WRITTEN = (
    *("name", "description", "entity_type", "search", "protocol", "target_url", "target_user"),
    *("sends_deletions", "is_enabled"),
)


class ExportConfigurationForm(ConfigurationForm):
    """Says what is wrong before it is saved: an unknown model, a search that cannot be applied, a refused target."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep it. Another target or user needs it again. It is stored sealed.",
    )
    forget_password = forms.BooleanField(required=False)

    class Meta:
        model = ExportConfiguration
        fields = WRITTEN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "entity_type" in self.fields:
            self.fields["entity_type"].help_text = f"One of {', '.join(source_names())}."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        draft = ExportConfiguration(pk=self.instance.pk, sealed_password=self.instance.sealed_password)
        for name in WRITTEN:
            setattr(draft, name, cleaned[name])
        draft.search = cleaned["search"] or {}
        try:
            checked_target(draft.target_url)
            check_configuration(draft)
        except SyncError as error:
            raise forms.ValidationError(str(error)) from None
        if not (cleaned["password"] or cleaned["forget_password"] or is_password_fit(draft)):
            raise forms.ValidationError("The password was given for another target or user. Enter it again.")
        return cleaned

    def save(self, commit: bool = True) -> ExportConfiguration:
        self.instance.search = self.instance.search or {}
        if self.cleaned_data["password"] or self.cleaned_data["forget_password"]:
            set_password(self.instance, self.cleaned_data["password"])
        return super().save(commit=commit)


@admin.register(ExportConfiguration)
class ExportConfigurationAdmin(ConfigurationAdmin):
    form = ExportConfigurationForm
    list_display = (
        *("name", "entity_type", "is_enabled", "completed_count", "failures", "dead_count"),
        *("deferred_until", "last_completed_at", "marked_at"),
    )
    list_filter = ("is_enabled", "protocol")
    search_fields = ("name", "description")
    actions = ("enable", "disable", "retry_given_up")
    readonly_fields = (
        *("failures", "deferred_until", "disabled_at", "last_error", "completed_count", "failed_count"),
        *("dead_count", "last_completed_at", "marked_at", "created_at"),
    )
    fields = (
        *("name", "description", "entity_type", "search", "protocol", "target_url", "target_user"),
        *("password", "forget_password", "sends_deletions", "is_enabled"),
        *readonly_fields,
    )

    @admin.action(description="Enable the chosen configurations", permissions=["change"])
    def enable(self, request: HttpRequest, chosen: QuerySet[ExportConfiguration]) -> None:
        self.switch(chosen, is_enabled=True)

    @admin.action(description="Disable the chosen configurations", permissions=["change"])
    def disable(self, request: HttpRequest, chosen: QuerySet[ExportConfiguration]) -> None:
        self.switch(chosen, is_enabled=False)

    def switch(self, chosen: QuerySet[ExportConfiguration], *, is_enabled: bool) -> None:
        for configuration in chosen:
            configuration.is_enabled = is_enabled
            configuration.save()

    @admin.action(description="Try given-up tasks of the chosen configurations again", permissions=["change"])
    def retry_given_up(self, request: HttpRequest, chosen: QuerySet[ExportConfiguration]) -> None:
        count = sum(revive(chosen.db, configuration, now=timezone.now()) for configuration in chosen)
        messages.success(request, f"{count} tasks will be tried again.")


@admin.register(ExportTask)
class ExportTaskAdmin(ReadOnlyAdmin):
    list_display = ("id", "configuration", "entity", "version", "is_deletion", "state", "due_at", "attempts", "done_at")
    list_filter = ("state", "is_deletion", "configuration")
    list_select_related = ("configuration",)
    search_fields = ("entity",)
    exclude = ("lease",)


@admin.register(ImportSession)
class ImportSessionAdmin(ReadOnlyAdmin):
    """Which entities are half received. Their values are not shown."""

    list_display = ("entity_type", "entity_id", "user", "began_at", "touched_at")
    list_filter = ("entity_type",)
    search_fields = ("entity_id", "user")
    exclude = ("body",)


@admin.register(ImportedContent)
class ImportedContentAdmin(ReadOnlyAdmin):
    list_display = ("file_id", "size", "user", "received_at")
    search_fields = ("file_id", "sha256")
