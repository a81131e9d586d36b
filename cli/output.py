"""The one way to stdout and stderr.

Laws:

1. Everything that is printed goes through `safe` here; only `Out.raw` and `Out.json` do not,
   and JSON comes from `json_text`.
2. Colour and width belong to a terminal. Into a pipe goes plain text: full values, every
   column, nothing cut.
"""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from .text import json_text, one_line, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

Piece: TypeAlias = str | tuple[str, str]
"""Text, or text and its style."""

Report: TypeAlias = "Callable[[int, int], None]"
"""Called with what is done and what there is to do."""


class Column(NamedTuple):
    """One column of a table."""

    title: str
    right: bool = False
    least: int = 0
    """Characters below which a terminal's column is not squeezed; 0: it is never squeezed."""
    optional: bool = False
    """On a terminal it is left out where no row has anything in it."""


def _split(piece: Piece) -> tuple[str, str]:
    return piece if isinstance(piece, tuple) else (piece, "")


class Out:
    """Stdout and stderr, for people or for pipes."""

    def __init__(self, *, color: bool = True) -> None:
        self._color = color
        self._consoles: dict[bool, Console] = {}

    @property
    def terminal(self) -> bool:
        """Whether a person reads stdout as it comes."""
        return sys.stdout.isatty()

    @property
    def watched(self) -> bool:
        """Whether a person reads stderr as it comes."""
        return sys.stderr.isatty()

    @property
    def width(self) -> int | None:
        """Characters a line; None for a pipe, where lines are as long as they are."""
        return self.console().width if self.terminal else None

    def console(self, *, stderr: bool = False) -> Console:
        """The rich console, made when first needed: importing it takes a tenth of a second."""
        if stderr not in self._consoles:
            from rich.console import Console

            self._consoles[stderr] = Console(
                stderr=stderr,
                highlight=False,
                markup=False,
                emoji=False,
                no_color=not self._color or None,
            )
        return self._consoles[stderr]

    def line(self, *pieces: Piece, cut: bool = False) -> None:
        """One line of pieces. With `cut`, a terminal shows as much of it as fits; else it goes on
        below without a line break, so that a long command can be copied as one.
        """
        if not self.terminal:
            sys.stdout.write(safe("".join(_split(piece)[0] for piece in pieces)) + "\n")
            return
        from rich.text import Text

        text = Text.assemble(*((safe(part), style) for part, style in map(_split, pieces)))
        if cut:
            self.console().print(text, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self.console().print(text, soft_wrap=True)

    def as_it_comes(self) -> None:
        """From here on every line goes out at once, into pipes too: something is going on live."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)

    def hanging(
        self, marks: Sequence[Piece], words: Piece | Sequence[Piece], below: str = ""
    ) -> None:
        """Marks at the margin, and beside them words that wrap in the room that is left.

        `below` is more to say, dimmer. Into a pipe each goes as one line.
        """
        pieces = [words] if isinstance(words, str | tuple) else list(words)
        if not self.terminal:
            margin = "  ".join(_split(mark)[0] for mark in marks)
            self.line(margin, "  ", *pieces)
            if below:
                self.line(" " * len(margin), "  ", below)
            return
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2, 0, 0), expand=False)
        for _ in marks:
            grid.add_column(no_wrap=True)
        grid.add_column()
        cells = [Text(safe(part), style) for part, style in map(_split, marks)]
        text = Text.assemble(*((safe(part), style) for part, style in map(_split, pieces)))
        grid.add_row(*cells, text)
        if below:
            grid.add_row(*[""] * len(cells), Text(safe(below), "dim"))
        self.console().print(grid)

    def heading(self, title: str) -> None:
        """A title with an empty line above it."""
        self.line()
        self.line((title, "bold"))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]]) -> None:
        """Rows under titles; on a terminal squeezed to its width."""
        if self.terminal:
            self._rich_table(columns, rows)
        else:
            self._plain_table(columns, rows)

    def _rich_table(self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]]) -> None:
        from rich.text import Text

        console = self.console()
        room = fit(columns, rows, console.width)
        titles = [(column.title, "dim") for column in columns]
        for row in (titles, *rows):
            cells = []
            for index, width in room.items():
                words, style = _split(row[index])
                cell = Text(one_line(words), style)
                cell.truncate(width, overflow="ellipsis")
                cell.align("right" if columns[index].right else "left", width)
                cells.append(cell)
            line = Text("  ").join(cells)
            line.rstrip()
            console.print(line, no_wrap=True, crop=True)

    def _plain_table(self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]]) -> None:
        cells = [[one_line(_split(piece)[0]) for piece in row] for row in rows]
        lines = [[column.title for column in columns], *cells]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        for line in lines:
            padded = [
                text.rjust(width) if column.right else text.ljust(width)
                for text, width, column in zip(line, widths, columns, strict=True)
            ]
            sys.stdout.write("  ".join(padded).rstrip() + "\n")

    def json(self, value: Any, *, indent: bool = True) -> None:
        """A value for machines; in one line unless it is the whole answer."""
        sys.stdout.write(json_text(value, indent=indent) + "\n")

    def raw(self, data: bytes) -> None:
        """Bytes as they are: the one thing that is printed without being made harmless."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    def say(self, text: str) -> None:
        """A remark beside the answer, on stderr; lost without ado where nobody can read it."""
        with suppress(OSError):
            sys.stderr.write(safe(text, lines=True) + "\n")

    @contextmanager
    def progress(self, what: str) -> Iterator[Report]:
        """Something that may take long: a bar on stderr, for people, after a second of it."""
        if not self.watched:
            yield lambda _done, _total: None
            return
        bar = _LateBar(what, self.console(stderr=True))
        try:
            yield bar.report
        finally:
            bar.close()


GAP: Final = 2
"""Characters between columns."""


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Piece]], width: int) -> dict[int, int]:
    """How wide each column is shown, by its index, so that a row takes at most `width`.

    Optional columns go where nothing stands in them, and, the last first, where there is no
    room for them. Then those that can be squeezed are, the widest first.
    """
    room = {index: _widest(column, rows, index) for index, column in enumerate(columns)}
    optional = [index for index, column in enumerate(columns) if column.optional]
    for index in optional:
        if not any(_split(row[index])[0] for row in rows):
            del room[index]
    tight = {n: min(wide, columns[n].least or wide) for n, wide in room.items()}
    for index in reversed(optional):
        if index in room and _over(tight, width) > 0:
            del room[index], tight[index]
    while (over := _over(room, width)) > 0:
        soft = sorted((n for n in room if room[n] > tight[n]), key=lambda n: room[n])
        if not soft:
            break
        floor = max([tight[soft[-1]], *(room[n] for n in soft[:-1])])
        room[soft[-1]] -= max(1, min(over, room[soft[-1]] - floor))
    return room


