"""A session that another program recorded, as it enters the log.

Messages go through `recorder.recording.Recorder` like those that we record ourselves: redacted,
split, numbered. The first event is a `recorder.opened` that says `imported` and what is known of
its times; where there are none, it says `"times": "none"`, every event is at 0, and whatever
needs a time is N/A.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..events import TEXT, Event, Origin, Session
from ..recording import Recorder
from ..secrets import redact_headers, redact_text, redact_url
from .times import NONE

if TYPE_CHECKING:
    from .nouns import Asked, Item

VANTAGE: Final = "imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file tells of one session, beside its messages."""

    format: str
    """A name of the table of importers."""
    times: str = NONE
    """How they are read, in words; `none` where there are none."""
    text: str = ""
    """`exact`: messages stood as text. `parsed`: as JSON, which may have been written anew."""
    wall_ns: int | None = None
    url: str = ""
    model: str = ""
    headers: Sequence[tuple[str, str]] = ()


class Entry:
    """One session on its way into the log."""

    def __init__(self, asked: Asked, found: Found) -> None:
        self._asked, self._found = asked, found
        wall_ns = asked.wall_ns if found.wall_ns is None else found.wall_ns
        labels = {"imported_from": redact_text(asked.name, asked.secrets)[0]}
        labels |= {"format": found.format, "times": found.times, "text": found.text}
        self.session = Session(
            id=asked.new_id(wall_ns),
            wall_ns=wall_ns,
            mono_ns=0,
            vantage=VANTAGE,
            url=redact_url(found.url, asked.secrets)[0],
            model=asked.model or found.model,
            call=asked.call,
            headers=redact_headers(found.headers, asked.secrets)[0],
            versions=asked.versions,
            labels={name: label for name, label in labels.items() if label},
        )
        self._recorder = Recorder(self.session, known_secrets=asked.secrets)
        self.lifted = 0
        """Events whose time lay before that of the event before them."""
        self.last_ns = 0

    def begin(self) -> Iterator[Item]:
        """The session and its first event."""
        session = self.session
        yield session
        yield self.note(
            "opened",
            0,
            url=session.url,
            model=session.model,
            call=session.call,
            tags=list(self._asked.tags),
            capture=session.capture,
            vantage=session.vantage,
            times=self._found.times,
        )

    def message(self, origin: Origin, at_ns: int, payload: bytes, opcode: int = TEXT) -> Event:
        """A message that passed."""
        self.lifted += at_ns < self.last_ns
        self.last_ns = max(at_ns, self.last_ns)
        event = self._recorder.admit(origin, at_ns, payload, opcode, room=sys.maxsize)
        assert event is not None
        return event

    def note(self, kind: str, at_ns: int, **fields: Any) -> Event:
        """A fact of our own."""
        return self._recorder.note(kind, at_ns, fields)
