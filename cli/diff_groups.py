"""The comparison of two groups of sessions for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .diff_tables import in_unit, print_changes, print_judgements, signed
from .output import Column
from .text import NA, counted, one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recorder.comparing.nouns import GroupComparison, GroupMeasure, GroupTurn
    from recorder.comparing.tolerances import Judgement

    from .output import Out, Piece
    from .shared import Shared


MORE, UNTOLD = "more than chance", "could not tell"
"""Verdicts of `recorder.comparing.chance`."""


def print_groups(
    shared: Shared, comparison: GroupComparison, judgements: Sequence[Judgement]
) -> None:
    """All of it."""
    out = shared.out
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        tails = ", ".join(shared.directory.tail(each.session) for each in side)
        out.hanging([(name, "bold")], f"{counted(len(side), 'session')}: {tails}")
    base = shared.directory.tail(comparison.reference)
    out.line((f"turns are laid beside those of session {base}", "dim"))
    for name, extra in (("A", comparison.extra_a), ("B", comparison.extra_b)):
        if extra:
            out.line((f"{name} has {counted(extra, 'turn')} that it does not have", "yellow"))
    if comparison.settings:
        out.heading("Of the sessions")
        print_changes(out, comparison.settings)
    if comparison.turns:
        _print_turns(out, comparison)
    _print_behaviour(out, comparison.turns)
    _print_measures(out, comparison)
    if judgements:
        print_judgements(out, judgements)


_NUMBERS: Final = [Column(name, right=True) for name in ("A", "B", "B less A", "interval")]


def _print_turns(out: Out, comparison: GroupComparison) -> None:
    out.heading("Turn by turn")
    columns = [Column("turn", right=True), Column("user", least=12), Column("n", right=True)]
    columns += [Column(f"{comparison.headline} A", right=True), *_NUMBERS[1:]]
    columns += [Column("new in B", least=8, optional=True)]
    out.table(columns, [_turn_row(turn) for turn in comparison.turns])


def _turn_row(turn: GroupTurn) -> list[Piece]:
    user = f"({turn.kind.replace('_', ' ')})" if turn.kind != "user" else turn.user
    said = "(not transcribed)" if user is None else shortened(one_line(user), 60)
    cells = _cells(turn.measure) if turn.measure else [(NA, "dim")] * 4
    counts = f"{turn.n_a}/{turn.n_b}"
    return [str(turn.number), said, counts, *cells, (", ".join(turn.new), "yellow")]


def _cells(each: GroupMeasure) -> list[Piece]:
    """Medians, difference, interval."""
    style = "dim"
    if each.verdict == MORE:
        style = ("red" if (each.difference or 0) > 0 else "green") if each.unit else "yellow"
    difference = NA if each.difference is None else signed(each.difference)
    known = each.low is not None and each.high is not None
    interval = f"{signed(each.low or 0)} to {signed(each.high or 0)}" if known else NA
    return [_number(each.a), _number(each.b), (difference, style), interval]


def _number(value: float | None) -> str:
    return NA if value is None else f"{value:,.0f}"


def _print_behaviour(out: Out, turns: Sequence[GroupTurn]) -> None:
    """How turns ended and which tools were called, where that was not always the same."""
    rows: list[list[Piece]] = []
    for turn in turns:
        if not turn.n_a or not turn.n_b:
            continue
        if {*turn.statuses_a} != {*turn.statuses_b}:
            rows.append(
                [str(turn.number), "status", *map(_told, (turn.statuses_a, turn.statuses_b))]
            )
        if {*turn.tools_a} != {*turn.tools_b}:
            rows.append([str(turn.number), "tools", *map(_told, (turn.tools_a, turn.tools_b))])
    if rows:
        out.heading("What happened")
        columns = [Column("turn", right=True), Column(""), Column("A", least=20)]
        out.table([*columns, Column("B", least=20)], rows)


def _told(counts: Mapping[str, int]) -> str:
    """`answered 4, failed 1`."""
    return ", ".join(f"{one_line(name) or 'none'} {count}" for name, count in counts.items()) or NA


def _print_measures(out: Out, comparison: GroupComparison) -> None:
    """Over all turns, and by session; then in sentences what is more than chance."""
    rows = [each for each in comparison.measures if each.n_a and each.n_b]
    rows += [each for each in comparison.counts if each.difference]
    if not rows:
        return
    out.heading("Over all turns, medians")
    columns = [Column(""), *_NUMBERS, Column("n", right=True)]
    table: list[list[Piece]] = [
        [in_unit(each.name, each.unit), *_cells(each), f"{each.n_a}/{each.n_b}"] for each in rows
    ]
    out.table(columns, table)
    out.line()
    for sentence in _sentences(comparison, rows):
        out.hanging([], sentence)


def _sentences(comparison: GroupComparison, rows: Sequence[GroupMeasure]) -> Iterator[str]:
    """The headline in any case; of the others what chance would not make."""
    for each in rows:
        if each.name == comparison.headline or each.verdict == MORE:
            yield each.sentence
    if all(each.verdict == UNTOLD for each in rows):
        calls = f"{max(each.calls_a for each in rows)} and {max(each.calls_b for each in rows)}"
        yield (
            f"Could not tell whether anything here is more than chance: {calls} calls, "
            f"at least {comparison.min_calls} on each side are needed."
        )
