"""Which database is meant: a path, a URL, RECORDER_DB, or the user's own file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from platformdirs import user_data_path

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN_QUERY: Final = frozenset({"host", "port", "dbname", "user", "sslmode", "options"})
"""Parts of a database URL's query that are no secrets."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the database is, and how we came to know."""

    url: sa.URL
    obvious: bool
    """The person named it, or it is the default; else a command says which one it used."""

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for a server or a database in memory."""
        name = self.url.database
        if self.url.get_backend_name() != "sqlite" or name in (None, "", ":memory:"):
            return None
        return Path(str(name))

    def __str__(self) -> str:
        return str(self.path or shown_url(self.url))


def shown_url(url: sa.URL) -> str:
    """The URL without its password, wherever in it that stands."""
    query = {name: "***" if name not in _SHOWN_QUERY else url.query[name] for name in url.query}
    return url.set(query=query).render_as_string(hide_password=True)


def named(name: str | os.PathLike[str]) -> Location:
    """The database of this path or SQLAlchemy URL. Raises `UsageError` for what is neither."""
    if not os.fspath(name):
        raise UsageError("a database is named by a path or a URL, not by an empty string")
    return Location(_url(os.fspath(name)), True)


def locate(
    name: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Location:
    """The database that was named, else that of RECORDER_DB, else the user's own file.

    A name is a path or a SQLAlchemy URL; `environ` is the process's own unless another is given.
    Raises `UsageError` for a URL that cannot be read.
    """
    if name:
        return named(name)
    if from_environment := (os.environ if environ is None else environ).get("RECORDER_DB"):
        return Location(_url(from_environment), False)
    return Location(_file_url(str(user_data_path("realtime-recorder") / "recorder.db")), True)


def _url(name: str) -> sa.URL:
    if "://" not in name:
        return _file_url(name)
    try:
        url = sa.make_url(name)
        backend, _, driver = url.drivername.partition("+")
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError(
            "the database URL cannot be read (not shown: it may hold a password); "
            "expected a path or something like postgresql+psycopg://user@host/name"
        ) from None
    if backend in ("postgresql", "postgres") and driver in ("", "psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or driver not in ("", "pysqlite"):
        raise UsageError(
            f"databases of kind {url.drivername!r} are not supported; use a path (SQLite) or a "
            "postgresql:// URL"
        )
    if url.query:
        raise UsageError("a sqlite:// URL takes no options here; name the file alone")
    if url.database in (None, "", ":memory:"):
        return sa.URL.create("sqlite")
    return _file_url(str(url.database))


def _file_url(name: str) -> sa.URL:
    try:
        path = Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{name}: {error}") from None
    if "\0" in name:
        raise UsageError("the name of a database file cannot hold a NUL")
    return sa.URL.create("sqlite", database=str(path))
