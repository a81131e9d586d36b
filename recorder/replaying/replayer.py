"""The replayer, sans-IO: recorded server events, when this client has caused them.

Laws:

1. What the recorded server sent goes out when this client has caused it, and not before.
2. What the client did is compared with the recording; a wait that lasts `patience_ns` longer than
   in the recording, while the client does nothing either, is a divergence.
3. Fed its own recording it never diverges, and everything is consumed.
4. No more of the recording is held than what may be needed next: `WINDOW` bounds it.

What goes out when is said by `causal`, or by `free` where matching is free.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from .. import wire
from ..dialects.reading import mapping, text
from ..dialects.sound import audio_of
from ..events import BINARY, TEXT, Event, Origin
from . import causes
from .answering import Answers
from .axis import Axis, size_of_append
from .causal import Causal
from .free import Free
from .matching import MOST, described, differences, recorded_as
from .nouns import (
    FREE,
    SECOND,
    STRICT,
    Action,
    Ask,
    Close,
    Divergence,
    Outcome,
    Rules,
    Send,
    Tell,
)
from .rewriting import Echoes, Ids, learn_answer, learn_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .nouns import JSON

WINDOW: Final = 2048
"""Server events that are read ahead at most, in search of what the client just sent."""
WINDOW_BYTES: Final = 8 * 1024 * 1024
NOTES: Final = 50
"""Remarks and divergences that are kept; divergences beyond them are counted."""

DIVERGED: Final = 4000
"""The close code after a divergence under strict matching."""

UNAWAITED: Final = frozenset({"rate_limits.updated"})
UNAWAITED_BEGINNINGS: Final = (
    "conversation.item.input_audio_transcription.",
    "output_audio_buffer.",
)
"""Server events that clients leave without: they are never counted as left over."""


class Replayer:
    """Plays one recorded session to one client."""

    def __init__(self, events: Iterable[Event | None], rules: Rules | None = None) -> None:
        """None among the events: the next one cannot be had just now (see `starved`)."""
        self.rules = rules or Rules()
        self.finished = False
        """Nothing goes out any more: it was closed, by the recording or by a divergence."""
        self._source = iter(events)
        self._planner = causes.Planner()
        self._asks: list[Ask] = []
        self._early: deque[tuple[str, JSON, int]] = deque()
        self._drained = self._dry = False
        self._axis, self._ids, self._echoes = Axis(), Ids(), Echoes()
        self._answers = Answers()
        self._free: Free | None = None
        self._schedule: Free | Causal = Causal(self.rules, self._axis)
        if self.rules.match == FREE:
            self._schedule = self._free = Free(self.rules, self._refuse)
        self._made: list[Action] = []
        self._upcoming: tuple[int, Tell] | None = None
        self._opened_ns = self._progress_ns = 0
        self._sent = self._more = 0
        self._divergences: list[Divergence] = []
        self._notes: list[str] = []

    # ---- what the skin calls

    def open(self, now_ns: int) -> None:
        """The connection stands."""
        self._opened_ns = self._progress_ns = now_ns
        self._schedule.begin(live_ns=now_ns)
        self._fill()

    @property
    def starved(self) -> bool:
        """Nothing can be done until more of the recording can be had; then poll again."""
        needed = (
            self._schedule.idle or self._early or (self._free is not None and self._free.hungry)
        )
        return self._dry and not self.finished and bool(needed)

    @property
    def exhausted(self) -> bool:
        """Everything that was recorded has gone out."""
        return self._drained and not len(self._schedule)

    def receive(self, message: str | bytes, now_ns: int) -> None:
        """The client sent a message."""
        data = message.encode() if isinstance(message, str) else message
        kind = causes.canonical(wire.find_type(data))
        if kind == causes.APPEND:
            self._upcoming = None
            self._progress_ns = now_ns
            self._append(data, now_ns)
        elif kind in causes.ASKED:
            self._progress_ns = now_ns
            event = _event(data, now_ns)
            if kind == causes.UPDATE:
                self._axis.configure(event)
            self._early.append((kind, wire.parse(event), now_ns))

    def poll(self, now_ns: int) -> list[Action]:
        """What is to be done now, in order."""
        if self._free is not None:
            self._free.listen(now_ns)
        out: list[Action] = []
        while not self.finished:
            if self._free is not None or self._schedule.hungry:
                self._fill()
            self._upcoming = found = self._schedule.next_due(now_ns)
            if found is not None and found[0] <= now_ns:
                self._play(*found, out)
            elif not self._answer_early() and not self._impatient(now_ns):
                break
        self._made, made = [], self._made
        closes = bool(out) and isinstance(out[-1], Close)
        return [*made, *out] if closes else [*out, *made]

    def next_at(self) -> int | None:
        """When there is something to do, if nothing comes in until then; None: never."""
        if self._made or (self._early and not self._dry):
            return self._opened_ns
        if self.finished:
            return None
        found = self._upcoming or self._schedule.next_due(None)
        times = [self._deadline(), None if found is None else found[0]]
        if self._free is not None:
            times.append(self._free.ears.due())
        known = [each for each in times if each is not None]
        return min(known) if known else None

    def outcome(self) -> Outcome:
        """What was played, and what was not; reads the rest of the recording."""
        self._answer_early()
        self.finished = True
        left: Counter[str] = Counter()
        more = True
        while more:
            more = self._read()
            if not more or len(self._schedule) >= WINDOW:
                left.update(each.event.type for each in self._schedule.clear() if not each.close)
        for kind in list(left):
            if kind in UNAWAITED or kind.startswith(UNAWAITED_BEGINNINGS):
                del left[kind]
        missing = [each for each in self._asks if each.required]
        return Outcome(
            sent=self._sent,
            left=dict(left),
            unasked=tuple(recorded_as(each) for each in missing[:NOTES]),
            divergences=tuple(self._divergences),
            notes=tuple(self._remarks()),
        )

    def _remarks(self) -> Iterator[str]:
        yield from self._notes
        if self._more:
            yield f"it diverged {self._more} more times"
        if self._free is not None and self._free.dropped:
            yield f"the client cancelled responses: {self._free.dropped} events of them not played"

    # ---- reading ahead

    def _fill(self) -> None:
        """Read as far as is needed, and open what was called for."""
        while True:
            while self._schedule.hungry and not self._is_full and self._read():
                pass
            settled = self._drained or self._is_full
            if self._free is None or not self._free.answer(settled=settled):
                return

    @property
    def _is_full(self) -> bool:
        return len(self._schedule) >= WINDOW or self._schedule.held >= WINDOW_BYTES

    def _read(self) -> bool:
        """Take in one more recorded event; whether there was one."""
        if self._drained:
            return False
        try:
            event = next(self._source)
        except StopIteration:
            self._drained = True
            self._dry = False
            return False
        self._dry = event is None
        if event is None:
            return False
        if event.type == "recorder.handshake":
            self._schedule.begin(recorded_ns=event.at_ns)
        step = self._planner.plan(event)
        if isinstance(step, Ask):
            if self._free is None:
                self._asks.append(step)
        elif isinstance(step, Tell):
            self._schedule.enter(step)
        return True

    # ---- waiting for the client

    def _deadline(self) -> int | None:
        """Until when the client may keep us waiting."""
        waiting = self._schedule.waiting()
        if waiting is None:
            return None
        return max(waiting[1], self._progress_ns) + self.rules.patience_ns

    def _impatient(self, now_ns: int) -> bool:
        """Note that the client has kept us waiting too long; whether it had."""
        if now_ns < self._progress_ns + self.rules.patience_ns:
            return False
        waiting, deadline = self._schedule.waiting(), self._deadline()
        if waiting is None or deadline is None or now_ns < deadline:
            return False
        tell = waiting[0]
        came = f"nothing for {(now_ns - self._progress_ns) / SECOND:.1f} s"
        expected = ""
        if isinstance(tell.cause, Ask):
            expected = recorded_as(tell.cause)
            if tell.cause in self._asks:
                self._asks.remove(tell.cause)
        elif tell.cause is not None:
            expected = f"{tell.cause.axis_ns / SECOND:.2f} s of appended audio"
            came = f"{self._axis.end_ns / SECOND:.2f} s, and then {came}"
        self._schedule.give_up(tell)
        self._diverge(f"{expected}, for {tell.event.type} (event {tell.event.seq})", came, now_ns)
        return True

    # ---- sending

    def _play(self, due: int, tell: Tell, out: list[Action]) -> None:
        self._schedule.passed(due, tell)
        if tell.close is not None:
            self.finished = True
            out.append(Close(due, *tell.close))
            return
        self._sent += 1
        out.append(self._as_sent(due, tell))

    def _as_sent(self, due: int, tell: Tell) -> Send:
        event = tell.event
        kind = causes.canonical(event.type)
        message = wire.join(event, silence=True)
        learn_answer(tell, self._ids)
        if tell.about is not None or kind == "session.updated":
            message = self._echoes.apply(tell, message)
            message = self._ids.rewritten(message, message)
        else:
            message = self._ids.rewritten(event.head, message)
        if kind == "conversation.item.added" or kind == "response.output_item.added":
            self._ids.announced(event.head)
        if kind in ("session.created", "session.updated", "error"):
            stated = event._replace(head=message, meta=None, audio=None)
            self._axis.configure(stated)
            if kind != "error":
                self._state(dict(mapping(wire.parse(stated), "session")))
        length = self._axis.output.ns_of_bytes(_spoken(event, kind))
        return Send(due, message, event.type, event.opcode == BINARY, length)

    def _state(self, session: JSON) -> None:
        self._answers.session = session
        if self._free is not None:
            self._free.ears.configure(session)

    # ---- what the client did

    def _append(self, data: bytes, now_ns: int) -> None:
        if self._schedule.muted:
            self._schedule.unmute(self._axis.end_ns)
        size = size_of_append(data) if self._free is None else None
        if size is not None:
            self._axis.append(size, now_ns)
            return
        sound = audio_of(_event(data, now_ns), "audio") or b""
        self._axis.append(len(sound), now_ns)
        if self._free is not None:
            self._free.append(sound, self._axis.input, now_ns)

    def _called(self, free: Free, kind: str, body: JSON, now_ns: int) -> None:
        """Something is asked for that is answered by what calls for it alone."""
        if kind in (causes.RESPOND, causes.COMMIT):
            free.called(kind, now_ns, body)
        elif kind != causes.CANCEL or not free.cancel(text(body, "response_id"), now_ns):
            self._answer(kind, body, now_ns)

    def _refuse(self, body: JSON, now_ns: int) -> None:
        if len(self._notes) < NOTES:
            self._notes.append("the client asked for a response more than was recorded")
        self._answer(causes.RESPOND, body, now_ns)

    def _answer_early(self) -> bool:
        """Take up what came, in order, as far as can be read for it; whether anything was.

        What was due before it has gone out; and nothing goes out before the greeting.
        """
        came = len(self._early)
        while self._early and not self.finished and (self._sent or not self._dry):
            kind, body, came_ns = self._early[0]
            ask = None
            if self._free is None:
                ask = self._match(kind, body)
                if ask is None and self._dry:
                    break
            self._early.popleft()
            if self._free is not None:
                self._called(self._free, kind, body, came_ns)
            else:
                self._matched(ask, kind, body, came_ns)
        return len(self._early) < came

    def _matched(self, ask: Ask | None, kind: str, body: JSON, now_ns: int) -> None:
        due = next((each for each in self._asks if each.required), None)
        if ask is None or (ask.required and due is not None and ask is not due):
            self._unexpected(kind, body, due, ask, now_ns)
        if ask is None:
            return
        differing = differences(kind, ask.body, body, self._ids)
        self._asks.remove(ask)
        ask.live, ask.live_at_ns = body, now_ns
        learn_from(ask, self._ids)
        if differing and not self.finished:
            told = tuple(differing[:MOST])
            self._diverge(recorded_as(ask), described(kind, body), now_ns, differences=told)

    def _match(self, kind: str, body: JSON) -> Ask | None:
        """The recorded event that this stands for: the next of its kind, or one that fits."""
        found = [each for each in self._asks if each.kind == kind]
        while not found and not self._is_full and self._read():
            found = [each for each in self._asks[-1:] if each.kind == kind]
        fitting = (each for each in found if not differences(kind, each.body, body, self._ids))
        return next(fitting, found[0] if found else None)

    def _unexpected(
        self, kind: str, body: JSON, due: Ask | None, nearest: Ask | None, now_ns: int
    ) -> None:
        expected = recorded_as(due) if due is not None else "nothing more of the client"
        near = recorded_as(nearest) if nearest is not None else ""
        self._diverge(expected, described(kind, body), now_ns, nearest=near)
        if nearest is None and not self.finished:
            self._answer(kind, body, now_ns)

    def _answer(self, kind: str, body: JSON, now_ns: int) -> None:
        """Answer what no recording answers."""
        for message in self._answers.to(kind, body, beta=self._planner.beta):
            self._made.append(Send(now_ns, message, wire.find_type(message)))

    def _diverge(
        self,
        expected: str,
        came: str,
        now_ns: int,
        *,
        nearest: str = "",
        differences: tuple[str, ...] = (),
    ) -> None:
        found = Divergence(
            at_ns=now_ns - self._opened_ns,
            expected=expected,
            came=came,
            nearest=nearest,
            differences=differences,
        )
        if len(self._divergences) < NOTES:
            self._divergences.append(found)
        else:
            self._more += 1
        if self.rules.match == STRICT:
            self.finished = True
            told = self._answers.error("diverged", f"not as it was recorded: {found}")
            self._made.append(Send(now_ns, told, "error"))
            self._made.append(Close(now_ns, DIVERGED, "not as it was recorded"))


def _event(data: bytes, now_ns: int) -> Event:
    part = wire.split(data)
    return Event(0, now_ns, Origin.CLIENT, part.type, TEXT, part.head, part.meta, part.audio)


def _spoken(event: Event, kind: str) -> int:
    if kind != "response.output_audio.delta":
        return 0
    return wire.audio_bytes(event) or 0
