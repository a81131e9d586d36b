"""One turn with everything that belongs to it looked up: what latency and quality start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .inputs import Commit, Moment
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


def facets(sources: Sources, drafts: list[Draft], turns: tuple[Turn, ...]) -> list[Facet]:
    """All turns, unfolded."""
    conversation = sources.conversation
    items = {item.id: item for item in conversation.items}
    calls = {call.call_id: call for call in conversation.calls}
    said = {utterance.item_id: utterance for utterance in sources.utterances}
    played: dict[str, list[Played]] = {}
    for audio in sources.playback.items:
        played.setdefault(audio.response_id, []).append(audio)
    found = []
    for draft, turn in zip(drafts, turns, strict=True):
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
