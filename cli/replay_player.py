"""The player: where in a session we are, fed with keys and times. No clock, no terminal.

    player.tick(now_ns)        time has passed
    player.press("space")      a key was pressed
    player.cursor              how many cues have been passed
    player.position_ns         the moment of the session

Laws:

1. The same keys at the same times lead to the same place, whatever is drawn in between.
2. A cue is passed once its time has come; stepping passes exactly one, even of several that
   share a moment.
3. At a stop the player stands right behind the cue that stopped it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from recorder.timeline import next_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECOND: Final = 1_000_000_000
SEEK_NS: Final = 5 * SECOND
LEAP_NS: Final = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """When each cue happened, and when it is due if nothing holds the player up."""

    at_ns: Sequence[int]
    due_ns: Sequence[int]
    end_ns: int
    """Of the session: nothing happens after it."""
    end_due_ns: int
    knots: tuple[Sequence[int], Sequence[int]] | None = None
    """Moments and when they are due, where those of the cues are too far apart to go by."""

    def due_of(self, position_ns: float) -> float:
        """When a moment of the session is due."""
        at_ns, due_ns = self.knots or (self.at_ns, self.due_ns)
        return _moved(position_ns, at_ns, due_ns, self.end_ns, self.end_due_ns)

    def position_of(self, due_ns: float) -> float:
        """Which moment of the session is due then."""
        moments, dues = self.knots or (self.at_ns, self.due_ns)
        return _moved(due_ns, dues, moments, self.end_due_ns, self.end_ns)


def _moved(
    value: float, one: Sequence[int], other: Sequence[int], one_end: int, other_end: int
) -> float:
    """From one axis to the other, in proportion between two cues."""
    after = bisect_right(one, value)
    begin, begins = (one[after - 1], other[after - 1]) if after else (0, 0)
    end, ends = (one[after], other[after]) if after < len(one) else (one_end, other_end)
    if value >= end or end == begin:
        return ends if value >= end else begins
    return begins + (value - begin) * (ends - begins) / (end - begin)


@dataclass(slots=True, kw_only=True)
class Player:
    """Plays, pauses, steps, seeks."""

    axis: Axis
    steps: Sequence[int]
    """Indices of the cues that a step goes to: the events, where there are any."""
    breaks: Sequence[int] = ()
    """Indices of the cues that it stops at."""
    stop_ns: int | None = None
    """A moment at which it stops, once."""
    speed: float = 1.0
    paused: bool = False
    cursor: int = 0
    state_shown: bool = False
    scrolled: int = 0
    """Lines by which the state is scrolled."""
    over: bool = False
    stopped_at: int | None = None
    """Index of the cue that stopped it, until it goes on."""
    _due: float = field(default=0.0, init=False)
    _then: int | None = field(default=None, init=False)

    @property
    def position_ns(self) -> int:
        """The moment of the session."""
        return round(self.axis.position_of(self._due))

    @property
    def at_end(self) -> bool:
        """Nothing comes any more."""
        return self._due >= self.axis.end_due_ns and self.cursor >= len(self.axis.at_ns)

    @property
    def moving_at(self) -> float:
        """How fast: 0 while it stands."""
        return 0.0 if self.paused else self.speed

    # ---- time

    def tick(self, now_ns: int) -> None:
        """It is now so late, by any clock that only goes forward."""
        elapsed = 0 if self._then is None else now_ns - self._then
        self._then = now_ns
        if self.paused:
            return
        target = min(self._due + elapsed * self.speed, float(self.axis.end_due_ns))
        reached = bisect_right(self.axis.due_ns, target, lo=self.cursor)
        if not (self._broke(reached) or self._stopped(target)):
            self._due, self.cursor = target, max(reached, self.cursor)
            self.paused = self.at_end

    def _broke(self, reached: int) -> bool:
        """Whether a cue on the way stops it."""
        row = bisect_left(self.breaks, self.cursor)
        if row == len(self.breaks) or self.breaks[row] >= reached:
            return False
        index = self.breaks[row]
        if self.stop_ns is not None and self.axis.at_ns[index] > self.stop_ns:
            return False
        self._stand_behind(index)
        self.stopped_at = index
        return True

    def _stopped(self, target: float) -> bool:
        """Whether the moment at which to stop lies on the way."""
        if self.stop_ns is None or self.axis.position_of(target) < self.stop_ns:
            return False
        self.seek_to(self.stop_ns)
        self.paused, self.stop_ns = True, None
        return True

    def wait_ns(self) -> int | None:
        """How long until something happens; None if nothing will without a key."""
        if self.paused:
            return None
        due = self.axis.due_ns
        coming = due[self.cursor] if self.cursor < len(due) else self.axis.end_due_ns
        return max(round((coming - self._due) / self.speed), 0)

    # ---- moving

    def seek_to(self, position_ns: int) -> None:
        """Go to a moment of the session; what happens in it has been passed."""
        self.stopped_at = None
        position = min(max(position_ns, 0), self.axis.end_ns)
        self._due = self.axis.due_of(position)
        self.cursor = bisect_right(self.axis.at_ns, position)

    def _stand_behind(self, index: int | None) -> None:
        """Stand still right behind a cue; before all of them, if none is named."""
        self.paused, self.stopped_at = True, None
        self.cursor = 0 if index is None else index + 1
        self._due = 0.0 if index is None else float(self.axis.due_ns[index])

    def step(self, *, back: bool = False) -> None:
        """One on, or one back, and stand there."""
        if back:
            row = bisect_left(self.steps, self.cursor) - 2
            self._stand_behind(self.steps[row] if row >= 0 else None)
            return
        row = bisect_left(self.steps, self.cursor)
        if row < len(self.steps):
            self._stand_behind(self.steps[row])
        else:
            self._to_end()

    def _to_end(self) -> None:
        self.seek_to(self.axis.end_ns)
        self.paused = True

    # ---- keys

    def press(self, key: str) -> None:
        """What a key does; keys that mean nothing do nothing."""
        act = _KEYS.get(key)
        if act is not None:
            act(self)

    def _play_or_pause(self) -> None:
        if self.at_end:
            self.seek_to(0)
            self.cursor = 0
            self.paused = True
        self.paused, self.stopped_at = not self.paused, None

    def _seek_by(self, delta_ns: int) -> None:
        was_at_end = self.at_end
        self.seek_to(self.position_ns + delta_ns)
        self.paused = self.paused or (self.at_end and not was_at_end)

    def _change_speed(self, *, faster: bool) -> None:
        self.speed = next_speed(self.speed, faster=faster)

    def _toggle_state(self) -> None:
        self.state_shown, self.scrolled = not self.state_shown, 0
        self.paused = self.paused or self.state_shown

    def _scroll(self, lines: int) -> None:
        if self.state_shown:
            self.scrolled = max(self.scrolled + lines, 0)

    def _leave(self) -> None:
        if self.state_shown:
            self._toggle_state()

    def _quit(self) -> None:
        self.over = True


_KEYS: Final[dict[str, Callable[[Player], None]]] = {
    "space": Player._play_or_pause,
    ".": Player.step,
    ",": lambda player: player.step(back=True),
    "right": lambda player: player._seek_by(SEEK_NS),
    "left": lambda player: player._seek_by(-SEEK_NS),
    "up": lambda player: player._seek_by(LEAP_NS),
    "down": lambda player: player._seek_by(-LEAP_NS),
    "home": lambda player: player.seek_to(0),
    "end": Player._to_end,
    "]": lambda player: player._change_speed(faster=True),
    "[": lambda player: player._change_speed(faster=False),
    "s": Player._toggle_state,
    "escape": Player._leave,
    "j": lambda player: player._scroll(1),
    "k": lambda player: player._scroll(-1),
    "pagedown": lambda player: player._scroll(10),
    "pageup": lambda player: player._scroll(-10),
    "q": Player._quit,
}
"""What each key does."""

HELP: Final = (
    ("space", "play/pause"),
    (". ,", "one on/back"),
    ("\u2190 \u2192", "5 s"),
    ("\u2191 \u2193", "1 min"),
    ("[ ]", "speed"),
    ("s", "state"),
    ("q", "quit"),
)
"""The keys for the foot of the screen, the most useful ones."""
