"""The port of every projection, and the machinery to run one, or many in one pass.

A projection takes events one by one (`feed`) and can be asked at any moment what they amount
to (`result`). It is deterministic, its state is private, and asking changes nothing: so `scan`
after n events equals a fold over the first n.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar

from ..dialects import KINDS, TABLES, audio_of, decode
from ..dialects.facts import (
    ArgumentsDelta,
    AudioDelta,
    InputAppended,
    TextDelta,
    TranscriptDelta,
    TranscriptionDelta,
)
from ..store import Parted
from ..wire import tombstone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from ..dialects.table import Decoder
    from ..events import Event
    from ..store import Appends

    Taker: TypeAlias = Callable[[Event, Any], None]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound="Callable[..., None]")

DELTAS: Final = frozenset(
    {AudioDelta, TranscriptDelta, TextDelta, ArgumentsDelta, TranscriptionDelta}
)
"""What comes between the appends most, and has nothing to do with them."""
NO_MORE: Final = 1 << 62
"""Beyond every number of an event."""
CHUNK: Final = 200
"""Events that `feed_all` holds at a time."""


class Projection(Protocol[R_co]):
    """A pure fold over the events of one session, fed in order."""

    def feed(self, event: Event) -> None:
        """Take the next event."""

    def result(self) -> R_co:
        """What the events so far amount to. May be asked again, and after more events."""


def fold(projection: Projection[R], events: Iterable[Event]) -> R:
    """Chunks all events through the projection."""
    if isinstance(projection, Fold):
        projection.feed_all(events)
    else:
        for event in events:
            projection.feed(event)
    return projection.result()


def scan(projection: Projection[R], events: Iterable[Event]) -> Iterator[tuple[Event, R]]:
    """Each event with the result after it."""
    for event in events:
        projection.feed(event)
        yield event, projection.result()


def on(*facts: type) -> Callable[[F], F]:
    """Mark a method of a `Fold` as the one that takes these kinds of facts."""

    def mark(method: F) -> F:
        method.__dict__["facts"] = facts
        return method

    return mark


def in_runs(method: F) -> F:
    """Mark a method that takes `InputAppended` in runs: `method(run)`.

    There is most of it, and a call for each append costs more than what is done in it. How many
    come at once is not told, and must not matter. Whatever passes in between ends a run, except
    deltas (`DELTAS`) that no fold of such a method takes: no fold may read another that takes
    runs when a delta comes.
    """
    method.__dict__["in_runs"] = True
    return method


class Chunks:
    """Appends that came one after the other, by columns."""

    __slots__ = ("_audio", "_events", "seqs", "sizes", "times")

    def __init__(
        self,
        seqs: Sequence[int],
        times: Sequence[int],
        sizes: Sequence[int],
        audio: Sequence[bytes],
        events: Sequence[Event] = (),
    ) -> None:
        self.seqs, self.times, self.sizes = seqs, times, sizes
        self._audio, self._events = audio, events

    @classmethod
    def of(cls, events: Sequence[Event], facts: Iterable[Any]) -> Chunks:
        """The run that these events are."""
        seqs, times, *_ = zip(*events, strict=True)
        return cls(seqs, times, [fact[0] for fact in facts], (), events)

    @classmethod
    def made(cls, appends: Appends) -> Chunks:
        """The run that a store gives."""
        return cls(*appends)

    def __len__(self) -> int:
        return len(self.seqs)

    def part(self, begin: int, end: int) -> Chunks:
        """Some of it."""
        return Chunks(
            self.seqs[begin:end],
            self.times[begin:end],
            self.sizes[begin:end],
            self._audio[begin:end],
            self._events[begin:end],
        )

    def audio(self) -> Sequence[bytes | None]:
        """The bytes of each; None where they are gone, or were not read."""
        if self._events:
            return [_audio_of(event) for event in self._events]
        return self._audio or [None] * len(self)

    def gone(self) -> int:
        """How many bytes are not there any more, whether audio was read or not."""
        pairs = zip(self._events, self.sizes, strict=False)
        return sum(size for event, size in pairs if tombstone(event))


def _audio_of(event: Event) -> bytes | None:
    return event.audio if event.audio is not None else audio_of(event, "audio")


class Runs:
    """A method that takes runs, where one that takes an event and its fact is expected."""

    __slots__ = ("take",)

    def __init__(self, take: Callable[[Chunks], None]) -> None:
        self.take = take

    def __call__(self, event: Event, fact: InputAppended) -> None:
        self.take(Chunks.of([event], [fact]))


class Looks:
    """A method that sees many events at once, where one that sees a single one is expected."""

    __slots__ = ("look", "look_at_run")

    def __init__(
        self, look: Callable[[list[Event]], None], look_at_run: Callable[[Chunks], None]
    ) -> None:
        self.look, self.look_at_run = look, look_at_run
        """The second sees appends that do not come as events. What of the two comes first is
        not told."""

    def __call__(self, event: Event) -> None:
        self.look([event])


def _bound(method: Callable[..., None]) -> Callable[..., None]:
    return Runs(method) if getattr(method, "in_runs", False) else method


class Part:
    """What takes decoded facts, each kind by a method of its own; its owner asks it for the rest.

    `handlers` maps a kind of fact to the methods that take (event, fact). Several folds that
    run side by side share the decoding (`Together`). What nobody takes is not even decoded.
    """

    _methods: ClassVar[dict[type, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = {
            fact: name
            for name, method in vars(cls).items()
            for fact in getattr(method, "facts", ())
        }
        cls._methods = {**cls._methods, **found}

    def __init__(self) -> None:
        self.handlers: dict[type, tuple[Taker, ...]] = {
            fact: (_bound(getattr(self, name)),) for fact, name in self._methods.items()
        }
        self.every: tuple[Callable[[Event], None], ...] = ()
        """What wants to see each event, whatever it means; runs before the handlers. `Looks`
        see a few hundred events at once, before any handler has."""

    def feed(self, event: Event) -> None:
        """Decode the event and take it."""
        fact = decode(event)
        for look in self.every:
            look(event)
        for handler in self.handlers.get(type(fact), ()):
            handler(event, fact)

    def feed_all(self, events: Iterable[Event]) -> None:
        """The same for many events, with less ado for each."""
        for _ in self.feeding(events):
            pass

    def feeding(self, events: Iterable[Event]) -> Iterator[None]:
        """The same with a stop after every few, for whoever wants to look at the fold meanwhile."""
        plan = _Plan(self.handlers, self.every)
        if isinstance(events, Parted) and plan.takes_parts:
            yield from plan.feeding_apart(*events.apart())
            return
        source = iter(events)
        while chunk := list(islice(source, CHUNK)):
            plan.take(chunk)
            yield

    def taker(self) -> Callable[[list[Event]], None]:
        """What takes the next events."""
        return _Plan(self.handlers, self.every).take


class Fold(Part, ABC, Generic[R]):
    """A projection: a part with a result of its own."""

    @abstractmethod
    def result(self) -> R:
        """What the events so far amount to."""


class _Step(NamedTuple):
    """What is done with an event of one origin and type."""

    decode: Decoder
    takers: tuple[Taker, ...] | None
    """None: the kind of fact has to be looked at first."""
    runs: bool
    """Whether such events are collected."""
    ends: bool
    """Whether such an event ends a run of others."""


class _Plan:
    """Handlers by origin and type, looked up once: what is to be done for each event.

    An event that no handler wants is not decoded: a decode function gives facts of one kind.
    """

    def __init__(
        self,
        handlers: dict[type, tuple[Taker, ...]],
        every: tuple[Callable[[Event], None], ...],
    ) -> None:
        self._handlers = handlers
        self._looks = tuple(look for look in every if not isinstance(look, Looks))
        self._groups = tuple(look for look in every if isinstance(look, Looks))
        self._collectors = {
            _owner(taker) for taken in handlers.values() if _in_runs(taken) for taker in taken
        }
        self._steps = tuple(
            {name: self._step(function) for name, function in table.items()} for table in TABLES
        )
        self._other = _Step(decode, None, runs=False, ends=True)
        appended = handlers.get(InputAppended, ())
        self._takers = tuple(taker for taker in appended if isinstance(taker, Runs))
        self.takes_parts = not self._looks and len(self._takers) == len(appended)
        """Nothing has to see every append by itself."""

    def _step(self, function: Decoder) -> _Step | None:
        kind = KINDS[function]
        takers = self._handlers.get(kind, ())
        runs, mine = _in_runs(takers), any(_owner(taker) in self._collectors for taker in takers)
        ends = runs or mine or kind not in DELTAS
        return _Step(function, takers, runs, ends) if takers else None

    def take(self, chunk: list[Event]) -> None:
        """Take these events; nothing of them waits afterwards."""
        for group in self._groups:
            group.look(chunk)
        steps, looks, other = self._steps, self._looks, self._other
        run: list[Event] = []
        open_step: _Step | None = None
        for event in chunk:
            for look in looks:
                look(event)
            step = steps[event[2]].get(event[3], other)
            if step is open_step and step is not None:
                run.append(event)
                continue
            if step is None:
                continue
            if step[3] and open_step is not None:
                _give(open_step, run)
                run, open_step = [], None
            if step[2]:
                run.append(event)
                open_step = step
                continue
            fact, takers = step[0](event), step[1]
            for handler in self._handlers.get(type(fact), ()) if takers is None else takers:
                handler(event, fact)
        if open_step is not None:
            _give(open_step, run)

    def feeding_apart(self, others: Iterator[Event], appends: Iterator[Appends]) -> Iterator[None]:
        """Take both, each append before the first event after it that ends a run."""
        waiting = _Waiting(appends if self._takers or self._groups else iter(()))
        steps, other = self._steps, self._other
        while chunk := list(islice(others, CHUNK)):
            begin = 0
            for row, event in enumerate(chunk):
                if event[0] < waiting.seq:
                    continue
                step = steps[event[2]].get(event[3], other)
                if step is not None and step[3]:
                    if row > begin:
                        self.take(chunk[begin:row])
                        begin = row
                    yield from map(self._give_run, waiting.until(event[0]))
            self.take(chunk[begin:])
            yield from map(self._give_run, waiting.until(chunk[-1][0]))
            yield
        yield from map(self._give_run, waiting.until(NO_MORE))

    def _give_run(self, run: Chunks) -> None:
        for group in self._groups:
            group.look_at_run(run)
        for taker in self._takers:
            taker.take(run)


class _Waiting:
    """The appends of a session, given out up to a number."""

    def __init__(self, appends: Iterator[Appends]) -> None:
        self._pages = map(Chunks.made, appends)
        self._run: Chunks | None = None
        self.seq = 0
        """The number of the first that waits."""
        self._turn_to(next(self._pages, None))

    def _turn_to(self, run: Chunks | None) -> None:
        self._run = run
        self.seq = NO_MORE if run is None else run.seqs[0]

    def until(self, seq: int) -> Iterator[Chunks]:
        """All that stand before this event."""
        while self._run is not None and self.seq < seq:
            run = self._run
            if run.seqs[-1] < seq:
                self._turn_to(next(self._pages, None))
                yield run
            else:
                count = bisect_left(run.seqs, seq)
                self._turn_to(run.part(count, len(run)))
                yield run.part(0, count)


def _in_runs(takers: tuple[Taker, ...]) -> bool:
    return any(isinstance(taker, Runs) for taker in takers)


def _owner(taker: Taker) -> int:
    """The fold whose method it is."""
    method = taker.take if isinstance(taker, Runs) else taker
    return id(getattr(method, "__self__", method))


def _give(step: _Step, events: list[Event]) -> None:
    """Give a run to those who take it."""
    facts = list(map(step.decode, events))
    run = Chunks.of(events, facts)
    for taker in step.takers or ():
        if isinstance(taker, Runs):
            taker.take(run)
        else:
            for event, fact in zip(events, facts, strict=True):
                taker(event, fact)


class Together(Part):
    """Several folds as one: each event is decoded once and given to those that want it."""

    def __init__(self, *folds: Part) -> None:
        super().__init__()
        for part in folds:
            self.every += part.every
            for fact, handlers in part.handlers.items():
                self.handlers[fact] = (*self.handlers.get(fact, ()), *handlers)