def _over(room: dict[int, int], width: int) -> int:
    """By how much a row is too wide."""
    return sum(room.values()) + GAP * (len(room) - 1) - width


def _widest(column: Column, rows: Sequence[Sequence[Piece]], index: int) -> int:
    from rich.cells import cell_len

    cells = [one_line(_split(row[index])[0]) for row in rows]
    return max([cell_len(column.title), *map(cell_len, cells)])


class _LateBar:
    """A progress bar that appears only once something has taken a second."""

    def __init__(self, what: str, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        self._since, self._what = time.monotonic(), what
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def report(self, done: int, total: int) -> None:
        if self._task is None:
            if time.monotonic() - self._since < 1.0:
                return
            self._bar.start()
            self._task = self._bar.add_task(safe(self._what), total=total)
        self._bar.update(self._task, completed=done, total=total)

    def close(self) -> None:
        if self._task is not None:
            self._bar.stop()


def open_missing_streams() -> None:
    """Stdin, stdout and stderr, where whoever started us closed them (`>&-`): nothing goes there.

    First of all: else the next file that is opened, the database perhaps, gets their number.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken: this one, because those below are open by now.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def forget_stdout() -> None:
    """After its reader went away: nothing more is written, and nothing complains at exit."""
    try:
        target = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, target)
    os.close(sink)
