"""How well the conversation went: overlaps, interruptions, what was not heard (metrics.md §5)."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..audio.formats import SECOND
from .cadence import cadences, input_cadence
from .model import ESTIMATED, MEASURED, Quality, TurnQuality, Value
from .spans import HeardIndex, Span, heard_spans, speech_spans

if TYPE_CHECKING:
    from .facets import Facet
    from .inputs import Inputs
    from .model import Conversation, Item, Playback, Played, Response, Speech
    from .queue import Queued

WENT_ON_NS: Final = 1 * SECOND
"""An answer that begins while the user goes on within this time was premature."""
BACKCHANNEL_NS: Final = 1 * SECOND
"""User speech shorter than this that stops nothing is a backchannel (mm-hm)."""
ECHO_WORDS: Final = 3
"""So many words, all of them the assistant's own in the same order, are an echo."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the quality of a call is computed from."""

    conversation: Conversation
    speech: Speech
    playback: Playback
    facets: list[Facet]
    inputs: Inputs
    queue: list[Queued]


def quality(call: Call) -> Quality:
    """The quality of every turn, and of the call."""
    known = _Known(call)
    return Quality(
        tuple(_Turn(known, facet).quality() for facet in call.facets),
        cadences(call.queue),
        input_cadence(call.inputs),
        sum(common for span in known.spans for _, common in known.heard.touching(span)),
        call.playback.unheard_ns,
    )


class _Known:
    """What all turns look things up in."""

    def __init__(self, call: Call) -> None:
        self.spans = sorted(speech_spans(call.speech))
        self.heard = HeardIndex(heard_spans(call.playback.items))
        self.said = {utterance.item_id: utterance for utterance in call.speech.utterances}
        self.items = {item.id: item for item in call.conversation.items}
        self.played: dict[str, list[Played]] = {}
        for item in call.playback.items:
            self.played.setdefault(item.response_id, []).append(item)
        self._cut = [
            response
            for response in call.conversation.responses
            if response.status == "cancelled" and response.reason != "client_cancelled"
        ]

    def spans_in(self, start_ns: int, end_ns: int) -> list[Span]:
        """The user's speech that begins in [start, end)."""
        first = bisect_left(self.spans, (start_ns,))
        return self.spans[first : bisect_left(self.spans, (end_ns,))]

    def interrupted_at(self, started: int) -> Response | None:
        """The response that the server cancelled because speech started at that time."""
        for response in self._cut:
            begun, done = response.created_ns, response.done_ns
            if begun is not None and done is not None and begun < started <= done:
                return response
        return None


