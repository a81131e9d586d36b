"""The README's generated tables: `python -m recorder.cli.tables README.md` writes them in place.

A table stands between `<!-- NAME: … -->` and `<!-- end -->`; without a file all are printed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from .table import ROWS


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(titles)
    lines = [_line(heads), "|---" * len(heads) + "|\n", *map(_line, rows)]
    return "".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def commands_table() -> str:
    """The commands, in the order of the help."""
    rows = [(f"`recorder {row.name}`", row.help, f"`{row.example}`") for row in ROWS]
    return _table(("command", "what it does", "for example"), rows)


def selection_table() -> str:
    """The selection language."""
    from recorder.selecting import guide

    rows = [(f"`{line.example}`", line.meaning) for line in guide()]
    return _table(("words", "what is meant"), rows)


def metrics_table() -> str:
    """What is measured of a turn."""
    from recorder.projections.metrics import METRICS, QUALITIES

    rows = [(f"`{name}`", text) for name, text in (METRICS | QUALITIES).items()]
    return _table(("name", "from, to"), rows)


def exports_table() -> str:
    """What sessions can be written as."""
    from recorder.exporters import EXPORTERS

    rows = [(f"`{name}`", row.help) for name, row in EXPORTERS.items()]
    return _table(("`recorder export`", "what it is"), rows)


def imports_table() -> str:
    """What sessions can be brought in from."""
    from recorder.importers import IMPORTERS

    rows = [(f"`{name}`", row.help) for name, row in IMPORTERS.items()]
    return _table(("`recorder import`", "what it is"), rows)


def clients_table() -> str:
    """How clients are pointed at a proxy."""
    from recorder.proxy.howto import HOWTOS

    rows = [(f"`{name}`", row.what, row.shown_trap) for name, row in HOWTOS.items()]
    return _table(("`--howto`", "client", "mind"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands_table,
    "selection": selection_table,
    "metrics": metrics_table,
    "exports": exports_table,
    "imports": imports_table,
    "clients": clients_table,
}

_PLACE: Final = re.compile(r"(<!-- ([a-z]+):[^>]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The text with every table that is marked in it as the code has it now."""
    return _PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[4]}", text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.write_text(filled(path.read_text()))
    else:
        print("\n".join(make() for make in TABLES.values()), end="")
