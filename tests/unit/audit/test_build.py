"""What a mirror model looks like, and that it stays so."""

from __future__ import annotations

import pickle

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import models
from django.db.migrations.state import ModelState, StateApps
from django.test.utils import isolate_apps

from audit.checks import check_mirror_names
from audit.exceptions import NotMirrored
from audit.mirror import build
from audit.mirror.build import build_mirror, name_collisions, names_in_the_way, short_name
from audit.mirror.columns import plain_field
from audit.mirror.tables import mirror_tables, table_for
from tests.mirrored.models import HomeVisit, Letter, Site, Visit, VisitMirror


def column(name):
    return VisitMirror._meta.get_field(name)


@pytest.mark.parametrize(
    ("name", "kind", "db_column"),
    [
        ("id", models.UUIDField, "id"),
        ("site", models.BigIntegerField, "site_id"),
        ("follows", models.UUIDField, "follows_id"),
        ("nurse", models.TextField, "nurse_id"),
        ("content_type", models.CharField, "content_type_id"),
        ("code", models.SlugField, "code"),
        ("count", models.IntegerField, "count"),
        ("photo", models.CharField, "photo"),
        ("object_id", models.BigIntegerField, "object_id"),
        ("dose", models.DecimalField, "dose"),
    ],
)
def test_a_field_becomes_a_plain_column(name, kind, db_column):
    field = column(name)
    assert (type(field), field.column) == (kind, db_column)
    assert not field.is_relation
    assert not field.unique
    assert not field.has_default()


def test_only_the_key_is_required():
    assert {name for name in table_for(Visit).columns if not column(name).null} == {"id"}


def test_mirrors_are_named_after_their_sources():
    assert Visit.mirror.model is VisitMirror
    assert (VisitMirror.__module__, VisitMirror._meta.app_label) == ("tests.mirrored.models", "mirrored")
    assert VisitMirror._meta.db_table == "mirrored_visit_mirror"
    assert Letter.mirror.model._meta.db_table == "letters_mirror"


def test_the_accessor_is_the_same_object_each_time_and_not_on_instances():
    assert Visit.mirror is Visit.mirror
    with pytest.raises(AttributeError, match=r"Visit\.mirror"):
        Visit().mirror  # noqa: B018


def test_a_child_table_mirrors_its_own_columns_and_the_parent_link():
    assert table_for(HomeVisit).columns == ("visit_ptr", "address")
    assert table_for(HomeVisit).key_column == "visit_ptr_id"


def test_a_many_to_many_table_has_a_mirror():
    assert table_for(Visit.symptoms.through).columns == ("id", "visit", "symptom")


def test_the_attname_of_a_foreign_key_reads_its_value():
    assert VisitMirror(site=7).site_id == 7


def test_a_proxy_has_the_mirror_of_its_model():
    with isolate_apps("tests.mirrored"):

        class ProxyLetter(Letter):
            class Meta:
                app_label = "mirrored"
                proxy = True

        assert table_for(ProxyLetter) is table_for(Letter)
        assert ProxyLetter.mirror is Letter.mirror


def test_a_model_without_a_mirror_is_named():
    with pytest.raises(NotMirrored, match=r"contenttypes\.ContentType"):
        table_for(ContentType)


def test_rows_pickle():
    row = VisitMirror(id=None, code="v1", mirror_era="NOW")
    copy = pickle.loads(pickle.dumps(row))
    assert (type(copy), copy.code, copy.mirror_era) == (VisitMirror, "v1", "NOW")


def test_the_does_not_exist_error_pickles():
    error = pickle.loads(pickle.dumps(VisitMirror.DoesNotExist("gone")))
    assert isinstance(error, VisitMirror.DoesNotExist)


@pytest.mark.django_db
def test_a_second_makemigrations_finds_nothing(settings):
    settings.MIGRATION_MODULES = {}  # the test run itself makes its tables without migrations
    call_command("makemigrations", "mirrored", "audit", check=True, dry_run=True, verbosity=0)


def test_models_of_migrations_get_no_mirror():
    before = len(mirror_tables())
    historical = StateApps([], {})
    build_mirror(ModelState.from_model(Site).render(historical))
    assert len(mirror_tables()) == before


def test_abstract_models_get_no_mirror():
    class Abstract(models.Model):
        class Meta:
            app_label = "mirrored"
            abstract = True

    build_mirror(Abstract)
    assert "mirror_model" not in vars(Abstract._meta)


def test_constraint_and_index_names_fit_and_depend_on_nothing_else():
    for table in mirror_tables():
        options = table.mirror._meta
        names = [thing.name for thing in (*options.indexes, *options.constraints)]
        assert len(set(names)) == len(names)
        assert all(len(name) <= 30 for name in names)
    assert short_name("letters_mirror", "current") == "m3f02116e94_current"


@isolate_apps("tests.mirrored")
def test_names_of_the_mirror_are_not_free():
    class Pier(models.Model):
        mirror_width = models.IntegerField()
        mirror = models.IntegerField()
        era = models.IntegerField(db_column="_era")
        width = models.IntegerField()

        class Meta:
            app_label = "mirrored"

    assert names_in_the_way(Pier) == ["mirror_width", "mirror", "era"]


def test_a_name_in_the_way_is_a_check_error_with_a_remedy(monkeypatch):
    monkeypatch.setitem(name_collisions, "mirrored.Pier", ["mirror_width"])
    (error,) = check_mirror_names()
    assert error.id == "audit.E001"
    assert "mirror_width" in error.msg
    assert "Rename" in error.hint


@isolate_apps("tests.mirrored")
def test_every_built_in_field_has_a_plain_copy():
    kinds = {
        models.BigAutoField: models.BigIntegerField,
        models.AutoField: models.IntegerField,
        models.SmallAutoField: models.SmallIntegerField,
        models.PositiveBigIntegerField: models.BigIntegerField,
        models.PositiveSmallIntegerField: models.SmallIntegerField,
        models.FileField: models.CharField,
        models.FilePathField: models.FilePathField,
        models.EmailField: models.EmailField,
        models.URLField: models.URLField,
        models.GenericIPAddressField: models.GenericIPAddressField,
        models.JSONField: models.JSONField,
        models.DurationField: models.DurationField,
        models.TimeField: models.TimeField,
        models.BinaryField: models.BinaryField,
    }
    for kind, plain in kinds.items():
        field = kind(primary_key=True) if issubclass(kind, models.AutoField) else kind(db_index=True)
        field.set_attributes_from_name("value")
        copy = plain_field(field, references=(), key=False)
        assert type(copy) is plain
        assert (copy.null, copy.db_index, copy.primary_key) == (True, False, False)


def test_the_models_own_order_is_indexed():
    ordered = apps.get_model("mirrored", "SymptomMirror")
    assert ["name", "mirror_device"] in [index.fields for index in ordered._meta.indexes]
    assert ["is_open", "-name"] in [index.fields for index in Site.mirror.model._meta.indexes]


def test_a_name_in_the_way_leaves_the_model_without_a_mirror(monkeypatch):
    class Quay(models.Model):
        mirror_width = models.IntegerField()

        class Meta:
            app_label = "quays"
            apps = StateApps([], {})

    monkeypatch.setattr(build, "name_collisions", {})
    build.create_mirror(Quay, frozenset())
    assert build.name_collisions == {"quays.Quay": ["mirror_width"]}
    assert "mirror_model" not in vars(Quay._meta)
