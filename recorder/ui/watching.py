"""A session that grows, as server-sent events.

    id: 214
    event: grown
    data: {"last_seq":214,"at_ns":12500000000}

Laws:

1. That there is something new is told at most every `BEAT` seconds, and within two of them; what
   it is, a page asks when it can take it (`growth`), by the last event that it knows.
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

from .asking import json_answer
from .growths import closed_after, leased

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from recorder.sql.store import SqlStore

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


async def growth(ask: Ask) -> Response:
    """What is another than after an event."""
    name, after = ask.place["id"], ask.count("after", 0, 2**40)
    growths = ask.desk.sheets.growths
    if not growths.holds(name) and not await ask.work(growths.is_live, name):
        return json_answer({"again": True})
    found = await ask.work(growths.since, name, after)
    if found is None:
        return Response(204)
    return Response(200, (("Content-Type", "application/json"),), found)


async def _stream(ask: Ask, name: str, seq: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    with ask.desk.sheets.growths.following(name):
        look = _Look(ask.desk.store, name)
        spoke = asked = trio.current_time()
        is_live = await ask.work(look.is_live, ask.desk.now_ns())
        while is_live is not None:
            last, at_ns = await ask.work(look.end)
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
                is_live = await ask.work(look.is_live, ask.desk.now_ns())
            await trio.sleep(BEAT)
        yield told("removed", None, {})


class _Look:
    """Looks at a session again and again; only at what is new."""

    def __init__(self, store: SqlStore, name: str) -> None:
        self._store, self._name = store, name
        self._seen = self._closed = 0

    def is_live(self, now_ns: int) -> bool | None:
        """As of now; None where the session is gone."""
        try:
            last = self._store.last_seq(self._name)
            if not self._closed and last > self._seen:
                self._closed = closed_after(self._store, self._name, self._seen)
                self._seen = last
            return not self._closed and leased(Views(self._store, now_ns), self._name)
        except SessionNotFound:
            return None

    def end(self) -> tuple[int | None, int]:
        """Number and time of the last event; (None, 0) where the session is gone."""
        try:
            last = self._store.last_seq(self._name)
            found = self._store.read(self._name, after=last - 1, audio=False, limit=1)
            return last, next((event.at_ns for event in found), 0)
        except SessionNotFound:
            return None, 0
