"""The table of commands: all that help, the README and the tests know of them before they load.

To add a command: one module in this folder with a `command`, and one row here.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Row(NamedTuple):
    """One command, without its code."""

    name: str
    section: str
    help: str
    """What it does, in half a line."""
    example: str

    @property
    def module(self) -> str:
        """Where its code is, below `recorder.cli`."""
        return self.name.replace("-", "_")


RECORDING, LOOKING, KEEPING, TRYING = "Record", "Look at it", "Keep it in order", "Try it out"

ROWS: Final = (
    Row("record", RECORDING, "Hold a session with a Realtime endpoint and record it.",
        "recorder record --url sandbox: --text 'What are your opening hours?'"),
    Row("token", RECORDING, "Get a short-lived client token, and print it.",
        "recorder token --model gpt-realtime"),
    Row("ls", LOOKING, "List sessions.",
        "recorder ls --since 7d --model 'gpt*'"),
    Row("show", LOOKING, "What a session was, what happened, and what went wrong.",
        "recorder show"),
    Row("events", LOOKING, "The events of a session, one a line.",
        "recorder events latest --type 'response.*' --from 12s"),
    Row("transcript", LOOKING, "What was said.",
        "recorder transcript"),
    Row("audio", LOOKING, "What was heard, as WAV files.",
        "recorder audio latest -d /tmp"),
    Row("latency", LOOKING, "How long everything took, turn by turn.",
        "recorder latency --evidence"),
    Row("note", KEEPING, "Write a note to a moment of a session.",
        "recorder note latest --at 12.5s 'the caller hears an echo'"),
    Row("tag", KEEPING, "Tag a session, or take tags off.",
        "recorder tag latest slow to-check"),
    Row("rm", KEEPING, "Remove sessions for good, down to the bytes on disk.",
        "recorder rm --until 2026-06-30 --tag test"),
    Row("db", KEEPING, "The database: where it is, whether it is sound, what it holds.",
        "recorder db verify"),
    Row("demo", TRYING, "Record and look at a spoken conversation, offline and without a key.",
        "recorder demo"),
    Row("sandbox", TRYING, "Run a Realtime endpoint on this machine, to try things out.",
        "recorder sandbox --listen 127.0.0.1:8765"),
)  # fmt: skip

COMMANDS: Final = {row.name: row for row in ROWS}
