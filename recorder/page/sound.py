"""The sound in a page, and the outlines of it that are drawn: user left, assistant right."""

from __future__ import annotations

import base64
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import soundfile

from ..projections.model import Run
from ..tracks import assistant, lay_out, stereo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..audio.codecs import Samples
    from ..tracks import Layout
    from .facts import Call

FORMS: Final = ("flac", "opus", "wav", "none")
RATE: Final = 24_000
"""Hz of the sound: what most sessions speak."""
STEP: Final = 256
"""Samples of the finest outline; each coarser one takes `COARSER` of the one before."""
COARSER: Final = 8
LEVELS: Final = 4
PIECE: Final = 3 << 18
"""Bytes of sound in a block; three base64 characters to four, so a multiple of 3."""

_FILES: Final = {
    "flac": ("FLAC", "PCM_16", "audio/flac"),
    "opus": ("OGG", "OPUS", "audio/ogg; codecs=opus"),
    "wav": ("WAV", "PCM_16", "audio/wav"),
}
_MARK: Final = 10 * RATE
"""Samples between two marks of where in a FLAC file a frame begins."""


@dataclass(slots=True)
class Heard:
    """The sound of a call, encoded."""

    form: str
    file: IO[bytes]
    samples: int = 0
    marks: list[list[int]] = field(default_factory=list)
    """FLAC: [sample, byte] of some frames, so that a page can decode from there."""
    levels: list[dict[str, object]] = field(default_factory=list)
    """Outlines by channel: `low` and `high` of so many samples, as base64 of int8."""

    def about(self) -> dict[str, object]:
        """For the page."""
        return {"form": self.form, "kind": _FILES[self.form][2], "rate": RATE,
                "samples": self.samples, "marks": self.marks,
                "lossy": self.form == "opus"}  # fmt: skip

    def pieces(self) -> Iterator[bytes]:
        """The encoded sound."""
        self.file.seek(0)
        while piece := self.file.read(PIECE):
            yield piece


@contextmanager
def recorded(call: Call, form: str) -> Iterator[Heard | None]:
    """The call's sound in a temporary file; None where there is none, or none is wanted."""
    layout = None if form == "none" else lay_out(call.events)
    if layout is None or not (layout.has_user or layout.has_assistant):
        yield None
        return
    with tempfile.TemporaryFile() as file:
        heard = Heard(form, file)
        left, right = Outline(), Outline()
        blocks = stereo(call.events, layout, RATE)
        _encode(heard, watched(blocks, left, right))
        outlines = {"user": left, "assistant": right, "unheard": unheard(call, layout)}
        heard.levels = [
            {"name": name, "step": step, "low": _text(low), "high": _text(high)}
            for name, outline in outlines.items()
            for step, low, high in outline.levels()
        ]
        yield heard


def _encode(heard: Heard, blocks: Iterator[Samples]) -> None:
    form, subtype, _ = _FILES[heard.form]
    with soundfile.SoundFile(heard.file, "w", RATE, 2, subtype=subtype, format=form) as out:
        for block in blocks:
            out.write(block)
            heard.samples += len(block)
    if heard.form == "flac":
        heard.marks = list(flac_marks(heard.file, _MARK))


def watched(blocks: Iterator[Samples], left: Outline, right: Outline) -> Iterator[Samples]:
    """The blocks of a stereo track as they are, with both outlines drawn on the way."""
    for block in blocks:
        left.take(block[:, 0])
        right.take(block[:, 1])
        yield block


def unheard(call: Call, layout: Layout) -> Outline:
    """What was generated and never played, where it would have been played next."""
    cuts = {cut.item_id: cut for cut in layout.cuts}
    items = []
    for item in layout.playback.items:
        rest = item.received_samples - item.heard_samples
        cut = cuts.get(item.item_id)
        runs = (Run(cut.at_ns, item.heard_samples, rest),) if cut and rest > 0 else ()
        end = runs[0].start_ns + item.format.ns(rest) if runs else None
        items.append(replace(item, runs=runs, end_ns=end))
    outline = Outline()
    if any(item.runs for item in items):
        ghosts = replace(layout, playback=replace(layout.playback, items=tuple(items)))
        for block in assistant(call.events, ghosts, RATE):
            outline.take(block)
    return outline


