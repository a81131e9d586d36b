"""The table of transcript formats: `RENDERERS["vtt"](transcript)` gives its text in pieces.

What a renderer gives is the whole file, line ends included: joined and encoded as UTF-8 it is
valid by the rules of its format, and holds no character that a terminal would obey. To add a
format: a function that takes a `Transcript` and yields text, and a row here; its file's suffix
is its name, and the first line of its docstring is its description.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from .transcript_csv import render_csv
from .transcript_cues import render_srt, render_vtt
from .transcript_text import render_md, render_txt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from .model import Transcript

    Renderer: TypeAlias = Callable[[Transcript], Iterator[str]]

_OBEYED: Final = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def as_json(transcript: Transcript) -> dict[str, Any]:
    """The transcript as it is, ready for `orjson.dumps`."""
    return {
        "connections": list(transcript.connections),
        "turns": transcript.turns,
        "lines": list(transcript.lines),
    }


def render_json(transcript: Transcript) -> Iterator[str]:
    """JSON: everything that is known of each line; times in nanoseconds."""
    text = orjson.dumps(as_json(transcript), option=orjson.OPT_INDENT_2).decode()
    yield _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n"


RENDERERS: Final[Mapping[str, Renderer]] = {
    "txt": render_txt,
    "md": render_md,
    "json": render_json,
    "srt": render_srt,
    "vtt": render_vtt,
    "csv": render_csv,
}
"""Formats of a transcript, by name."""
