"""A query that is asked again and again: compiled once, given to the driver without ado.

SQLAlchemy takes about three times as long to ask for a row as SQLite takes to find it. So what a
page waits for goes past it: the words are still SQLAlchemy's, for every database alike.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from .faults import translated

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .store import SqlStore


class Direct:
    """One query with `bindparam`s. Its values come as the driver gives them."""

    def __init__(self, query: sa.Select[Any]) -> None:
        self._query = query
        self._compiled: dict[str, Any] = {}

    def first(self, store: SqlStore, **given: object) -> tuple[Any, ...] | None:
        """The first row. Raises `StoreUnavailable`, `DamagedLog`."""
        engine = store.engine
        compiled = self._compiled.get(engine.dialect.name)
        if compiled is None:
            compiled = self._compiled[engine.dialect.name] = self._query.compile(engine)
        values: Any = compiled.construct_params(given)
        if compiled.positiontup is not None:
            values = [values[name] for name in compiled.positiontup]
        with translated(store.location, engine.dialect), closing(engine.raw_connection()) as raw:
            cursor = raw.cursor()
            cursor.execute(compiled.string, values)
            row = cursor.fetchone()
        return None if row is None else tuple(row)
