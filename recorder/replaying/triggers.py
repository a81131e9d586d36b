"""Free matching: the next recorded answer goes out when something calls for one.

A commit or `response.create` calls for one; so does the end of what the user says, heard in the
appended audio, where the recorded server listened for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..audio.codecs import Decoder
from .causes import COMMIT, COMMITTED, CREATED, RESPOND, STARTED, canonical
from .nouns import Ask, Tell

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat

LOUD: Final = 0.0056 * 32768
"""-45 dBFS, root mean square: above it, somebody speaks."""
SPOKEN_NS: Final = 60_000_000
"""What must be loud before it counts."""
QUIET_NS: Final = 500_000_000
"""What must be quiet after it, in the audio; or so long nothing is appended at all."""


class Ears:
    """Hears when the user has stopped speaking, from the energy of what is appended."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._form: AudioFormat | None = None
        self._loud_ns = self._quiet_ns = 0
        self._last_ns: int | None = None

    def push(self, data: bytes, form: AudioFormat, now_ns: int) -> bool:
        """Appended audio: whether the user has stopped speaking with it."""
        if self._decoder is None or form != self._form:
            self._decoder, self._form = Decoder(form), form
        samples = self._decoder.push(data)
        self._last_ns = now_ns
        size = max(1, form.rate // 50)
        ended = False
        for row in range(0, len(samples), size):
            ended = self._hear(samples[row : row + size], form) or ended
        return ended

    def _hear(self, samples: np.ndarray, form: AudioFormat) -> bool:
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        length = form.ns(len(samples))
        if level >= LOUD:
            self._loud_ns, self._quiet_ns = self._loud_ns + length, 0
            return False
        self._quiet_ns += length
        return self._loud_ns >= SPOKEN_NS and self._quiet_ns >= QUIET_NS and self._ended()

    def due(self) -> int | None:
        """When the user counts as having stopped because nothing more is appended."""
        if self._last_ns is None or self._loud_ns < SPOKEN_NS:
            return None
        return self._last_ns + QUIET_NS

    def poll(self, now_ns: int) -> bool:
        """Whether that is now."""
        due = self.due()
        return due is not None and now_ns >= due and self._ended()

    def _ended(self) -> bool:
        self._loud_ns = self._quiet_ns = 0
        return True


class Triggers:
    """What was called for and not yet answered."""

    def __init__(self) -> None:
        self.ears = Ears()
        self._turn: int | None = None
        self._create: int | None = None
        self._open_ns: int | None = None
        self._whole = False
        self._asks = False

    def asked(self, kind: str, now_ns: int) -> None:
        """The client sent an event of this kind."""
        if kind in (RESPOND, COMMIT):
            self._asks = True
        if kind == RESPOND:
            self._create = now_ns
        elif kind == COMMIT:
            self._turn, self._whole = now_ns, False

    def fell_silent(self, now_ns: int) -> None:
        """The user has stopped speaking."""
        self._turn, self._whole = now_ns, not self._asks

    def released(self, tell: Tell) -> int | None:
        """Since when the event may go out; None: something has to call for it first."""
        if not gates(tell):
            return 0
        if _was_asked_for(tell) and not self._whole:
            return self._create
        if self._open_ns is not None:
            return self._open_ns
        return self._turn if self._turn is not None else self._create

    def passed(self, tell: Tell) -> None:
        """It went out: what called for it is used up."""
        if canonical(tell.event.type) == CREATED:
            self._create = self._turn = self._open_ns = None
            self._whole = False
        elif gates(tell) and self._open_ns is None:
            self._open_ns = self.released(tell)
            self._turn = None


def _was_asked_for(tell: Tell) -> bool:
    """Whether the recorded client asked for this response by `response.create`."""
    return isinstance(tell.cause, Ask) and tell.cause.kind == RESPOND


def gates(tell: Tell) -> bool:
    """Whether the event begins something that has to be called for."""
    return canonical(tell.event.type) in (STARTED, COMMITTED, CREATED)
