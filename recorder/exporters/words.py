"""Transcripts, in the formats of `recorder.projections.RENDERERS`: one session a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from .base import Exporter, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .base import Source

FORMATS: Final = {
    "txt": "the transcript, a line for each thing that was said",
    "md": "the transcript for reading, as Markdown",
    "json": "the transcript for programs, with all that is known",
    "srt": "what was heard, as subtitles",
    "vtt": "what was heard, as WebVTT cues with speakers",
    "csv": "the transcript as a table",
}
"""Names and help; the renderers are imported when one is used."""


def document(form: str, sources: Iterable[Source]) -> Iterator[bytes]:
    """The transcripts in this format of `RENDERERS`."""
    from ..projections import RENDERERS

    for source in sources:
        for piece in RENDERERS[form](source.told("transcript")):
            yield piece.encode()


def rows() -> dict[str, Exporter]:
    """A row a format; the table's name is `transcript-csv`, because `csv` holds the events."""
    table = {}
    for form, told in FORMATS.items():
        name = "transcript-csv" if form == "csv" else form
        suffix = f".transcript.{form}" if form in ("csv", "json") else f".{form}"
        table[name] = Exporter(suffix, told, pieces(partial(document, form)))
    return table
