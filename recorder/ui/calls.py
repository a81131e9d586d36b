"""The API of one session: facts and tiles. Everything is read when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recorder.sql.entries import entry_of, status_of
from recorder.sql.tiles import Key
from recorder.sql.views import Views
from recorder.transport.http import Response

from .asking import json_answer, whole, wrong
from .making import log_tile
from .sheets import unpacked

if TYPE_CHECKING:
    from .asking import Ask

MOST: Final = 1_000_000
"""The highest number of a tile that can be asked for."""

_HEADERS: Final = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))


def _id(ask: Ask) -> str:
    return ask.place["id"]


async def about(ask: Ask) -> Response:
    """The facts of a session."""
    known = ask.count("seq", 0, 2**40) if "seq" in ask.given else None
    found = await ask.work(ask.desk.sheets.tile, _id(ask), Key("facts"), known)
    return Response(204) if found is None else await _sent(ask, found)


async def now(ask: Ask) -> Response:
    """What is so at this moment."""
    return json_answer(await ask.work(_now, ask))


def _now(ask: Ask) -> dict[str, Any]:
    """Nothing is folded here that the tiles are not made with anyway."""
    desk, name = ask.desk, _id(ask)
    told = unpacked(desk.sheets.tile(name, Key("now")) or b"")
    entry, now_ns = entry_of(desk.store, name), desk.now_ns()
    recorded = entry.lease_ns is not None and entry.lease_ns > now_ns
    return {
        "id": name,
        "status": status_of(entry, told["outcome"], now_ns),
        "live": recorded and Views(desk.store, now_ns).is_live(name),
        "tags": told["tags"],
        "last_seq": entry.last_seq,
    }


async def peaks(ask: Ask) -> Response:
    """A tile of the outlines."""
    level = whole("level", ask.place["level"], 9)
    return await _tile(ask, f"peaks-{level}")


async def states(ask: Ask) -> Response:
    """A tile of the states."""
    return await _tile(ask, "states")


async def _tile(ask: Ask, kind: str) -> Response:
    tile = whole("tile", ask.place["tile"], MOST)
    found = await ask.work(ask.desk.sheets.tile, _id(ask), Key(kind, tile))
    return wrong(404, "there is no such tile") if found is None else await _sent(ask, found)


async def _sent(ask: Ask, packed: bytes) -> Response:
    if "gzip" in (ask.request.header("Accept-Encoding") or ""):
        return Response(200, _HEADERS, packed)
    import gzip

    plain = await ask.work(gzip.decompress, packed)
    return Response(200, _HEADERS[:1], plain)


async def events(ask: Ask) -> Response:
    """A tile of the log."""
    return await _log(ask, "columns")


async def messages(ask: Ask) -> Response:
    """The messages of a tile of the log."""
    return await _log(ask, "messages")


async def _log(ask: Ask, part: str) -> Response:
    tile = whole("tile", ask.place["tile"], MOST)
    lines = await ask.work(log_tile, ask.desk.store, _id(ask), tile)
    if lines is None:
        return wrong(404, "there is no such tile")
    return json_answer(getattr(lines, part))
