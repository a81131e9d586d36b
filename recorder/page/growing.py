"""What the page of a call draws while the call grows: folds that are kept, and fed what is new.

    growing = Growing(session)
    growing.feed(events)           # with their audio, in order, as many at a time as one likes
    growing.grow()                 # take the results
    growing.tile("facts", 0)       # what is drawn, compressed
    growing.since(214)             # what is another than after event 214

Laws:

1. What is shown after any number of growths is what one fold of the whole log gives.
2. An event is read once, and its audio is looked at once.
3. What was not changed by a growth is neither told nor packed again.
4. Memory grows with what was said and how often, not with the audio: a few bytes for every event
   and for every bin of the outlines.
"""

from __future__ import annotations

import base64
import gzip
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..projections.analysis import Analyser
from ..projections.base import Together
from ..projections.findings import with_interruption
from ..projections.metrics import METRICS, PARTS, QUALITIES
from ..tracks import layout_of
from . import facts, log, sound, states
from .placed import Outlines, coarse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..events import Event, Session
    from ..projections.analysis import Analysis
    from ..projections.model import Summary
    from ..sharing import Sharing

BINS: Final = 8192
"""Of an outline in a tile: an hour across a window is one."""
MARK: Final = 64
"""Events between two that the facts say the time of."""
LEVEL: Final = 4
"""Of compression: a higher one takes longer than the rest of the making."""
REMEMBERED: Final = 512
"""Growths of which it is known where they changed the outlines."""
TAIL: Final = BINS
"""Bins that are told with a growth; whoever lacks more loads tiles again."""


