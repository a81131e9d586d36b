"""When the user spoke: onsets and ends, from the recorded audio itself where it is there.

The server's offsets are the cross-check, and stand in where there is no audio. Every value
names its anchor, and values that need a capture clock are N/A where there is none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..audio.codecs import Decoder
from ..audio.formats import MS
from ..audio.levels import HANGOVER_MS, Levels, Stretch, bridged
from ..dialects.facts import InputAppended
from .base import Fold, Part, Together, in_runs, on
from .capture import CaptureClock, capture_clock
from .inputs import Epoch, Inputs
from .memory import Memory
from .model import ESTIMATED, MEASURED, Segment, Speech, Utterance, Value

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from .base import Chunks
    from .inputs import Commit, Moment, Voice

DISAGREEMENT_NS: Final = 100 * MS
"""Audio and server may differ by this much without remark."""
PADDING_UNKNOWN: Final = "padding_unknown"
"""Flag of an onset that contains padding of unknown length: no cross-check."""
_BLOCK: Final = 64_000  # bytes that are looked at at once


def _silero() -> type[Levels]:
    from ..audio.silero import SileroLevels, network

    network()  # says at once if the package is not there
    return SileroLevels


ENERGY: Final = "energy"
DETECTORS: Final = {ENERGY: lambda: Levels, "silero": _silero}
"""How speech is found in the audio, by name."""


class Listener(Part):
    """Measures the levels of the user's audio, one `Levels` for each stretch in one format."""

    def __init__(self, inputs: Inputs, detector: str = ENERGY) -> None:
        super().__init__()
        self._make = DETECTORS[detector]()
        self.levels: list[Levels] = []
        self.missing = 0
        self._inputs = inputs
        self._epoch: Epoch | None = None
        self._decoder: Decoder | None = None
        self._waiting: list[bytes] = []
        self._size = 0

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        """Comes after `Inputs` took the same run: its last epoch is the one of these appends."""
        if self._inputs.epochs[-1] is not self._epoch:
            self.flush()
            self._epoch = self._inputs.epochs[-1]
            self._decoder = Decoder(self._epoch.form)
            self.levels.append(self._make(self._epoch.form.rate))
        for audio, size in zip(run.audio(), run.sizes, strict=True):
            if audio is None:
                self.missing += size
                audio = bytes(size)
            self._waiting.append(audio)
            self._size += len(audio)
            if self._size >= _BLOCK:
                self.flush()

    def flush(self) -> None:
        """Measure what waits. Changes nothing that can be seen from outside."""
        if self._decoder is not None and self._size:
            self.levels[-1].push(self._decoder.push(b"".join(self._waiting)))
        self._waiting.clear()
        self._size = 0


class SpeechFold(Together):
    """The user's speech; `detect=False` leaves the audio alone and relies on the server."""

    def __init__(self, *, detect: bool = True, detector: str = ENERGY) -> None:
        self.inputs = Inputs()
        self.listener = Listener(self.inputs, detector)
        self._memory = Memory()
        super().__init__(self.inputs, *([self.listener] if detect else []))

    def heard(self) -> Heard:
        """Clock and speech, for whoever builds on both."""
        self.listener.flush()
        return Heard(self.inputs, capture_clock(self.inputs), self.listener, self._memory)


class SpeechProjection(Fold[Speech]):
    """`SpeechFold` by itself."""

    def __init__(self, *, detect: bool = True) -> None:
        super().__init__()
        self._fold = SpeechFold(detect=detect)
        self.handlers, self.every = self._fold.handlers, self._fold.every

    def result(self) -> Speech:
        return self._fold.heard().speech()


@dataclass(slots=True)
class _Found:
    """What an utterance's slice of the axis holds."""

    onset_ns: int
    end_ns: int


