"""A transcript while the session is still going on: each line once it is final.

    follower = Follower()
    follower.feed(event)               as the events come
    for line in follower.lines(now_ns): …

A line is final when what it says will not change any more: the user's words are transcribed, the
answer is generated and played, the tool's output is there. Lines come in the order in which
things were said, so what was said later waits for what was said before; but no longer than
`PATIENCE_NS`, and then a line whose words come after all is given again, with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ..audio.formats import SECOND
from ..dialects import decode, facts
from .analysis import Analyser
from .model import reckoned

if TYPE_CHECKING:
    from ..events import Event
    from .analysis import Analysis
    from .model import Item, Line, Response

PATIENCE_NS: Final = 10 * SECOND
"""What is not there by then is not waited for."""

_MOVING: Final = (
    facts.InputCommitted,
    facts.ItemAsked,
    facts.ItemAdded,
    facts.ItemDone,
    facts.ItemTruncated,
    facts.TruncateAsked,
    facts.TranscriptionCompleted,
    facts.TranscriptionFailed,
    facts.TranscriptionSegment,
    facts.ResponseDone,
    facts.OutputItemDone,
    facts.ArgumentsDone,
    facts.McpCallState,
    facts.ErrorSeen,
    facts.Note,
    facts.Gap,
    facts.Closed,
)
"""What may make a line, or make one final. Chunks of audio and words never do."""

_Key: TypeAlias = tuple[str, str, int, bool]


class Follower:
    """Gives the lines of a session while it is recorded."""

    def __init__(self) -> None:
        self.ended = False
        """The recorder wrote that the session is closed."""
        self.last_ns = 0
        """Time of the last event."""
        self._analyser = Analyser()
        self._given: set[_Key] = set()
        self._due_ns: int | None = None
        self._moved = False

    def feed(self, event: Event) -> None:
        """Take the next event."""
        fact = decode(event)
        self._analyser.feed(event)
        self.last_ns = event.at_ns
        self._moved |= isinstance(fact, _MOVING)
        self.ended |= isinstance(fact, facts.Closed)

    def lines(self, now_ns: int, *, over: bool = False) -> list[Line]:
        """Lines that have become final by this time of the session; all of them if it is over."""
        over = over or self.ended
        if not (self._moved or over or (self._due_ns is not None and now_ns >= self._due_ns)):
            return []
        analysis = self._analyser.analysis()
        state = _Finality(analysis)
        self._moved, self._due_ns = False, None
        found: list[Line] = []
        for line in analysis.transcript.lines:
            key = _key(line)
            if key in self._given:
                continue
            final_ns = state.final_ns(line)
            if not over and (final_ns is None or final_ns > now_ns):
                self._due_ns = final_ns
                break
            self._given.add(key)
            found.append(line)
        return found


def _key(line: Line) -> _Key:
    """A line that has got its words, or its output, is another line than without."""
    told = bool(line.text) if line.kind == "speech" else True
    if line.kind == "tool":
        told = line.end_ns is not None
    own = line.seq if line.kind in ("note", "error", "gap") else 0
    return line.kind, line.item_id, own, told


class _Finality:
    """When each line of an analysis will not change any more."""

    def __init__(self, analysis: Analysis) -> None:
        conversation = analysis.conversation
        self._items = {i.id: i for i in (*conversation.items, *conversation.out_of_band)}
        self._responses = {response.id: response for response in conversation.responses}
        self._transcribes = analysis.summary.transcription != ""

    def final_ns(self, line: Line) -> int | None:
        """The time from which on it is; None where only another event can tell."""
        item = self._items.get(line.item_id)
        if line.kind == "tool":
            begun = line.start_ns or 0
            return begun if line.end_ns is not None else begun + PATIENCE_NS
        if line.kind not in ("speech", "text") or item is None:
            return line.start_ns
        if line.speaker == "assistant":
            return self._answered(line, self._responses.get(item.response_id))
        return self._said(item) if line.kind == "speech" else item.at_ns

    def _answered(self, line: Line, response: Response | None) -> int:
        end = (line.start_ns or 0) if line.end_ns is None else line.end_ns
        if response is None or response.done_ns is not None:
            return end
        return max(end, response.last_audio_ns or 0) + PATIENCE_NS

    def _said(self, item: Item) -> int | None:
        if item.committed_ns is None and item.by != "client":
            return None
        if item.transcript in ("completed", "failed") or not self._transcribes:
            return item.at_ns
        return (item.committed_ns or reckoned(item.at_ns)) + PATIENCE_NS
