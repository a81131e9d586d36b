"""What all benchmarks share: medians with their spread, and the lines in which figures are told."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio and what it should be."""

    name: str
    value: float
    limit: float
    at_least: bool = True

    @property
    def ok(self) -> bool:
        """Whether the figure holds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self, benchmark: str) -> str:
        """`store append_256: 0.91 (at least 0.85) ok`."""
        bound = "at least" if self.at_least else "at most"
        verdict = "ok" if self.ok else "short"
        return f"{benchmark} {self.name}: {self.value:.2f} ({bound} {self.limit:g}) {verdict}"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """`median (least to most)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under titles, in columns."""
    lines = [list(titles), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    for line in lines:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def paired(
    ours: Callable[[], float], baseline: Callable[[], float], rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Both measured in turns, so that the machine's moods hit both: (ours, baseline, ratios)."""
    mine, theirs = [], []
    for number in range(rounds):
        first, second = (ours, baseline) if number % 2 else (baseline, ours)
        one, two = first(), second()
        mine.append(one if first is ours else two)
        theirs.append(two if first is ours else one)
    return mine, theirs, [a / b for a, b in zip(mine, theirs, strict=True)]


def finish(benchmark: str, figures: Sequence[Figure]) -> None:
    """Print the figures; exit 1 if any is short."""
    print()
    for figure in figures:
        print(figure.line(benchmark))
    sys.exit(0 if all(figure.ok for figure in figures) else 1)
