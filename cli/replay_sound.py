"""The call in step with the player, on a loudspeaker: user left, assistant right.

The player's position is the clock. The sound card's thread takes samples from there on; where the
two are further apart than can be heard, the sound jumps. At other speeds it is as from a tape.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recorder.audio.formats import SECOND
from recorder.errors import UsageError

from .analysed import reported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.audio.codecs import Samples
    from recorder.events import Session
    from recorder.projections import Analysis

    from .shared import Shared

OUT_OF_STEP_NS: Final = SECOND // 10
"""Sound that is further from the player than this is heard to be."""


class InStep:
    """Stereo samples that follow a position."""

    def __init__(self, samples: Samples, rate: int) -> None:
        self._samples, self.rate = samples, rate
        self._lock = threading.Lock()
        self._next, self._speed = 0.0, 0.0

    def follow(self, position_ns: int, speed: float) -> None:
        """The player is here and goes so fast; at 0 it is silent."""
        place = position_ns * self.rate / SECOND
        with self._lock:
            apart = abs(self._next - place) * SECOND / self.rate
            if self._speed == 0 or apart > OUT_OF_STEP_NS * max(speed, 1):
                self._next = place
            self._speed = speed

    def pull(self, frames: int) -> bytes:
        """The next samples to be played, both channels; called in the sound card's thread."""
        with self._lock:
            begin, speed = self._next, self._speed
            self._next += frames * speed
        block = np.zeros((frames, 2), "<i2")
        if speed:
            places = (begin + np.arange(frames) * speed).astype(np.int64)
            there = (places >= 0) & (places < len(self._samples))
            block[there] = self._samples[places[there]]
        return block.tobytes()


@contextmanager
def loudspeaker(shared: Shared, session: Session, analysis: Analysis) -> Iterator[InStep]:
    """The session's sound on the sound card, silent until it is told to follow.

    Raises `UsageError` where there is no sound, or nothing to play it with.
    """
    from recorder.live.sound import require

    sounddevice = require("--audio needs")
    with tempfile.TemporaryFile() as file:
        samples, rate = _spooled(shared, session, analysis, file)
        sound = InStep(samples, rate)

        def wanted(out: Any, frames: int, _time: object, _status: object) -> None:
            out[:] = sound.pull(frames)

        try:
            stream = sounddevice.RawOutputStream(
                samplerate=rate, channels=2, dtype="int16", callback=wanted
            )
            stream.start()
        except sounddevice.PortAudioError as error:
            raise UsageError(f"no loudspeaker can be opened: {error}") from None
        try:
            yield sound
        finally:
            stream.abort()
            stream.close()


def _spooled(
    shared: Shared, session: Session, analysis: Analysis, file: Any
) -> tuple[Samples, int]:
    """The stereo call in a file without a name, and its rate: an hour need not fit in memory."""
    from recorder.tracks import layout_of, stereo

    layout, heard = layout_of(analysis), False
    with shared.out.progress("reading the sound") as report:
        for block in stereo(
            lambda audio: reported(shared, session, report, audio=audio), layout, layout.rate
        ):
            heard = heard or bool(block.any())
            file.write(block.astype("<i2").tobytes())
    file.flush()
    if not heard:
        raise UsageError(
            "there is no sound in this session, or it was not kept; replay it without --audio"
        )
    return np.memmap(file, "<i2", "r").reshape(-1, 2), layout.rate
