"""What a session was, at a glance; reads no audio and asks no clock.

Whether a session without a close is live or interrupted is not in its events: whoever knows
the recorder's lease decides that from `closed` and `handshake`.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from .. import wire
from ..audio.formats import AudioFormat
from ..dialects import SessionConfig, dialect_of
from ..dialects.facts import (
    ArgumentsDone,
    AudioDelta,
    Closed,
    ErrorSeen,
    Gap,
    Handshake,
    InputAppended,
    InputCommitted,
    ItemAsked,
    Note,
    Opened,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    SessionAsked,
    SessionStated,
    Tagged,
    Unknown,
)
from ..events import Origin
from ..store import APPEND
from .base import Fold, Looks, Part, Together, in_runs, on
from .calls import CALL_TYPES
from .formats import FormatsInForce
from .model import Closing, GapNote, Handshaken, NoteTaken, Summary
from .troubles import Troubles
from .usage import Usage

if TYPE_CHECKING:
    from ..events import Event
    from .base import Chunks


_ORIGIN_AND_TYPE: Final = itemgetter(2, 3)


class _Counting(Part):
    """Counts every event by origin and type."""

    def __init__(self) -> None:
        super().__init__()
        self.every = (Looks(self._count, self._count_appends),)
        self.types: tuple[Counter[str], Counter[str], Counter[str]] = (
            Counter(),
            Counter(),
            Counter(),
        )
        self.redactions: Counter[str] = Counter()
        self.tombstones: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.last_seq = 0
        self.last_ns = 0

    def _count(self, events: list[Event]) -> None:
        for (origin, kind), count in Counter(map(_ORIGIN_AND_TYPE, events)).items():
            self.types[origin][kind] += count
        self._passed(events[-1].seq, events[-1].at_ns)
        for event in events:
            if (meta := event[6]) is not None and meta[-3:] != "]]}":  # more than cuts in it
                self._count_what_is_missing(event)

    def _count_appends(self, run: Chunks) -> None:
        self.types[Origin.CLIENT][APPEND] += len(run)
        self._passed(run.seqs[-1], run.times[-1])

    def _passed(self, seq: int, at_ns: int) -> None:
        self.last_seq, self.last_ns = max(self.last_seq, seq), max(self.last_ns, at_ns)

    def _count_what_is_missing(self, event: Event) -> None:
        self.redactions.update(wire.redacted(event))
        if stone := wire.tombstone(event):
            self.tombstones[str(stone.get("reason", ""))] += 1

    @on(Unknown)
    def _unknown(self, event: Event, fact: Unknown) -> None:
        self.unknown[fact.type] += 1

    def dialect(self) -> str:
        """By the names that the server used, else by the client's."""
        for origin in (Origin.SERVER, Origin.CLIENT):
            seen = {dialect_of(kind) for kind in self.types[origin]} - {""}
            if seen:
                return "mixed" if len(seen) > 1 else seen.pop()
        return ""


class _Own(Part):
    """What the recorder wrote down: opening, handshake, close, gaps, notes, tags."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Opened | None = None
        self.handshake: Handshaken | None = None
        self.closed: Closing | None = None
        self.gaps: list[GapNote] = []
        self.notes: list[NoteTaken] = []
        self.tags: dict[str, None] = {}

    @on(Opened)
    def _opened(self, event: Event, fact: Opened) -> None:
        self.opened = fact
        self.tags.update(dict.fromkeys(fact.tags))

    @on(Handshake)
    def _shaken(self, event: Event, fact: Handshake) -> None:
        headers = {name.lower(): value for name, value in fact.headers}
        self.handshake = Handshaken(
            event.seq,
            event.at_ns,
            fact.status,
            fact.reason,
            fact.subprotocol,
            headers.get("x-request-id", ""),
            fact.error,
        )

    @on(Closed)
    def _ended(self, event: Event, fact: Closed) -> None:
        self.closed = Closing(event.seq, event.at_ns, *fact)

    @on(Gap)
    def _gap(self, event: Event, fact: Gap) -> None:
        note = GapNote(
            event.seq, event.at_ns, fact.events, fact.size, fact.first_ns, fact.last_ns, fact.why
        )
        self.gaps.append(note)

    @on(Note)
    def _note(self, event: Event, fact: Note) -> None:
        at_ns = event.at_ns if fact.at_ns is None else fact.at_ns
        self.notes.append(NoteTaken(event.seq, at_ns, fact.text))

    @on(Tagged)
    def _tagged(self, event: Event, fact: Tagged) -> None:
        self.tags.update(dict.fromkeys(fact.add))
        for tag in fact.remove:
            self.tags.pop(tag, None)


class _Hearing(Part):
    """The user's audio, counted by format."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: Counter[AudioFormat] = Counter()
        self._formats = FormatsInForce()

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        self._formats.asked(fact)

    @on(SessionStated)
    def _stated(self, event: Event, fact: SessionStated) -> None:
        self._formats.stated(fact)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        self._formats.refused(fact)

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        self.sizes[self._formats.input] += sum(run.sizes)


