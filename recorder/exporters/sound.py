"""The call as a sound file: user left, assistant right as it was heard, on one clock.

Audio that is gone, or is not shared, is silence of the same length. A session without any sound
is refused.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from ..errors import UsageError
from .base import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .base import Writer

RATE: Final = 24_000
"""Hz of the files: what most sessions speak."""


class NoSound(UsageError):
    """A session in which nothing can be heard."""


def writer(form: str) -> Writer:
    """What writes sessions in this format of `recorder.audio.writing`."""

    def write(sources: Iterable[Source], file: IO[bytes]) -> None:
        for source in sources:
            if not save(source, file, form):
                raise NoSound(f"there is no sound in session {source.session.id}")

    return write


def save(source: Source, file: IO[bytes], form: str) -> bool:
    """Write the session's sound; False, and nothing written, where there is none."""
    from ..audio.writing import write_sound
    from ..tracks import lay_out, stereo

    layout = lay_out(source.events)
    if not layout.epochs and not any(item.runs for item in layout.playback.items):
        return False
    write_sound(file, stereo(source.events, layout, RATE), RATE, channels=2, form=form)
    return True
