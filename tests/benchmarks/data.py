"""Seeded, realistic values: no two rows alike, texts of real words, measurements with all their digits."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

SITES = 100
NOTE_LENGTH = 200

FIRST_NAMES = "Amina Joseph Grace Tendai Li Maria Peter Chipo Ravi Elena Kofi Noor Sipho Hana Lucas Ayo Mirjam Tomas"
LAST_NAMES = "Banda Moyo Okafor Silva Tanaka Mwale Novak Diallo Garcia Phiri Sato Weber Dlamini Haddad Rossi Kim"
TEAM_NAMES = "north south east west coast hills river town"
STATUS_NAMES = "enrolled visited pending referred completed withdrawn"
NOTE_WORDS = """
patient reports mild fever since two days no cough slept well returned from market child vaccinated last year
household has new well water boiled before use mother present during interview asked to come back next week
blood pressure measured twice left arm medication taken irregularly side effects none reported nausea morning
sample collected labelled sent with driver temperature of box checked consent form signed thumb print witness
trap seven open eight closed rain overnight bait replaced vegetation sparse tracks near fence plot flooded
"""
FIRST, LAST, TEAMS, STATUSES, WORDS = (
    text.split() for text in (FIRST_NAMES, LAST_NAMES, TEAM_NAMES, STATUS_NAMES, NOTE_WORDS)
)


def site_rows() -> list[dict[str, Any]]:
    draw = random.Random("sites")
    return [{"id": new_uuid(draw), "name": f"{draw.choice(LAST)} {number}"} for number in range(SITES)]


def record_rows(count: int, *, seed: str) -> Iterator[dict[str, Any]]:
    """`count` rows as keyword arguments of the bench models; the same seed gives the same rows."""
    draw = random.Random(seed)
    sites = [row["id"] for row in site_rows()]
    day = date(2024, 1, 1)
    for _ in range(count):
        yield {
            "id": new_uuid(draw),
            "name": f"{draw.choice(FIRST)} {draw.choice(LAST)}",
            "team": draw.choice(TEAMS),
            "status": draw.choice(STATUSES),
            "note": note(draw),
            "age": min(99, int(abs(draw.gauss(30, 18)))),
            "score": draw.randrange(0, 10_000),
            "weight": draw.gauss(61, 13),
            "seen_on": day + timedelta(days=draw.randrange(900)),
            "site_id": draw.choice(sites),
        }


def note(draw: random.Random) -> str:
    """A text of exactly NOTE_LENGTH characters."""
    return " ".join(draw.choices(WORDS, k=NOTE_LENGTH // 4)).ljust(NOTE_LENGTH)[:NOTE_LENGTH]


def new_uuid(draw: random.Random) -> uuid.UUID:
    return uuid.UUID(int=draw.getrandbits(128), version=4)
