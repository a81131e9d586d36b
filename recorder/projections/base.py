"""The port of every projection, and the machinery to run one, or many in one pass.

A projection takes events one by one (`feed`) and can be asked at any moment what they amount
to (`result`). It is deterministic, its state is private, and asking changes nothing: so `scan`
after n events equals a fold over the first n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from ..dialects import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..events import Event

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound="Callable[..., None]")


class Projection(Protocol[R_co]):
    """A pure fold over the events of one session, fed in order."""

    def feed(self, event: Event) -> None:
        """Take the next event."""

    def result(self) -> R_co:
        """What the events so far amount to. May be asked again, and after more events."""


def fold(projection: Projection[R], events: Iterable[Event]) -> R:
    """Run all events through the projection."""
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


class Fold(Generic[R]):
    """A projection that takes decoded facts, each kind by a method of its own.

    `handlers` maps a kind of fact to the methods that take (event, fact). Several folds that
    run side by side share the decoding (`Together`).
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
        self.handlers: dict[type, tuple[Callable[[Event, Any], None], ...]] = {
            fact: (getattr(self, name),) for fact, name in self._methods.items()
        }
        self.every: tuple[Callable[[Event], None], ...] = ()
        """What wants to see each event, whatever it means; runs before the handlers."""

    def feed(self, event: Event) -> None:
        """Decode the event and take it."""
        fact = decode(event)
        for look in self.every:
            look(event)
        for handler in self.handlers.get(type(fact), ()):
            handler(event, fact)

    def feed_all(self, events: Iterable[Event]) -> None:
        """The same for many events, with less ado for each."""
        handlers, every = self.handlers, self.every
        for event in events:
            fact = decode(event)
            for look in every:
                look(event)
            for handler in handlers.get(type(fact), ()):
                handler(event, fact)

    def result(self) -> R:
        """What the events so far amount to."""
        raise NotImplementedError


class Together(Fold[None]):
    """Several folds as one: each event is decoded once and given to those that want it."""

    def __init__(self, *folds: Fold[Any]) -> None:
        super().__init__()
        for part in folds:
            self.every += part.every
            for fact, handlers in part.handlers.items():
                self.handlers[fact] = (*self.handlers.get(fact, ()), *handlers)

    def result(self) -> None:
        """Ask the parts."""
