"""The nouns of playing again: what is sent, how it is to be matched, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Event

JSON: TypeAlias = "dict[str, Any]"

STRICT, LENIENT, FREE = "strict", "lenient", "free"
MATCHES: Final = (STRICT, LENIENT, FREE)
"""The first divergence ends it; divergences are noted; only triggers count."""

SECOND: Final = 1_000_000_000
SLOWEST, FASTEST = 0.001, 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a session is played."""

    match: str = STRICT
    speed: float | None = 1.0
    """How many times as fast as it was recorded; None: nothing waits for the clock."""
    patience_ns: int = 60 * SECOND
    """How much longer than in the recording the client may take before it has diverged."""

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise UsageError(f"match is one of {', '.join(MATCHES)}, not {self.match!r}")
        if self.speed is not None and not SLOWEST <= self.speed <= FASTEST:
            raise UsageError(
                f"a speed is a number above 0 ({SLOWEST:g} to {FASTEST:,.0f}), not {self.speed:g}"
            )
        if self.patience_ns <= 0:
            raise UsageError("patience is a time above 0")

    def scaled(self, ns: int) -> int:
        """How long a recorded interval lasts now; never less than nothing."""
        if self.speed is None or ns <= 0:
            return 0
        return ns if self.speed == 1 else round(ns / self.speed)


class Send(NamedTuple):
    """Send this message."""

    due_ns: int
    """When it was due, exactly; whoever sends it may be late."""
    message: bytes
    type: str
    binary: bool = False
    audio_ns: int = 0
    """How long the assistant's audio in it lasts."""


class Close(NamedTuple):
    """Close the connection; 1006: cut it off."""

    due_ns: int
    code: int
    reason: str


Action: TypeAlias = Send | Close


@dataclass(slots=True)
class Ask:
    """A recorded client event that server events may wait for."""

    seq: int
    at_ns: int
    kind: str
    """Its type, by its GA name."""
    body: JSON
    """The message; audio that was cut out stands as an empty string."""
    required: bool
    """The conversation cannot go on as it was recorded without it."""
    live_at_ns: int | None = None
    """When this client sent it; None: not yet."""
    live: JSON = field(default_factory=dict)
    """What this client sent for it."""

    @property
    def event_id(self) -> str:
        """As the recorded client chose it; else empty."""
        found = self.body.get("event_id")
        return found if isinstance(found, str) else ""


class Position(NamedTuple):
    """A place on the axis of appended audio, and when the recorded client had got there."""

    axis_ns: int
    at_ns: int


@dataclass(slots=True)
class Tell:
    """A recorded server event (or its Close), and what it waits for."""

    event: Event
    cause: Ask | Position | None = None
    aside: bool = False
    """It goes out when it is asked for, and holds up nothing."""
    about: Ask | None = None
    """What it repeats members of: ids, an item, a configuration, metadata."""
    close: tuple[int, str] | None = None

    @property
    def weight(self) -> int:
        """Bytes that it holds."""
        return len(self.event.head) + len(self.event.audio or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where this client did something else than the recorded one."""

    at_ns: int
    """Since the connection was opened."""
    expected: str
    came: str
    nearest: str = ""
    """The recorded event that is most like what came."""
    differences: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        told = [
            f"at {self.at_ns / SECOND:.3f} s",
            f"  expected  {self.expected}",
            f"  came      {self.came}",
        ]
        if self.nearest:
            told.append(f"  nearest   {self.nearest}")
        return told + [f"  differs   {each}" for each in self.differences]

    def __str__(self) -> str:
        more = f" ({'; '.join(self.differences)})" if self.differences else ""
        return f"expected {self.expected}, came {self.came}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was played, and what was not."""

    sent: int
    """Recorded server events that went out."""
    left: Mapping[str, int]
    """Recorded server events that did not, by type; without those nobody waits for."""
    unasked: tuple[str, ...]
    """What the recorded client did and this one did not."""
    divergences: tuple[Divergence, ...]
    notes: tuple[str, ...]
    """What else a person should know, in words; none of it is a divergence."""

    @property
    def consumed(self) -> bool:
        """Whether all was played that anybody waits for."""
        return not self.left and not self.unasked

    @property
    def sound(self) -> bool:
        """Whether it went as it was recorded."""
        return self.consumed and not self.divergences
