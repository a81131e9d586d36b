"""The state of a session at any instant: what was in force, in flight, in the buffer, playing.

    fold(StateProjection(), events)            at the last event
    for state in states(events, [ns, ns, …])   at many instants, in one pass
    state_at(events, seq=120)                  after an event

Laws:

1. The state after n events depends on nothing that came later: it is what the two sides could
   have known then. `scan` gives the same as folding a prefix.
2. Between two events only playback moves: an instant without an event is the state after the
   last event before it, with the queue played on until then.
3. Feeding costs what the event brings. A result costs what changed since the last one, and a
   copy of the references to what did not: many instants may be asked for in one pass.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..dialects import facts
from ..dialects.facts import Closed, Handshake
from ..errors import UsageError
from . import untimed
from .base import Fold, Looks, Part, Together, on
from .board import Board
from .conversation import ConfigsFold
from .inputs import Inputs
from .items import ItemsFold
from .model_state import Asked, InFlight, RateLimit, State, StateItem
from .playback import PlaybackFold
from .responses import ResponsesFold
from .state_config import SettingsFold
from .state_sound import BufferView, PlayingView, SpeakingFold
from .touching import ItemsMade
from .troubles import Troubles
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..dialects.facts import RateLimits
    from ..events import Event
    from .base import Chunks
    from .entries import ItemState, ResponseState
    from .model import Item


class ItemsView(ItemsMade[StateItem]):
    """The items as `StateItem`s; only those are made anew that an event touched."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._shown: tuple[tuple[StateItem, ...], tuple[str, ...], tuple[StateItem, ...]]
        self._shown = ((), (), ())

    def items(self) -> tuple[tuple[StateItem, ...], tuple[str, ...], tuple[StateItem, ...]]:
        """(the conversation in its order, what was deleted, out-of-band items)."""
        if self._freshen():
            self._shown = self._arranged()
        return self._shown

    def _arranged(self) -> tuple[tuple[StateItem, ...], tuple[str, ...], tuple[StateItem, ...]]:
        states, made = self._board.items, self._made
        names = [name for name in self._board.order if name in states]
        return (
            tuple([made[name] for name in names if states[name].deleted is None]),
            tuple([name for name in names if states[name].deleted is not None]),
            tuple([made[name] for name, state in states.items() if state.out_of_band]),
        )

    def _item(self, state: ItemState) -> StateItem:
        item = state.item(self._board.responses.get(state.response))
        return StateItem(
            id=item.id,
            type=item.type,
            role=item.role,
            status=self._status(item),
            text=self._text(state, item.text),
            by=item.by,
            seq=item.seq,
            at_ns=item.at_ns,
            spoken=item.spoken,
            transcript=item.transcript,
            response_id=item.response_id,
            call_id=item.call_id,
            truncated_ms=item.truncated_ms,
        )

    def _status(self, item: Item) -> str:
        """An item that no event ended is over when its response is."""
        if not item.acknowledged:
            return "asked"
        owner = self._board.responses.get(item.response_id)
        if owner is None or owner.done is None or item.status not in ("", "in_progress"):
            return item.status
        return "completed" if owner.status == "completed" else "incomplete"

    def _text(self, state: ItemState, text: str) -> str:
        if state.output is not None:
            return state.output
        call = self._board.calls.of_item(state.id)
        return text if call is None else f"{call.name}({call.arguments})"


class _Phase(Part):
    """How far the connection is, and where in the log we are."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = "dialing"
        self.seq = self.at_ns = 0
        self.every = (Looks(self._passed, self._appended),)

    def _passed(self, events: list[Event]) -> None:
        self.seq, self.at_ns = max((self.seq, self.at_ns), (events[-1].seq, events[-1].at_ns))

    def _appended(self, run: Chunks) -> None:
        self.seq, self.at_ns = max((self.seq, self.at_ns), (run.seqs[-1], run.times[-1]))

    @on(Handshake)
    def _shaken(self, event: Event, fact: Handshake) -> None:
        self.phase = "open" if fact.status == 101 else "refused"

    @on(facts.SessionStated, facts.ConversationCreated)
    def _spoken(self, event: Event, fact: Any) -> None:
        """Imported sessions have no handshake."""
        self.phase = "open" if self.phase == "dialing" else self.phase

    @on(Closed)
    def _ended(self, event: Event, fact: Closed) -> None:
        self.phase = "refused" if self.phase == "refused" else "closed"


class _Limits(Part):
    """The rate limits by name, each as it was last told."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[str, RateLimit] = {}

    @on(facts.RateLimits)
    def _told(self, event: Event, fact: RateLimits) -> None:
        for told in fact.limits:
            name = str(told.get("name") or "")
            self.limits[name] = RateLimit(
                name,
                told.get("limit"),
                told.get("remaining"),
                told.get("reset_seconds"),
                event.seq,
                event.at_ns,
            )


