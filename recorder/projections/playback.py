"""What was played: a queue with evidence, because WebSocket carries no playback events.

Laws (metrics.md §2):

1. An item's audio waits behind what is still playing: it starts at the later of the end of that
   and the arrival of its first audio plus the prebuffer.
2. Where the queue is empty before the item's next audio arrives, playback stalls until then.
3. Playback ends early only on evidence that it stopped; the most trusted evidence decides where:
   the application's mark, the buffer events of WebRTC and SIP, a truncation, a cancellation.
4. What stops generation (`speech_started`, a cancellation by the server) stops nothing that was
   delivered, unless `assume_stop_on_speech` says so.
5. A claim beyond what can have been played by then counts as what can have been, and is flagged.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from ..audio.codecs import Decoder
from ..audio.formats import MS, SECOND
from ..audio.levels import FirstAudible
from ..dialects import audio_of
from ..dialects.facts import (
    AudioDelta,
    CancelAsked,
    ErrorSeen,
    OutputBuffer,
    OutputClearAsked,
    PlaybackMark,
    ResponseAsked,
    ResponseCreated,
    SessionAsked,
    SessionStated,
    SpeechStarted,
    TruncateAsked,
)
from .base import Fold, Looks, on
from .formats import FormatsInForce
from .memory import Memory
from .model import ESTIMATED, REPORTED, Playback, Played, Run
from .queue import TRUST, Queued, Stop, cut_at, heard_of, leading_of, run_end
from .streams import StreamsPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..audio.formats import AudioFormat
    from ..events import Event
    from .base import Chunks

NOT_STOPPED_NS: Final = 500 * MS
"""Playing on for longer than this under the user's speech is `not_stopped`."""
FINAL_NS: Final = 2 * SECOND
"""An application that tells nothing more for this long has told all that was played."""
DRAINED_NS: Final = 500 * MS
"""`stopped` with less than this left by the model means that all of it was played."""


