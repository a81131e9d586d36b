"""Prints the README's table of commands: `python -m recorder.cli.tables`."""

from __future__ import annotations

from .table import ROWS


def commands_table() -> str:
    """The commands as a Markdown table, in the order of the help."""
    lines = ["| command | what it does | for example |", "|---|---|---|"]
    for row in ROWS:
        example = row.example.replace("|", "\\|")
        lines.append(f"| `recorder {row.name}` | {row.help} | `{example}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(commands_table(), end="")
