"""A session that grows, as server-sent events.

    id: 214
    event: grown
    data: {"last_seq":214,"at_ns":12500000000}

Laws:

1. What is new is told at most every `BEAT` seconds, and within two of them; never its content:
   the page asks for the tiles that it needs.
2. The id is the number of the last event: a browser that was cut off goes on from there.
3. The last one says why it ends: `over` (with the status), or `removed`.
4. A client that left is noticed within `QUIET` seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
import trio

from recorder.errors import SessionNotFound
from recorder.sql.views import Views
from recorder.transport.http import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .asking import Ask

BEAT: Final = 0.2
QUIET: Final = 5.0
LEASE: Final = 2.0
"""How often it is asked whether the recorder is still there, and the session."""


def told(kind: str, seq: int | None, data: dict[str, Any]) -> bytes:
    """One event of the stream."""
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {kind}\ndata: {orjson.dumps(data).decode()}\n\n".encode()


async def live(ask: Ask) -> Response:
    """The stream of a session."""
    name = ask.place["id"]
    await ask.work(ask.desk.store.number, name)
    known = ask.request.header("Last-Event-ID") or ""
    after = int(known) if known.isascii() and known.isdigit() else ask.count("after", 0, 2**40)
    kind = (("Content-Type", "text/event-stream"),)
    return Response(200, kind, _stream(ask, name, after))


async def _stream(ask: Ask, name: str, seq: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    spoke = asked = trio.current_time()
    is_live = await ask.work(_is_live, ask, name)
    while is_live is not None:
        last, at_ns = await ask.work(_end, ask, name)
        now = trio.current_time()
        if last is None:
            break
        if last > seq:
            seq, spoke = last, now
            yield told("grown", seq, {"last_seq": seq, "at_ns": at_ns})
        elif not is_live:
            yield told("over", seq, {"last_seq": seq})
            return
        elif now - spoke > QUIET:
            spoke = now
            yield b": still here\n\n"
        if now - asked > LEASE or last > seq:
            asked = now
            is_live = await ask.work(_is_live, ask, name)
        await trio.sleep(BEAT)
    yield told("removed", None, {})


def _is_live(ask: Ask, name: str) -> bool | None:
    """As of now; None where the session is gone."""
    try:
        return Views(ask.desk.store, ask.desk.now_ns()).is_live(name)
    except SessionNotFound:
        return None


def _end(ask: Ask, name: str) -> tuple[int | None, int]:
    """Number and time of the last event; (None, 0) where the session is gone."""
    store = ask.desk.store
    try:
        last = store.last_seq(name)
        found = store.read(name, after=last - 1, audio=False, limit=1)
        return last, next((event.at_ns for event in found), 0)
    except SessionNotFound:
        return None, 0
