"""The events of a session as a table: CSV for spreadsheets, a row an event, no content.

Laws:

1. Fields are quoted by RFC 4180; lines end in CR LF; UTF-8 without a mark.
2. No cell begins with a character that a spreadsheet takes for the start of a formula: such a
   text gets a `'` in front (OWASP, CSV injection). Control characters become spaces.
3. Times are milliseconds since the session was opened, exact to the nanosecond. An empty cell is
   N/A, never 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .. import wire
from ..dialects import decode
from ..dialects.facts import (
    AudioDelta,
    ErrorSeen,
    InputAppended,
    Opened,
    ResponseCreated,
    ResponseDone,
    SessionAsked,
    SessionStated,
)
from ..dialects.reading import mapping, text
from ..projections.formats import FormatsInForce
from ..sharing import message_bytes
from .base import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..audio.formats import AudioFormat
    from ..dialects.facts import Fact
    from ..events import Event
    from .base import Source

COLUMNS: Final = (
    "session", "seq", "at_ms", "origin", "type", "opcode", "bytes", "audio_bytes", "audio_ms",
    "event_id", "response_id", "item_id", "previous_item_id", "call_id", "status", "code",
    "redacted", "missing",
)  # fmt: skip

_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20|%]")
_QUOTED: Final = re.compile(r'[",;\t\r\n]|^ | $')


def cell(value: str) -> str:
    """The text as a cell: on one line, no formula, quoted where it must be."""
    if not value:
        return ""
    clean = value
    if not value.isprintable():
        clean = "".join(c if c.isprintable() else " " for c in value)
    if _FORMULA.match(clean):
        clean = f"'{clean}"
    return '"' + clean.replace('"', '""') + '"' if _QUOTED.search(clean) else clean


def milliseconds(ns: int) -> str:
    """Exactly, without digits that say nothing: 1.5, 20, 0.000001."""
    whole, rest = divmod(ns, 1_000_000)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def rows(sources: Iterable[Source]) -> Iterator[bytes]:
    """The table, a line a piece."""
    yield _line(COLUMNS)
    for source in sources:
        name, lengths = source.session.id, _Lengths()
        for event in source.events(False):
            yield _line(_row(name, event, lengths))


write = pieces(rows)


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(cells) + "\r\n").encode()


def _row(session: str, event: Event, lengths: _Lengths) -> Iterator[str]:
    audio, fact, body = wire.audio_bytes(event), decode(event), wire.parse(event)
    length = lengths.of(fact)
    stone = wire.tombstone(event) or {}
    at_ms = milliseconds(event.at_ns) if lengths.timed else ""
    yield from (session, str(event.seq), at_ms, event.origin.name.lower())
    yield from (cell(event.type), str(event.opcode), str(message_bytes(event)))
    yield "" if audio is None else str(audio)
    yield "" if length is None else milliseconds(length)
    yield from map(cell, _ids(body))
    yield cell("; ".join(wire.redacted(event)))
    yield cell(str(stone.get("reason", "")))


def _ids(body: dict[str, Any]) -> Iterator[str]:
    item, response, error = (mapping(body, name) for name in ("item", "response", "error"))
    code = error.get("code", body.get("code"))
    yield text(body, "event_id")
    yield text(body, "response_id") or text(response, "id")
    yield text(body, "item_id") or text(item, "id")
    yield text(body, "previous_item_id")
    yield text(body, "call_id") or text(item, "call_id")
    yield text(response, "status") or text(item, "status")
    yield str(code) if isinstance(code, str | int) else ""


class _Lengths:
    """How long the audio of a message lasts, in the format that is in force."""

    def __init__(self) -> None:
        self.timed = True
        """The events have times."""
        self._formats = FormatsInForce()
        self._of_responses: dict[str, AudioFormat] = {}

    def of(self, fact: Fact) -> int | None:
        """Nanoseconds; None for a message that streams no audio."""
        match fact:
            case InputAppended(size=size):
                return self._formats.input.ns_of_bytes(size)
            case AudioDelta(response=response, size=size):
                form = self._of_responses.get(response, self._formats.output)
                return form.ns_of_bytes(size)
            case Opened():
                self.timed = fact.timed
            case SessionAsked():
                self._formats.asked(fact)
            case SessionStated():
                self._formats.stated(fact)
            case ErrorSeen():
                self._formats.refused(fact)
            case ResponseCreated(response=body) | ResponseDone(response=body) if body.format:
                self._of_responses[body.id] = body.format
            case _:
                pass
        return None
