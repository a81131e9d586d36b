"""Free matching: the next recorded answer goes out when something calls for one.

The recording is taken apart into strands: what the server made of each of the user's turns, and
each response. What belongs to none of them stays with the event before it.

Laws:

1. A commit or a `response.create` opens the next recorded response, and the turns before it; so
   does the end of what the user says, where the recorded server listened for itself.
2. Every trigger is answered: what is called for while something else still goes out is not lost.
   A response that followed on another in the recording follows on it now; one that went out beside
   another goes out beside it, and answers a request for one on the side.
3. A `response.create` right after a commit that has already been answered asks for that answer.
4. Within a strand, events keep their order and their delays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..dialects.reading import mapping, text
from ..wire import parse
from . import causes
from .causal import NEAR
from .causes import canonical
from .ears import Ears
from .nouns import Ask, Tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..audio.formats import AudioFormat
    from .nouns import JSON, Rules

KNOWN: Final = 4096
"""Ids of items and responses that are kept in mind."""
SILENCE: Final = "silence"
"""The trigger that is no event: the user has stopped speaking."""


@dataclass(slots=True, eq=False)
class Strand:
    """Recorded events that go out together, once something has called for them."""

    base_ns: int
    """The recorded time from which the delay of its first event counts."""
    response: bool = False
    asked: Ask | None = None
    """The recorded request for the response."""
    listened: bool = False
    """A turn that the recorded server found by itself."""
    after: Strand | None = None
    """The response that has to be over before this one."""
    queue: deque[Tell] = field(default_factory=deque)
    opened: bool = False
    live_ns: int = 0
    created: int = 0
    done: int = 0
    """Responses in it whose begin and end were read."""
    begun: int = 0
    over: int = 0
    """Those whose begin and end went out."""
    cut: bool = False
    """The client has cancelled it: what is left of it up to its end does not go out."""

    @property
    def on_the_side(self) -> bool:
        """A response that is no part of the conversation."""
        return self.asked is not None and _on_the_side(self.asked.body)

    @property
    def is_read(self) -> bool:
        """All its responses were read to their ends."""
        return self.created == self.done

    @property
    def is_over(self) -> bool:
        """All its responses have gone out."""
        return self.over >= self.created


class Free:
    """Holds the server events that were read, and says which is due."""

    def __init__(self, rules: Rules, unanswered: Callable[[JSON, int], None]) -> None:
        """`unanswered` is told of a request for a response that no recording answers."""
        self._rules, self._unanswered = rules, unanswered
        self.ears = Ears()
        self._trunk = self._last = Strand(0, opened=True)
        self._closed: list[Strand] = []
        self._flowing: list[Strand] = []
        self._running: list[Strand] = []
        self._turn: Strand | None = None
        self._committed = True
        self._turn_ns: int | None = None
        self._latest: Strand | None = None
        self._of: dict[str, Strand] = {}
        self._calls: deque[tuple[str, int, JSON]] = deque()
        self._asks = False
        self._owed = 0
        self._claimable = False
        self._close: Tell | None = None
        self._gone = (0, 0)
        self._count = 0
        self.held = 0
        """Bytes of what waits its turn."""
        self.muted = False
        """It never counts: no audio is ever waited for."""
        self.dropped = 0
        """Events that did not go out because the client had cancelled their response."""

    def __len__(self) -> int:
        return self._count

    # ---- what the replayer calls, whatever the matching

    def begin(self, *, recorded_ns: int | None = None, live_ns: int | None = None) -> None:
        """The connection stands: in the recording, or now."""
        if recorded_ns is not None and not self._trunk.queue:
            self._trunk.base_ns = recorded_ns
            self._gone = recorded_ns, self._gone[1]
        if live_ns is not None:
            self._trunk.live_ns = live_ns
            self._gone = self._gone[0], live_ns

    @property
    def hungry(self) -> bool:
        """Whether more should be read: the next response is always known."""
        if self._calls or not any(self._for_all(strand) for strand in self._closed):
            return True
        flowing = sum(len(strand.queue) for strand in self._flowing)
        return flowing < NEAR and any(not strand.is_read for strand in self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing is held that could go out."""
        return not self._flowing

    def enter(self, tell: Tell) -> None:
        """Take in one more event of the recording."""
        about = tell.about
        if about is not None and (tell.aside or about.kind == causes.CREATE_ITEM):
            return  # answered from what this client sends
        if tell.close is not None:
            self._close = tell
            return
        kind = canonical(tell.event.type)
        self._last = strand = self._strand(tell, kind, parse(tell.event))
        strand.created += kind == causes.CREATED
        strand.done += kind == causes.DONE
        if strand.cut:
            if kind != causes.DONE:
                self.dropped += 1
                return
            strand.cut = False
            tell.event = _cancelled(tell)
        if strand.opened and not strand.queue:
            self._flowing.append(strand)
        if strand.opened and kind == causes.CREATED:
            self._running.append(strand)  # it came by itself, behind something that has gone out
        strand.queue.append(tell)
        self._count += 1
        self.held += tell.weight

    def next_due(self, now_ns: int | None) -> tuple[int, Tell] | None:
        """What goes out next, and when that is due; None where something is waited for."""
        best: tuple[int, Tell] | None = None
        for strand in self._flowing:
            first = strand.after
            if first is not None and first.opened and not first.is_over:
                continue
            due = self._due(strand)
            if first is not None and first.opened:
                due = max(due, first.live_ns)
            tell = strand.queue[0]
            if best is None or (due, tell.event.seq) < (best[0], best[1].event.seq):
                best = due, tell
        if best is None and self._close is not None and not (self._flowing or self._closed):
            recorded, live = self._gone
            best = live + self._rules.scaled(self._close.event.at_ns - recorded), self._close
        return best

    def passed(self, due: int, tell: Tell) -> None:
        """It goes out."""
        self._gone = tell.event.at_ns, due
        if tell is self._close:
            return
        strand = next(each for each in self._flowing if each.queue[0] is tell)
        strand.queue.popleft()
        self._count -= 1
        self.held -= tell.weight
        strand.base_ns, strand.live_ns = tell.event.at_ns, due
        kind = canonical(tell.event.type)
        if kind in (causes.CREATED, causes.DONE) and tell.about is None:
            tell.about = strand.asked
        strand.begun += kind == causes.CREATED
        strand.over += kind == causes.DONE
        strand.after = None
        if not strand.queue:
            self._flowing.remove(strand)
        self._running = [each for each in self._running if not (each.is_read and each.is_over)]

    def waiting(self) -> tuple[Tell, int] | None:
        """Nothing: whoever calls for nothing gets nothing, and may take any time."""
        return None

    def give_up(self, tell: Tell) -> None:
        """Nothing is ever waited for."""

    def unmute(self, end_ns: int) -> None:
        """Nothing was held up by it."""

    def clear(self) -> Iterator[Tell]:
        """Give up everything that is held, and tell it."""
        for strand in (*self._flowing, *self._closed):
            yield from strand.queue
            strand.queue.clear()
        self._flowing, self._close = [], None  # what is closed stays known: more of it may follow
        self._count = self.held = 0

    # ---- what calls for an answer

    def called(self, kind: str, now_ns: int, body: JSON) -> None:
        """The client sent a commit or a `response.create`."""
        self._calls.append((kind, now_ns, body))

    def append(self, data: bytes, form: AudioFormat, now_ns: int) -> None:
        """The client appended audio."""
        if self.ears.push(data, form, now_ns):
            self._calls.append((SILENCE, now_ns, {}))

    def listen(self, now_ns: int) -> None:
        """So much time has passed."""
        if self.ears.poll(now_ns):
            self._calls.append((SILENCE, now_ns, {}))

    def cancel(self, response_id: str, now_ns: int) -> bool:
        """End a response that is on its way; False where none is."""
        for strand in self._running:
            ours = not response_id or self._of.get(response_id) is strand
            if ours and strand.begun > strand.over and not strand.cut:
                self._cut(strand, now_ns)
                return True
        return False

    def answer(self, *, settled: bool) -> bool:
        """Open what was called for; whether anything was done.

        Unless all was read that can be (`settled`), a call waits until the next response is known.
        """
        if not self._calls:
            return False
        kind, now_ns, body = self._calls[0]
        beside = kind == causes.RESPOND and _on_the_side(body)
        found = self._next(kind, beside=beside)
        if found is None and not settled:
            return False
        self._calls.popleft()
        if kind == causes.RESPOND:
            self._respond(found, now_ns, body, beside=beside)
        else:
            self._end_turn(found, now_ns, heard=kind == SILENCE)
        return True

    # ---- inside

    def _next(self, kind: str, *, beside: bool) -> Strand | None:
        """The response that is called for."""
        fitting = [each for each in self._closed if each.response and each.on_the_side == beside]
        if kind == causes.RESPOND and self.ears.hearing:  # what is being said is not meant
            asked = [each for each in fitting if each.asked is not None]
            fitting = asked or fitting
        return fitting[0] if fitting else None

    def _end_turn(self, found: Strand | None, now_ns: int, *, heard: bool) -> None:
        before = self._closed.index(found) if found is not None else len(self._closed)
        turns = [each for each in self._closed[:before] if not each.response]
        deaf = not any(each.listened for each in turns)
        if heard and deaf and (self._asks or found is None):
            return  # the recorded server did not listen, and this client does not want it to
        if not heard:
            self._asks = True
            self.ears.forget()
        for turn in turns:
            self._open(turn, now_ns)
        if found is None or (found.asked is not None and self._asks):
            return
        self._owed += found.asked is not None
        self._claimable = found.asked is None
        self._open(found, now_ns)

    def _respond(self, found: Strand | None, now_ns: int, body: JSON, *, beside: bool) -> None:
        self._asks = self._asks or not beside
        if self._owed and not beside:
            self._owed -= 1
            return
        if self._claimable and not beside and (found is None or found.asked is None):
            self._claimable = False
            return
        if found is None:
            self._unanswered(body, now_ns)
            return
        if found.asked is None:
            found.asked = Ask(0, found.base_ns, causes.RESPOND, {}, required=False)
        found.asked.live, found.asked.live_at_ns = body, now_ns
        if not beside:
            self._claimable = False
            for turn in self._closed[: self._closed.index(found)]:
                if not turn.response and not self.ears.hearing:
                    self._open(turn, now_ns)
        self._open(found, now_ns)

    def _open(self, strand: Strand, now_ns: int) -> None:
        self._closed.remove(strand)
        strand.opened, strand.live_ns = True, now_ns
        if strand.queue:
            self._flowing.append(strand)
        if strand.created:
            self._running.append(strand)

    def _cut(self, strand: Strand, now_ns: int) -> None:
        while strand.queue and canonical(strand.queue[0].event.type) != causes.DONE:
            tell = strand.queue.popleft()
            self._count -= 1
            self.held -= tell.weight
            self.dropped += 1
        if strand.queue:
            first = strand.queue[0]
            self.held -= first.weight
            first.event = _cancelled(first)
            self.held += first.weight
            strand.base_ns, strand.live_ns = first.event.at_ns, now_ns
            return
        strand.cut, strand.live_ns = True, now_ns
        if strand in self._flowing:
            self._flowing.remove(strand)

    def _due(self, strand: Strand) -> int:
        event, cause = strand.queue[0].event, strand.queue[0].cause
        follows = strand.live_ns
        if canonical(event.type) not in causes.HEARD or isinstance(cause, Ask):
            follows += self._rules.scaled(event.at_ns - strand.base_ns)
        # How long the user spoke is not ours to repeat: the rest of what was heard goes at once.
        return follows

    def _for_all(self, strand: Strand) -> bool:
        return strand.response and not strand.on_the_side

    # ---- taking the recording apart

    def _strand(self, tell: Tell, kind: str, body: JSON) -> Strand:
        """Where an event belongs."""
        if kind in causes.HEARD:
            return self._heard(tell, kind, text(body, "item_id"))
        if kind == causes.CREATED:
            return self._created(tell, text(mapping(body, "response"), "id"))
        item = text(body, "item_id") or text(mapping(body, "item"), "id")
        response = text(body, "response_id") or text(mapping(body, "response"), "id")
        found = self._of.get(response) if kind.startswith("response.") else None
        found = found or (self._of.get(item) if item else None) or self._last
        if kind == "response.output_item.added" and item:
            self._know(item, found)
        return found

    def _heard(self, tell: Tell, kind: str, item: str) -> Strand:
        at_ns = tell.cause.at_ns if isinstance(tell.cause, Ask) else tell.event.at_ns
        known = self._of.get(item) if item else self._turn
        begins = kind == causes.STARTED or (self._committed and kind == causes.COMMITTED)
        if known is None or known.response or (not item and begins):
            known = Strand(at_ns, listened=kind != causes.COMMITTED)
            self._closed.append(known)
            self._know(item, known)
        self._turn, self._turn_ns = known, at_ns
        self._committed = kind == causes.COMMITTED
        return known

    def _created(self, tell: Tell, name: str) -> Strand:
        asked = tell.cause if isinstance(tell.cause, Ask) else None
        if asked is None and self._turn_ns is None:
            self._know(name, self._last)
            return self._last  # nobody called for it: it came by itself
        base_ns = asked.at_ns if asked is not None else self._turn_ns
        assert base_ns is not None
        made = Strand(base_ns, response=True, asked=asked)
        if self._latest is not None and self._latest.is_read:
            made.after = self._latest
        self._closed.append(made)
        self._know(name, made)
        if not made.on_the_side:
            self._turn_ns, self._latest = None, made
        return made

    def _know(self, name: str, strand: Strand) -> None:
        self._of[name] = strand
        if len(self._of) > KNOWN:
            del self._of[next(iter(self._of))]


def _on_the_side(body: JSON) -> bool:
    return text(mapping(body, "response"), "conversation") == "none"


def _cancelled(tell: Tell) -> Any:
    """The end of a response that the client has cancelled before it ended."""
    body = parse(tell.event)
    response = body.get("response")
    if not isinstance(response, dict) or response.get("status") == "cancelled":
        return tell.event
    response["status"] = "cancelled"
    response["status_details"] = {"type": "cancelled", "reason": "client_cancelled"}
    return tell.event._replace(head=orjson.dumps(body), meta=None, audio=None)
