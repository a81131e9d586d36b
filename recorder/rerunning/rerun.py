"""The caller, sans-IO: what the server sends goes in, what is to be sent comes out, in time.

Three things go on side by side, each in its own order: the voice (chunks of audio), the acts
(everything else that the caller did by itself), and the answers to what the server asks for. The
voice waits for an act only where the server must have that first; acts wait for the voice only
where they end what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson
import pybase64

from .. import wire
from ..dialects.reading import text
from ..errors import UsageError
from ..events import BINARY, TEXT, Event, Origin
from ..replaying import causes
from .checking import quiet, whole
from .nouns import (
    ACK,
    MADE,
    MS,
    OF_ANSWERS,
    OF_SPEECH,
    PLAYED,
    REST,
    SECOND,
    SKIP,
    START,
    Cue,
    Deed,
    End,
    Options,
    Plan,
    Remark,
    Rules,
    Send,
)
from .reacting import Reactions
from .watching import Watch, appended
from .wording import Wording, client_event

if TYPE_CHECKING:
    from .nouns import Hold, Name, Read
    from .reacting import Reaction
    from .wording import Worded

SILENCES_NS: Final = (20 * MS, 100 * MS)
"""The shortest and the longest piece of silence that is sent at once; else as long as a chunk."""

CLOSED_NS: Final = SECOND
"""How long the server has to commit what was said into a microphone that was then closed."""

LATE_NS: Final = SECOND
"""So much lateness is made up for; after more, as when the machine slept, the clocks begin anew."""

GRACE_NS: Final = 2 * SECOND
"""How long the server may take to say what it heard, once the audio was sent."""

_MOOT: Final = frozenset({causes.CANCEL, causes.TRUNCATE})
"""What has no point where it did not come to what it was about."""
_HARMLESS: Final = frozenset({"response_cancel_not_active"})

Step: TypeAlias = "tuple[int, Callable[[int, list[Deed]], None]]"
"""When something is to be done, and what."""


class Rerun:
    """Runs one session again."""

    def __init__(
        self, plan: Plan, read: Read, rules: Rules | None = None, options: Options | None = None
    ) -> None:
        self.rules = rules or Rules()
        self.ended = False
        self.audio_ns = 0
        """How much audio was sent, silence that held a microphone open included."""
        self.watch = Watch(plan.aliases)
        self.remarks: list[str] = []
        self._plan, self._reactions = plan, Reactions(plan.book, self.rules)
        self._wording = Wording(plan, options or Options(), self.rules, self.watch)
        self._chunks = self._read_chunks(read)
        self._act = self._chunk = 0
        self._act_ns = self._voice_ns = self._progress_ns = self._opened_ns = 0
        self._spoken_ns = 0
        self._anchor: tuple[int, int] | None = None
        self._since: dict[str, tuple[int, int]] = {}
        self._errors = 0
        self._given: set[int] = set()
        self._out: list[Deed] = []
        self._given_up: set[tuple[str, int]] = set()
        self._held: set[str] = set()
        self._floors: dict[str, int] = {}

    @staticmethod
    def _read_chunks(read: Read) -> Iterator[Event]:
        for event in read(types=(causes.APPEND,)):
            if event.origin == Origin.CLIENT:
                yield event

    # ---- what the skin calls

    def open(self, now_ns: int) -> None:
        """The connection stands."""
        self._opened_ns = self._progress_ns = self._act_ns = now_ns

    def receive(self, message: bytes, now_ns: int) -> None:
        """The server sent a message."""
        part = wire.split(message)
        event = Event(0, now_ns, Origin.SERVER, part.type, TEXT, part.head, part.meta, part.audio)
        self._progress_ns = now_ns
        before = self._started
        self.watch.received(event)
        if self._started and not before:
            self._begin(now_ns)
        if why := self._reactions.asked(self.watch.requests):
            self._stop(why)
        self._refused()

    def poll(self, now_ns: int) -> list[Deed]:
        """What is to be done now, in order. Raises `UsageError` where it cannot be said here."""
        out, self._out = self._out, []
        while not self.ended:
            due, do = self._next(now_ns)
            if due > now_ns:
                break
            do(due if now_ns - due <= LATE_NS else now_ns, out)
        return out

    def next_at(self, now_ns: int) -> int | None:
        """When there is something to do, if nothing comes in until then; None: never."""
        if self._out:
            return now_ns
        return None if self.ended else self._next(now_ns)[0]

    @property
    def over(self) -> bool:
        """Whether all was said and done, and nothing is left to come of it."""
        return self.ended or self._over

    # ---- what comes next

    def _next(self, now_ns: int) -> Step:
        """What is due first; at worst that a wait is given up."""
        if not self._started and ("start", 0) not in self._given_up:
            return self._give_up("start", 0, Cue(START, (), 0), now_ns)
        steps = [self._act_step(now_ns), self._voice_step(now_ns), self._reaction_step(now_ns)]
        if self._done and not self._reactions.waiting:
            steps.append(self._end_step(now_ns))
        return _first(*steps) or self._give_up("end", 0, None, now_ns)

    @property
    def _started(self) -> bool:
        return (START, ()) in self.watch.met

    @property
    def _at_rest(self) -> bool:
        return self.watch.at_rest and not self._reactions.waiting

    def _begin(self, now_ns: int) -> None:
        """The session is there: what was recorded from here on is timed from here on."""
        self._act_ns = self._voice_ns = now_ns
        self._anchor = self._plan.start_ns, now_ns
        if self._wording.extra:
            message = self._wording.extra_update()
            self.watch.sent(0, client_event(causes.UPDATE, message, now_ns))
            self._out.append(Send(now_ns, message))

    def _ready(self, cue: Cue, delay_ns: int, now_ns: int, heard: int = 0) -> int | None:
        """When what was waited for then allows it now; None: it has not come."""
        watch, delay = self.watch, self.rules.scaled(delay_ns)
        if cue.kind in (REST, PLAYED):
            if not self._at_rest or not self._was_due(cue.name):
                return None
            return delay + max(watch.rest_ns, watch.quiet_ns if cue.kind == PLAYED else 0)
        if (came := watch.met.get((cue.kind, cue.name))) is not None:
            return came + delay
        if not self._at_rest or not self._was_due(cue.name):
            return None
        if cue.kind in OF_SPEECH and self._chunk >= heard:
            return self._noticed("heard", self._act, now_ns) + GRACE_NS
        return now_ns if cue.kind in OF_ANSWERS else None

    def _was_due(self, name: Name) -> bool:
        """Whether what this is called after lies behind us."""
        if name[:1] in (("turn",), ("spoken",)):
            return self.watch.turn >= int(name[1])
        return True

    def _waits_since(self, strand: str, number: int, cue: Cue | None, now_ns: int) -> int:
        """When this began to wait, or when somebody last did something that may lead to it."""
        since = self._noticed(strand, number, now_ns)
        spoken = self._spoken_ns if cue is None or cue.kind not in (START, ACK, MADE) else 0
        return max(since, self._progress_ns, spoken)

    def _noticed(self, what: str, number: int, now_ns: int) -> int:
        """When this was first so."""
        if self._since.get(what, (-1, 0))[0] != number:
            self._since[what] = number, now_ns
        return self._since[what][1]

    def _give_up(self, strand: str, number: int, cue: Cue | None, now_ns: int) -> Step:
        """Wait no longer than is patient; then say so and go on."""
        since = self._waits_since(strand, number, cue, now_ns)
        what = str(cue) if cue is not None else "the end of the answer"

        def do(due_ns: int, out: list[Deed]) -> None:
            self._given_up.add((strand, number))
            waited = self.rules.patience_ns / SECOND
            self._remark(f"waited {waited:g} s in vain for {what}: went on without it", out)
            if strand == "start":
                self.watch.met[START, ()] = due_ns
                self._begin(due_ns)

        return since + self.rules.patience_ns, do

    def _remark(self, told: str, out: list[Deed]) -> None:
        self.remarks.append(told)
        out.append(Remark(told))

    # ---- what the caller did by itself

    def _act_step(self, now_ns: int) -> Step | None:
        if self._act >= len(self._plan.acts):
            return None
        act = self._plan.acts[self._act]
        if act.voice is not None and self._chunk < act.voice:
            return None
        given_up = ("act", self._act) in self._given_up
        due: int | None = self._act_ns + self.rules.scaled(act.delay_ns)
        if act.voice is not None and act.cue is None:
            due = self._voice_ns + self.rules.scaled(act.delay_ns)
        if act.cue is not None and not given_up:
            due = self._ready(act.cue, act.delay_ns, now_ns, act.heard)
        held = due is None or (act.idle and self.watch.active > 0 and not given_up)
        floor = self._floor("act", now_ns, held=held)
        if due is None or held:
            return self._give_up("act", self._act, act.cue, now_ns)
        return max(due, self._act_ns, floor), self._do_act

    def _floor(self, strand: str, now_ns: int, *, held: bool) -> int:
        """From when on it may go on: what was held back is not made up for."""
        if held:
            self._held.add(strand)
        elif strand in self._held:
            self._held.remove(strand)
            self._floors[strand] = now_ns
        return self._floors.get(strand, 0)

    def _do_act(self, due_ns: int, out: list[Deed]) -> None:
        act = self._plan.acts[self._act]
        self._act += 1
        self._act_ns = due_ns
        if act.kind == SKIP:
            return
        if act.kind in _MOOT and act.cue is not None and not self._met(act.cue):
            told = f"{act.kind} (event {act.seq}) is not sent: {act.cue} did not come"
            self._remark(told, out)
            return
        if act.kind == causes.CANCEL and not self.watch.active:
            self._remark(f"{act.kind} (event {act.seq}) is not sent: nothing is in progress", out)
            return
        self._say(self._wording.of(act.event, due_ns), act.event, due_ns, out)

    def _met(self, cue: Cue) -> bool:
        return cue.kind in (REST, PLAYED) or (cue.kind, cue.name) in self.watch.met

    def _send(
        self, seq: int, recorded: Event, message: bytes, due_ns: int, out: list[Deed]
    ) -> None:
        part = wire.split(message)
        event = recorded._replace(
            at_ns=due_ns, type=part.type, head=part.head, meta=part.meta, audio=part.audio
        )
        self.watch.sent(seq, event)
        size = appended(event) if part.type == causes.APPEND else wire.audio_bytes(event) or 0
        length = self.watch.axis.input.ns_of_bytes(size)
        self.audio_ns += length
        out.append(Send(due_ns, message, recorded.opcode == BINARY, length))

    # ---- what the caller said

    def _voice_step(self, now_ns: int) -> Step | None:
        voice, row = self._plan.voice, self._chunk
        if row >= len(voice.ends):
            return None if self._over else self._keep_open()
        hold = voice.holds.get(row)
        gated = self._act < max(voice.gates[row], hold.acts if hold else 0)
        due = None if gated else self._chunk_due(row, hold, now_ns)
        floor = self._floor("voice", now_ns, held=due is None)
        if gated:
            return self._keep_open()  # the acts know how long to wait
        if due is None:
            late = self._give_up("voice", row, hold.cue if hold else None, now_ns)
            return _first(late, self._keep_open())
        due = max(due, floor)
        silence = self._keep_open() if hold is not None else None
        if silence is not None and silence[0] <= due - self._length(row):
            return silence
        return due, self._do_chunk

    def _length(self, row: int) -> int:
        """How long the chunk takes to be spoken now."""
        ends = self._plan.voice.ends
        return self.rules.scaled(ends[row] - (ends[row - 1] if row else 0))

    def _chunk_due(self, row: int, hold: Hold | None, now_ns: int) -> int | None:
        """When the chunk goes out; None: the server is waited for."""
        soonest = self._voice_ns + self._length(row) if row else self._voice_ns
        if hold is not None and ("voice", row) in self._given_up:
            return max(soonest, now_ns)
        if hold is not None and hold.cue is not None:
            ready = self._ready(hold.cue, hold.delay_ns, now_ns)
            return None if ready is None else max(soonest, ready)
        then, now = self._anchor or (0, self._opened_ns)
        return max(soonest, now + self.rules.scaled(self._plan.voice.rests[row] - then))

    def _do_chunk(self, due_ns: int, out: list[Deed]) -> None:
        voice, row = self._plan.voice, self._chunk
        if (hold := voice.holds.get(row)) is not None:
            self._anchor = voice.rests[row], due_ns
            self.watch.begin_turn(hold.turn, committed=hold.committed, answered=hold.answered)
        self._chunk += 1
        self._voice_ns = self._spoken_ns = due_ns
        event = next(self._chunks, None)
        if event is None:
            raise UsageError("the recording was changed while it was run again: its audio is gone")
        self._send(event.seq, event, whole(event, self.watch.axis.input), due_ns, out)

    def _keep_open(self) -> Step | None:
        """Silence, while an open microphone has nothing to say; None where it is not open.

        One that was closed in the recording is opened only if the server does not commit.
        """
        voice = self._plan.voice
        if not self.watch.listens or not voice.ends or not self._chunk:
            return None
        row = min(self._chunk, len(voice.ends) - 1)
        closed = self._chunk == len(voice.ends) or bool(voice.pauses[row])
        if closed and not self.watch.unheard:
            return None
        spoken = voice.ends[row] - (voice.ends[row - 1] if row else 0)
        length = max(SILENCES_NS[0], min(SILENCES_NS[1], spoken))
        form = self.watch.axis.input
        size = max(form.width, form.samples_in(length) * form.width)

        def do(due_ns: int, out: list[Deed]) -> None:
            told = pybase64.b64encode(quiet(form, size)).decode()
            message = orjson.dumps({"type": causes.APPEND, "audio": told})
            self._voice_ns = due_ns
            self._send(0, client_event(causes.APPEND, b"", due_ns), message, due_ns, out)

        soonest = self._voice_ns + self.rules.scaled(length)
        return max(soonest, self._spoken_ns + CLOSED_NS) if closed else soonest, do

    # ---- what the server asks for

    def _reaction_step(self, now_ns: int) -> Step | None:
        """The answers, each when it is due; what follows them once nothing is in progress."""
        found: list[Step] = []
        number = self._reactions.count
        for each in self._reactions.ready():
            busy = self.watch.active and ("follow", number) not in self._given_up
            if each.follow is None:
                found.append((each.due_ns, partial(self._do_answer, each)))
            elif busy:
                found.append(self._give_up("follow", number, None, now_ns))
            else:
                found.append((each.due_ns, partial(self._do_follow, each)))
        return _first(*found)

    def _do_answer(self, reaction: Reaction, due_ns: int, out: list[Deed]) -> None:
        self._reactions.waiting.remove(reaction)
        if reaction.answer is None or reaction.request is None:
            return
        event = reaction.answer.event
        again = event.seq in self._given
        self._given.add(event.seq)
        worded = self._wording.answer(event, reaction.request.server_id, again=again)
        self._say(worded, event, due_ns, out)

    def _do_follow(self, reaction: Reaction, due_ns: int, out: list[Deed]) -> None:
        self._reactions.waiting.remove(reaction)
        if reaction.follow is not None:
            event = reaction.follow.event
            self._say(self._wording.of(event, due_ns), event, due_ns, out)

    def _say(self, worded: Worded, event: Event, due_ns: int, out: list[Deed]) -> None:
        for told in worded.remarks:
            self._remark(told, out)
        if worded.message is not None:
            self._send(event.seq, event, worded.message, due_ns, out)

    # ---- the end

    @property
    def _done(self) -> bool:
        """Whether all was said and done."""
        return self._act >= len(self._plan.acts) and self._chunk >= len(self._plan.voice.ends)

    @property
    def _over(self) -> bool:
        """Whether nothing is left to come of it either."""
        return self._done and (self._at_rest or ("end", 0) in self._given_up)

    def _end_step(self, now_ns: int) -> Step:
        if not self._over:
            return self._give_up("end", 0, None, now_ns)
        last = max(self._act_ns, self._voice_ns, self.watch.rest_ns)
        late = self.watch.untranscribed or self.watch.unanswered
        linger = self.rules.scaled(self._plan.tail_ns)
        return last + (max(linger, self.rules.transcripts_ns) if late else linger), self._finish

    def _finish(self, due_ns: int, out: list[Deed]) -> None:
        self.ended = True
        out.append(End())

    def _stop(self, why: str, refused: dict[str, object] | None = None) -> None:
        if not self.ended:
            self.ended = True
            if refused is None:  # else the endpoint's own words are in the log
                self._remark(f"stopped: {why}", self._out)
            self._out.append(End(why, refused))

    def _refused(self) -> None:
        """What the endpoint answered with an error: what all else depends on ends the run."""
        for error, about in self.watch.errors[self._errors :]:
            told = f"{text(error, 'code') or text(error, 'type')}: {text(error, 'message')}"
            fatal = about == causes.UPDATE and not self._plan.refused
            if fatal or not self._started:
                self._stop(f"the endpoint refused {about or 'the session'}: {told}", error)
            elif text(error, "code") not in _HARMLESS:
                what = f"{about} with an error" if about else "with an error"
                self._remark(f"the endpoint answered {what}: {told}", self._out)
        self._errors = len(self.watch.errors)


def _first(*steps: Step | None) -> Step | None:
    """The one that is due first."""
    return min((each for each in steps if each is not None), key=lambda s: s[0], default=None)