class _Talk(Part):
    """Configuration, turns, responses, calls and the assistant's audio, counted."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SessionConfig()
        self.asked = SessionConfig()
        self.shapes: set[str] = set()
        self.user_turns = 0
        self._committed_items: set[str] = set()
        self.responses: dict[str, str] = {}
        self.calls: set[str] = set()
        self.spoken: Counter[AudioFormat] = Counter()
        self.formats = FormatsInForce()
        self._response_formats: dict[str, AudioFormat] = {}

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        self.asked = self.asked.merged(fact.config)
        self.formats.asked(fact)

    @on(SessionStated)
    def _stated(self, event: Event, fact: SessionStated) -> None:
        self.config = self.config.merged(fact.config)
        self.formats.stated(fact)
        self.shapes |= _shapes(fact.config.raw)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        self.formats.refused(fact)

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        form = self._response_formats.get(fact.response, self.formats.output)
        self.spoken[form] += fact.size

    @on(InputCommitted)
    def _committed(self, event: Event, fact: InputCommitted) -> None:
        self.user_turns += not fact.item or fact.item not in self._committed_items
        self._committed_items.add(fact.item)

    @on(ItemAsked)
    def _item(self, event: Event, fact: ItemAsked) -> None:
        self.user_turns += fact.item.role == "user"

    @on(ResponseCreated)
    def _created(self, event: Event, fact: ResponseCreated) -> None:
        body = fact.response
        self.responses.setdefault(body.id or f"@{event.seq}", "in_progress")
        if body.format is not None:
            self._response_formats[body.id] = body.format

    @on(ResponseDone)
    def _done(self, event: Event, fact: ResponseDone) -> None:
        body = fact.response
        name = body.id or self._latest_open() or f"@{event.seq}"
        self.responses[name] = body.status or "completed"

    def _latest_open(self) -> str:
        pairs = reversed(self.responses.items())
        return next((name for name, status in pairs if status == "in_progress"), "")

    @on(ArgumentsDone)
    def _arguments(self, event: Event, fact: ArgumentsDone) -> None:
        self.calls.add(fact.item or fact.call)

    @on(OutputItemDone)
    def _item_done(self, event: Event, fact: OutputItemDone) -> None:
        if fact.item.type in CALL_TYPES:
            self.calls.add(fact.item.id or fact.item.call_id)


def _shapes(session: dict[str, Any]) -> set[str]:
    """Flat is the beta's shape, nested GA's."""
    nested = {"audio", "output_modalities"} & session.keys()
    flat = {"modalities", "input_audio_format", "output_audio_format"} & session.keys()
    return ({"ga"} if nested else set()) | ({"beta"} if flat else set())


class SummaryFold(Together):
    """The summary, fed together with other folds."""

    def __init__(self) -> None:
        self._counting, self._own, self._talk = _Counting(), _Own(), _Talk()
        self._hearing, self._usage, self._troubles = _Hearing(), Usage(), Troubles()
        super().__init__(
            self._counting, self._own, self._talk, self._hearing, self._usage, self._troubles
        )

    def summary(self) -> Summary:
        """The summary as it stands."""
        counting, own, talk = self._counting, self._own, self._talk
        stated, asked = talk.config, talk.asked
        opened = own.opened
        model_asked = (opened.model if opened else "") or asked.model or ""
        origins = {o.name.lower(): counting.types[o].total() for o in Origin}
        return Summary(
            dialect=_dialect(counting.dialect(), talk.shapes),
            model=stated.model or model_asked,
            model_asked=model_asked,
            voice=stated.voice or asked.voice or "",
            modalities=stated.modalities or asked.modalities or (),
            input_format=talk.formats.input,
            output_format=talk.formats.output,
            vad=stated.vad or asked.vad or "",
            transcription=_on(stated.transcription or asked.transcription),
            url=opened.url if opened else "",
            call=opened.call if opened else "",
            capture=opened.capture if opened else "",
            tags=tuple(own.tags),
            notes=tuple(own.notes),
            handshake=own.handshake,
            closed=own.closed,
            duration_ns=counting.last_ns,
            events=sum(origins.values()),
            last_seq=counting.last_seq,
            by_origin=origins,
            by_type=dict(sum(counting.types, Counter())),
            unknown=dict(counting.unknown),
            user_turns=talk.user_turns,
            responses=dict(Counter(talk.responses.values())),
            tool_calls=len(talk.calls),
            errors=self._troubles.result(),
            gaps=tuple(own.gaps),
            redactions=dict(counting.redactions),
            tombstones=dict(counting.tombstones),
            tokens=self._usage.result(),
            user_audio_ns=sum(form.ns_of_bytes(size) for form, size in self._hearing.sizes.items()),
            assistant_audio_ns=sum(form.ns_of_bytes(size) for form, size in talk.spoken.items()),
            server_session=stated.id,
            timed=opened.timed if opened else True,
        )


def _dialect(names: str, shapes: set[str]) -> str:
    seen = shapes | ({names} if names else set())
    return "mixed" if len(seen) > 1 else next(iter(seen), "")


def _on(model: str | None) -> str:
    return "" if model in (None, "none") else str(model)


class SummaryProjection(Fold[Summary]):
    """`SummaryFold` by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._fold = SummaryFold()
        self.handlers, self.every = self._fold.handlers, self._fold.every

    def result(self) -> Summary:
        return self._fold.summary()
