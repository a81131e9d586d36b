"""Which events of a call are in its cassette.

Laws:

1. Without turns to choose, every message that passed is in it, as it passed.
2. Of chosen turns it holds what belongs to them (by the ids of their items, responses and calls),
   and what belongs to no turn and lies between; never anything of another turn.
3. Before them stand how the session began and was configured, and what was said until then, as
   items that the client creates, in the order of the conversation (`history`).
4. Times go on without a jump; delays within what was chosen are as they were. Positions in the
   user's audio count from the first sample that is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from .. import wire
from ..dialects.names import ALIASES
from ..dialects.reading import integer, mapping, text
from ..errors import UsageError
from ..events import BINARY, TEXT, Event, Origin
from ..projections.model import reckoned
from ..replaying.axis import Axis
from .history import answered, items_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..projections.analysis import Analysis
    from ..projections.model import Turn

APPEND: Final = "input_audio_buffer.append"
COMMIT: Final = "input_audio_buffer.commit"
COMMITTED: Final = "input_audio_buffer.committed"
STARTED: Final = "input_audio_buffer.speech_started"

LEAD_NS: Final = 500_000_000
"""What is kept of the user's audio before he speaks: a detector's padding, and a little more."""
GAP_NS: Final = 1_000_000_000
"""Longest pause between the events that set a session up, before the chosen turns."""

_OWN: Final = frozenset({"recorder.opened", "recorder.handshake", "recorder.closed"})
_HEAD: Final = frozenset(
    {"session.created", "session.update", "session.updated", "conversation.created"}
)
_BY_PLACE: Final = ("conversation.item.delete", "conversation.item.retrieve")
"""What is done to an item belongs to the turn in which it is done, not to that of the item."""
_END: Final = 1 << 62
_SPAN: Final = re.compile(r"([1-9]\d{0,5})(-([1-9]\d{0,5})?)?")


class Turns(NamedTuple):
    """From which turn on to which, both included; they count from 1."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Excerpt(NamedTuple):
    """What was chosen of a call."""

    events: Iterator[Event]
    history: int
    """Items that stand for what was before."""
    notes: tuple[str, ...]
    """What a person should know."""


def read_turns(written: str, count: int) -> Turns:
    """The turns meant by `6`, `6-8` or `6-`, of so many that there are. Raises `UsageError`."""
    found = _SPAN.fullmatch(written.strip())
    if found is None:
        raise UsageError(
            f"--turns {written}: expected a turn or a range of turns, as in 6, 6-8, 6-"
        )
    if not count:
        raise UsageError(f"--turns {written}: there are no turns in this session")
    first = int(found[1])
    last = int(found[3] or count) if found[2] else first
    if first > last:
        raise UsageError(f"--turns {written}: {first} comes after {last}")
    if last > count or first > count:
        raise UsageError(f"--turns {written}: the session has turns 1 to {count}")
    return Turns(first, last)


def choose(
    source: Callable[[bool], Iterable[Event]], analysis: Analysis, turns: Turns | None
) -> Excerpt:
    """The events of a cassette. `source(audio)` gives those of the session, from the start.

    Numbers and times are new; `trimming` numbers them. Raises `UsageError`.
    """
    notes = _notes(analysis, turns)
    if turns is None or (turns.first == 1 and turns.last == len(analysis.turns)):
        return Excerpt(filter(_passed, source(True)), 0, notes)
    plan = _Plan(source(False), analysis, turns)
    begun_ns = reckoned(analysis.turns[turns.first - 1].start_ns)
    items, missing = items_before(analysis.conversation, plan.is_before, begun_ns)
    if missing:
        notes = (*notes, *missing)
    return Excerpt(plan.played(source(True), items), len(items), notes)


def _passed(event: Event) -> bool:
    """A message of one side, or what a replay needs of our own remarks."""
    if event.origin == Origin.RECORDER:
        return event.type in _OWN
    return event.opcode in (TEXT, BINARY)


