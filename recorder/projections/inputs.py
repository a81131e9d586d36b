"""The user's side as it passed: appended audio, voice activity, commits.

The axis of appended audio counts samples of everything that was ever appended, whatever was
cleared or committed; the server's offsets are on it. Each stretch in one format counts for
itself and starts where the last one ended.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ..dialects.facts import (
    ClearAsked,
    CommitAsked,
    ErrorSeen,
    Gap,
    InputAppended,
    InputCleared,
    InputCommitted,
    ItemAsked,
    ItemRetrieved,
    Opened,
    SessionAsked,
    SessionStated,
    SpeechStarted,
    SpeechStopped,
    TimeoutTriggered,
)
from .base import Fold, in_runs, on
from .formats import FormatsInForce

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..dialects.bodies import ItemBody
    from ..events import Event
    from .base import Chunks


LEAST_COMMIT_NS: Final = 100_000_000
"""A commit of less is refused as empty (protocol.md §11)."""


class Moment(NamedTuple):
    """An event, by its time and number."""

    at_ns: int
    seq: int


@dataclass(slots=True)
class Epoch:
    """Appends in one format: when each arrived, its number, its size in bytes."""

    form: AudioFormat
    base_ns: int
    """Where it starts on the axis."""
    size: int = 0
    times: array[int] = field(default_factory=lambda: array("q"))
    seqs: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))

    @property
    def end_ns(self) -> int:
        return self.base_ns + self.form.ns_of_bytes(self.size)


@dataclass(slots=True)
class Voice:
    """What the server's voice activity detection said about one item."""

    item: str
    started: Moment | None = None
    start_ms: int | None = None
    stopped: Moment | None = None
    end_ms: int | None = None
    prefix_ms: int | None = None
    silence_ms: int | None = None
    vad: str = ""
    timeout: Moment | None = None


@dataclass(slots=True)
class Commit:
    """A stretch of the buffer that became an item."""

    item: str
    at: Moment
    """Arrival of `committed`."""
    asked: Moment | None
    """The client's commit; None where the server committed by itself."""
    start_ns: int
    """On the axis: end of the previous commit, or what was cleared since."""
    end_ns: int
    voice: Voice | None


@dataclass(frozen=True, slots=True)
class ItemAudio:
    """Audio that stood inside an item, not in the stream of appends."""

    item: str
    """As `conversation` names it; invented where the client gave no id."""
    role: str
    by: str
    """`client`: created with it; `server`: retrieved."""
    at: Moment
    form: AudioFormat
    size: int
    """Bytes."""

    @property
    def samples(self) -> int:
        return self.form.samples(self.size)


