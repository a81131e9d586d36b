"""A transcript as CSV (RFC 4180), safe to open in a spreadsheet.

Laws:

1. Records end in CRLF, the first one names the columns; a field with a comma, a quotation mark
   or a line break in it is quoted, quotation marks inside are doubled.
2. No formula: a field of text that begins with `=`, `+`, `-`, `@`, or with one of these after
   white space or quotes, gets an apostrophe before it, which spreadsheets do not show. Line
   breaks and control characters become spaces, so that none can begin inside a field either.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final

from .transcript_text import plain, result_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Line, Transcript

COLUMNS: Final = (
    "session", "turn", "start_s", "end_s", "speaker", "kind", "text", "heard", "result",
    "speech_s", "out_of_band", "item_id", "response_id", "seq",
)  # fmt: skip
_FORMULA: Final = re.compile(r"""[\s"'`]*[=+\-@\uff1d\uff0b\uff0d\uff20]""")


def harmless(text: str) -> str:
    """Text that no spreadsheet computes."""
    text = plain(text)
    return f"'{text}" if _FORMULA.match(text) else text


def render_csv(transcript: Transcript) -> Iterator[str]:
    """CSV: a record for each line; no field of it is taken for a formula."""
    yield _record(COLUMNS)
    for line in transcript.lines:
        yield _record(_fields(line))


def _fields(line: Line) -> tuple[str, ...]:
    return (
        harmless(line.session),
        "" if line.turn is None else str(line.turn),
        _seconds(line.start_ns),
        _seconds(line.end_ns),
        harmless(line.speaker),
        line.kind,
        harmless(line.text),
        "" if line.heard is None else harmless(line.heard),
        harmless(result_of(line)) if line.kind in ("tool", "error") else "",
        _seconds(line.speech_ns),
        "yes" if line.out_of_band else "no",
        harmless(line.item_id),
        harmless(line.response_id),
        str(line.seq),
    )


def _seconds(ns: int | None) -> str:
    return "" if ns is None else f"{max(ns, 0) / 1e9:.3f}"


def _record(fields: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(fields)
    return buffer.getvalue()
