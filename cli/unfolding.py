"""The conversation as it unfolds: a line for each thing that is said, done or goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recorder.dialects import decode, facts

from .output import Piece
from .text import position, quoted

if TYPE_CHECKING:
    from recorder.events import Event

USER, ASSISTANT, TOOL, TROUBLE, QUIET = "cyan", "green", "magenta", "red", "dim"
"""Styles by who acts."""


class Unfolding:
    """Feed it events as they are recorded; it hands lines to `show`."""

    def __init__(self, show: Callable[..., None]) -> None:
        self._show = show
        self._names: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()

    def feed(self, event: Event) -> None:
        """Show what this event means for a person, if anything."""
        at_ns, fact = event.at_ns, decode(event)
        match fact:
            case facts.ItemAsked(item=item) if item.type == "function_call_output":
                name = self._names.get(item.call_id, "")
                self._line(at_ns, "tool", TOOL, f"{name} gave {quoted(item.output or '', 100)}")
            case facts.ItemAsked(item=item) if item.role == "user":
                text = " ".join(part.text for part in item.parts if part.text)
                self._line(at_ns, "user", USER, text or "(audio)")
            case facts.TranscriptionCompleted(transcript=text, final=True):
                self._line(at_ns, "user", USER, text.strip() or "(nothing was understood)")
            case facts.TranscriptionFailed(error=error):
                self._line(at_ns, "user", USER, f"(not transcribed: {error.message})")
            case (
                facts.TranscriptDone(item=item_id, text=text)
                | facts.TextDone(item=item_id, text=text)
            ):
                self._assistant(at_ns, item_id, text)
            case facts.OutputItemDone(item=item) if item.type == "function_call":
                self._names[item.call_id] = item.name
                self._line(at_ns, "tool", TOOL, f"{item.name}({item.arguments or ''})")
            case facts.ResponseDone(response=response) if response.status != "completed":
                why = response.reason or (response.error.message if response.error else "")
                told = f"response {response.status}" + (f": {why}" if why else "")
                self._line(at_ns, "", TROUBLE, told)
            case facts.ErrorSeen(error=error):
                self._line(at_ns, "error", TROUBLE, f"{error.code or error.type}: {error.message}")
            case _:
                self._own(event, fact)

    def _assistant(self, at_ns: int, item: str, text: str) -> None:
        # One part may bring its words twice: as text and as the transcript of its audio.
        if (item, text) not in self._said and text:
            self._said.add((item, text))
            self._line(at_ns, "assistant", ASSISTANT, text)

    def _own(self, event: Event, fact: facts.Fact) -> None:
        match fact:
            case facts.Gap():
                self._line(event.at_ns, "gap", TROUBLE, "messages were lost: the store stalls")
            case facts.SpeechStarted():
                self._line(event.at_ns, "", QUIET, "user speaks")
            case facts.Closed(code=code, reason=reason, initiator="server") if code != 1000:
                told = f"closed with {code}" + (f": {reason}" if reason else "")
                self._line(event.at_ns, "", TROUBLE, told)

    def _line(self, at_ns: int, who: str, style: str, text: str) -> None:
        pieces: list[Piece] = [(f"{position(at_ns):>9}  ", "dim"), (f"{who:<10}", f"bold {style}")]
        quiet = "dim" if style == QUIET else "red" if style == TROUBLE else ""
        self._show(*pieces, (text, quiet))