def text_of(value: object) -> bytes:
    """JSON, as the page reads it."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def packed(text: bytes) -> bytes:
    """Compressed."""
    return gzip.compress(text, LEVEL, mtime=0)


class Growing:
    """A call that may still grow."""

    def __init__(self, session: Session, *, drawn_only: bool = False) -> None:
        """With `drawn_only` there is neither a state in it, nor what `since` tells of the log: of a
        call that is over those are made by somebody else (`states_of`), at the same time."""
        self.last_seq = 0
        """Of the last event that was fed."""
        self._session = session
        self._analyser = Analyser()
        self._outlines = Outlines(self._analyser.inputs, self._analyser.playback)
        drawn = (self._outlines.user, self._outlines.assistant)
        self._take = Together(self._analyser, *drawn).taker()
        self._marks, self._log = _Marks(), None if drawn_only else _Log()
        self._states = _Counted() if drawn_only else States()
        self._rows: dict[str, _Rows] = {}
        self._values: dict[str, object] = {}
        self._changes: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._packed: dict[tuple[str, int], bytes] = {}
        self.summary: Summary | None = None
        """As of the last growth."""

    def feed(self, events: list[Event]) -> None:
        """Take the next events."""
        if events:
            self._take(events)
            self._marks.take(events)
            if self._log is not None:
                self._log.take(events)
            self._states.take(events)
            self.last_seq = events[-1].seq

    def grow(self) -> None:
        """Take the results."""
        call = Told(self._session, self._analyser.analysis())
        layout = layout_of(call.analysis)
        begin = self._outlines.draw(layout)
        self._changes.append((self.last_seq, begin))
        for part in facts.parts(call):
            self._rows.setdefault(part.name, _Rows()).update(part, self.last_seq)
        self.summary = call.analysis.summary
        self._values = {
            "about": facts.about(call),
            "sound": self._sound(),
            "interrupted": with_interruption((), self.summary)[0],
        }
        self._forget(begin)

    def _sound(self) -> dict[str, object] | None:
        if not self._outlines.samples:
            return None
        return {"form": "wav", "kind": "audio/wav", "rate": sound.RATE,
                "samples": self._outlines.samples, "marks": [], "lossy": False}  # fmt: skip

    def _forget(self, begin: int) -> None:
        """Tiles that are others now are packed again when they are asked for."""
        firsts = {f"peaks-{n}": coarse(begin, n) // BINS for n in range(sound.LEVELS)}
        gone = [(kind, tile) for kind, tile in self._packed if tile >= firsts.get(kind, 0)]
        for key in gone:
            del self._packed[key]

    # ---- tiles

    def tiles(self) -> Iterator[tuple[str, int]]:
        """All that there are."""
        yield "facts", 0
        for level, (_, bins) in enumerate(self._outlines.levels()):
            yield from ((f"peaks-{level}", tile) for tile in range(-(-bins // BINS)))
        yield from (("states", tile) for tile in range(self._states.tiles))

    def tile(self, kind: str, tile: int) -> bytes | None:
        """A tile, compressed; None where there is none."""
        if kind == "states":
            return self._states.tile(tile)
        if (kind, tile) not in self._packed:
            name, _, level = kind.partition("-")
            text = self._facts() if kind == "facts" else None
            if name == "peaks":
                text = self._peaks(int(level), tile)
            if text is None:
                return None
            self._packed[kind, tile] = packed(text)
        return self._packed[kind, tile]

    def _peaks(self, level: int, tile: int) -> bytes | None:
        levels = list(self._outlines.levels())
        first = tile * BINS
        if level >= len(levels) or first >= levels[level][1]:
            return None
        return text_of(self._cut(level, first, first + BINS))

    def _cut(self, level: int, first: int, last: int) -> dict[str, dict[str, str]]:
        sides = self._outlines.between(level, first, last)
        return {name: {"low": _base64(low), "high": _base64(high)}
                for name, (low, high) in sides.items()}  # fmt: skip

    def _facts(self) -> bytes:
        rows = b"".join(
            b',["%s",%s]' % (name.encode(), rows.text()) for name, rows in self._rows.items()
        )
        head = b'["about",%s],["sound",%s]' % (
            text_of(self._values["about"]),
            text_of(self._values["sound"]),
        )
        rest = {
            "words": {"metrics": METRICS | QUALITIES, "parts": PARTS},
            "outlines": self._levels(),
            "states": self._states.tiles,
            "log": self._marks.told(self.last_seq),
            "interrupted": self._values["interrupted"],
        }
        start = b'{"last_seq":%d,"parts":[%s%s],' % (self.last_seq, head, rows)
        return start + text_of(rest)[1:]

    def _levels(self) -> dict[str, object]:
        levels = [{"step": step, "bins": bins} for step, bins in self._outlines.levels()]
        return {"bins": BINS, "levels": levels}

    # ---- growth

    def since(self, seq: int) -> bytes:
        """What is another than after this event, as JSON.

        `parts`: by name how many rows there are, and those that changed, each with its place.
        `outlines`: from which bin on they are others; `tail` is what stands there, None where
        that is too much. `states` and `events`: those that came, None where they are too many:
        then the page loads their tiles again.
        """
        rest = {
            "about": self._values["about"],
            "sound": self._values["sound"],
            "interrupted": self._values["interrupted"],
            "outlines": {**self._levels(), **self._tail(seq)},
            "states": {"tiles": self._states.tiles, "rows": self._states.since(seq)},
            "log": self._marks.told(self.last_seq, seq),
            "events": self._log and self._log.since(seq),
        }
        parts = b",".join(
            b'"%s":%s' % (name.encode(), rows.since(seq)) for name, rows in self._rows.items()
        )
        start = b'{"since":%d,"last_seq":%d,"parts":{%s},' % (seq, self.last_seq, parts)
        return start + text_of(rest)[1:]

    def _tail(self, seq: int) -> dict[str, object]:
        """From which bin on the outlines are others than after this event, and how they are."""
        known = bool(self._changes) and self._changes[0][0] <= seq
        begin = min((bins for at, bins in self._changes if at > seq), default=1 << 62)
        begin = begin if known else 0
        levels = list(self._outlines.levels())
        if not levels or levels[0][1] - begin > TAIL:
            return {"from": begin if levels else 0, "tail": None}
        begin = min(begin, levels[0][1])
        tail = [self._cut(n, coarse(begin, n), bins) for n, (_, bins) in enumerate(levels)]
        return {"from": begin, "tail": tail}


class Told:
    """What is said of a call, for `facts`."""

    sharing: Sharing | None = None

    def __init__(self, session: Session, analysis: Analysis) -> None:
        self.session, self.analysis = session, analysis

    def told(self, name: str) -> Any:
        """One part of it."""
        return getattr(self.analysis, name)


def _base64(values: Any) -> str:
    return base64.b64encode(values.tobytes()).decode()


# ---- lists of which few rows change


class _Rows:
    """A list, told row by row."""

    def __init__(self) -> None:
        self._found: list[Any] = []
        self._texts: list[bytes] = []
        self._stamps: list[int] = []
        """Up to which event the log had come when a row was told last."""

    def update(self, part: facts.Part, seq: int) -> None:
        """Tell those rows anew that are others than before."""
        known = self._found
        del known[len(part.found) :], self._texts[len(part.found) :]
        del self._stamps[len(part.found) :]
        for row, found in enumerate(part.found):
            if row < len(known) and (known[row] is found or known[row] == found):
                continue
            text = text_of(found if part.row is None else part.row(found))
            if row < len(known):
                known[row], self._texts[row], self._stamps[row] = found, text, seq
            else:
                known.append(found)
                self._texts.append(text)
                self._stamps.append(seq)

    def text(self) -> bytes:
        """All of it."""
        return b"[%s]" % b",".join(self._texts)

    def since(self, seq: int) -> bytes:
        """What was told after this event."""
        rows = b",".join(
            b"[%d,%s]" % (row, self._texts[row])
            for row, stamp in enumerate(self._stamps)
            if stamp > seq
        )
        return b'{"count":%d,"rows":[%s]}' % (len(self._texts), rows)


# ---- the log


class _Marks:
    """Where in time the events lie, before any of them is loaded."""

    def __init__(self) -> None:
        self._first = 1
        self._count = 0
        self._at_us: list[int] = []
        """Since the one before."""
        self._last_us = 0
        self._client: list[int] = []
        self._server: list[int] = []

    def take(self, events: list[Event]) -> None:
        """The next events."""
        if not self._count:
            self._first = events[0].seq
        for event in events:
            if self._count % MARK == 0:
                at_us = event.at_ns // 1000
                self._at_us.append(at_us - self._last_us)
                self._last_us = at_us
                self._client.append(0)
                self._server.append(0)
            self._count += 1
            self._client[-1] += event.origin == 0
            self._server[-1] += event.origin == 1

    def told(self, last_seq: int, since: int = 0) -> dict[str, object]:
        """Of every `MARK` events when the first of them was (microseconds since the one before),
        how many are the client's, and how many the server's; from the mark on that holds event
        `since`."""
        row = max(since - self._first, 0) // MARK
        return {
            "first": self._first,
            "last_seq": last_seq,
            "block": log.BLOCK,
            "mark": MARK,
            "from": row,
            "at_us": self._at_us[row:],
            "client": self._client[row:],
            "server": self._server[row:],
        }


class _Log:
    """The last two tiles of the log, for those who have all before."""

    def __init__(self) -> None:
        self._formats = log.Formats()
        self._tiles: deque[tuple[int, log.Filling]] = deque(maxlen=2)

    def take(self, events: list[Event]) -> None:
        """The next events."""
        begin = 0
        while begin < len(events):
            tile = (events[begin].seq - 1) // log.BLOCK
            end = begin + (tile + 1) * log.BLOCK - events[begin].seq + 1
            if not self._tiles or self._tiles[-1][0] != tile:
                self._tiles.append((tile, log.Filling(self._formats)))
            self._tiles[-1][1].take(events[begin:end])
            begin = end

    def since(self, seq: int) -> list[dict[str, object]] | None:
        """The events after this one, by tiles; None where they are more than are kept."""
        if not self._tiles or self._tiles[0][1].first > seq + 1:
            return None
        found = []
        for tile, filling in self._tiles:
            row = max(seq + 1 - filling.first, 0)
            if row < len(filling):
                columns, messages = filling.lines(row)
                known = filling.messages - len(messages)
                found.append({"tile": tile, **columns, "known": known, "messages": messages})
        return found


class _Counted:
    """How many tiles of states there are, without making them."""

    def __init__(self) -> None:
        self._rows = 0

    @property
    def tiles(self) -> int:
        """How many there are."""
        return -(-self._rows // states.BLOCK)

    def take(self, events: list[Event]) -> None:
        """The next events."""
        self._rows += sum(not states.is_one_of_many(event.type) for event in events)

    def tile(self, _tile: int) -> None:
        """There is none here."""

    def since(self, _seq: int) -> None:
        """Nobody can be told."""


class States:
    """The states, in tiles of which only the last is not whole."""

    def __init__(self) -> None:
        self._rows = states.Rows()
        self._whole: list[bytes] = []
        self._open: list[bytes] = []
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=states.BLOCK)
        self._seq = 0

    @property
    def tiles(self) -> int:
        """How many there are."""
        return len(self._whole) + bool(self._open)

    def take(self, events: list[Event]) -> None:
        """The next events."""
        for row in self._rows.take(events):
            text = text_of(row)
            self._open.append(text)
            self._recent.append((int(str(row["seq"])), text))
            if len(self._open) == states.BLOCK:
                self._whole.append(packed(b"[%s]" % b",".join(self._open)))
                self._open = []

    def tile(self, tile: int) -> bytes | None:
        """The rows of a tile, compressed."""
        if tile < len(self._whole):
            return self._whole[tile]
        return packed(b"[%s]" % b",".join(self._open)) if tile < self.tiles else None

    def since(self, seq: int) -> list[object] | None:
        """Those after this event; None where they are more than are kept."""
        if len(self._recent) == self._recent.maxlen and self._recent[0][0] > seq:
            return None
        return [orjson.Fragment(text) for at, text in self._recent if at > seq]