class StateFold(Together):
    """Everything that makes up the state, side by side."""

    def __init__(self) -> None:
        self._board = Board()
        self._phase, self._limits = _Phase(), _Limits()
        self._settings, self._speaking = SettingsFold(), SpeakingFold()
        self._inputs, self._playback = Inputs(), PlaybackFold()
        self._items, self._playing = ItemsView(self._board), PlayingView(self._playback)
        self._troubles, self._usage = Troubles(), Usage()
        self._buffer = BufferView(self._inputs, self._board.formats)
        super().__init__(
            self._phase,
            self._settings,
            ConfigsFold(self._board),
            ResponsesFold(self._board),
            ItemsFold(self._board),
            self._items,
            self._inputs,
            self._playback,
            self._playing,
            self._speaking,
            self._limits,
            self._troubles,
            self._usage,
        )

    def state(self, at_ns: int | None = None) -> State:
        """The state after the events so far, at this time or at the last event's."""
        board, phase = self._board, self._phase
        now = phase.at_ns if at_ns is None else max(at_ns, phase.at_ns)
        config, asked = self._settings.settings()
        items, deleted, apart = self._items.items()
        playing, queue = self._playing.queue(now)
        found = State(
            seq=phase.seq,
            at_ns=now,
            phase=phase.phase,
            config=config,
            asked=asked,
            items=items,
            deleted=deleted,
            out_of_band=apart,
            buffer=self._buffer.buffer(),
            responses=tuple(
                self._in_flight(board.responses[name])
                for name in board.streams.open
                if name in board.responses
            ),
            requests=tuple(Asked(at.seq, at.at_ns) for at in board.asked),
            calls=board.calls.waiting(),
            playing=playing,
            queue=queue,
            speaking=self._speaking.speaking,
            rate_limits=tuple(self._limits.limits.values()),
            errors=self._troubles.result(),
            tokens=self._usage.result(),
        )
        return found if self._inputs.timed else untimed.state(found)

    def _in_flight(self, state: ResponseState) -> InFlight:
        found = state.response(self._board.formats.output)
        return InFlight(
            id=found.id,
            seq=found.seq,
            created_ns=found.created_ns,
            asked_seq=found.asked_seq,
            cancel_seq=found.cancel_seq,
            items=found.items,
            calls=found.calls,
            audio_ns=found.audio_ns,
            out_of_band=found.out_of_band,
        )


class StateProjection(Fold[State]):
    """`StateFold` by itself: the state at the last event."""

    def __init__(self) -> None:
        super().__init__()
        self._fold = StateFold()
        self.handlers, self.every = self._fold.handlers, self._fold.every

    def result(self) -> State:
        return self._fold.state()


def states(events: Iterable[Event], instants: Iterable[int]) -> Iterator[State]:
    """The state at each of these times (nanoseconds, ascending), in one pass over the events."""
    fold, source = StateFold(), iter(events)
    waiting = next(source, None)
    for instant in instants:
        while waiting is not None and waiting.at_ns <= instant:
            fold.feed(waiting)
            waiting = next(source, None)
        yield fold.state(instant)


def state_at(events: Iterable[Event], *, at_ns: int | None = None, seq: int | None = None) -> State:
    """The state at a time or after an event; at the end where neither is said.

    It reads no further than it must. Raises `UsageError` for a time where the session has none.
    """

    def passed(event: Event) -> bool:
        return (at_ns is None or event.at_ns <= at_ns) and (seq is None or event.seq <= seq)

    fold = StateFold()
    fold.feed_all(takewhile(passed, events))
    found = fold.state(at_ns)
    if at_ns is not None and not found.timed:
        raise UsageError(
            "this session was imported without times: name an event instead of a time, as in seq 12"
        )
    return found
