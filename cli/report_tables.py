"""A report for people: its figures, differences and gates as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .output import Column
from .text import NA, counted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from recorder.reporting.differences import Difference
    from recorder.reporting.figures import Figures
    from recorder.reporting.groups import Label
    from recorder.reporting.report import Report

    from .output import Out, Piece
    from .shared import Shared

    Line: TypeAlias = tuple[str, tuple[Label, ...], list[Piece]]
    """The metric, the group, and the cells after these."""


def print_report(shared: Shared, report: Report) -> None:
    """All of it."""
    out = shared.out
    if not report.turns and not report.changes:
        what = counted(report.sessions, "session")
        out.say(f"there is no turn in {what}" if report.sessions else "no session is meant")
    if report.rows:
        lines = [(r.figures.metric, r.labels, _figure_cells(r.figures)) for r in report.rows]
        _print_lines(out, report.question.by, _FIGURES, lines)
        _print_legend(shared, report)
    if report.against:
        _print_changes(out, report)
    if report.judgements:
        _print_gates(out, report)


def _print_lines(
    out: Out, by: Sequence[str], columns: Sequence[Column], lines: Sequence[Line]
) -> None:
    """On a terminal the groups of one metric stand below each other, under its name; where the
    names of groups have no room beside their figures, the metrics of each group under its name.
    """
    asked = any(label.by == "model" and label.beside for _, labels, _ in lines for label in labels)
    titles = [title for name in by for title in (name, ASKED) if title != ASKED or name == "model"]
    groups = [Column(title, least=SQUEEZED) for title in titles if asked or title != ASKED]
    whole = [[*_names(labels, asked), metric, *cells] for metric, labels, cells in lines]
    metric_column = Column("metric")
    if not out.terminal or not by:
        out.table([*groups, metric_column, *columns], whole)
        return
    sections: dict[str, list[list[Piece]]] = {}
    rows = [[*_names(labels, asked), *cells] for _, labels, cells in lines]
    if _least([*groups, *columns], rows) <= (out.width or 80):
        for (metric, _, _), row in zip(lines, rows, strict=True):
            sections.setdefault(metric, []).append(row)
        _print_sections(out, [*groups, *columns], sections)
        return
    for metric, labels, cells in lines:
        sections.setdefault(_heading(labels), []).append([metric, *cells])
    _print_sections(out, [metric_column, *columns], sections)


def _print_sections(
    out: Out, columns: Sequence[Column], sections: dict[str, list[list[Piece]]]
) -> None:
    for place, (title, rows) in enumerate(sections.items()):
        if place:
            out.line()
        out.hanging([], (title, "bold"))
        out.table(columns, rows)


SQUEEZED: Final = 12
"""Characters of a group's name that are shown at least, where there are tables of groups."""


def _least(columns: Sequence[Column], rows: Sequence[Sequence[Piece]]) -> int:
    """How many characters the table takes, squeezed as far as it may be."""
    from .output import GAP

    kept = [n for n, column in enumerate(columns) if not column.optional]
    wide = {n: max(len(columns[n].title), *(len(_text(row[n])) for row in rows)) for n in kept}
    tight = (min(wide[n], columns[n].least or wide[n]) for n in kept)
    return sum(tight) + GAP * (len(kept) - 1)


def _text(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece[0]


def _heading(labels: Iterable[Label]) -> str:
    """The whole name of a group."""
    from recorder.reporting.formats import name_of

    return ", ".join(name_of(label) if label.name else str(label) for label in labels)


ASKED: Final = "asked for"
"""The model that was asked for, beside the effective one, where it is another."""


def _names(labels: Iterable[Label], asked: bool) -> list[Piece]:
    found: list[Piece] = []
    for label in labels:
        found.append(label.name or NA)
        if label.by == "model" and asked:
            found.append(", ".join(label.beside))
    return found


_FIGURES: Final = (
    *(Column(name, right=True) for name in ("n", "p50", "p90", "p95", "p99", "max")),
    Column("left out", right=True),
    Column("unansw.", right=True),
    Column("failed", right=True),
    Column("why", least=12, optional=True),
)


def _figure_cells(figures: Figures) -> list[Piece]:
    from recorder.reporting.formats import STATS, in_ms, reasons

    numbers = [in_ms(getattr(figures, name)) for name in STATS]
    return [
        _unless_zero(figures.n, ""),
        *((text, "dim" if text == NA else "") for text in numbers),
        _unless_zero(sum(figures.left_out.values()), "yellow"),
        _unless_zero(figures.unanswered, "red"),
        _unless_zero(figures.failed, "red"),
        (reasons(figures.left_out), "dim"),
    ]


def _unless_zero(count: int, style: str) -> Piece:
    return (str(count), style if count else "dim")


def _print_legend(shared: Shared, report: Report) -> None:
    """How the figures are made, why turns were left out, and the turn to look at first."""
    from recorder.reporting.formats import legend, reasons, totals

    out = shared.out
    if out.terminal:
        out.line()
    for line in legend(report):
        out.line((line, "dim"))
    if not out.terminal:
        return
    for metric, left_out in totals(report, lambda figures: figures.left_out).items():
        if left_out:
            out.line((f"{metric}: left out {reasons(left_out)}", "dim"))
    _print_slowest(shared, report)


def _print_slowest(shared: Shared, report: Report) -> None:
    """The turn to look at first: that of the first metric, in any group."""
    metric = report.rows[0].figures.metric
    found = [row.figures.worst for row in report.rows if row.figures.metric == metric]
    worst = max((each for each in found if each), key=lambda each: each.ms, default=None)
    if worst is not None:
        name = shared.directory.tail(worst.session)
        command = f"recorder latency {name} --turn {worst.turn}{shared.db_option}"
        shared.out.line((f"Slowest {metric}, {worst.ms:,.0f} ms: ", "dim"), command)


_DIFFERENCES: Final = (
    Column(""),
    *(Column(name, right=True) for name in ("here", "there", "difference", "interval")),
    Column("n", right=True),
    Column("n there", right=True),
)


def _print_changes(out: Out, report: Report) -> None:
    from recorder.reporting.formats import compared

    what = shortened(report.against, 60)
    out.heading(f"Against {what} ({counted(report.sessions_against, 'session')})")
    lines = [(d.metric, labels, _difference_cells(d)) for labels, d in report.changes]
    _print_lines(out, report.question.by, _DIFFERENCES, lines)
    out.line((compared(report), "dim"))


def _difference_cells(difference: Difference) -> list[Piece]:
    from recorder.reporting.formats import change_of, in_ms, interval_of

    slower = (difference.difference or 0) > 0
    style = ("red" if slower else "green") if difference.clear else ""
    return [
        difference.stat,
        in_ms(difference.here),
        in_ms(difference.there),
        (change_of(difference), style),
        interval_of(difference),
        str(difference.n_here),
        str(difference.n_there),
    ]


_STYLES: Final = {"held": "green", "broken": "bold red", "could not tell": "yellow"}


def _print_gates(out: Out, report: Report) -> None:
    from recorder.reporting.formats import verdict_line

    out.heading("Gates")
    width = max(len(each.verdict) for each in report.judgements)
    for each in report.judgements:
        mark = (each.verdict.ljust(width), _STYLES[each.verdict])
        out.hanging([mark], verdict_line(each))
