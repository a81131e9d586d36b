"""The read model of pages: what the page of a session draws, cut into tiles.

Laws:

1. A tile is stored as it is sent: compressed JSON. Serving one is reading one row.
2. All tiles of a session are made together, from the same events, by whoever first asks; `page`
   says of what, and up to which event.
3. Of a session that grows nothing is stored.
"""

from __future__ import annotations

import hashlib
from functools import cache, partial
from importlib import metadata as packages
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from recorder.errors import StoreUnavailable

from .direct import Direct
from .entries import LAST_SEQ
from .outlines import version as outlines_version
from .read_models import ReadModel, upsert_later
from .schema import sessions
from .view_tables import metadata, stamps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import SqlStore

STEP: Final = 40
"""Tiles that are stored a transaction: about as many as can be written in a few milliseconds."""

SOURCES: Final = ("page", "tracks", "sql/tiles.py", "ui/making.py")
"""Code that has a say in what tiles hold, beside that of the outlines."""

tiles = sa.Table(
    "view_tiles",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True,
              autoincrement=False),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("tile", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)  # fmt: skip

tiles_read = sa.Table(
    "view_tiles_read",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True,
              autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
)  # fmt: skip
"""Up to which event the tiles of a session were made; written after them."""


class Key(NamedTuple):
    """Which tile of a session."""

    kind: str
    tile: int = 0


@cache
def version() -> str:
    """A digest of the code that has a say in what tiles hold."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256(outlines_version().encode())
    try:
        for place in (root / name for name in SOURCES):
            for file in sorted(place.rglob("*.py")) or [place]:
                digest.update(b"%s\0%s\0" % (file.name.encode(), file.read_bytes()))
    except OSError:  # installed without its sources
        return packages.version("realtime-recorder")
    return digest.hexdigest()[:16]


_FRESH: Final = Direct(
    sa.select(tiles.c.data)
    .join(sessions, sessions.c.number == tiles.c.number)
    .join(tiles_read, tiles_read.c.number == tiles.c.number)
    .where(sessions.c.id == sa.bindparam("id"))
    .where(tiles.c.kind == sa.bindparam("kind"), tiles.c.tile == sa.bindparam("tile"))
    .where(tiles_read.c.last_seq == LAST_SEQ)
    .where(sa.exists().where(stamps.c.name == "tiles", stamps.c.version == sa.bindparam("version")))
)


class TileStore:
    """The tiles that are stored."""

    def __init__(self, store: SqlStore) -> None:
        self.model = ReadModel(store, "tiles", version(), (tiles, tiles_read))

    def made_of(self, number: int) -> int | None:
        """Up to which event the tiles of this session were made; None: there are none."""
        query = sa.select(tiles_read.c.last_seq).where(tiles_read.c.number == number)
        rows = self.model.read(query)
        return int(rows[0][0]) if rows else None

    def fresh(self, session_id: str, key: Key) -> bytes | None:
        """A tile, compressed, if the tiles are of today's log and code; None: ask `made_of`.

        One query, because this is what a page that is opened waits for.
        """
        if not self.model.usable:
            return None
        given = {"id": session_id, "version": self.model.version, **key._asdict()}
        try:
            found = _FRESH.first(self.model.store, **given)
        except StoreUnavailable:  # another version of the code took the tables away
            return None
        return None if found is None else bytes(found[0])

    def keep(self, number: int, last_seq: int, made: Mapping[Key, bytes]) -> bool:
        """Store all tiles of a session in place of what there was; False if that cannot be."""
        if not self.model.write([number], _forget):
            return False
        left = list(made.items())
        for begin in range(0, len(left), STEP):
            some = left[begin : begin + STEP]
            if not self.model.write([number], partial(_put, some=some, number=number)):
                return False
        return self.model.write([number], partial(_done, last_seq=last_seq))


def _forget(connection: sa.Connection, existing: set[int]) -> None:
    for table in (tiles_read, tiles):
        connection.execute(sa.delete(table).where(table.c.number.in_(existing)))


def _put(
    connection: sa.Connection, existing: set[int], *, some: list[tuple[Key, bytes]], number: int
) -> None:
    if number not in existing:
        return
    rows = [{"number": number, "kind": key.kind, "tile": key.tile, "data": data}
            for key, data in some]  # fmt: skip
    connection.execute(sa.insert(tiles), rows)


def _done(connection: sa.Connection, existing: set[int], *, last_seq: int) -> None:
    for number in existing:
        upsert_later(connection, tiles_read, {"number": number, "last_seq": last_seq})
