"""What was in the air at one instant: the input buffer, the playback queue, who spoke.

The buffer holds what was appended and neither committed nor cleared: after a commit by the
server's voice detection, what lies behind the offset at which it found the end of speech.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dialects.facts import (
    AudioDelta,
    InputCommitted,
    OutputBuffer,
    PlaybackMark,
    SpeechStarted,
    SpeechStopped,
)
from .base import Looks, Part, on
from .model_state import InputBuffer, Playing, Speaking

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..events import Event
    from .base import Chunks
    from .formats import FormatsInForce
    from .inputs import Inputs
    from .model import Played
    from .playback import PlaybackFold


class BufferView:
    """Finds what of the appended audio is still in the buffer; goes through the appends once."""

    def __init__(self, inputs: Inputs, formats: FormatsInForce) -> None:
        self._inputs, self._formats = inputs, formats
        self._epoch, self._row, self._before = 0, 0, 0
        """The append at which the buffer begins, and the bytes of its epoch that lie before it."""
        self._used_ns = 0

    def buffer(self) -> InputBuffer:
        """The buffer as it stands."""
        inputs = self._inputs
        waiting = inputs.unanswered[0][0].seq if inputs.unanswered else None
        left = inputs.axis_ns - inputs.used_ns
        if left <= 0:
            return InputBuffer(0, 0, self._formats.input, None, None, waiting)
        self._advance(inputs.used_ns)
        epoch = inputs.epochs[self._epoch]
        seq, at_ns = epoch.seqs[self._row], epoch.times[self._row]
        size = sum(_bytes(each.form, each.end_ns - max(each.base_ns, inputs.used_ns))
                   for each in inputs.epochs[self._epoch :])  # fmt: skip
        return InputBuffer(left, size, epoch.form, seq, at_ns, waiting)

    def _advance(self, used_ns: int) -> None:
        """To the append that holds the sample at this position of the axis."""
        if used_ns < self._used_ns:  # a clear that was answered after a later commit
            self._epoch, self._row, self._before = 0, 0, 0
        self._used_ns = used_ns
        epochs = self._inputs.epochs
        while epochs[self._epoch].end_ns <= used_ns:
            self._epoch, self._row, self._before = self._epoch + 1, 0, 0
        epoch = epochs[self._epoch]
        while True:
            after = self._before + epoch.sizes[self._row]
            if epoch.base_ns + epoch.form.ns_of_bytes(after) > used_ns:
                return
            self._row, self._before = self._row + 1, after


def _bytes(form: AudioFormat, ns: int) -> int:
    return form.samples_in(ns) * form.width


class PlayingView(Part):
    """Which items of the playback queue may still be playing; runs after the queue itself."""

    def __init__(self, playback: PlaybackFold) -> None:
        super().__init__()
        self._playback = playback
        self._rows: dict[str, int] = {}
        self._active: dict[str, None] = {}
        self._now = 0
        self.every = (Looks(self._passed, self._appended),)

    def _passed(self, events: list[Event]) -> None:
        self._now = max(self._now, events[-1].at_ns)

    def _appended(self, run: Chunks) -> None:
        self._now = max(self._now, run.times[-1])

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        name = fact.item if fact.item in self._playback.items else next(
            reversed(self._playback.items), ""
        )  # fmt: skip
        if name not in self._rows:
            self._rows[name] = len(self._rows)
        self._active[name] = None

    @on(PlaybackMark, OutputBuffer)
    def _told(self, event: Event, fact: PlaybackMark | OutputBuffer) -> None:
        """Where playback really is: what seemed to be over may have moved with the queue."""
        items = self._playback.items
        moved = (name for name in self._rows if items[name].end_ns() > event.at_ns)
        self._active.update(dict.fromkeys(moved))

    def queue(self, at_ns: int) -> tuple[Playing | None, tuple[Playing, ...]]:
        """(what plays at this time, what waits)."""
        found: list[tuple[int, Playing]] = []
        for name in sorted(self._active, key=self._rows.__getitem__):
            queued = self._playback.items[name]
            played = self._playback.played(queued)
            end = played.end_ns
            if end is None or end <= self._now:
                del self._active[name]
            if end is not None and played.start_ns is not None and end > at_ns:
                found.append((played.start_ns, _playing(played, at_ns)))
        found.sort(key=lambda entry: entry[0])
        now = [entry for _, entry in found if entry.since_ns is not None]
        waiting = tuple(entry for _, entry in found if entry.since_ns is None)
        return (now[-1], (*now[:-1], *waiting)) if now else (None, waiting)


def _playing(played: Played, at_ns: int) -> Playing:
    form, position = played.format, 0
    for run in played.runs:
        if run.start_ns < at_ns:
            position = form.ns(run.first_sample) + min(at_ns - run.start_ns, form.ns(run.samples))
    begun = played.start_ns is not None and played.start_ns <= at_ns
    since = played.start_ns if begun else None
    return Playing(
        played.item_id, played.response_id, position, played.received_ns, since, played.label
    )


class SpeakingFold(Part):
    """Whether the user speaks, as the server says."""

    def __init__(self) -> None:
        super().__init__()
        self.speaking: Speaking | None = None

    @on(SpeechStarted)
    def _started(self, event: Event, fact: SpeechStarted) -> None:
        self.speaking = Speaking(fact.item, event.seq, event.at_ns, fact.audio_start_ms)

    @on(SpeechStopped, InputCommitted)
    def _stopped(self, event: Event, fact: SpeechStopped | InputCommitted) -> None:
        if self.speaking is not None and fact.item in ("", self.speaking.item_id):
            self.speaking = None