class Heard:
    """The user's side, understood."""

    def __init__(
        self, inputs: Inputs, clock: CaptureClock, listener: Listener, memory: Memory
    ) -> None:
        self.inputs = inputs
        self.clock = clock
        self._listener = listener
        self._memory = memory
        sizes = sum(epoch.size for epoch in inputs.epochs)
        self.looked_at = bool(listener.levels) and listener.missing < sizes
        self._islands = _on_axis(inputs, listener) if self.looked_at else []
        self._starts = [island.start for island in self._islands]
        self._ends = [island.end for island in self._islands]
        self._stretches = self._by_anchor()

    def speech(self) -> Speech:
        """Segments and utterances."""
        inputs = self.inputs
        clipped = sum(
            epoch.form.ns(levels.clipped)
            for epoch, levels in zip(inputs.epochs, self._listener.levels, strict=False)
        )
        missing = self._listener.missing
        uncaptured = inputs.epochs[-1].form.ns_of_bytes(missing) if missing else 0
        return Speech(
            tuple(self._segment(stretch) for stretch in self._stretches),
            self.utterances(),
            self.clock.total_ns,
            self.clock.realtime,
            self._detector() if self.looked_at else None,
            clipped,
            uncaptured,
        )

    def _detector(self) -> dict[str, float]:
        """Of all stretches, that with the highest threshold."""
        told = [levels.told() for levels in self._listener.levels]
        return max(told, key=lambda each: each.get("threshold_dbfs", 0.0))

    def _by_anchor(self) -> list[Stretch]:
        """Islands bridged, but never across two anchors: a muted microphone is a pause."""
        found: list[Stretch] = []
        for anchor in self.clock.anchors:
            inside = [
                Stretch(max(i.start, anchor.start_ns), min(i.end, anchor.end_ns))
                for i in self._between(anchor.start_ns, anchor.end_ns)
            ]
            found += bridged(inside, HANGOVER_MS * MS)
        return found

    def _between(self, start: int, end: int) -> list[Stretch]:
        """The islands that lie in this part of the axis, or reach into it."""
        first = bisect_right(self._ends, start)
        return self._islands[first : bisect_left(self._starts, end)]

    def _segment(self, stretch: Stretch) -> Segment:
        """It is another one only where the clock is."""
        if (clock := self.clock.between(stretch.start, stretch.end)) is None:
            return self._new_segment(stretch)
        name, given = ("segment", stretch.start), (stretch.end, clock)
        return self._memory.of(name, given, lambda: self._new_segment(stretch))

    def _new_segment(self, stretch: Stretch) -> Segment:
        anchor = self.clock.anchor(stretch.start)
        return Segment(
            self.clock.time(stretch.start) or 0,
            self.clock.time(stretch.end, end=True) or 0,
            stretch.start,
            self._evidence(stretch.start, stretch.end),
            anchor is not None and anchor.realtime,
        )

    def _evidence(self, start: int, end: int) -> tuple[int, ...]:
        ends = (self.clock.arrival(start), self.clock.arrival(end, end=True))
        return tuple(dict.fromkeys(moment[1] for moment in ends if moment))

    def utterances(self) -> tuple[Utterance, ...]:
        """One for each committed item, in order."""
        found, used = [], 0
        for commit in self.inputs.commits:
            floor = commit.start_ns if commit.voice is None else used
            speech = self._in_slice(max(commit.start_ns, used), commit.end_ns, floor)
            if speech is not None:
                used = speech.end_ns
            found.append(self._utterance(commit, speech))
        return tuple(found)

    def _utterance(self, commit: Commit, found: _Found | None) -> Utterance:
        """It is another one only where the clock is, or what was found or told of it."""
        told, places = None, [commit.start_ns, commit.end_ns]
        if (voice := commit.voice) is not None:
            told = (voice.started, voice.start_ms, voice.stopped, voice.end_ms, voice.prefix_ms,
                    voice.silence_ms, voice.vad)  # fmt: skip
            padding, silence = voice.prefix_ms or 0, voice.silence_ms or 0
            places += [] if voice.start_ms is None else _both(voice.start_ms, padding)
            places += [] if voice.end_ms is None else _both(voice.end_ms, -silence)
        if found is not None:
            places += [found.onset_ns, found.end_ns]
        clock = self.clock.between(min(places), max(places))
        if clock is None:
            return self._new_utterance(commit, found)
        bounds = None if found is None else (found.onset_ns, found.end_ns)
        given = (commit.start_ns, commit.end_ns, told, bounds, self.looked_at, clock)
        name = ("utterance", commit.at.seq)
        return self._memory.of(name, given, lambda: self._new_utterance(commit, found))

    def _in_slice(self, start: int, end: int, floor: int) -> _Found | None:
        """Onset of the first stretch in the slice, end of the last activity in it.

        The onset may lie before the slice, where the server noticed late, but not before `floor`.
        """
        inside = self._between(start, end)
        if not inside:
            return None
        first = inside[0].start
        row = bisect_right(self._stretches, first, key=_start) - 1
        onset = first
        if row >= 0 and first < self._stretches[row].end:
            onset = self._stretches[row].start
        if onset < floor:
            onset = max(first, floor)
        return _Found(onset, min(inside[-1].end, end))

    def _new_utterance(self, commit: Commit, found: _Found | None) -> Utterance:
        voice = commit.voice
        server = _ServerSide(self, voice)
        flags = []
        anchor = self.clock.anchor(commit.end_ns, end=True)
        if anchor is not None and not anchor.realtime:
            flags.append("non_realtime_input")
        if found is None and self.looked_at:
            flags.append("no_speech")
        onset, end, name = self._values(found, server, realtime="non_realtime_input" not in flags)
        if name == "audio" and _disagree(onset, server.onset) | _disagree(end, server.end):
            flags.append("disagreement")
        return self._whole(commit, (onset, end, name), server, found, flags)

    def _values(
        self, found: _Found | None, server: _ServerSide, *, realtime: bool
    ) -> tuple[Value, Value, str]:
        """Onset, end and anchor: from the audio, else from the server, else N/A."""
        if not realtime:
            missing = Value.missing("non_realtime_input")
            return missing, missing, "audio" if found else "server_vad"
        if found is not None:
            evidence = self._evidence(found.onset_ns, found.end_ns)
            onset = Value(self.clock.time(found.onset_ns), MEASURED, evidence[:1])
            end = Value(self.clock.time(found.end_ns, end=True), MEASURED, evidence[-1:])
            return onset, end, "audio"
        if server.voice is not None:
            return server.onset, server.end, "server_vad"
        missing = Value.missing("no_speech" if self.looked_at else "no_audio")
        return missing, missing, ""

    def _whole(
        self,
        commit: Commit,
        values: tuple[Value, Value, str],
        server: _ServerSide,
        found: _Found | None,
        flags: list[str],
    ) -> Utterance:
        onset, end, name = values
        begin_axis = found.onset_ns if found else server.onset_axis
        end_axis = found.end_ns if found else server.end_axis
        arrival = self.clock.arrival(end_axis, end=True) if end_axis is not None else None
        begin_ns, end_ns = self._placed(commit, begin_axis, end_axis)
        started, stopped = server.started, server.stopped
        return Utterance(
            commit.item,
            name,
            onset,
            end,
            begin_ns,
            end_ns,
            arrival[0] if arrival else None,
            arrival[1] if arrival else None,
            server.onset,
            server.end,
            server.silence_ns,
            started.at_ns if started else None,
            started.seq if started else None,
            stopped.at_ns if stopped else None,
            stopped.seq if stopped else None,
            commit.start_ns,
            commit.end_ns,
            tuple(flags),
        )

    def _placed(self, commit: Commit, begin: int | None, end: int | None) -> tuple[int, int]:
        """Where it stands on the session's clock, as well as that is known."""
        begin = commit.start_ns if begin is None else begin
        end = commit.end_ns if end is None else max(end, begin)
        first, last = self.clock.time(begin), self.clock.time(end, end=True)
        if first is None or last is None:
            voice = commit.voice
            at = voice.started if voice and voice.started else commit.at
            return at.at_ns, (voice.stopped if voice and voice.stopped else commit.at).at_ns
        return first, max(first, last)


