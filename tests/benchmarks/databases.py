"""Databases of the benchmarks: made once, then copied, so that each run starts from the same state."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from tests.benchmarks import data
from tests.benchmarks.bench.models import Site
from tests.postgres import postgres_url

SERVERS = ("server", "server_pg")


def vendor(alias: str) -> str:
    return str(connections[alias].vendor)


def create(alias: str) -> None:
    """A new, migrated database with the sites in it (laptops only: a server gets them by sync)."""
    connections[alias].close()
    if vendor(alias) == "sqlite":
        remove_files(path(alias))
    else:
        drop(name(alias))
        administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name(alias))))
    call_command("migrate", database=alias, verbosity=0)
    if alias.startswith("laptop"):
        Site.objects.using(alias).bulk_create([Site(**row) for row in data.site_rows()])


def save(alias: str) -> None:
    """Keep the database's present state for `restore`."""
    if vendor(alias) == "sqlite":
        with connections[alias].cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connections[alias].close()
        shutil.copyfile(path(alias), kept(alias))
        return
    connections[alias].close()
    copy_postgres(name(alias), f"{name(alias)}_kept")


def restore(alias: str) -> None:
    """Back to the state kept last. Nobody else may be using the database.

    On PostgreSQL somebody connects once, as the first connection to a new database makes its catalogue's cache file.
    """
    connections[alias].close()
    if vendor(alias) == "sqlite":
        remove_files(path(alias))
        shutil.copyfile(kept(alias), path(alias))
        return
    copy_postgres(f"{name(alias)}_kept", name(alias))
    raw_postgres(alias).close()


def remove(alias: str) -> None:
    connections[alias].close()
    if vendor(alias) == "postgresql":
        drop(name(alias))
        drop(f"{name(alias)}_kept")


def url(alias: str) -> str:
    """The DATABASE_URL of an alias, for other processes."""
    if vendor(alias) == "sqlite":
        return f"sqlite:///{path(alias)}"
    with psycopg.connect(postgres_url()) as connection:
        info = connection.info
        user, password = quote(info.user), f":{quote(info.password)}" if info.password else ""
        if info.host.startswith("/"):
            return f"postgres://{user}{password}@/{name(alias)}?host={info.host}&port={info.port}"
        return f"postgres://{user}{password}@{info.host}:{info.port}/{name(alias)}"


def raw_postgres(alias: str) -> psycopg.Connection:
    """A connection of psycopg's own to the alias' database."""
    settings = {**connections[alias].get_connection_params()}
    keep = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{key: settings[key] for key in keep if key in settings})


def path(alias: str) -> Path:
    return Path(str(connections[alias].settings_dict["NAME"]))


def kept(alias: str) -> Path:
    return path(alias).with_suffix(".kept")


def name(alias: str) -> str:
    return str(connections[alias].settings_dict["NAME"])


def remove_files(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def copy_postgres(source: str, target: str) -> None:
    """A web process keeps its connections; it finds them cut, and connects anew."""
    drop(target)
    cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {}"
    administer(sql.SQL(cut).format(sql.Literal(source)))
    administer(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(target), sql.Identifier(source)
        )
    )


def drop(database: str) -> None:
    administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def administer(statement: sql.Composable) -> None:
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(statement)
