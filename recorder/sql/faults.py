"""What drivers and SQLAlchemy raise, translated into our errors; without statements and values."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import sqlalchemy as sa

from ..errors import DamagedLog, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..errors import StoreError
    from .opening import Location


@contextlib.contextmanager
def translated(location: Location, driver: sa.Dialect) -> Iterator[None]:
    """Raise `StoreUnavailable` or `DamagedLog` for what the database refuses.

    `IntegrityError` passes: what it means depends on what was tried.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.SQLAlchemyError as error:
        raise store_error(location, error) from error
    except driver.loaded_dbapi.Error as error:  # not every call goes through SQLAlchemy
        raise store_error(location, error) from error


def store_error(location: Location, error: Exception) -> StoreError:
    """Our error for what a driver said."""
    cause = getattr(error, "orig", None) or error
    told = first_line(error)
    damaged = isinstance(cause, sqlite3.DatabaseError) and (
        "malformed" in told or told.startswith("Could not decode")
    )
    if damaged:
        # SQLite's message quotes what it could not decode: that is somebody's text.
        return DamagedLog(f"{location}: the file is damaged ({told.partition(' column')[0]})")
    if "readonly database" in told:
        told = "it can only be read here: the file, its folder or the disk is not writable"
    return StoreUnavailable(f"{location}: {told}")


def first_line(error: Exception) -> str:
    """The driver's message, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