class _ServerSide:
    """The server's offsets of one item, on the session's clock."""

    def __init__(self, heard: Heard, voice: Voice | None) -> None:
        self.voice = voice
        self.started: Moment | None = voice.started if voice else None
        self.stopped: Moment | None = voice.stopped if voice else None
        server_vad = voice is not None and voice.vad == "server_vad"
        silence = voice.silence_ms if voice is not None and server_vad else None
        self.silence_ns = None if silence is None else silence * MS
        self.padding_ms = voice.prefix_ms if voice is not None and server_vad else None
        self.onset_axis = self._onset_axis()
        self.end_axis = self._end_axis()
        self.onset = self._value(heard.clock, self.onset_axis, self.started, end=False)
        self.end = self._value(heard.clock, self.end_axis, self.stopped, end=True)

    def _onset_axis(self) -> int | None:
        """`audio_start_ms` contains the prefix padding, except at the very start.

        Only `server_vad` says how long that is; elsewhere the padded start stands, and is flagged.
        """
        if self.voice is None or self.voice.start_ms is None:
            return None
        start = self.voice.start_ms
        return (start + (self.padding_ms or 0) if start > 0 else 0) * MS

    def _end_axis(self) -> int | None:
        """`audio_end_ms` contains the silence window, of which only `server_vad` tells."""
        if self.voice is None or self.voice.end_ms is None or self.silence_ns is None:
            return None
        return max(self.voice.end_ms * MS - self.silence_ns, 0)

    def _value(
        self, clock: CaptureClock, axis: int | None, moment: Moment | None, *, end: bool
    ) -> Value:
        if moment is None:
            return Value.missing("no_server_vad")
        if clock.anchors and axis is not None:
            anchor = clock.anchor(axis, end=end)
            if axis > clock.total_ns:
                return Value.missing("offset_beyond_input")
            if anchor is not None and not anchor.realtime:
                return Value.missing("non_realtime_input")
            unsure = not end and axis > 0 and self.padding_ms is None
            flags = (PADDING_UNKNOWN,) if unsure else ()
            return Value(clock.time(axis, end=end), ESTIMATED, (moment.seq,), flags=flags)
        if clock.anchors:
            unknown = end and self.silence_ns is None
            return Value.missing("silence_window_unknown" if unknown else "no_offset")
        # No input on this wire (WebRTC, sideband): the arrival is all there is.
        back = self.silence_ns if end else 0
        if back is None:
            return Value.missing("silence_window_unknown")
        return Value(moment.at_ns - back, ESTIMATED, (moment.seq,), flags=("arrival",))


def _both(ms: int, more_ms: int) -> list[int]:
    """A position on the axis, and another beside it."""
    return [ms * MS, max(ms + more_ms, 0) * MS]


def _start(stretch: Stretch) -> int:
    return stretch.start


def _on_axis(inputs: Inputs, listener: Listener) -> list[Stretch]:
    """Islands of all stretches, in nanoseconds of the axis."""
    found = []
    for epoch, levels in zip(inputs.epochs, listener.levels, strict=False):
        form: AudioFormat = epoch.form
        for start, end in levels.islands():
            end = min(end, levels.samples)
            found.append(Stretch(epoch.base_ns + form.ns(start), epoch.base_ns + form.ns(end)))
    return found


def _disagree(audio: Value, server: Value) -> bool:
    if audio.ns is None or server.ns is None or PADDING_UNKNOWN in server.flags:
        return False
    return abs(audio.ns - server.ns) > DISAGREEMENT_NS
