"""The axis of appended audio: how far a client has got, and when it got there.

Chunks of any size that make the same audio reach the same place: the axis counts samples.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from ..dialects import decode
from ..dialects.facts import ErrorSeen, SessionAsked, SessionStated
from ..projections.formats import FormatsInForce

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..events import Event

KEPT = 8192
"""Appends of which the time is remembered: half an hour of chunks of 200 ms, 160 s of 20 ms."""

_AUDIO: Final = b'"audio":"'


class Axis:
    """One side's appended audio, in nanoseconds; fed with what sets the format, too."""

    def __init__(self) -> None:
        self._formats = FormatsInForce()
        self._form: AudioFormat = self._formats.input
        self._base_ns = self._size = 0
        self.end_ns = 0
        """How much was appended so far."""
        self._ends: list[int] = []
        self._times: list[int] = []

    @property
    def input(self) -> AudioFormat:
        """The format that holds for what the client appends."""
        return self._formats.input

    @property
    def output(self) -> AudioFormat:
        """The format that holds for the assistant's audio."""
        return self._formats.output

    def configure(self, event: Event) -> None:
        """An event that may set a format."""
        match decode(event):
            case SessionAsked() as fact:
                self._formats.asked(fact)
            case SessionStated() as fact:
                self._formats.stated(fact)
            case ErrorSeen() as fact:
                self._formats.refused(fact)
            case _:
                return

    def append(self, size: int, at_ns: int) -> None:
        """So many bytes were appended."""
        if self._formats.input != self._form:
            self._base_ns, self._size = self.end_ns, 0
            self._form = self._formats.input
        self._size += size
        self.end_ns = self._base_ns + self._form.ns_of_bytes(self._size)
        self._ends.append(self.end_ns)
        self._times.append(at_ns)
        if len(self._ends) > 2 * KEPT:
            del self._ends[:KEPT], self._times[:KEPT]

    def reached(self, axis_ns: int) -> int | None:
        """When so much had been appended; None: not yet.

        Of what lies further back than is remembered, the earliest time that is.
        """
        if axis_ns > self.end_ns or not self._ends:
            return None
        return self._times[min(bisect_left(self._ends, axis_ns), len(self._times) - 1)]


def size_of_append(data: bytes) -> int | None:
    """How much audio an append holds, from the length of its base64; None: look closely."""
    begin = data.find(_AUDIO)
    end = data.find(b'"', begin + len(_AUDIO)) if begin > 0 else -1
    if end < 0 or (end - begin - len(_AUDIO)) % 4 or data.find(b"\\", begin, end) > 0:
        return None
    padding = data[end - 2 : end].count(b"=") if end - 2 > begin + len(_AUDIO) else 0
    return (end - begin - len(_AUDIO)) // 4 * 3 - padding