def _notes(analysis: Analysis, turns: Turns | None) -> tuple[str, ...]:
    found = []
    chosen = analysis.turns if turns is None else analysis.turns[turns.first - 1 : turns.last]
    for turn in chosen:
        if turn.status == "open":
            found.append(f"turn {turn.index} is not over where the recording ends")
    to_the_end = turns is None or turns.last == len(analysis.turns)
    if to_the_end and analysis.summary.closed is None:
        found.append("the recording breaks off: how the session ended is not in it")
    gaps = len(analysis.summary.gaps)
    if gaps:
        found.append(f"the recording has gaps ({gaps}): what is missing there is missing here too")
    return tuple(found)


class _Plan:
    """What to keep of chosen turns, found in one pass without sound."""

    def __init__(self, events: Iterable[Event], analysis: Analysis, turns: Turns) -> None:
        self._turns = turns
        self._chosen = analysis.turns[turns.first - 1 : turns.last]
        self._owners = _owners(analysis)
        self._asked = _asked(analysis, self._owners)
        self._is_last = turns.last == len(analysis.turns)
        self.beta = False
        self._survey(events)

    def is_before(self, item_id: str, seq: int) -> bool:
        """Whether an item is history to the chosen turns."""
        owner = self._owners.get(item_id, -seq)
        return self._turns.first > owner > 0 or (owner < 0 and -owner < self._begin)

    def _survey(self, events: Iterable[Event]) -> None:
        """Where the chosen turns begin and end in the log, and the audio that they need."""
        first, last = self._turns
        begun = earlier = committed = 0
        self._end = self._heard_until = 0
        commits: list[int] = []
        voice = False
        for event in events:
            self.beta = self.beta or event.type == "conversation.item.created"
            if event.type == COMMIT:
                commits.append(event.seq)
            owner = self._owner(event)
            if event.type == COMMITTED:
                if commits and owner is not None:
                    self._asked[commits.pop()] = owner
                commits.clear()
            if owner is None or owner < 0:
                continue
            if owner < first and not begun:
                earlier = event.seq
            if owner < first and event.type == COMMITTED:
                committed = event.seq
            if first <= owner <= last:
                begun = begun or event.seq
                self._end = event.seq
                voice = voice or event.type == STARTED
                if event.type == COMMITTED:
                    self._heard_until = event.seq
        self._begin = 1 if first == 1 else earlier + 1
        self._heard_from = 0 if first == 1 else committed
        begun_ns = reckoned(self._chosen[0].start_ns)
        self._heard_ns = begun_ns - LEAD_NS if voice and first > 1 else -1
        if self._is_last:
            self._end = _END
            self._heard_until = _END if self._heard_until else 0

    def _owner(self, event: Event) -> int | None:
        """The turn that an event belongs to; below 0: minus the place of what it belongs to,
        which belongs to none; None: nothing tells."""
        if event.seq in self._asked:
            return self._asked[event.seq]
        if event.origin == Origin.RECORDER or event.type.startswith(_BY_PLACE):
            return None
        if event.type == APPEND or event.opcode not in (TEXT, BINARY):
            return None
        return next((self._owners[each] for each in _ids(event) if each in self._owners), None)

    def _keeps(self, event: Event) -> bool:
        if event.type == APPEND and event.origin == Origin.CLIENT:
            inside = self._heard_from < event.seq < self._heard_until
            return inside and event.at_ns >= self._heard_ns
        owner = self._owner(event)
        place = event.seq if owner is None else -owner
        if owner is not None and owner > 0:
            return self._turns.first <= owner <= self._turns.last
        return self._begin <= place <= self._end and event.seq >= self._begin

    def played(self, events: Iterable[Event], items: list[dict[str, Any]]) -> Iterator[Event]:
        """The events of the cassette: the head, the history, the turns."""
        axis, clock = Axis(), _Clock()
        shift_ms, begun = 0, self._turns.first == 1
        for event in filter(_passed, events):
            head = event.origin == Origin.RECORDER or ALIASES.get(event.type, event.type) in _HEAD
            if head:
                axis.configure(event)
            if event.type == "recorder.closed":
                if self._is_last:
                    yield clock.placed(event)
            elif event.origin == Origin.RECORDER or (head and event.seq < self._begin):
                yield clock.placed(event) if begun else clock.near(event)
            elif self._keeps(event):
                if not begun:
                    begun = True
                    yield from answered(items, clock.now_ns, beta=self.beta)
                yield clock.placed(_moved(event, shift_ms))
            if event.type == APPEND and self._is_skipped(event):
                axis.append(wire.audio_bytes(event) or 0, 0)
                shift_ms = axis.end_ns // 1_000_000

    def _is_skipped(self, event: Event) -> bool:
        """Whether the audio in it lies before what is kept."""
        return self._turns.first > 1 and (
            event.seq <= self._heard_from or event.at_ns < self._heard_ns
        )