class _Turn:
    """One turn: what the user said in it, over what, and what that did."""

    def __init__(self, known: _Known, facet: Facet) -> None:
        self._known = known
        self._facet = facet
        self._flags: dict[str, None] = {}
        mine = facet.turn.user_items
        self._said = [known.said[item] for item in mine if item in known.said]
        self._spans = known.spans_in(facet.turn.start_ns, facet.turn.end_ns)
        self._onset = self._said[0].onset if self._said else Value.missing("no_user_speech")
        onset = self._onset.ns
        self._over = known.heard.playing(onset) if onset is not None else None

    def quality(self) -> TurnQuality:
        """Values and flags of the turn."""
        values = {
            "overlap": self._overlap(),
            "barge_in_stop": self._barge_in_stop(),
            "barge_in_detection": self._detection(),
            **self._interruption(),
            "unheard": self._unheard(),
        }
        self._premature()
        for item in self._facet.played:
            self._flags.update(dict.fromkeys(item.flags))
        return TurnQuality(self._facet.turn.index, values, tuple(self._flags))

    def _overlap(self) -> Value:
        """The user's speech in this turn against whatever played."""
        if not self._spans:
            return Value.missing(self._onset.reason or "no_user_speech")
        total = 0
        seqs: list[int] = []
        for span in self._spans:
            for heard, common in self._known.heard.touching(span):
                total += common
                seqs += heard.item.evidence[:2]
                second = "user_second" if heard.start_ns < span.start_ns else "assistant_second"
                self._flags[second] = None
                if span.length < BACKCHANNEL_NS and not _was_stopped(heard.item, span):
                    self._flags["backchannel"] = None
        return Value(total, ESTIMATED, tuple(dict.fromkeys(seqs)))

    def _barge_in_stop(self) -> Value:
        if self._onset.ns is None:
            return Value.missing(self._onset.reason)
        if self._over is None:
            return Value.missing("nothing_was_playing")
        item = self._over.item
        if not item.stopped_by or item.end_ns is None:
            return Value.missing("not_stopped")
        if self._false_barge_in(item):
            self._flags["false_barge_in"] = None
        evidence = (*self._onset.evidence, *item.evidence)
        return Value(item.end_ns - self._onset.ns, item.label, evidence)

    def _false_barge_in(self, item: Played) -> bool:
        """The turn that cut the assistant is empty, or only repeats what it said."""
        said = self._facet.user_items[-1] if self._facet.user_items else None
        if said is None or "no_speech" in (flag for u in self._said for flag in u.flags):
            return True
        if said.transcript != "completed":
            return False
        spoken = self._known.items.get(item.item_id)
        return not said.text.strip() or (spoken is not None and repeats(said, spoken))

    def _detection(self) -> Value:
        said = self._said
        if self._over is None or not said or said[0].started_ns is None:
            return Value.missing("nothing_was_playing" if said else "no_user_speech")
        if self._onset.ns is None:
            return Value.missing(self._onset.reason)
        seqs = (*self._onset.evidence, said[0].started_seq or 0)
        return Value(said[0].started_ns - self._onset.ns, self._onset.label, seqs)

    def _interruption(self) -> dict[str, Value]:
        """What server and client did when the user began to speak."""
        said = self._said
        started = said[0].started_ns if said else None
        names = ("client_reaction", "interrupt_server", "leak")
        if started is None:
            return dict.fromkeys(names, Value.missing("no_server_vad"))
        seq = said[0].started_seq or 0
        cut = self._known.interrupted_at(started)
        values = dict.fromkeys(names, Value.missing("nothing_was_interrupted"))
        if self._over is not None and self._over.item.stop_ns is not None:
            item = self._over.item
            reaction = (item.stop_ns or 0) - started
            values["client_reaction"] = Value(reaction, MEASURED, (seq, *item.evidence[2:]))
        if cut is not None and cut.done_ns is not None:
            values["interrupt_server"] = Value(
                cut.done_ns - started, MEASURED, (seq, cut.done_seq or 0)
            )
            late = max(0, (cut.last_audio_ns or started) - started)
            values["leak"] = Value(late, MEASURED, (seq, cut.last_audio_seq or seq))
        return values

    def _unheard(self) -> Value:
        mine = self._facet.turn.responses
        items = [item for response in mine for item in self._known.played.get(response, ())]
        if not items:
            return Value.missing("no_audio")
        seqs = tuple(seq for item in items for seq in item.evidence)
        return Value(sum(i.received_ns - i.heard_ns for i in items), ESTIMATED, seqs)

    def _premature(self) -> None:
        """The answer was under way and the user went on speaking."""
        end = self._facet.utterance.end.ns if self._facet.utterance else None
        first = self._facet.first_response
        if end is None or first is None or first.created_ns is None:
            return
        if self._known.spans_in(max(end, first.created_ns) + 1, end + WENT_ON_NS + 1):
            self._flags["premature_response"] = None


def _was_stopped(item: Played, span: Span) -> bool:
    return bool(item.stopped_by) and item.stop_ns is not None and item.stop_ns >= span.start_ns


def repeats(said: Item, spoken: Item) -> bool:
    """Whether the user's words are a stretch of the assistant's: an echo of the loudspeaker."""
    echo, voice = _plain(said.text), _plain(spoken.text)
    return len(echo) >= ECHO_WORDS and f" {' '.join(echo)} " in f" {' '.join(voice)} "


def _plain(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", text.lower()).split()
