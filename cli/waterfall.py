"""Waterfalls in a terminal: where the time of a turn went, each stretch in its owner's colour.

Laws:

1. Bars that stand below each other have one scale, so that a longer one took longer.
2. Without colours an owner is a letter, so that a bar says the same.
3. A part may be negative (its end passed before its beginning): it is drawn backwards, and the
   numbers beside the bar add up all the same.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from .text import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorder.projections.model import TurnLatency, Waterfall, WaterfallPart

    from .output import Out, Piece


class Owner(NamedTuple):
    """How the stretches of one owner are drawn."""

    style: str
    letter: str


OWNERS: Final = {
    "caller": Owner("cyan", "c"),
    "vad": Owner("yellow", "v"),
    "network": Owner("blue", "n"),
    "network and server": Owner("blue", "n"),
    "application": Owner("magenta", "a"),
    "provider": Owner("green", "p"),
    "tool": Owner("red", "t"),
    "playback": Owner("white", "q"),
}
"""Of `recorder.projections.metrics.PARTS`."""

_NOBODY: Final = Owner("", "?")
BLOCK: Final = "\u2588"
ROUNDED_NS: Final = 500_000
"""A part that rounds to 0 ms is not told."""
LEAST: Final = 10
"""Characters a bar must have room for, else none is drawn."""


def print_waterfalls(out: Out, turns: Sequence[TurnLatency]) -> None:
    """A bar and its numbers for each turn; of a single turn, a bar for each part."""
    drawn = [(each.turn, each.waterfall) for each in turns if each.waterfall is not None]
    if not drawn:
        return
    out.heading("Where the time went")
    if not out.terminal:
        for turn, fall in drawn:
            out.hanging([f"turn {turn}"], _words(fall))
    elif len(drawn) == 1:
        _print_parts(out, *drawn[0])
    else:
        _print_bars(out, drawn)


def _print_bars(out: Out, drawn: Sequence[tuple[int, Waterfall]]) -> None:
    """All turns on one scale, each above the sum that it is."""
    margin = max(len(f"turn {turn}") for turn, _ in drawn)
    room = (out.width or 80) - margin - 2
    scale = max((fall.total_ns for _, fall in drawn), default=0)
    for turn, fall in drawn:
        bar = _bar(out, fall.parts, scale, room)
        if bar and room >= LEAST:
            out.line(f"turn {turn}".ljust(margin), "  ", *bar, cut=True)
            out.hanging([" " * margin], _words(fall))
        else:
            out.hanging([f"turn {turn}".ljust(margin)], _words(fall))
    _print_owners(out, [part for _, fall in drawn for part in fall.parts])


def _print_parts(out: Out, turn: int, fall: Waterfall) -> None:
    """The parts below each other, each beginning where the one before ended."""
    parts = [part for part in fall.parts if abs(part.ns) >= ROUNDED_NS]
    names = max([len(fall.of), *(len(part.name) for part in parts)])
    low, high = _reach(fall.parts)
    room = (out.width or 80) - names - 2 - 7 - 2
    at = 0
    for part in fall.parts:
        begin, at = at, at + part.ns
        if part not in parts:
            continue
        head = f"{part.name.ljust(names)}  {milliseconds(part.ns).rjust(7)}  "
        first, last = min(begin, at), max(begin, at)
        blank = " " * _cells(first - low, high - low, room)
        count = max(1, _cells(last - low, high - low, room) - len(blank))
        style, _ = OWNERS.get(part.owner, _NOBODY)
        out.line(head, blank, (_mark(out, part) * count, style), cut=True)
    out.line((f"{fall.of.ljust(names)}  {milliseconds(fall.total_ns).rjust(7)}", "bold"),
             (f"  turn {turn}", "dim"))  # fmt: skip
    _print_owners(out, parts)


def _print_owners(out: Out, parts: Sequence[WaterfallPart]) -> None:
    """Who is who."""
    pieces: list[Piece] = []
    known = dict.fromkeys(part.owner for part in parts if abs(part.ns) >= ROUNDED_NS)
    for name in known:
        owner = OWNERS.get(name, _NOBODY)
        mark = owner.letter if _colourless(out) else BLOCK
        pieces += ["  " if pieces else "", (mark, owner.style), (f" {name}", "dim")]
    out.line(*pieces)


def _words(fall: Waterfall) -> list[Piece]:
    """`v2v_audible 1340 = 500 endpointing_window + 840 model_first_audio`."""
    pieces: list[Piece] = [f"{fall.of} {milliseconds(fall.total_ns)} ="]
    for part in fall.parts:
        if abs(part.ns) >= ROUNDED_NS:
            sign = " + " if len(pieces) > 1 else " "
            words = f"{milliseconds(part.ns)} {part.name}"
            pieces += [sign, (words, OWNERS.get(part.owner, _NOBODY).style)]
    return pieces


def _bar(out: Out, parts: Sequence[WaterfallPart], scale: int, room: int) -> list[Piece]:
    """One bar of all parts; where they overlap, the later one is seen."""
    cells: list[WaterfallPart | None] = [None] * max(room, 0)
    at = 0
    for part in parts:
        begin, at = at, at + part.ns
        first, last = _cells(min(begin, at), scale, room), _cells(max(begin, at), scale, room)
        cells[first:last] = [part] * (last - first)
    end = _cells(at, scale, room)
    pieces: list[Piece] = []
    for seen, run in groupby(cells[:end]):
        count = len(list(run))
        style = OWNERS.get(seen.owner, _NOBODY).style if seen else ""
        pieces.append(((_mark(out, seen) if seen else " ") * count, style))
    return pieces


def _mark(out: Out, part: WaterfallPart) -> str:
    return OWNERS.get(part.owner, _NOBODY).letter if _colourless(out) else BLOCK


def _colourless(out: Out) -> bool:
    return bool(out.console().no_color) or out.console().color_system is None


def _reach(parts: Sequence[WaterfallPart]) -> tuple[int, int]:
    """From the earliest moment that any part touches to the latest."""
    at, touched = 0, [0]
    for part in parts:
        at += part.ns
        touched.append(at)
    return min(touched), max(touched)


def _cells(ns: int, scale: int, room: int) -> int:
    """How many characters so long a time is; within the bar."""
    return min(max(round(ns * room / scale), 0), room) if scale > 0 else 0