class Outline:
    """The lowest and the highest of every `STEP` samples, in 8 bits."""

    def __init__(self) -> None:
        self._low: list[np.ndarray[Any, np.dtype[np.int8]]] = []
        self._high: list[np.ndarray[Any, np.dtype[np.int8]]] = []
        self._rest = np.zeros(0, np.int16)

    def take(self, samples: Samples) -> None:
        """More of the sound."""
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // STEP * STEP
        self._rest = joined[whole:]
        self._add(joined[:whole].reshape(-1, STEP))

    def _add(self, rows: Samples) -> None:
        if len(rows):
            self._low.append((rows.min(axis=1) >> 8).astype(np.int8))
            self._high.append((rows.max(axis=1) >> 8).astype(np.int8))

    def levels(self) -> Iterator[tuple[int, Any, Any]]:
        """(samples a step, lows, highs), the finest first; nothing where there was no sound."""
        if len(self._rest):
            padded = np.pad(self._rest, (0, STEP - len(self._rest)))
            self._add(padded.reshape(1, -1))
            self._rest = self._rest[:0]
        if not self._low:
            return
        low, high, step = np.concatenate(self._low), np.concatenate(self._high), STEP
        for _ in range(LEVELS):
            yield step, low, high
            low, high, step = _coarser(low, np.min), _coarser(high, np.max), step * COARSER


def _coarser(values: Any, pick: Any) -> Any:
    missing = -len(values) % COARSER
    return pick(np.pad(values, (0, missing), mode="edge").reshape(-1, COARSER), axis=1)


def _text(values: Any) -> str:
    return base64.b64encode(values.tobytes()).decode()


def flac_marks(file: IO[bytes], every: int) -> Iterator[list[int]]:
    """[sample, byte] of a frame about every so many samples.

    Frames are found by their headers: the sync code, a number that follows the last one's, and
    the sum (RFC 9639 §9.1). All have one size, which stands in the first block.
    """
    file.seek(0)
    data = file.read(4 + 4 + 34)
    size, position, last = int.from_bytes(data[8:10], "big"), 4, False
    while not last:
        file.seek(position)
        head = file.read(4)
        last, position = bool(head[0] & 0x80), position + 4 + int.from_bytes(head[1:], "big")
    number, due = 0, 0
    file.seek(position)
    window, base = b"", position
    while piece := file.read(1 << 20):
        window += piece
        at = 0
        while (at := window.find(b"\xff\xf8", at)) >= 0 and at + 16 <= len(window):
            if _frame_number(window[at : at + 16]) == number:
                if number * size >= due:
                    yield [number * size, base + at]
                    due = number * size + every
                number += 1
            at += 2
        keep = max(len(window) - 16, 0) if at < 0 else at
        window, base = window[keep:], base + keep


def _frame_number(head: bytes) -> int | None:
    """The number in a frame's header; None where these bytes are none."""
    first = head[4]
    more = 0 if first < 0x80 else 8 - (first ^ 0xFF).bit_length() - 1
    if more < 0 or more > 6 or (first >= 0x80 and more == 0):
        return None
    value = first if not more else first & (0x3F >> more)
    for byte in head[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None
        value = value << 6 | byte & 0x3F
    end = 5 + more + {6: 1, 7: 2}.get(head[2] >> 4, 0)
    end += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    return value if _crc8(head[:end]) == head[end] else None


def _crc8(data: bytes) -> int:
    total = 0
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total << 1 ^ 0x07) & 0xFF if total & 0x80 else total << 1
    return total
