"""Voice activity detection by energy, in steps of 32 ms on the appended-audio axis.

Laws:

1. The axis counts appended samples, nothing else: it stands still while nothing is appended.
2. Every offset is a multiple of the step (512 samples at 16 kHz, as the well-known models have
   it); offsets of one kind never decrease, and the start of a turn is never before the end of the
   last one.
3. Speech begins with two loud steps in a row: one may be a click. `start_ms` is the first of them
   less the prefix padding, to the nearest step.
4. Speech ends when the silence after it is long enough. `end_ms` is where that was known, so it
   contains the silence.

Loud is above a level that follows from `threshold`: 0 is -60 dBFS, 0.5 is -40, 1 is -20.

A semantic VAD cannot be had from energy alone. Here it waits the longest time of its eagerness
(8, 4, 2 s) after words that broke off, and an eighth of that after words that clearly faded: whose
last loud step lies 10 dB or more below the loudest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from recorder.sandbox.formats import Samples
from recorder.sandbox.turn_detection import EAGERNESS, TurnDetection

STEP_MS = 32
ONSET_STEPS = 2
FADE_DB = 10.0
FADED_PART = 8
"""Of the longest wait, after words that faded: one in so many."""
QUIETEST_DB = -100.0


class SpeechStarted(NamedTuple):
    """The user began to speak there."""

    start_ms: int


class SpeechStopped(NamedTuple):
    """The user's turn ended there."""

    end_ms: int


Found = SpeechStarted | SpeechStopped


class Meter:
    """The level of each step of the axis, whatever the sizes and rates of what is appended."""

    def __init__(self) -> None:
        self._rate = 1000
        self._base = Fraction(0)
        """Milliseconds on the axis where audio of this rate began."""
        self._count = 0
        """Samples since then."""
        self._steps = 0
        self._energy = 0.0
        self._samples = 0

    @property
    def position(self) -> Fraction:
        """Milliseconds on the axis: where the audio that was appended ends."""
        return self._base + Fraction(self._count * 1000, self._rate)

    @property
    def steps_ms(self) -> int:
        """Where the last complete step ends."""
        return self._steps * STEP_MS

    def levels(self, samples: Samples, rate: int) -> Iterator[float]:
        """The levels in dBFS of the steps that these samples complete."""
        if rate != self._rate:
            self._base, self._rate, self._count = self.position, rate, 0
        at = 0
        while at < samples.size:
            step_end = self._next_step_end()
            part = samples[at : at + step_end - self._count].astype(np.float64)
            at += part.size
            self._count += part.size
            self._samples += part.size
            self._energy += float(np.dot(part, part))
            if self._count == step_end:
                yield self._complete()

    def _next_step_end(self) -> int:
        """The sample, counted like `_count`, with which the step that is going on is full."""
        missing_ms = (self._steps + 1) * STEP_MS * self._base.denominator - self._base.numerator
        return -(-missing_ms * self._rate // (1000 * self._base.denominator))

    def _complete(self) -> float:
        power = self._energy / self._samples / 32768**2
        self._steps += 1
        self._energy, self._samples = 0.0, 0
        return max(10 * math.log10(power), QUIETEST_DB) if power else QUIETEST_DB


@dataclass(slots=True)
class _Speech:
    """A turn that is going on: its levels, as far as its end depends on them."""

    loudest_db: float
    last_db: float
    quiet_steps: int = 0


class Vad:
    """Finds turns in appended audio."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._onset: list[float] = []
        self._speech: _Speech | None = None
        self._free_from_ms = 0

    @property
    def position_ms(self) -> int:
        """Where the appended audio ends, whole milliseconds."""
        return int(self._meter.position)

    @property
    def speaking(self) -> bool:
        """A turn is going on."""
        return self._speech is not None

    def feed(self, samples: Samples, rate: int, settings: TurnDetection | None) -> Iterator[Found]:
        """Append samples; gives what was found in them. Without settings they are only counted."""
        for level in self._meter.levels(samples, rate):
            if settings is not None and (found := self._step(level, settings)) is not None:
                yield found

    def reset(self) -> None:
        """The turn was ended otherwise: by a commit, by clearing. The axis goes on."""
        self._speech = None
        self._onset.clear()
        self._free_from_ms = self._meter.steps_ms

    def _step(self, level: float, settings: TurnDetection) -> Found | None:
        loud = level > -60 + 40 * settings.threshold
        if self._speech is not None:
            return self._go_on(self._speech, level, loud, settings)
        self._onset = [*self._onset, level] if loud else []
        return self._begin(settings) if len(self._onset) == ONSET_STEPS else None

    def _begin(self, settings: TurnDetection) -> SpeechStarted:
        self._speech = _Speech(max(self._onset), self._onset[-1])
        self._onset = []
        first = self._meter.steps_ms - ONSET_STEPS * STEP_MS
        padding = round(settings.prefix_padding_ms / STEP_MS) * STEP_MS
        return SpeechStarted(max(first - padding, self._free_from_ms))

    def _go_on(
        self, speech: _Speech, level: float, loud: bool, settings: TurnDetection
    ) -> SpeechStopped | None:
        if loud:
            speech.loudest_db = max(speech.loudest_db, level)
            speech.last_db, speech.quiet_steps = level, 0
            return None
        speech.quiet_steps += 1
        if speech.quiet_steps * STEP_MS < _patience_ms(speech, settings):
            return None
        self.reset()
        return SpeechStopped(self._meter.steps_ms)


def _patience_ms(speech: _Speech, settings: TurnDetection) -> int:
    """How much silence ends the turn; at least one step."""
    if settings.type == "server_vad":
        return settings.silence_duration_ms
    longest = EAGERNESS[settings.eagerness]
    faded = speech.loudest_db - speech.last_db >= FADE_DB
    return longest // FADED_PART if faded else longest
