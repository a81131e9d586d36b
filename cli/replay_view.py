"""What the screen shows: lines of text for a place in a session, and no terminal.

At the top which session, how fast and what for; then the conversation and the events, side by side
where there is room, else one above the other; then where we are; at the foot the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.text import Text

from .describing import ARROWS
from .events import STYLES as SIDES
from .events import squeezed
from .replay_player import HELP
from .text import position, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .describing import Told
    from .replay_happenings import Happening

WIDE: Final = 110
"""Columns from which on conversation and events stand side by side."""
BESIDES: Final = 5
"""Lines that are neither conversation nor events: head, rule, and foot."""
_WHO: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Everything that one picture is made of."""

    title: str
    status: str
    """`playing`, `paused`, or why it stopped."""
    speed: float
    position_ns: int
    end_ns: int
    seq: int
    last_seq: int
    turn: int
    turns: int
    happened: Sequence[Happening]
    told: Sequence[Told]
    state: Sequence[Text] | None = None
    """Lines of the state, where that is shown instead."""
    scrolled: int = 0
    timed: bool = True
    talk: bool = True
    events: bool = True
    """Whether there is anything of either to be shown."""


def rows_for(height: int, width: int, *, talk: bool, events: bool) -> tuple[int, int]:
    """Lines for the conversation and for the events, on a screen of this size."""
    room = max(height - BESIDES, 0)
    if width >= WIDE or not (talk and events):
        return (room if talk else 0), (room if events else 0)
    upper = max((room - 1) // 2, 0)
    return upper, max(room - 1 - upper, 0)


def scroll_room(lines: int, height: int) -> int:
    """By how many lines a state of so many can be scrolled."""
    return max(lines - max(height - BESIDES, 0), 0)


def draw(frame: Frame, width: int, height: int) -> Group:
    """The picture: exactly as many lines as the screen has, none wider."""
    lines = [_head(frame, width), *_middle(frame, width, height), *_foot(frame, width)]
    return Group(*(_cropped(line, width) for line in lines[:height]))


def _cropped(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    line.no_wrap, line.end = True, "\n"
    return line


def _head(frame: Frame, width: int) -> Text:
    left = Text(safe(frame.title), "bold")
    mark = "\u25b6" if frame.status == "playing" else "\u23f8"
    right = Text(f"{mark} {safe(frame.status)}  {frame.speed:g}\u00d7")
    right.stylize("green" if frame.status == "playing" else "yellow")
    room = width - right.cell_len - 2
    left.truncate(max(room, 0), overflow="ellipsis", pad=True)
    return Text.assemble(left, "  ", right)


def _middle(frame: Frame, width: int, height: int) -> list[Text]:
    if frame.state is not None:
        return _panel(frame.state, f"State after event {frame.seq}", frame.scrolled, width, height)
    talk, events = rows_for(height, width, talk=frame.talk, events=frame.events)
    side_by_side = width >= WIDE and frame.talk and frame.events
    room = (width - 3) // 2 if side_by_side else width
    said = _padded(_conversation(frame, room, talk), talk)
    passed = _padded([_event(told, width - room - 3 if side_by_side else width, frame.last_seq)
                      for told in frame.told[-events:] if events], events)  # fmt: skip
    if not side_by_side:
        return [
            *([_rule("Conversation", width), *said] if frame.talk else []),
            *([_rule("Events", width), *passed] if frame.events else []),
        ]
    right = _rule("Events", width - room - 2)
    rule = Text.assemble(_rule("Conversation", room + 1), ("\u252c", "dim"), right)
    pairs = zip(said, passed, strict=True)
    return [rule, *(_beside(left, right, room) for left, right in pairs)]


def _beside(left: Text, right: Text, room: int) -> Text:
    left.truncate(room, overflow="ellipsis", pad=True)
    return Text.assemble(left, (" \u2502 ", "dim"), right)


def _rule(title: str, width: int) -> Text:
    return Text(f"\u2500 {title} ".ljust(width, "\u2500"), "dim")


def _padded(lines: Sequence[Text], rows: int) -> list[Text]:
    return [*lines[-rows:], *(Text() for _ in range(rows - len(lines)))] if rows else []


def _panel(lines: Sequence[Text], title: str, scrolled: int, width: int, height: int) -> list[Text]:
    """As much of these lines as fits."""
    rows = max(height - BESIDES, 0)
    first = min(scrolled, scroll_room(len(lines), height))
    shown = [line.copy() for line in lines[first : first + rows]]
    hidden = len(lines) - first - len(shown)
    more = f" (j k: {hidden} more lines)" if hidden or first else ""
    return [_rule(title + more, width), *_padded(shown, rows)]


# ---- the conversation


def _conversation(frame: Frame, width: int, rows: int) -> list[Text]:
    """The last things that happened, wrapped; the newest at the bottom."""
    lines: list[Text] = []
    for happening in reversed(frame.happened):
        if len(lines) >= rows:
            break
        lines = [*_wrapped(happening, frame.position_ns, width), *lines]
    return lines[-rows:] if rows else []


_CONSOLE: Final = Console(width=80, color_system=None)
"""For wrapping only: nothing is written to it."""


def _wrapped(happening: Happening, now_ns: int, width: int) -> list[Text]:
    heard, lost = happening.so_far(now_ns)
    quiet = happening.type in ("latency", "result")
    words = Text(heard, "dim" if quiet else happening.style if happening.line is None else "")
    if lost:
        words.append(f" [not heard: {lost}]", "dim")
    margin = f"{position(happening.at_ns):>9} " if width >= 60 else ""
    room = max(width - len(margin) - _WHO, 8)
    lines = []
    for row, line in enumerate(words.wrap(_CONSOLE, room) or [Text()]):
        who = happening.type if row == 0 else ""
        head = [((margin if row == 0 else " " * len(margin)), "dim"),
                (f"{who:<{_WHO}}", f"bold {happening.style}".strip())]  # fmt: skip
        lines.append(Text.assemble(*head, line))
    return lines


# ---- the events


def _event(told: Told, width: int, last_seq: int) -> Text:
    first = told.event
    kind = first.type or "(no type)"
    room = min(max((width - 22) * 4 // 9, 20), 44)
    style = SIDES[first.origin.name.lower()]
    if "error" in first.type or first.type == "recorder.gap":
        style = "red"
    many = f"\u00d7{told.count} " if told.count > 1 else ""
    line = Text.assemble(
        (f"{told.last.seq:>{len(str(last_seq))}} ", "dim"),
        (f"{position(first.at_ns):>9} ", ""),
        (f"{ARROWS[first.origin]} {squeezed(safe(kind), room).ljust(room)} ", style),
        safe(f"{many}{told.words}"),
    )
    line.truncate(width, overflow="ellipsis")
    return line


# ---- the foot


def _foot(frame: Frame, width: int) -> list[Text]:
    where = f" {position(frame.position_ns)} / {position(frame.end_ns)}"
    where = where if frame.timed else " without times"
    counts = f"  event {frame.seq}/{frame.last_seq}"
    if frame.turns:
        counts += f"  turn {frame.turn or chr(0x2013)}/{frame.turns}"
    room = max(width - len(where) - len(counts), 0)
    done = min(room * frame.position_ns // max(frame.end_ns, 1), room)
    bar = Text.assemble(("\u2501" * done, "cyan"), ("\u2501" * (room - done), "dim"))
    keys = Text()
    for key, meaning in HELP:
        keys.append(f" {key} ", "reverse")
        keys.append(f" {meaning} ")
    return [Text("\u2500" * width, "dim"), Text.assemble(bar, where, (counts, "dim")), keys]
