"""The study's own forms: what a field worker fills in on the laptop."""

from __future__ import annotations

from django.contrib import admin

from sync_api.capture.admin import SyncModelAdmin
from syncserver.study.models import Household, Participant, Site, Specimen, Symptom, Visit


@admin.register(Site)
class SiteAdmin(SyncModelAdmin):
    list_display = ("code", "name")
    search_fields = ("code", "name")


@admin.register(Household)
class HouseholdAdmin(SyncModelAdmin):
    list_display = ("number", "site", "village")
    list_filter = ("site",)
    list_select_related = ("site",)
    search_fields = ("number", "village")


@admin.register(Participant)
class ParticipantAdmin(SyncModelAdmin):
    list_display = ("identifier", "given_name", "family_name", "sex", "household", "consented_at")
    list_filter = ("sex",)
    list_select_related = ("household",)
    autocomplete_fields = ("household",)
    search_fields = ("identifier", "given_name", "family_name")


@admin.register(Symptom)
class SymptomAdmin(SyncModelAdmin):
    list_display = ("code", "name")
    search_fields = ("code", "name")


@admin.register(Visit)
class VisitAdmin(SyncModelAdmin):
    list_display = ("participant", "number", "visited_at", "weight_kg", "temperature_c")
    list_filter = ("visited_at",)
    list_select_related = ("participant",)
    autocomplete_fields = ("participant", "symptoms")
    search_fields = ("participant__identifier",)


@admin.register(Specimen)
class SpecimenAdmin(SyncModelAdmin):
    list_display = ("requisition_number", "kind", "visit", "drawn_at", "volume_ml")
    list_filter = ("kind",)
    list_select_related = ("visit",)
    autocomplete_fields = ("visit",)
    search_fields = ("requisition_number", "visit__participant__identifier")
