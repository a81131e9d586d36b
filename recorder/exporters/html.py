"""The call as one page that opens from disk: one session a file, nothing loaded from anywhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from .base import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .base import Source, Writer

HOLDS: Final = (
    "every message as it passed, without its audio: all that was said and written",
    "instructions, tools, their arguments and their outputs",
    "the voices of both sides, unless --audio none",
    "what was measured and found",
)
"""What is in a page that was made with `--full`."""


def page(audio: str | None, sources: Iterable[Source]) -> Iterator[bytes]:
    """The page of each; `audio` is one of `page.SOUNDS`."""
    from ..page import document

    for source in sources:
        yield from document(source, audio)


def writer(audio: str | None) -> Writer:
    """Writes pages with the sound in this form: `flac` where nothing is said."""
    return pieces(partial(page, audio))


write = writer(None)
