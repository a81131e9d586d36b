"""The order of a session's events, turn by turn, and the configuration that was in force.

Laws:

1. Names are those of GA, so that a beta recording can be compared with a GA one.
2. Runs of deltas are one thing, whatever is in them and however many there are: how words and
   audio are cut into pieces is chance. So is where the pieces of the microphone fall between
   other messages: they are left out.
3. An event belongs to the turn whose response or item it names; else to the turn that was the
   last to begin.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..dialects import ALIASES
from ..dialects.reading import mapping, text
from ..events import BINARY, TEXT, Origin
from ..projections.state_config import SettingsFold
from .nouns import LANES, Behind, Run
from .structure import leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..events import Event
    from ..projections import Analysis
    from ..projections.model_state import Setting

APPEND: Final = "input_audio_buffer.append"
NAMELESS: Final = "(no type)"
BEFORE: Final = -1
"""Before the first turn."""

_SETTING: Final = frozenset({"session.update", "session.created", "session.updated", "error"})
_PASSING: Final = frozenset({"id", "object", "expires_at", "client_secret", "event_id"})
"""What is another in every session."""


class Trail:
    """Follows the events of one session whose turns are known."""

    def __init__(self, analysis: Analysis) -> None:
        turns, conversation = analysis.turns, analysis.conversation
        self._starts = _starts(analysis)
        self._answers: list[int] = []
        self._owner: dict[str, int] = {}
        made = {response.id: response for response in conversation.responses}
        users = {item.id for item in conversation.items if item.role == "user"}
        for place, turn in enumerate(turns):
            found = [made[name] for name in turn.responses if name in made]
            self._answers.append(found[0].seq if found else turn.trigger_seq)
            names = [*turn.user_items, *turn.responses]
            names += [item for response in found for item in response.items]
            self._owner |= dict.fromkeys(names, place)
        self._user_items = users
        self._runs: dict[tuple[int, str], list[Run]] = {}
        self._open: dict[tuple[int, str], tuple[set[str], int]] = {}
        self._fold = SettingsFold()
        self._settings: list[tuple[int, dict[str, Any]]] = []

    def follow(self, events: Iterable[Event]) -> None:
        """All events, in order. Their audio is not looked at."""
        for event in events:
            kind = ALIASES.get(event.type, event.type) or NAMELESS
            if event.opcode not in (TEXT, BINARY) or event.origin == Origin.RECORDER:
                continue
            if kind in _SETTING:
                self._fold.feed(event)
                stated, asked = self._fold.settings()
                self._settings.append((event.seq, _values(stated or asked)))
            if kind != APPEND:
                self._take(event, kind)
        for key in list(self._open):
            self._close(key)

    def _take(self, event: Event, kind: str) -> None:
        body = _body(event)
        key = self._turn(event, body), self._lane(event, kind, body)
        if kind.endswith(".delta"):
            types, count = self._open.setdefault(key, (set(), 0))
            types.add(kind)
            self._open[key] = types, count + 1
            return
        self._close(key)
        self._runs.setdefault(key, []).append(Run((kind,), 1))

    def _close(self, key: tuple[int, str]) -> None:
        """A run of deltas is over."""
        types, count = self._open.pop(key, (set(), 0))
        if count:
            self._runs.setdefault(key, []).append(Run(tuple(sorted(types)), count))

    def _turn(self, event: Event, body: dict[str, Any]) -> int:
        for name in _names(body):
            if name in self._owner:
                return self._owner[name]
        return bisect_right(self._starts, event.seq) - 1

    def _lane(self, event: Event, kind: str, body: dict[str, Any]) -> str:
        if event.origin == Origin.CLIENT:
            return "client"
        heard = kind.startswith(("input_audio_buffer.", "conversation.item.input_audio"))
        return "input" if heard or self._user_items.intersection(_names(body)) else "output"

    def behind(self, place: int) -> Behind:
        """What is behind this turn; behind `BEFORE`, the configuration is that at the end."""
        lanes = {lane: tuple(self._runs.get((place, lane), ())) for lane in LANES}
        if place == BEFORE:
            return Behind(lanes, self._settings[-1][1] if self._settings else {})
        known = bisect_right(self._settings, self._answers[place], key=lambda each: each[0])
        return Behind(lanes, self._settings[known - 1][1] if known else {})


def _starts(analysis: Analysis) -> list[int]:
    """The first event of each turn: what the user did, or the trigger."""
    firsts: dict[str, int] = {
        item.id: item.seq for item in analysis.conversation.items if item.role == "user"
    }
    for said in analysis.speech.utterances:
        if said.started_seq is not None:
            firsts[said.item_id] = min(said.started_seq, firsts.get(said.item_id, said.started_seq))
    found: list[int] = []
    for turn in analysis.turns:
        seqs = [firsts[name] for name in turn.user_items if name in firsts]
        found.append(max([min([turn.trigger_seq, *seqs]), *found[-1:]]))
    return found


def _body(event: Event) -> dict[str, Any]:
    try:
        body = orjson.loads(event.head)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _names(body: dict[str, Any]) -> list[str]:
    """The responses and items that a message names."""
    found = (
        text(body, "response_id"),
        text(body, "item_id"),
        text(mapping(body, "response"), "id"),
        text(mapping(body, "item"), "id"),
    )
    return [name for name in found if name]


def _values(settings: tuple[Setting, ...]) -> dict[str, Any]:
    found = {
        setting.path: setting.value
        for setting in settings
        if setting.path.partition(".")[0] not in _PASSING
    }
    return dict(leaves(found))
