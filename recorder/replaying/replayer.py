"""The replayer, sans-IO: recorded server events, when this client has caused them.

Laws:

1. Server events go out in the order of the recording, but for answers on the side (`causes`).
2. An event goes out its recorded delay after its cause, or after the event before it where it has
   none; delays are counted from when those were *due*, so that lateness never adds up.
3. What the client did is compared with the recording; a wait that lasts `patience_ns` longer than
   in the recording, while the client does nothing either, is a divergence.
4. Fed its own recording it never diverges, and everything is consumed.
5. No more of the recording is held than what may be needed next: `WINDOW` bounds it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from .. import wire
from ..dialects.reading import mapping
from ..dialects.sound import audio_of
from ..events import BINARY, TEXT, Event, Origin
from . import causes
from .answering import Answers
from .axis import Axis
from .matching import MOST, described, differences, recorded_as
from .nouns import (
    FREE,
    STRICT,
    Action,
    Ask,
    Close,
    Divergence,
    Outcome,
    Position,
    Rules,
    Send,
    Tell,
)
from .rewriting import Echoes, Ids, learn_answer, learn_from
from .triggers import Triggers, gates

if TYPE_CHECKING:
    from .nouns import JSON

WINDOW: Final = 2048
"""Server events that are read ahead at most, in search of what the client just sent."""
WINDOW_BYTES: Final = 8 * 1024 * 1024
NEAR: Final = 32
"""Server events that are always read ahead."""
NOTES: Final = 50
"""Remarks and divergences that are kept; beyond them they are counted."""

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

    def __init__(self, events: Iterable[Event], rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.finished = False
        """Nothing goes out any more: it was closed, by the recording or by a divergence."""
        self._source = iter(events)
        self._planner = causes.Planner()
        self._main: deque[Tell] = deque()
        self._asides: list[Tell] = []
        self._asks: list[Ask] = []
        self._held = 0
        self._drained = False
        self._axis, self._ids, self._echoes = Axis(), Ids(), Echoes()
        self._answers, self._triggers = Answers(), Triggers()
        self._made: list[Action] = []
        self._opened_ns = self._anchor_rec = self._anchor_live = self._progress_ns = 0
        self._given_up: Tell | None = None
        self._sent = 0
        self._begun = False
        self._divergences: list[Divergence] = []
        self._notes: list[str] = []

    # ---- what the skin calls

    def open(self, now_ns: int) -> None:
        """The connection stands."""
        self._opened_ns = self._anchor_live = self._progress_ns = now_ns
        self._fill()

    def receive(self, message: str | bytes, now_ns: int) -> None:
        """The client sent a message."""
        data = message.encode() if isinstance(message, str) else message
        part = wire.split(data)
        opcode = TEXT if isinstance(message, str) else BINARY
        event = Event(0, now_ns, Origin.CLIENT, part.type, opcode, part.head, part.meta, part.audio)
        kind = causes.canonical(part.type)
        if kind == causes.APPEND:
            self._progress_ns = now_ns
            self._append(event, now_ns)
        elif kind in causes.ASKED:
            self._progress_ns = now_ns
            if kind == causes.UPDATE:
                self._axis.configure(event)
            self._asked(kind, wire.parse(event), now_ns)

    def poll(self, now_ns: int) -> list[Action]:
        """What is to be done now, in order."""
        if self.rules.match == FREE and self._triggers.ears.poll(now_ns):
            self._triggers.fell_silent(now_ns)
        out: list[Action] = []
        while not self.finished:
            self._fill()
            found = self._next_due(now_ns)
            if found is None or found[0] > now_ns:
                if not self._impatient(now_ns):
                    break
                continue
            self._play(*found, out)
        self._made, made = [], self._made
        closes = bool(out) and isinstance(out[-1], Close)
        return [*made, *out] if closes else [*out, *made]

    def next_at(self) -> int | None:
        """When there is something to do, if nothing comes in until then; None: never."""
        if self._made:
            return self._opened_ns
        if self.finished:
            return None
        times = [self._deadline()]
        if (found := self._next_due(None)) is not None:
            times.append(found[0])
        if self.rules.match == FREE:
            times.append(self._triggers.ears.due())
        known = [each for each in times if each is not None]
        return min(known) if known else None

    def outcome(self) -> Outcome:
        """What was played, and what was not; reads the rest of the recording."""
        left: Counter[str] = Counter()
        while self._main or self._asides or self._read():
            left.update(each.event.type for each in (*self._main, *self._asides) if not each.close)
            self._main.clear()
            self._asides.clear()
        for kind in list(left):
            if kind in UNAWAITED or kind.startswith(UNAWAITED_BEGINNINGS):
                del left[kind]
        missing = [each for each in self._asks if each.required]
        return Outcome(
            sent=self._sent,
            left=dict(left),
            unasked=tuple(recorded_as(each) for each in missing[:NOTES]),
            divergences=tuple(self._divergences),
            notes=tuple(self._notes),
        )

    # ---- reading ahead

    def _fill(self) -> None:
        while len(self._main) < NEAR and not self._is_full and self._read():
            pass

    @property
    def _is_full(self) -> bool:
        return len(self._main) >= WINDOW or self._held >= WINDOW_BYTES

    def _read(self) -> bool:
        """Take in one more recorded event; whether there was one."""
        event = None if self._drained else next(self._source, None)
        if event is None:
            self._drained = True
            return False
        if event.type == "recorder.handshake" and not self._begun:
            self._anchor_rec = event.at_ns
        step = self._planner.plan(event)
        if isinstance(step, Ask):
            if self.rules.match != FREE:
                self._asks.append(step)
        elif isinstance(step, Tell):
            self._enter(step)
        return True

    def _enter(self, tell: Tell) -> None:
        answers_item = isinstance(tell.about, Ask) and tell.about.kind == causes.CREATE_ITEM
        if self.rules.match == FREE and (tell.aside or answers_item):
            return  # answered from what this client sends
        if tell.aside:
            self._asides.append(tell)
        else:
            self._main.append(tell)
            self._held += _weight(tell.event)

    # ---- what is due

    def _next_due(self, now_ns: int | None) -> tuple[int, Tell] | None:
        """What goes out next, and when that is due; None where something is waited for."""
        best: tuple[int, Tell] | None = None
        if self._main:
            due = self._due(self._main[0], now_ns)
            best = None if due is None else (due, self._main[0])
        for tell in self._asides if self._begun else ():  # nothing before the greeting
            due = self._after(tell)
            if due is None:
                continue
            if best is None or (due, tell.event.seq) < (best[0], best[1].event.seq):
                best = due, tell
        return best

    def _due(self, tell: Tell, now_ns: int | None) -> int | None:
        follows = self._anchor_live + self.rules.scaled(tell.event.at_ns - self._anchor_rec)
        if tell is self._given_up:
            return self._anchor_live if now_ns is None else now_ns
        if self.rules.match == FREE:
            return self._due_freely(tell, follows)
        if tell.cause is None:
            return follows
        after = self._after(tell)
        return None if after is None else max(after, self._anchor_live)

    def _due_freely(self, tell: Tell, follows: int) -> int | None:
        if isinstance(tell.cause, Position) and not gates(tell):
            return self._anchor_live  # how long the user spoke is not ours to repeat
        released = self._triggers.released(tell)
        if not released:
            return None if released is None else follows
        delay = tell.event.at_ns - tell.cause.at_ns if isinstance(tell.cause, Ask) else 0
        return max(released + self.rules.scaled(delay), self._anchor_live)

    def _after(self, tell: Tell) -> int | None:
        """Its recorded delay after its cause; None while that has not come."""
        cause = tell.cause
        if isinstance(cause, Position):
            came = self._axis.reached(cause.axis_ns)
        else:
            came = cause.live_at_ns if cause is not None else None
        if cause is None or came is None:
            return None
        return came + self.rules.scaled(tell.event.at_ns - cause.at_ns)

    def _deadline(self) -> int | None:
        """Until when the client may keep us waiting."""
        if not self._main or self._due(self._main[0], None) is not None:
            return None
        waited = self.rules.scaled(self._main[0].event.at_ns - self._anchor_rec)
        return max(self._anchor_live + waited, self._progress_ns) + self.rules.patience_ns

    def _impatient(self, now_ns: int) -> bool:
        """Note that the client has kept us waiting too long; whether it had."""
        deadline = self._deadline()
        if deadline is None or now_ns < deadline:
            return False
        tell = self._main[0]
        cause = tell.cause
        if isinstance(cause, Ask):
            expected = recorded_as(cause)
            if cause in self._asks:
                self._asks.remove(cause)
        elif isinstance(cause, Position):
            expected = f"{cause.axis_ns / 1e9:.2f} s of appended audio"
        else:
            expected = "a commit, a response.create, or the end of what the user says"
        came = f"nothing for {(now_ns - self._progress_ns) / 1e9:.1f} s"
        if isinstance(cause, Position):
            came = f"{self._axis.end_ns / 1e9:.2f} s, and then {came}"
        self._given_up = tell
        self._diverge(f"{expected}, for {tell.event.type} (event {tell.event.seq})", came, now_ns)
        return True

    # ---- sending

    def _play(self, due: int, tell: Tell, out: list[Action]) -> None:
        if tell.aside:
            self._asides.remove(tell)
        else:
            self._main.popleft()
            self._held -= _weight(tell.event)
            self._anchor_rec, self._anchor_live = tell.event.at_ns, due
            self._triggers.passed(tell)
        if tell.close is not None:
            self.finished = True
            out.append(Close(due, *tell.close))
            return
        self._begun = True
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
                self._answers.session = dict(mapping(wire.parse(stated), "session"))
        length = self._axis.output.ns_of_bytes(_spoken(event, kind))
        return Send(due, message, event.type, event.opcode == BINARY, length)

    # ---- what the client did

    def _append(self, event: Event, now_ns: int) -> None:
        data = audio_of(event, "audio") or b""
        self._axis.append(len(data), now_ns)
        if self.rules.match == FREE and self._triggers.ears.push(data, self._axis.input, now_ns):
            self._triggers.fell_silent(now_ns)

    def _asked(self, kind: str, body: JSON, now_ns: int) -> None:
        if self.rules.match == FREE:
            self._triggers.asked(kind, now_ns)
            if kind not in causes.REQUIRED or kind == causes.CREATE_ITEM:
                self._answer(kind, body, now_ns)
            return
        ask = self._match(kind, body)
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
        if self.rules.match == STRICT:
            self.finished = True
            told = self._answers.error("diverged", f"not as it was recorded: {found}")
            self._made.append(Send(now_ns, told, "error"))
            self._made.append(Close(now_ns, DIVERGED, "not as it was recorded"))


def _weight(event: Event) -> int:
    return len(event.head) + len(event.audio or b"")


def _spoken(event: Event, kind: str) -> int:
    if kind != "response.output_audio.delta":
        return 0
    return wire.audio_bytes(event) or 0