class _Clock:
    """Times of the cassette: short pauses in its head, and then the delays as they were."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._last_ns = 0
        self._shift_ns: int | None = None

    def near(self, event: Event) -> Event:
        """An event of the head."""
        self.now_ns += min(max(event.at_ns - self._last_ns, 0), GAP_NS)
        self._last_ns = event.at_ns
        return event._replace(at_ns=self.now_ns)

    def placed(self, event: Event) -> Event:
        """An event of what was chosen: the first of them follows the head at once."""
        if self._shift_ns is None:
            self._shift_ns = self.now_ns - event.at_ns
        return event._replace(at_ns=max(event.at_ns + self._shift_ns, self.now_ns))


def _moved(event: Event, shift_ms: int) -> Event:
    """The event with its positions in the user's audio counted anew."""
    if not shift_ms or not event.type.startswith("input_audio_buffer."):
        return event
    body = wire.parse(event)
    moved = False
    for name in ("audio_start_ms", "audio_end_ms"):
        if (value := integer(body, name)) is not None:
            body[name], moved = max(value - shift_ms, 0), True
    return event._replace(head=orjson.dumps(body)) if moved else event


def _ids(event: Event) -> Iterator[str]:
    """The ids that may say what an event belongs to, the most telling first."""
    body = wire.parse(event)
    item = mapping(body, "item")
    for found in (
        text(body, "item_id"), text(item, "id"), text(body, "response_id"),
        text(mapping(body, "response"), "id"), text(item, "call_id"), text(body, "call_id"),
    ):  # fmt: skip
        if found:
            yield found


def _owners(analysis: Analysis) -> dict[str, int]:
    """By id: the turn that it belongs to, or minus the place in the log where it begins."""
    conversation = analysis.conversation
    places = {each.id: -each.seq for each in (*conversation.items, *conversation.out_of_band)}
    for response in conversation.responses:
        begun = -(response.asked_seq or response.seq)
        places |= dict.fromkeys((response.id, *response.items), begun)
    for turn in analysis.turns:
        places |= dict.fromkeys(_names(turn, analysis), turn.index)
    return places


def _names(turn: Turn, analysis: Analysis) -> Iterator[str]:
    yield from turn.user_items
    yield from turn.responses
    yield from turn.calls
    conversation = analysis.conversation
    for response in conversation.responses:
        if response.id in turn.responses:
            yield from response.items
    for item in conversation.items:
        if item.call_id and item.call_id in turn.calls:
            yield item.id


def _asked(analysis: Analysis, owners: dict[str, int]) -> dict[int, int]:
    """The client's events that name nothing, by their place: what they belong to."""
    found = {}
    for item in (*analysis.conversation.items, *analysis.conversation.out_of_band):
        if item.by == "client" and item.id in owners:
            found[item.seq] = owners[item.id]
    for response in analysis.conversation.responses:
        for seq in (response.asked_seq, response.cancel_seq):
            if seq is not None and response.id in owners:
                found[seq] = owners[response.id]
    return found
