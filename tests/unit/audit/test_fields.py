"""Moments as whole microseconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from audit.engine.sqlite import moment_text
from audit.fields import MicrosecondsField, from_microseconds, to_microseconds
from audit.models import Device

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(MOMENTS)
def test_a_moment_survives_being_microseconds(moment):
    assert from_microseconds(to_microseconds(moment)) == moment


@given(MOMENTS)
def test_the_text_of_a_moment_is_the_one_django_writes(moment):
    assert moment_text(to_microseconds(moment)) == str(moment.replace(tzinfo=None))


def test_a_naive_moment_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        to_microseconds(datetime(2026, 5, 1))


@pytest.mark.parametrize("text", ["yesterday", "2026-05-01T12:00:00"])
def test_a_text_without_a_zone_is_refused(text):
    with pytest.raises(ValidationError):
        MicrosecondsField().to_python(text)


def test_fixtures_hold_moments_as_text():
    field = Device._meta.get_field("known_until")
    moment = datetime(2026, 5, 1, 12, 0, 0, 7, UTC)
    text = field.value_to_string(Device(known_until=moment))
    assert field.to_python(text) == moment
    assert field.value_to_string(Device()) == ""
    assert field.to_python(to_microseconds(moment)) == moment
