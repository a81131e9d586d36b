"""What the page of a session draws, made from its log: facts, outlines of the sound, states.

Laws:

1. The facts and outlines are those of the exported page (`recorder.page`), cut into tiles.
2. Nothing here is about the time at which it is asked: whether a session is live, or was
   interrupted, is said by `calls.now`.
"""

from __future__ import annotations

import base64
import gzip
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from recorder.errors import RecorderError
from recorder.exporters import Source
from recorder.page import facts, log, sound, states
from recorder.projections.findings import with_interruption
from recorder.projections.metrics import METRICS, PARTS, QUALITIES
from recorder.sql.outlines import outcome
from recorder.sql.tiles import Key
from recorder.tracks import lay_out, stereo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recorder.events import Event, Session
    from recorder.store import EventStore
    from recorder.tracks import Layout

BINS: Final = 4096
"""Of an outline in a tile."""

MARK: Final = 64
"""Events between two that the facts say the time of."""

LEVEL: Final = 4
"""Of compression: a higher one takes longer than the rest of the making."""


class Made(NamedTuple):
    """All tiles of one session, compressed."""

    last_seq: int
    tiles: dict[Key, bytes]


class Damaged(RecorderError):
    """The session cannot be analysed."""


def packed(value: object) -> bytes:
    """Compressed JSON."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return gzip.compress(text, LEVEL, mtime=0)


def made_of(store: EventStore, session: Session, last_seq: int) -> Made:
    """Fold a session up to this event. Raises `SessionNotFound`, `StoreUnavailable`, `Damaged`."""

    def events(audio: bool) -> Iterator[Event]:
        return store.read(session.id, until=last_seq, audio=audio)

    call = Source(session, events)
    try:
        return Made(last_seq, _tiles(call, last_seq))
    except RecorderError:
        raise
    except Exception as error:
        # One session that our own code cannot cope with must not take the server along.
        raise Damaged(
            f"session {session.id} cannot be analysed ({type(error).__name__}); its events can "
            "still be read: recorder events, recorder db verify"
        ) from error


def _tiles(call: Source, last_seq: int) -> dict[Key, bytes]:
    found: dict[Key, bytes] = {}
    layout = lay_out(call.events)
    heard = _outlines(call, layout)
    levels = []
    for level, (step, channels) in enumerate(heard.levels):
        count = max(len(low) for low, _ in channels.values())
        levels.append({"step": step, "bins": count})
        for tile in range(-(-count // BINS)):
            found[Key(f"peaks-{level}", tile)] = packed(_cut(channels, tile))
    told = facts.told(call, None)
    told[1] = ["sound", heard.about()]
    count = 0
    for tile, rows in enumerate(states.blocks(call)):
        found[Key("states", tile)] = packed(rows)
        count = tile + 1
    summary = call.told("summary")
    told_now = {"outcome": outcome(call.session, summary), "tags": summary.tags}
    found[Key("now")] = packed(told_now)
    found[Key("facts")] = packed(
        {
            "last_seq": last_seq,
            "parts": told,
            "words": {"metrics": METRICS | QUALITIES, "parts": PARTS},
            "outlines": {"bins": BINS, "levels": levels},
            "states": count,
            "log": _marks(call, last_seq),
            "interrupted": with_interruption((), summary)[0],
        }
    )
    return found


# ---- sound


class _Heard(NamedTuple):
    samples: int
    levels: list[tuple[int, dict[str, tuple[Any, Any]]]]

    def about(self) -> dict[str, object] | None:
        if not self.levels:
            return None
        return {"form": "wav", "kind": "audio/wav", "rate": sound.RATE, "samples": self.samples,
                "marks": [], "lossy": False}  # fmt: skip


def _outlines(call: Source, layout: Layout) -> _Heard:
    """The outlines by level: the lows and highs of each channel."""
    if not (layout.has_user or layout.has_assistant):
        return _Heard(0, [])
    left, right, samples = sound.Outline(), sound.Outline(), 0
    for block in sound.watched(stereo(call.events, layout, sound.RATE), left, right):
        samples += len(block)
    outlines = {"user": left, "assistant": right, "unheard": sound.unheard(call, layout)}
    levels: dict[int, dict[str, tuple[Any, Any]]] = {}
    for name, outline in outlines.items():
        for step, low, high in outline.levels():
            levels.setdefault(step, {})[name] = (low, high)
    return _Heard(samples, list(levels.items()))


def _cut(channels: dict[str, tuple[Any, Any]], tile: int) -> dict[str, dict[str, str]]:
    """A tile of a level; a channel that is still throughout is left out."""
    told = {}
    for name, (low, high) in channels.items():
        some = low[tile * BINS : (tile + 1) * BINS], high[tile * BINS : (tile + 1) * BINS]
        if any(each.any() for each in some):
            told[name] = {"low": _text(some[0]), "high": _text(some[1])}
    return told


def _text(values: Any) -> str:
    return base64.b64encode(values.tobytes()).decode()


# ---- events


def _marks(call: Source, last_seq: int) -> dict[str, object]:
    """Where in time the events lie, before any of them is loaded: of every `MARK` events when the
    first of them was (microseconds since the one before), how many are the client's, and how many
    the server's."""
    times, client, server = [0], [], []
    first = 1
    for number, event in enumerate(call.events(False)):
        if number == 0:
            first = event.seq
        if number % MARK == 0:
            times.append(event.at_ns // 1000)
            client.append(0)
            server.append(0)
        client[-1] += event.origin == 0
        server[-1] += event.origin == 1
    return {
        "first": first,
        "last_seq": last_seq,
        "block": log.BLOCK,
        "mark": MARK,
        "at_us": [after - before for before, after in pairwise(times)],
        "client": client,
        "server": server,
    }


def log_tile(store: EventStore, session_id: str, tile: int) -> log.Lines | None:
    """A tile of the log, read now; None where there is none."""
    after = tile * log.BLOCK
    found = list(store.read(session_id, after=after, until=after + log.BLOCK, audio=False))
    if not found:
        return None
    formats = log.Formats()
    if after:
        for event in _configured(store, session_id, after):
            formats.length(event, 0)
    return log.block(found, formats)


_CONFIGURING: Final = ("session.created", "session.updated", "session.update")


def _configured(store: EventStore, session_id: str, until: int) -> Iterable[Event]:
    return store.read(session_id, until=until, audio=False, types=_CONFIGURING)
