"""How well the conversation went: overlaps, interruptions, what was not heard (metrics.md §5)."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..audio.formats import SECOND
from .cadence import cadences, generation, input_cadence
from .model import ESTIMATED, MEASURED, Quality, TurnQuality, Value, reckoned
from .spans import HeardIndex, Span, heard_spans, speech_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facets import Facet
    from .inputs import Inputs, Voice
    from .memory import Memory
    from .model import Conversation, Generation, Item, Playback, Played, Response, Speech, Turn
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
    memory: Memory


def quality(call: Call) -> Quality:
    """The quality of every turn, and of the call."""
    known = _Known(call)
    return Quality(
        call.memory.kept("quality", _Before).turns(known, call.facets),
        cadences(call.queue, call.memory),
        input_cadence(call.inputs),
        sum(common for span in known.spans for _, common in known.heard.touching(span)),
        call.playback.unheard_ns,
        tuple([_generation(response, call.memory) for response in call.conversation.responses]),
    )


def _generation(response: Response, memory: Memory) -> Generation:
    return memory.of(("generation", response.id), response, lambda: generation(response))


class _Known:
    """What all turns look things up in."""

    def __init__(self, call: Call) -> None:
        self.spans = sorted(speech_spans(call.speech))
        self._speech = call.speech
        self.evidence = {(s.start_ns, s.end_ns): s.evidence for s in call.speech.segments}
        for said in call.speech.utterances:
            key = said.onset.ns or 0, said.end.ns or 0
            self.evidence.setdefault(key, (*said.onset.evidence, *said.end.evidence))
        self._heard_spans = heard_spans(call.playback.items)
        self.heard = HeardIndex(self._heard_spans)
        self.said = {utterance.item_id: utterance for utterance in call.speech.utterances}
        self.items = {item.id: item for item in call.conversation.items}
        self.played: dict[str, list[Played]] = {}
        for item in call.playback.items:
            self.played.setdefault(item.response_id, []).append(item)
        self.responses = {response.id: response for response in call.conversation.responses}
        self.cut = [
            response
            for response in call.conversation.responses
            if response.status == "cancelled" and response.reason != "client_cancelled"
        ]
        self.vain = _vain(call.inputs)

    def rows(self) -> tuple[Sequence[Any], ...]:
        """All that stands at a time: speech, what shows it, what was heard."""
        return self.spans, self._speech.segments, self._speech.utterances, self._heard_spans

    def spans_in(self, start_ns: int, end_ns: int) -> list[Span]:
        """The user's speech that begins in [start, end)."""
        first = bisect_left(self.spans, (start_ns,))
        return self.spans[first : bisect_left(self.spans, (end_ns,))]

    def vain_in(self, turn: Turn) -> list[Voice]:
        """Speech within the turn that the server heard and that became no item."""
        return [v for v in self.vain if v.started and turn.holds(v.started.at_ns)]

    def stopped_at(self, item: Played, span: Span) -> bool:
        """Whether this speech, and none that began after it, stopped the item."""
        cut = self.responses.get(item.response_id)
        ends = [item.stop_ns] if item.stopped_by else []
        ends += [cut.done_ns] if cut is not None and cut in self.cut else []
        later = bisect_left(self.spans, (span.end_ns,))
        until = self.spans[later].start_ns if later < len(self.spans) else None
        return any(
            end is not None and span.start_ns <= end and (until is None or end < until)
            for end in ends
        )

    def interrupted_at(self, started: int) -> Response | None:
        """The response that the server cancelled because speech started at that time."""
        for response in self.cut:
            begun, done = response.created_ns, response.done_ns
            if begun is not None and done is not None and begun < started <= done:
                return response
        return None


class _Before:
    """The turns of the last time, and what they depend on.

    A turn in which nothing was cut depends on what belongs to it, on the speech in it and the
    first that follows, and on what was heard before its end.
    """

    def __init__(self) -> None:
        self._found: list[tuple[Facet, TurnQuality, int | None]] = []
        """And up to when the turn looked at speech and playback; None: at everything."""
        self._rows: tuple[Sequence[Any], ...] = ((), (), (), ())
        self._cut: list[Response] = []
        self._vain: list[Voice] = []

    def turns(self, known: _Known, facets: list[Facet]) -> tuple[TurnQuality, ...]:
        """The quality of every turn; of those that cannot be others, what was found before."""
        same_until = self._same_until(known)
        found = []
        for row, facet in enumerate(facets):
            before = self._found[row] if row < len(self._found) else None
            if before and before[0] is facet and before[2] is not None and before[2] < same_until:
                found.append(before)
            else:
                turn = _Turn(known, facet)
                found.append((facet, turn.quality(), turn.looks_until()))
        self._found = found
        return tuple([quality for _, quality, _ in found])

    def _same_until(self, known: _Known) -> int:
        """Up to when speech and playback are what they were."""
        before, self._rows = self._rows, known.rows()
        cut, self._cut = self._cut, known.cut
        vain, self._vain = self._vain, list(known.vain)
        if cut != known.cut or vain or known.vain:
            return -1
        spans = _alike(before[0], known.spans)
        # The first speech that follows must be the same too; so the last that is counts.
        ends = [known.spans[spans - 1].start_ns if spans else -1]
        for old, new in zip(before, self._rows, strict=True):
            row = _alike(old, new)
            ends += [each.start_ns for each in (*old[row:], *new[row:])]
        return min(ends)


