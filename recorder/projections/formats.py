"""Which audio format is in force at each moment, for input and for output.

A format holds from the event that set it. The client's own words hold for what it appends from
the moment it sent them, because the server takes messages in order; the server's statement wins
as soon as no change of the client's is still unanswered. A refused change is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..audio.formats import DEFAULT_FORMAT

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..dialects.facts import ErrorSeen, SessionAsked, SessionStated


class FormatsInForce:
    """The formats in force; fed by whoever folds with `asked`, `stated` and `refused`."""

    def __init__(self) -> None:
        self.input: AudioFormat = DEFAULT_FORMAT
        self.output: AudioFormat = DEFAULT_FORMAT
        self._stated_input: AudioFormat = DEFAULT_FORMAT
        self._output_stated = False
        self._waiting: list[str] = []

    def asked(self, fact: SessionAsked) -> None:
        """The client sent `session.update`."""
        self._waiting.append(fact.event_id)
        if fact.config.input_format:
            self.input = fact.config.input_format
        if fact.config.output_format and not self._output_stated:
            self.output = fact.config.output_format

    def stated(self, fact: SessionStated) -> None:
        """The server said what holds. `session.created` answers no update."""
        if not fact.created and self._waiting:
            self._waiting.pop(0)
        if fact.config.output_format:
            self.output, self._output_stated = fact.config.output_format, True
        if fact.config.input_format:
            self._stated_input = fact.config.input_format
            if not self._waiting:
                self.input = fact.config.input_format

    def refused(self, fact: ErrorSeen) -> None:
        """An error: if it answers a `session.update`, what that asked for does not hold."""
        about = fact.error.event_id
        if not self._waiting:
            return
        if about in self._waiting and about:
            self._waiting.remove(about)
        elif fact.error.param.startswith("session"):
            self._waiting.pop(0)
        else:
            return
        self.input = self._stated_input
