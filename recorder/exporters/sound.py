"""The call as a sound file: user left, assistant right as it was heard, on one clock.

Audio that is gone, or is not shared, is silence of the same length. A session without any sound
is refused.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from ..errors import UsageError
from .base import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..audio.codecs import Samples
    from ..tracks import Layout
    from .base import Writer

RATE: Final = 24_000
"""Hz of the files: what most sessions speak."""


class NoSound(UsageError):
    """A session in which nothing can be heard."""


class TooLong(UsageError):
    """A session whose times span so much that its sound would be silence without end."""


def writer(form: str) -> Writer:
    """What writes sessions in this format of `recorder.audio.writing`."""

    def write(sources: Iterable[Source], file: IO[bytes]) -> None:
        for source in sources:
            if not save(source, file, form):
                raise NoSound(f"there is no sound in session {source.session.id}")

    return write


def save(source: Source, file: IO[bytes], form: str) -> bool:
    """Write the session's sound; False, and nothing written, where there is none.

    Raises `TooLong`.
    """
    from ..audio.formats import SECOND
    from ..audio.writing import write_sound
    from ..tracks import stereo

    layout = source.layout
    if not layout.epochs and not any(item.runs for item in layout.playback.items):
        return False
    if layout.is_too_long:
        hours = layout.end_ns // (3600 * SECOND)
        raise TooLong(f"session {source.session.id} lasts {hours} hours by its times")
    blocks = _silence(layout) if source.sharing else stereo(source.events, layout, RATE)
    write_sound(file, blocks, RATE, channels=2, form=form)
    return True


def _silence(layout: Layout) -> Iterator[Samples]:
    """As long as the call, in blocks of a second: what is not read cannot get out."""
    import numpy as np

    from ..audio.formats import SECOND

    left = (2 * layout.end_ns * RATE + SECOND) // (2 * SECOND)  # rounded, as tracks are
    while left > 0:
        yield np.zeros((min(left, RATE), 2), np.int16)
        left -= RATE