def _alike(before: Sequence[object], after: Sequence[object]) -> int:
    """How many rows are the same from the first one on."""
    pairs = zip(before, after, strict=False)
    return next(
        (row for row, (old, new) in enumerate(pairs) if old is not new and old != new),
        min(len(before), len(after)),
    )


class _Turn:
    """One turn: what the user said in it, over what, and what that did."""

    def __init__(self, known: _Known, facet: Facet) -> None:
        self._known = known
        self._facet = facet
        self._flags: dict[str, None] = {}
        mine = facet.turn.user_items
        self._said = [known.said[item] for item in mine if item in known.said]
        self._spans = known.spans_in(reckoned(facet.turn.start_ns), reckoned(facet.turn.end_ns))
        self._onset = self._said[0].onset if self._said else Value.missing("no_user_speech")
        onset = self._onset.ns
        self._over = known.heard.playing(onset) if onset is not None else None

    def looks_until(self) -> int | None:
        """Up to when speech and playback have a say in it; None: everything may have."""
        started = self._said[0].started_ns if self._said else None
        cut = self._known.interrupted_at(started) if started is not None else None
        if cut is not None or (self._over is not None and self._over.item.stopped_by):
            return None
        ends = [reckoned(self._facet.turn.end_ns), *(span.end_ns for span in self._spans)]
        ends += [reckoned(said.end.ns) + WENT_ON_NS + 1 for said in self._said]
        ends += [self._onset.ns or 0]
        return max(ends)

    def quality(self) -> TurnQuality:
        """Values and flags of the turn."""
        values = {
            "overlap": self._overlap(),
            "barge_in_stop": self._barge_in_stop(),
            "barge_in_detection": self._detection(),
            **self._interruption(),
            "unheard": self._unheard(),
            "turn_gap": self._turn_gap(),
        }
        self._premature()
        if self._cut_for_nothing():
            self._flags["false_barge_in"] = None
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
            seqs += self._known.evidence.get((span.start_ns, span.end_ns), ())
            for heard, common in self._known.heard.touching(span):
                total += common
                seqs += heard.item.evidence[:2]
                second = "user_second" if heard.start_ns < span.start_ns else "assistant_second"
                self._flags[second] = None
                if span.length < BACKCHANNEL_NS and not self._known.stopped_at(heard.item, span):
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
        evidence = (*self._onset.evidence, *item.evidence)
        return Value(item.end_ns - self._onset.ns, item.label, evidence)

    def _cut_for_nothing(self) -> bool:
        """The assistant was cut by what is empty, absent, or only repeats what it said."""
        if any(self._cut_by(voice) for voice in self._known.vain_in(self._facet.turn)):
            return True
        cut = self._over.item if self._over is not None and self._over.item.stopped_by else None
        started = self._said[0].started_ns if self._said else None
        response = self._known.interrupted_at(started) if started is not None else None
        if cut is None and response is not None:
            cut = next(iter(self._known.played.get(response.id, ())), None)
        return (cut is not None or response is not None) and self._is_nothing(cut)

    def _cut_by(self, voice: Voice) -> bool:
        """Speech that the server heard and that became no item: whether it cut something."""
        started = voice.started.at_ns if voice.started else 0
        if self._known.interrupted_at(started) is not None:
            return True
        noise = Span(started, started + 1)
        return any(
            item.start_ns is not None
            and item.start_ns <= started
            and self._known.stopped_at(item, noise)
            for items in self._known.played.values()
            for item in items
        )

    def _is_nothing(self, cut: Played | None) -> bool:
        said = self._facet.user_items[-1] if self._facet.user_items else None
        if said is None or "no_speech" in (flag for u in self._said for flag in u.flags):
            return True
        if said.transcript != "completed":
            return False
        spoken = self._known.items.get(cut.item_id) if cut is not None else None
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

    def _turn_gap(self) -> Value:
        """How long the user was silent after the assistant: by the model of playback."""
        onset = self._onset.ns
        if onset is None:
            return Value.missing(self._onset.reason)
        if self._over is not None:
            return Value.missing("assistant_was_playing")
        before = self._known.heard.last_before(onset)
        if before is None:
            return Value.missing("nothing_was_played")
        evidence = (*before.item.evidence[:2], *self._onset.evidence)
        return Value(onset - before.end_ns, ESTIMATED, evidence)

    def _premature(self) -> None:
        """An answer began, and the user went on within a second of what looked like the end."""
        began = [
            response.created_ns
            for name in self._facet.turn.responses
            if (response := self._known.responses[name]).created_ns is not None
        ]
        for said in self._said:
            end = said.end.ns
            if end is None:
                continue
            for more in self._known.spans_in(end + 1, end + WENT_ON_NS + 1):
                if any(end < at < more.end_ns for at in began):
                    self._flags["premature_response"] = None


def _vain(inputs: Inputs) -> list[Voice]:
    """Speech that the server said began, and that was never committed, though it is over."""
    kept = {commit.item for commit in inputs.commits}
    voices = list(inputs.voices.values())
    over = [*(v for v in voices if v.stopped is not None), *voices[:-1]]
    gone = {v.item: v for v in over if v.item not in kept and v.started is not None}
    return list(gone.values())


def repeats(said: Item, spoken: Item) -> bool:
    """Whether the user's words are a stretch of the assistant's: an echo of the loudspeaker."""
    echo, voice = _plain(said.text), _plain(spoken.text)
    return len(echo) >= ECHO_WORDS and f" {' '.join(echo)} " in f" {' '.join(voice)} "


def _plain(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", text.lower()).split()
