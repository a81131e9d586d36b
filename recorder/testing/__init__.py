"""Recorded calls in tests: an application before a cassette, and what it did as projections.

    with recorder.mocked("tests/cassettes/greeting.jsonl") as mock:
        talk_to(mock.http_url)
        assert mock.run.turns[0].tool_calls[0].name == "get_weather"

`mocking` is the block, `engine` what serves in a thread of its own, `caller` the recorded caller,
`run` what the application did this time, `verdict` what is said when it was something else. The
pytest plugin (`recorder.pytest_plugin`) is a skin on this.
"""

from __future__ import annotations

from .mocking import CassetteMismatch, Mocked, Playing, mocked, recorded_to
from .run import Run, RunTurn, ToolCall

__all__ = [
    "CassetteMismatch",
    "Mocked",
    "Playing",
    "Run",
    "RunTurn",
    "ToolCall",
    "mocked",
    "recorded_to",
]
