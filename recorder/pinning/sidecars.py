"""The sound of a cassette, in lossless files of its own beside it: one for each side.

Laws:

1. Every byte comes back: what would not (a codec's second zero, an odd byte, another format in
   mid-session) stays in the event.
2. An event says where its sound begins, in samples; its cuts say how long it is.
3. A file that is missing, or is another than the one that was written, is refused by its name.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import orjson
import soundfile

from .. import wire
from ..audio.codecs import decode_audio, encode_audio
from ..audio.formats import AudioFormat, parse_format
from ..errors import UsageError
from ..events import Event, Origin
from ..replaying.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..audio.codecs import Samples

BESIDE: Final = "beside"
"""The reason that a tombstone gives where the sound lies in a sidecar."""
SIDES: Final = {Origin.CLIENT: "user", Origin.SERVER: "assistant"}
_HIGHEST: Final = 655_350
"""Hz that FLAC can tell."""
_CARRIERS: Final = frozenset(
    {"input_audio_buffer.append", "response.output_audio.delta", "response.audio.delta"}
)


class Sidecar(NamedTuple):
    """One file of sound."""

    form: AudioFormat
    data: bytes
    """FLAC."""
    digest: str
    """sha256 of its samples, 16 bits, little-endian."""

    @property
    def told(self) -> str:
        """For the facts of the cassette."""
        return f"{self.form.encoding} {self.form.rate} sha256:{self.digest}"


class Splitter:
    """Takes the sound out of events, and gives it as sidecars in the end."""

    def __init__(self) -> None:
        self._axis = Axis()
        self._pieces: dict[Origin, list[Samples]] = {side: [] for side in SIDES}
        self._counts = dict.fromkeys(SIDES, 0)
        self._forms: dict[Origin, AudioFormat] = {}

    def split(self, event: Event) -> Event:
        """The event as it stands in the cassette."""
        if event.origin != Origin.RECORDER and event.type.startswith(("session.", "error")):
            self._axis.configure(event)
        if event.type not in _CARRIERS or event.origin not in SIDES or not event.audio:
            return event
        side = Origin(event.origin)
        form = self._axis.input if side == Origin.CLIENT else self._axis.output
        samples = decode_audio(event.audio, form)
        kept = self._forms.setdefault(side, form)
        if form != kept or form.rate > _HIGHEST or encode_audio(samples, form) != event.audio:
            return event
        begin = self._counts[side]
        self._pieces[side].append(samples)
        self._counts[side] += len(samples)
        meta = orjson.loads(event.meta or "{}") | {"tombstone": {"reason": BESIDE, "from": begin}}
        return event._replace(meta=orjson.dumps(meta).decode(), audio=None)

    def sidecars(self) -> dict[str, Sidecar]:
        """By side: `user`, `assistant`; only those that there are."""
        found = {}
        for side, pieces in self._pieces.items():
            if pieces:
                samples = np.concatenate(pieces)
                form = self._forms[side]
                found[SIDES[side]] = Sidecar(form, _flac(samples, form.rate), _digest(samples))
        return found


def _flac(samples: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _digest(samples: Samples) -> str:
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


class Joiner:
    """Puts the sound back into the events of one session."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        """`files`: by side, the file's name and what was told of it. Raises `UsageError`."""
        self._files = files
        self._loaded = {side: _loaded(folder, told) for side, told in files.items()}

    def joined(self, event: Event) -> Event:
        """The event as it passed. Raises `UsageError`."""
        stone = wire.tombstone(event)
        if stone is None or stone.get("reason") != BESIDE:
            return event
        side = SIDES.get(Origin(event.origin), "")
        if side not in self._loaded:
            raise UsageError(f"event {event.seq}: the cassette names no file with its sound")
        form, samples = self._loaded[side]
        begin, size = stone.get("from"), wire.audio_bytes(event) or 0
        end = begin + size // form.width if isinstance(begin, int) else -1
        if not 0 <= (begin or 0) <= end <= len(samples):
            raise UsageError(f"event {event.seq}: its sound is not in {self._files[side]}")
        meta = orjson.loads(event.meta or "{}")
        del meta["tombstone"]
        audio = encode_audio(samples[begin:end], form)
        return event._replace(meta=orjson.dumps(meta).decode(), audio=audio)


def _loaded(folder: Path, told: str) -> tuple[AudioFormat, Samples]:
    name, encoding, rate, digest = [*told.split(" "), "", "", "", ""][:4]
    form = parse_format(encoding, int(rate) if rate.isdigit() else None)
    path = folder / name
    if form is None or "/" in name or "\\" in name or name.startswith("."):
        raise UsageError(f"{told!r} names no sound beside a cassette")
    try:
        data = path.read_bytes()
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing: it holds the sound of the cassette; put it back, or pin again "
            "(--audio cut does without)"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (soundfile.LibsndfileError, RuntimeError):
        raise UsageError(f"{path} is no FLAC, or damaged; is it a Git LFS pointer?") from None
    if samples.ndim != 1 or digest != f"sha256:{_digest(samples)}":
        raise UsageError(f"{path} is not the sound that was pinned with this cassette; pin again")
    return form, samples
