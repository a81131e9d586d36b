"""The table of commands: all that help, the README and the tests know of them before they load.

To add a command: one module in this folder with a `command`, and one row here.
"""

from __future__ import annotations

from keyword import iskeyword
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
        """Where its code is, below `recorder.cli`. A word of Python's own gets an underscore."""
        name = self.name.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name


RECORDING, LOOKING, KEEPING, TRYING = "Record", "Look at it", "Keep it in order", "Try it out"
IN_AND_OUT = "In and out"

ROWS: Final = (
    Row("record", RECORDING, "Hold a session with a Realtime endpoint and record it.",
        "recorder record --url sandbox: --text 'What are your opening hours?'"),
    Row("proxy", RECORDING, "Record whatever an application that points here talks about.",
        "recorder proxy --upstream https://api.openai.com/v1"),
    Row("token", RECORDING, "Get a short-lived client token, and print it.",
        "recorder token --model gpt-realtime"),
    Row("ls", LOOKING, "List sessions.",
        "recorder ls --since 7d --model 'gpt*'"),
    Row("show", LOOKING, "What a session was, what happened, and what went wrong.",
        "recorder show"),
    Row("events", LOOKING, "The events of a session, one a line.",
        "recorder events latest --type 'response.*' --from 12s"),
    Row("tail", LOOKING, "Watch a session while another process records it.",
        "recorder tail latest --type 'response.*'"),
    Row("replay", LOOKING, "Watch a session once more as it happened, or print it.",
        "recorder replay latest --speed 2 --idle-limit 1s"),
    Row("transcript", LOOKING, "What was said, as text, Markdown, JSON, subtitles or CSV.",
        "recorder transcript latest -o call.vtt"),
    Row("state", LOOKING, "What was in force, in flight and playing at one moment.",
        "recorder state latest --at 12.5s"),
    Row("audio", LOOKING, "What was heard, as WAV files.",
        "recorder audio latest -d /tmp"),
    Row("ui", LOOKING, "See and hear all of it in the browser: a server on this machine.",
        "recorder ui --listen 127.0.0.1:8700"),
    Row("latency", LOOKING, "How long everything took, turn by turn.",
        "recorder latency --evidence"),
    Row("report", LOOKING, "How long it took in many calls: percentiles, comparisons, gates.",
        "recorder report since:7d --by model --fail-if 'v2v_audible.p95 > 1200ms'"),
    Row("metrics", LOOKING, "Serve latencies and failures of all calls, for Prometheus.",
        "recorder metrics --listen 127.0.0.1:9465"),
    Row("diff", LOOKING, "What changed from one session to another, turn by turn.",
        "recorder diff latest~1 latest --tolerance v2v_audible=+20%"),
    Row("export", IN_AND_OUT, "Write sessions to a file: JSONL, HAR, sound, transcripts, bundles.",
        "recorder export bundle latest -o call.zip"),
    Row("import", IN_AND_OUT, "Bring in sessions that were recorded elsewhere.",
        "recorder import calls.har session.jsonl.gz --call 4711"),
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
    Row("mock", TRYING, "Serve recorded sessions again to any client, as the endpoint did.",
        "recorder mock latest --match lenient --fault close=1011@12s"),
    Row("rerun", TRYING, "Run a recorded caller again, before a live endpoint, and record it.",
        "recorder rerun latest --url sandbox: --voice cedar"),
    Row("pin", TRYING, "Make a recorded call a test: a cassette, and a test file to start from.",
        "recorder pin latest tests/cassettes/greeting --turns 6-8"),
)  # fmt: skip

COMMANDS: Final = {row.name: row for row in ROWS}
