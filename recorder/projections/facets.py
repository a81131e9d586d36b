"""One turn with everything that belongs to it looked up: what latency and quality start from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .inputs import Commit, Moment
    from .memory import Memory
    from .model import Item, Playback, Played, Response, ToolCall, Turn, Utterance
    from .turns import Draft, Sources


@dataclass(frozen=True, slots=True)
class Facet:
    """A turn, unfolded."""

    turn: Turn
    commit: Commit | None
    """The commit of the last thing the user said, where that was speech."""
    utterance: Utterance | None
    user_items: tuple[Item, ...]
    responses: tuple[Response, ...]
    """Those made after the last input: the ones that answer it."""
    played: tuple[Played, ...]
    """Audio of these responses, in order of arrival."""
    calls: tuple[ToolCall, ...]
    reported: tuple[int, int] | None
    """When playback of the answer began and the event that says so, on wires without audio."""
    elsewhere: bool
    """The answer was spoken, but its audio is not on this wire."""
    first_words: Moment | None = None
    """When the first words of the transcript of the last thing the user said came."""

    @property
    def first_response(self) -> Response | None:
        return self.responses[0] if self.responses else None

    @property
    def spoken(self) -> Response | None:
        """The first response with audio."""
        return next((r for r in self.responses if r.first_audio_ns is not None), None)

    @property
    def answer(self) -> Played | None:
        """The first item of which something can have been heard: audible, if that is known."""
        heard = [item for item in self.played if item.runs]
        audible = [i for i in heard if i.audible_ns is not None or i.leading_ns is None]
        return next(iter(audible), None)


class _Before:
    """The facets of the last time, and what they were made of."""

    def __init__(self) -> None:
        self.facets: list[Facet] = []
        self.names: list[set[str]] = []
        """Of all that each is about."""
        self._rows: dict[str, Sequence[Any]] = {}
        self._words: dict[str, Any] = {}
        self._reported: dict[str, Any] = {}

    def others(self, sources: Sources) -> set[str]:
        """The names of what is another than it was."""
        conversation, playback = sources.conversation, sources.playback
        rows: dict[str, tuple[Sequence[Any], str]] = {
            "items": (conversation.items, "id"),
            "responses": (conversation.responses, "id"),
            "calls": (conversation.calls, "call_id"),
            "played": (playback.items, "response_id"),
            "said": (sources.utterances, "item_id"),
        }
        found: set[str] = set()
        for kind, (now, name) in rows.items():
            before = self._rows.get(kind, ())
            pairs = zip_longest(before, now)
            found.update(
                getattr(each, name)
                for old, new in pairs
                if old is not new
                for each in (old, new)
                if each is not None
            )
            self._rows[kind] = now
        told: dict[str, Any] = {record["response_id"]: record for record in playback.reported}
        for known, values in ((self._words, sources.first_words), (self._reported, told)):
            found.update(name for name, value in values.items() if known.get(name) != value)
        self._words, self._reported = dict(sources.first_words), told
        return found


def facets(
    sources: Sources, drafts: list[Draft], turns: tuple[Turn, ...], memory: Memory
) -> list[Facet]:
    """All turns, unfolded; of those of which nothing is another, what was found before."""
    before = memory.kept("facets", _Before)
    others = before.others(sources)
    known, stays = before.facets, []
    for row, turn in enumerate(turns):
        same = row < len(known) and known[row].turn is turn
        stays.append(same and before.names[row].isdisjoint(others))
    made = iter(_facets(sources, [
        (draft, turn) for draft, turn, stay in zip(drafts, turns, stays, strict=True) if not stay
    ]))  # fmt: skip
    before.facets = [known[row] if stay else next(made) for row, stay in enumerate(stays)]
    before.names = [
        before.names[row] if stay else _names(before.facets[row]) for row, stay in enumerate(stays)
    ]
    return list(before.facets)


def _names(facet: Facet) -> set[str]:
    """All that a facet is about."""
    turn = facet.turn
    found = {*turn.user_items, *turn.responses, *turn.calls}
    for response in facet.responses:
        found.update(response.items)
    return found


def _facets(sources: Sources, rows: list[tuple[Draft, Turn]]) -> list[Facet]:
    """These turns, unfolded."""
    if not rows:
        return []
    conversation = sources.conversation
    items = {item.id: item for item in conversation.items}
    calls = {call.call_id: call for call in conversation.calls}
    said = {utterance.item_id: utterance for utterance in sources.utterances}
    played: dict[str, list[Played]] = {}
    for audio in sources.playback.items:
        played.setdefault(audio.response_id, []).append(audio)
    found = []
    for draft, turn in rows:
        last = draft.inputs[-1] if draft.inputs else None
        since = last.key if last else 0
        responses = tuple(r for r in draft.responses if (r.asked_seq or r.seq) > since)
        found.append(
            Facet(
                turn,
                last.commit if last else None,
                said.get(last.item) if last and last.commit else None,
                tuple(items[given.item] for given in draft.inputs if given.item in items),
                responses,
                tuple(audio for r in responses for audio in played.get(r.id, ())),
                tuple(calls[call] for call in turn.calls if call in calls),
                _reported(sources.playback, responses),
                any(r.audio_ns == 0 and _is_spoken(items, r) for r in responses),
                sources.first_words.get(last.item) if last else None,
            )
        )
    return found


def _reported(playback: Playback, responses: tuple[Response, ...]) -> tuple[int, int] | None:
    """WebRTC and SIP: `output_audio_buffer.started` of the first of these responses."""
    mine = {response.id for response in responses}
    for record in playback.reported:
        if record["response_id"] in mine and record["start_ns"] is not None:
            return record["start_ns"], record["evidence"][0]
    return None


def _is_spoken(items: dict[str, Item], response: Response) -> bool:
    return any(item in items and items[item].spoken for item in response.items)
