"""The input audio buffer: what was appended and not yet committed, on the appended-audio axis.

Keeps at most `KEPT_MS`; what is older is forgotten, as no turn reaches back that far.
"""

from __future__ import annotations

from recorder.sandbox.formats import AudioFormat, transcode

KEPT_MS = 300_000
SHORTEST_MS = 100
"""What a client must have appended before it may commit."""


class InputBuffer:
    """Bytes with a position on the axis."""

    def __init__(self, audio: AudioFormat) -> None:
        self.audio = audio
        self._held = bytearray()
        self._half = b""

    def append(self, data: bytes) -> bytes:
        """Take audio in; gives the whole samples that are new, half a sample waits for the rest."""
        data = self._half + data
        whole = len(data) - len(data) % self.audio.width
        data, self._half = data[:whole], data[whole:]
        self._held += data
        del self._held[: max(len(self._held) - self.audio.bytes_in(KEPT_MS), 0)]
        return data

    @property
    def held_ms(self) -> int:
        """How much could be committed."""
        return self.audio.milliseconds(len(self._held))

    def take_all(self) -> bytes:
        """What is held; then it is empty."""
        held, self._held = bytes(self._held), bytearray()
        return held

    def take(self, length_ms: int, before_end_ms: int) -> bytes:
        """What is held of the `length_ms` up to so long before the end; keeps what comes later."""
        stop = max(len(self._held) - self.audio.bytes_in(before_end_ms), 0)
        start = max(stop - self.audio.bytes_in(length_ms), 0)
        taken = bytes(self._held[start:stop])
        del self._held[:stop]
        return taken

    def change_format(self, audio: AudioFormat) -> None:
        """What is held goes on in another format."""
        self._held = bytearray(transcode(bytes(self._held), self.audio, audio))
        self.audio, self._half = audio, b""
