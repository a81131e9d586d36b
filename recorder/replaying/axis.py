"""The axis of appended audio: how far a client has got, and when it got there.

Chunks of any size that make the same audio reach the same place: the axis counts samples.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from ..dialects import decode
from ..dialects.facts import ErrorSeen, SessionAsked, SessionStated
from ..projections.formats import FormatsInForce

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..events import Event

KEPT = 8192
"""Appends of which the time is remembered: half an hour of chunks of 200 ms, 160 s of 20 ms."""


class Axis:
    """One side's appended audio, in nanoseconds; fed with what sets the format, too."""

    def __init__(self) -> None:
        self._formats = FormatsInForce()
        self._form: AudioFormat = self._formats.input
        self._base_ns = self._size = 0
        self._ends: list[int] = []
        self._times: list[int] = []

    @property
    def end_ns(self) -> int:
        """How much was appended so far."""
        return self._base_ns + self._form.ns_of_bytes(self._size)

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
