"""A few short utterances, so that the sandbox can be spoken to and can speak.

Two voices: the caller and the assistant. `make.py` makes the files, the README beside it
says how and under which licence; nothing is synthesised while the sandbox runs.
"""

from __future__ import annotations

import functools
import importlib.resources
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from recorder.errors import UsageError

RATE = 24_000
"""Samples a second of every clip."""

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "caller_hours": "When do you open tomorrow?",
        "caller_order": "Where is my order?",
        "caller_returns": "Can I send it back?",
        "caller_how": "How does that work?",
        "caller_stop": "Okay thank you.",
        "assistant_hello": "Hello how can I help you today?",
        "assistant_hours": "We open at nine.",
        "assistant_check": "One moment.",
        "assistant_order": "It arrives on Thursday.",
        "assistant_weather": "It is twelve degrees and foggy in London.",
        "assistant_returns": "Yes within thirty days.",
        "assistant_bye": "You are welcome goodbye.",
        "assistant_how": (
            "Put it in its box and print the label from your account "
            "and drop it at any post office and we refund you as soon as it arrives."
        ),
    }
)
"""What each clip says, by its name. The first word of a name is who speaks."""

NAMES: tuple[str, ...] = tuple(TEXTS)


class Clip(NamedTuple):
    """One utterance, ready to be sent."""

    text: str
    rate: int
    samples: NDArray[np.int16]


@functools.cache
def load(name: str) -> Clip:
    """The clip of that name; an unknown name is a `UsageError` that lists the known ones."""
    if name not in TEXTS:
        raise UsageError(f"there is no voice clip {name!r}; there are: {', '.join(NAMES)}")
    data = importlib.resources.files(__name__).joinpath(f"{name}.flac").read_bytes()
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    samples.flags.writeable = False  # it is shared by everybody who loads it
    return Clip(TEXTS[name], rate, samples)