class PlaybackFold(StreamsPart, Fold[Playback]):
    """The playback queue of a session."""

    def __init__(
        self,
        *,
        prebuffer_ms: int = 0,
        assume_stop_on_speech: bool = False,
        evidence: bool = True,
    ) -> None:
        """Without `evidence` everything that arrives is played: the timeline `received`."""
        super().__init__()
        self._evidence = evidence
        if not evidence:
            for fact in (TruncateAsked, PlaybackMark, CancelAsked, OutputClearAsked, OutputBuffer):
                del self.handlers[fact]
        self.items: dict[str, Queued] = {}
        self.prebuffer_ms = prebuffer_ms
        self.assume = assume_stop_on_speech
        self._formats = FormatsInForce()
        self._response_formats: dict[str, AudioFormat] = {}
        self._asked_formats: list[AudioFormat | None] = []
        self._free_ns = 0
        self._speech: list[int] = []
        self._dropped: set[str] = set()
        self._buffers: dict[str, dict[str, Any]] = {}
        self._last_ns = 0
        self._memory = Memory()
        self.every = (Looks(self._passed, self._appended),)

    def _passed(self, events: list[Event]) -> None:
        self._last_ns = max(self._last_ns, events[-1].at_ns)

    def _appended(self, run: Chunks) -> None:
        self._last_ns = max(self._last_ns, run.times[-1])

    def format_of(self, item: str) -> AudioFormat:
        """The format of this item's audio; what is in force, where it has none yet."""
        queued = self.items.get(item)
        return self._formats.output if queued is None else queued.form

    # What sets the stage.

    @on(SessionAsked)
    def _session_asked(self, event: Event, fact: SessionAsked) -> None:
        self._formats.asked(fact)

    @on(SessionStated)
    def _session_stated(self, event: Event, fact: SessionStated) -> None:
        self._formats.stated(fact)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        self._formats.refused(fact)

    @on(ResponseAsked)
    def _response_asked(self, event: Event, fact: ResponseAsked) -> None:
        self._asked_formats.append(fact.format)

    @on(ResponseCreated)
    def _created(self, event: Event, fact: ResponseCreated) -> None:
        response = self._streams.created(event.seq, fact)
        asked = self._asked_formats.pop(0) if self._asked_formats else None
        form = fact.response.format or asked
        if form is not None:
            self._response_formats[response] = form

    # What is queued.

    @on(AudioDelta)
    def _audio(self, event: Event, fact: AudioDelta) -> None:
        response, item = self._streams.of(event.seq, fact.response, fact.item)
        queued = self.items.get(item)
        if queued is None:
            form = self._response_formats.get(response, self._formats.output)
            queued = self.items[item] = Queued(item, response, form, first_seq=event.seq)
        queued.last_seq = event.seq
        before = queued.samples
        queued.size += fact.size
        queued.samples = queued.form.samples(queued.size)
        queued.times.append(event.at_ns)
        queued.counts.append(queued.samples - before)
        if fact.size:
            queued.first_ns = queued.first_ns or event.at_ns
            if queued.whole and (queued.onset is None or queued.onset.found is None):
                self._listen(event, queued)
        if response in self._dropped:
            queued.dropped = True
            self._drop(queued, event)
        elif not queued.dropped and queued.samples > before:
            self._enqueue(queued, event.at_ns, queued.samples - before, before)

    def _listen(self, event: Event, queued: Queued) -> None:
        """Look for the first audible sample, if the audio was read at all."""
        if queued.onset is None or queued.decoder is None:
            queued.onset = FirstAudible(queued.form.rate)
            queued.decoder = Decoder(queued.form)
        audio = audio_of(event, "delta")
        if audio is None:
            queued.whole = False
        else:
            queued.onset.push(queued.decoder.push(audio))

    def _drop(self, queued: Queued, event: Event) -> None:
        """Audio of a response that the client had cancelled: it never reached the queue."""
        if not queued.stops:
            queued.stops.append(Stop("cancelled", event.at_ns, event.seq, None))

    def _enqueue(self, queued: Queued, at_ns: int, samples: int, first: int) -> None:
        run = queued.runs[-1] if queued.runs else None
        if run is None:
            start = max(self._free_ns, at_ns + self.prebuffer_ms * MS)
        else:
            start = max(self._free_ns, at_ns)
            if at_ns > self._free_ns:
                queued.stalls += 1
                queued.stalled_ns += at_ns - self._free_ns
        if run is not None and start == run_end(run, queued.form):
            run = queued.runs[-1] = Run(run.start_ns, run.first_sample, run.samples + samples)
        else:
            run = Run(start, first, samples)
            queued.runs.append(run)
        self._free_ns = run_end(run, queued.form)

    # What stops it.

    @on(TruncateAsked)
    def _truncated(self, event: Event, fact: TruncateAsked) -> None:
        queued = self.items.get(fact.item)
        if queued is None:
            return
        claim = None if fact.audio_end_ms is None else float(fact.audio_end_ms)
        self._claimed(queued, Stop("truncated", event.at_ns, event.seq, claim))

    @on(PlaybackMark)
    def _marked(self, event: Event, fact: PlaybackMark) -> None:
        queued = self.items.get(fact.item)
        if queued is None or (fact.played_ms is None and not fact.state):
            return
        queued.reported = True
        stop = Stop("marked", event.at_ns, event.seq, fact.played_ms)
        if fact.state == "stopped":
            self._claimed(queued, stop)
        elif fact.state:
            self._started_at(queued, event.at_ns - round((fact.played_ms or 0) * MS))
        else:
            queued.told = stop

    def _started_at(self, queued: Queued, at_ns: int) -> None:
        """The application says when playback began: the queue from there on moves along."""
        if not queued.runs or not queued.times:
            return
        moved = max(at_ns, queued.times[0]) - queued.runs[0].start_ns
        begin = queued.runs[0].start_ns
        for other in self.items.values():
            other.runs = [
                Run(run.start_ns + moved, run.first_sample, run.samples)
                if run.start_ns >= begin
                else run
                for run in other.runs
            ]
        self._free_ns += moved

    def _claimed(self, queued: Queued, stop: Stop) -> None:
        """A claim about one item. If it was cut, what waited behind it was thrown away too."""
        queued.stops.append(stop)
        if stop.claim_ms is not None and self._is_whole(queued, stop.claim_ms):
            return
        queued.dropped = True
        if queued.end_ns() <= stop.at_ns:
            return  # over by the model: what plays now is something else
        begin = queued.runs[0].start_ns if queued.runs else 0
        later = [q for q in self.items.values() if q.runs and q.runs[0].start_ns >= begin]
        self._flush(later, stop._replace(claim_ms=None))

    def _is_whole(self, queued: Queued, claim_ms: float) -> bool:
        return round(claim_ms * MS) >= queued.form.ns(queued.samples)

    @on(CancelAsked)
    def _cancelled(self, event: Event, fact: CancelAsked) -> None:
        """Without an id it means whatever is open or playing; what still comes is dropped."""
        stop = Stop("cancelled", event.at_ns, event.seq, None)
        self._dropped |= {fact.response} if fact.response else set(self._streams.open)
        queue = self.items.values()
        self._flush([q for q in queue if fact.response in ("", q.response)], stop)

    @on(OutputClearAsked)
    def _clear_asked(self, event: Event, fact: OutputClearAsked) -> None:
        self._flush(self.items.values(), Stop("cancelled", event.at_ns, event.seq, None))

    @on(OutputBuffer)
    def _buffer(self, event: Event, fact: OutputBuffer) -> None:
        response = fact.response or next(iter(self._streams.open), "")
        mine = [queued for queued in self.items.values() if queued.response == response]
        record = self._buffers.setdefault(
            response,
            {"response_id": response, "start_ns": None, "end_ns": None, "how": "", "evidence": []},
        )
        record["evidence"].append(event.seq)
        if fact.state == "started":
            record["start_ns"] = event.at_ns
            if mine:
                self._started_at(mine[0], event.at_ns)
        else:
            record["end_ns"], record["how"] = event.at_ns, fact.state
            left = DRAINED_NS if fact.state == "stopped" else 0
            cut = [queued for queued in mine if queued.end_ns() - event.at_ns > left]
            self._flush(cut, Stop("buffer", event.at_ns, event.seq, None))
        for queued in mine:
            queued.reported = True

    @on(SpeechStarted)
    def _speech_started(self, event: Event, fact: SpeechStarted) -> None:
        self._speech.append(event.at_ns)
        if self.assume and self._evidence:
            self._dropped |= set(self._streams.open)
            self._flush(self.items.values(), Stop("assumed", event.at_ns, event.seq, None))

    def _flush(self, items: Iterable[Queued], stop: Stop) -> None:
        """Throw away what of these has not been played by then."""
        for queued in items:
            if queued.end_ns() > stop.at_ns:
                queued.dropped = True
                if not any(s.seq == stop.seq for s in queued.stops):
                    queued.stops.append(stop)
        still = [q.end_ns() for q in self.items.values() if not q.dropped and q.runs]
        self._free_ns = max([end for end in still if end > stop.at_ns], default=stop.at_ns)

    # What it amounts to.

    def result(self) -> Playback:
        items = tuple([self._played(queued) for queued in self.items.values()])
        return Playback(
            items,
            tuple({**record, "evidence": list(record["evidence"])} for record in self._reported()),
            sum(item.heard_ns for item in items),
            sum(item.received_ns - item.heard_ns for item in items),
            self.prebuffer_ms,
            self.assume,
        )

    def _reported(self) -> Iterable[dict[str, Any]]:
        return self._buffers.values()

    def _played(self, queued: Queued) -> Played:
        """It is another one only if its audio, its evidence or what is said over it is."""
        told = queued.told
        given = (len(queued.times), queued.size, queued.runs[-1] if queued.runs else None,
                 len(queued.runs), len(queued.stops), told, queued.reported, queued.whole,
                 told is not None and self._last_ns - told.at_ns < FINAL_NS,
                 self._speech_over(queued))  # fmt: skip
        return self._memory.of(queued.item, given, lambda: self.played(queued))

    def _speech_over(self, queued: Queued) -> int | None:
        """The first speech after it began to play."""
        row = bisect_right(self._speech, queued.runs[0].start_ns) if queued.runs else 1 << 62
        return self._speech[row] if row < len(self._speech) else None

    def played(self, queued: Queued) -> Played:
        """The item's audio with its evidence applied."""
        stops = [*queued.stops, *self._last_word(queued)]
        stop = min(stops, key=lambda s: (TRUST[s.how], -s.seq), default=None)
        heard, flags = heard_of(queued, stop)
        if stop is not None and heard >= queued.samples:
            stop = None
        runs = tuple(cut_at(queued.runs, heard))
        end = run_end(runs[-1], queued.form) if runs else None
        if stop is None and self._talked_over(runs, end):
            flags.append("not_stopped")
        leading, audible = leading_of(queued, runs, heard)
        claim = next((s.claim_ms for s in reversed(stops) if s.claim_ms is not None), None)
        return Played(
            queued.item,
            queued.response,
            queued.form,
            queued.samples,
            heard,
            queued.form.ns(queued.samples),
            queued.form.ns(heard),
            queued.first_ns,
            runs[0].start_ns if runs else None,
            end,
            audible,
            leading,
            runs,
            queued.stalls,
            queued.stalled_ns,
            REPORTED if queued.reported else ESTIMATED,
            stop.how if stop else "",
            stop.at_ns if stop else None,
            None if claim is None else round(claim),
            (queued.first_seq, queued.last_seq, *(s.seq for s in stops)),
            tuple(flags),
        )

    def _last_word(self, queued: Queued) -> list[Stop]:
        """What the application told last, if nothing suggests that it played on after that."""
        told = queued.told
        if told is None or (not queued.stops and self._last_ns - told.at_ns < FINAL_NS):
            return []
        return [told]

    def _talked_over(self, runs: tuple[Run, ...], end: int | None) -> bool:
        if not runs or end is None:
            return False
        row = bisect_right(self._speech, runs[0].start_ns)
        return row < len(self._speech) and end - self._speech[row] > NOT_STOPPED_NS