class Inputs(Fold["Inputs"]):
    """Collects the user's side; a few dozen bytes an append, the audio itself passes by."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.commits: list[Commit] = []
        self.voices: dict[str, Voice] = {}
        self.timeouts: list[tuple[str, Moment]] = []
        self.starts: list[Moment] = []
        """Every `speech_started`."""
        self.inside: list[ItemAudio] = []
        """Audio inside items, in order of arrival. It is not on the axis."""
        self.unanswered: list[tuple[Moment, str, int]] = []
        """Commits of the client that nothing answered yet: when, event id, axis position."""
        self.timed = True
        """The session has times."""
        self._formats = FormatsInForce()
        self._config: dict[str, int | str | None] = {}
        self._used_ns = 0
        self._broken = False
        self._clears: list[int] = []

    def result(self) -> Inputs:
        """Itself: other projections read it, and leave it as it is."""
        return self

    @property
    def axis_ns(self) -> int:
        """Length of everything that was appended."""
        return self.epochs[-1].end_ns if self.epochs else 0

    @property
    def used_ns(self) -> int:
        """How far on the axis it was committed or cleared: what lies behind is in the buffer."""
        return self._used_ns

    @on(Opened)
    def _opened(self, event: Event, fact: Opened) -> None:
        self.timed = fact.timed

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        epochs = self.epochs
        if not epochs or epochs[-1].form is not self._formats.input:
            self._new_epoch()
        epoch = epochs[-1]
        epoch.size += sum(run.sizes)
        epoch.times.extend(run.times)
        epoch.seqs.extend(run.seqs)
        epoch.sizes.extend(run.sizes)

    def _new_epoch(self) -> None:
        form = self._formats.input
        if self.epochs and self.epochs[-1].form == form:
            self.epochs[-1].form = form  # the same again: one object, so that `is` will do
        else:
            self.epochs.append(Epoch(form, self.axis_ns))

    @on(ItemAsked)
    def _created(self, event: Event, fact: ItemAsked) -> None:
        if fact.audio_size:
            self._inside(event, "client", fact.item, fact.audio_size)

    @on(ItemRetrieved)
    def _retrieved(self, event: Event, fact: ItemRetrieved) -> None:
        if fact.audio_size:
            self._inside(event, "server", fact.item, fact.audio_size)

    def _inside(self, event: Event, by: str, item: ItemBody, size: int) -> None:
        """The user's audio is in the format of the input, the assistant's in that of the output."""
        spoken = item.role == "assistant"
        form = self._formats.output if spoken else self._formats.input
        at = Moment(event.at_ns, event.seq)
        self.inside.append(ItemAudio(item.id or f"item@{event.seq}", item.role, by, at, form, size))

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        self._formats.asked(fact)

    @on(SessionStated)
    def _stated(self, event: Event, fact: SessionStated) -> None:
        self._formats.stated(fact)
        config = fact.config
        for key in ("vad", "silence_ms", "prefix_ms"):
            if (value := getattr(config, key)) is not None:
                self._config[key] = value

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        self._formats.refused(fact)
        about = fact.error.event_id
        ids = [event_id for _, event_id, _ in self.unanswered]
        if about and about in ids:
            del self.unanswered[ids.index(about)]
        elif not about and fact.error.code == "input_audio_buffer_commit_empty" and ids:
            del self.unanswered[0]

    @on(CommitAsked)
    def _commit_asked(self, event: Event, fact: CommitAsked) -> None:
        moment = Moment(event.at_ns, event.seq)
        self.unanswered.append((moment, fact.event_id, self.axis_ns))

    @on(ClearAsked)
    def _clear_asked(self, event: Event, fact: ClearAsked) -> None:
        self._clears.append(self.axis_ns)

    @on(InputCleared)
    def _cleared(self, event: Event, fact: InputCleared) -> None:
        self._used_ns = self._clears.pop(0) if self._clears else self.axis_ns

    @on(SpeechStarted)
    def _started(self, event: Event, fact: SpeechStarted) -> None:
        moment = Moment(event.at_ns, event.seq)
        self.starts.append(moment)
        voice = self._voice(fact.item)
        if voice.started is None:
            voice.started = moment
            voice.start_ms = None if self._broken else fact.audio_start_ms

    @on(SpeechStopped)
    def _stopped(self, event: Event, fact: SpeechStopped) -> None:
        """Some servers say it several times for one item: the last one counts."""
        voice = self._voice(fact.item)
        voice.stopped = Moment(event.at_ns, event.seq)
        voice.end_ms = None if self._broken else fact.audio_end_ms
        voice.silence_ms = self._number("silence_ms")

    @on(TimeoutTriggered)
    def _timeout(self, event: Event, fact: TimeoutTriggered) -> None:
        moment = Moment(event.at_ns, event.seq)
        voice = self._voice(fact.item)
        voice.timeout, voice.start_ms, voice.end_ms = moment, fact.audio_start_ms, fact.audio_end_ms
        self.timeouts.append((fact.item, moment))

    @on(InputCommitted)
    def _committed(self, event: Event, fact: InputCommitted) -> None:
        if fact.item and any(commit.item == fact.item for commit in self.commits[-8:]):
            return  # told twice
        unnamed = not fact.item or fact.item not in self.voices
        voice = self.voices.pop("", None) if unnamed else None
        item = fact.item or f"input@{event.seq}"
        if voice is not None:  # a server that names no items: its last words are about this one
            voice.item = item
            self.voices[item] = voice
        voice = self.voices.get(item)
        asked, end_ns = None, self.axis_ns
        if self.unanswered and (voice is None or (voice.stopped is None and voice.timeout is None)):
            asked, _, end_ns = self._answered_ask()
        start_ns = self._used_ns
        if voice is not None and voice.end_ms is not None and asked is None:
            end_ns = min(end_ns, voice.end_ms * 1_000_000)
        if voice is not None and voice.start_ms is not None:
            start_ns = min(max(voice.start_ms * 1_000_000, 0), end_ns)
        self._used_ns = max(self._used_ns, end_ns)
        at = Moment(event.at_ns, event.seq)
        self.commits.append(Commit(item, at, asked, min(start_ns, end_ns), end_ns, voice))

    def _answered_ask(self) -> tuple[Moment, str, int]:
        """The client's commit that `committed` answers.

        The first that waits; but one with less than 100 ms behind it is refused, and its error
        comes up to a second later, after the answers to others.
        """
        enough = [
            row
            for row, ask in enumerate(self.unanswered)
            if ask[2] - self._used_ns >= LEAST_COMMIT_NS
        ]
        return self.unanswered.pop(enough[0] if enough else 0)

    @on(Gap)
    def _gap(self, event: Event, fact: Gap) -> None:
        """Appends may be lost: from here on the server's axis is not ours any more."""
        self._broken = self._broken or "client" in fact.origins

    def _voice(self, item: str) -> Voice:
        if item not in self.voices:
            voice = Voice(item, prefix_ms=self._number("prefix_ms"))
            voice.vad = str(self._config.get("vad") or "")
            voice.silence_ms = self._number("silence_ms")
            self.voices[item] = voice
        return self.voices[item]

    def _number(self, key: str) -> int | None:
        value = self._config.get(key)
        return value if isinstance(value, int) else None
