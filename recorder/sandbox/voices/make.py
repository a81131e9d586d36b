"""Make the clips of this folder with espeak-ng: `python -m recorder.sandbox.voices.make`.

Run by hand after a change of `TEXTS`; needs the espeak-ng program. The same version of it
makes the same files.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from recorder.sandbox.voices import RATE, TEXTS

SPEAKERS = {
    "caller": ("-v", "en-us+m3", "-p", "30", "-s", "215"),
    "assistant": ("-v", "en-gb+f3", "-p", "95", "-s", "210"),
}
"""espeak-ng options of the two voices: variant, pitch, words a minute."""

PEAK = 0.7
"""Of full scale: loud enough for any detector, far from clipping."""

BANDWIDTH = 8_000
"""Hertz that are kept: what wideband telephony carries, and a quarter off the files."""

SILENCE = 0.01
"""What lies below this part of the peak, before and after the words, is cut away."""


def synthesise(name: str, text: str) -> NDArray[np.float64]:
    """The words as samples at `RATE`, as espeak-ng speaks them."""
    speaker = SPEAKERS[name.split("_")[0]]
    spoken = subprocess.run(
        ["espeak-ng", *speaker, "--stdout", text], check=True, capture_output=True
    )
    samples, rate = soundfile.read(io.BytesIO(spoken.stdout))
    wideband = soxr.resample(samples, rate, BANDWIDTH * 2)
    return np.asarray(soxr.resample(wideband, BANDWIDTH * 2, RATE), dtype=np.float64)


def trim(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the silence before and after, at the peak that all clips share."""
    samples = samples * (PEAK / np.max(np.abs(samples)))
    audible = np.flatnonzero(np.abs(samples) > SILENCE * PEAK)
    return samples[audible[0] : audible[-1] + 1]


def main() -> None:
    """Write one FLAC file for each entry of `TEXTS`."""
    for name, text in TEXTS.items():
        samples = trim(synthesise(name, text))
        path = Path(__file__).with_name(f"{name}.flac")
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        print(f"{name:20} {len(samples) / RATE:5.2f} s {path.stat().st_size:7} bytes")


if __name__ == "__main__":
    main()
