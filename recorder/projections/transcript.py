"""The call in words: who said what when, what was heard of it, and what else happened.

Laws:

1. Lines stand in the order in which things were said: by the capture clock for the user, by the
   playback model for the assistant. Arrival of a transcript moves nothing. Equal times stand in
   conversation order.
2. What was said and what was heard are kept apart. Which words were heard of an item that was
   cut is an estimate, in proportion to the audio, unless the server says what is left.
3. Speech without a transcript is a line too: its length is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import untimed
from .model import Line, Transcript, reckoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .memory import Memory
    from .model import (
        Conversation,
        Item,
        Played,
        Response,
        Speech,
        Summary,
        ToolCall,
        Turn,
        Utterance,
    )
    from .model import Playback as PlaybackResult


class TranscriptMaker:
    """Puts the lines together from what the other projections found."""

    def __init__(
        self,
        conversation: Conversation,
        speech: Speech,
        playback: PlaybackResult,
        turns: tuple[Turn, ...],
        summary: Summary,
        memory: Memory,
    ) -> None:
        self._conversation = conversation
        self._memory = memory
        self._summary = summary
        self._said = {utterance.item_id: utterance for utterance in speech.utterances}
        self._played = {item.item_id: item for item in playback.items}
        self._reported = {record["response_id"]: record for record in playback.reported}
        self._responses = {response.id: response for response in conversation.responses}
        self._turns = len(turns)
        self._turn_of = {item: turn.index for turn in turns for item in turn.user_items}
        self._turn_of |= {
            item: turn.index
            for turn in turns
            for response in turn.responses
            for item in self._responses[response].items
        }

    def transcript(self) -> Transcript:
        """All lines, in order."""
        lines = [line for item in self._conversation.items for line in self._lines(item)]
        lines += [line for item in self._conversation.out_of_band for line in self._lines(item)]
        lines += [self._tool(call) for call in self._conversation.calls]
        lines += self._notes()
        if not self._summary.timed:
            return untimed.transcript(lines, self._places(lines), self._turns)
        order = {id(line): row for row, line in enumerate(lines)}
        lines.sort(key=lambda line: (self._time(line), order[id(line)]))
        return Transcript(tuple(lines), turns=self._turns)

    def _places(self, lines: list[Line]) -> list[int]:
        """Where each line belongs in the log: items in the order of the conversation, so none
        after one that follows it; all else where it stands.
        """
        items = {item.id for item in self._conversation.items}
        found, least = [line.seq for line in lines], None
        for row in reversed(range(len(lines))):
            if lines[row].item_id in items and lines[row].kind != "tool":
                least = found[row] = found[row] if least is None else min(least, found[row])
        return found

    def _time(self, line: Line) -> int:
        """Speech was said before it was committed, however well its time is known."""
        start, said = line.start_ns or 0, self._said.get(line.item_id)
        if said is None or said.stopped_ns is None:
            return start
        return min(start, said.stopped_ns)

    def _lines(self, item: Item) -> tuple[Line, ...]:
        """They are others only if anything is that they tell of."""
        name = item.id
        given = (item, self._said.get(name), self._played.get(name), self._turn_of.get(name),
                 self._responses.get(item.response_id),
                 self._reported.get(item.response_id))  # fmt: skip
        return self._memory.of(("lines", name), given, lambda: tuple(self._item(item)))

    def _item(self, item: Item) -> Iterator[Line]:
        if item.type != "message" or (item.deleted_seq is not None and not item.text):
            return
        if item.role == "assistant" and item.spoken:
            yield self._assistant(item)
        elif item.role == "user" and item.spoken:
            yield self._user(item)
        elif item.text:
            yield Line(
                kind="text",
                speaker=item.role or "system",
                start_ns=self._written_ns(item),
                end_ns=None,
                text=item.text,
                **self._common(item),
            )

    def _common(self, item: Item) -> dict[str, Any]:
        return {
            "item_id": item.id,
            "response_id": item.response_id,
            "turn": self._turn_of.get(item.id),
            "seq": item.seq,
            "out_of_band": item.out_of_band,
        }

    def _written_ns(self, item: Item) -> int:
        """A text answer is there from its first words on."""
        response, at_ns = self._responses.get(item.response_id), reckoned(item.at_ns)
        if response is not None and response.first_delta_ns is not None:
            return max(at_ns, response.first_delta_ns)
        return at_ns

    def _user(self, item: Item) -> Line:
        said = self._said.get(item.id)
        start, end = (said.start_ns, said.end_ns) if said else (reckoned(item.at_ns), None)
        return Line(
            kind="speech",
            speaker="user",
            start_ns=max(start, 0),
            end_ns=end,
            text=item.text.strip(),
            speech_ns=_length(said) if said else item.audio_ns,
            transcribed=item.transcript in ("completed", "partial"),
            **self._common(item),
        )

    def _assistant(self, item: Item) -> Line:
        played = self._played.get(item.id)
        start, end = self._heard_when(item, played)
        return Line(
            kind="speech",
            speaker="assistant",
            start_ns=start,
            end_ns=end,
            text=item.text.strip(),
            heard=heard_words(item, played),
            speech_ns=played.heard_ns if played else None,
            transcribed=bool(item.text),
            **self._common(item),
        )

    def _heard_when(self, item: Item, played: Played | None) -> tuple[int, int | None]:
        if played is not None:
            start = reckoned(played.arrived_ns if played.start_ns is None else played.start_ns)
            return start, start if played.end_ns is None else played.end_ns
        record = self._reported.get(item.response_id)
        if record is not None and record["start_ns"] is not None:
            return record["start_ns"], record["end_ns"]
        return self._written_ns(item), None

    def _tool(self, call: ToolCall) -> Line:
        took = None if call.output_ns is None else (call.output_ns - reckoned(call.at_ns)) / 1e6
        return Line(
            kind="tool",
            speaker="tool",
            start_ns=call.at_ns,
            end_ns=call.output_ns,
            text=f"{call.name}({call.arguments.strip()})",
            item_id=call.item_id,
            response_id=call.response_id,
            turn=self._turn_of.get(call.item_id),
            seq=call.seq,
            out_of_band=_is_apart(self._responses.get(call.response_id)),
            detail={
                "name": call.name,
                "call_id": call.call_id,
                "arguments": call.arguments,
                "output": call.output,
                "error": call.error,
                "exec_ms": took,
            },
        )

    def _notes(self) -> Iterator[Line]:
        for note in self._summary.notes:
            yield _line("note", "recorder", note.at_ns, note.seq, note.text)
        for error in self._conversation.errors:
            words = error.message or error.code or error.type
            detail = {"code": error.code, "about_seq": error.about_seq, "fatal": error.fatal}
            line = _line("error", "server", reckoned(error.at_ns), error.seq, words)
            yield replace(line, detail=detail)
        for gap in self._summary.gaps:
            at_ns = gap.at_ns if gap.first_ns is None else gap.first_ns
            yield _line("gap", "recorder", at_ns, gap.seq, gap.words)


def _length(said: Utterance | None) -> int | None:
    return None if said is None else said.end_ns - said.start_ns


def _is_apart(response: Response | None) -> bool:
    return response is not None and response.out_of_band


def _line(kind: str, speaker: str, at_ns: int, seq: int, text: str) -> Line:
    return Line(kind=kind, speaker=speaker, start_ns=at_ns, end_ns=None, text=text, seq=seq)


def heard_words(item: Item, played: Played | None) -> str | None:
    """What was heard of the item's words; None where all of it was, or nothing says otherwise."""
    if played is None or played.heard_samples >= played.received_samples:
        return None
    if item.truncated_text is not None and played.stopped_by == "truncated":
        return item.truncated_text.strip()
    return first_words(item.text.strip(), played.heard_samples, played.received_samples)


def first_words(text: str, heard: int, received: int) -> str:
    """The whole words that lie within the heard share of the text."""
    if received <= 0 or heard <= 0:
        return ""
    reach = len(text) * heard // received
    if reach >= len(text):
        return text
    if not text[reach].isspace():
        reach = max(text.rfind(" ", 0, reach), 0)
    return text[:reach].rstrip()
