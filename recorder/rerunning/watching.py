"""What happens in a run, by names that are the same in the recording and in the run that is live.

A response is called after what asked for it, an item after the response it is a part of or the
message that made it, so that `truncate that item` can be said of either run. One `Watch` follows
the recording, another the live session; both are fed every message in the order in which it
passed.

Laws:

1. A response belongs to the oldest `response.create` that is still without one, else to what the
   user said last. So it does in both runs, whatever else differs.
2. Playback is modelled: each piece of audio is played after what came before it (metrics.md §2).
3. At rest is: nothing asked for, nothing being answered, nothing said that is not yet heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..dialects import decode
from ..dialects.facts import SessionStated
from ..dialects.reading import base64_size, mapping, sequence, text
from ..events import Origin
from ..replaying import causes
from ..replaying.axis import Axis
from ..wire import audio_bytes, parse
from .nouns import (
    ACK,
    BEGUN,
    DONE,
    INPUT,
    JSON,
    MADE,
    PERCEIVED,
    PLAYED,
    REST,
    SOUND,
    SPEECH,
    START,
    STOPPED,
    Cue,
    Name,
)
from .pending import Pending
from .requests import APPROVAL, Request, request_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..events import Event

_AUDIO: Final = "response.output_audio.delta"
_WORDS: Final = frozenset({_AUDIO, "response.output_text.delta"})
_TRANSCRIBED: Final = tuple(
    f"conversation.item.input_audio_transcription.{end}" for end in ("completed", "failed")
)


class Watch:
    """Follows one run."""

    def __init__(self, aliases: Mapping[Name, Name] | None = None) -> None:
        self.turn = 0
        """What the user said last: 1, 2, 3 …; 0: nothing yet."""
        self.met: dict[tuple[str, Name], int] = {}
        """When what can be waited for came."""
        self.names: dict[str, Name] = {}
        """By id of the server's, or of the caller's own."""
        self.ids: dict[Name, str] = {}
        self.first_sound: dict[Name, int] = {}
        self.received_ns: dict[Name, int] = {}
        """By item: how much of its audio has arrived."""
        self.requests: list[Request] = []
        """Tools and approvals that the server asked for, in order."""
        self.errors: list[tuple[JSON, str]] = []
        """Errors, and the kind of the client event that each answers, as far as it tells."""
        self.rest_ns = 0
        """Since when the server is at rest."""
        self.quiet_ns = 0
        """When all audio that has arrived will have been played."""
        self.vad = ""
        """Who ends the user's turns, as the server stated it; empty: not stated yet."""
        self.beta: bool | None = None
        """The shape of the session as the server stated it; None: not stated yet."""
        self.ever_beta = False
        """It was stated in the beta's shape at least once."""
        self.transcribes = False
        self._untranscribed: set[str] = set()
        self.axis = Axis()
        self._latest: tuple[Cue | None, int] = (None, 0)
        self._perceived: tuple[Cue | None, int] = (None, 0)
        self._order = self._rested = 0
        self._aliases = dict(aliases or {})
        self._pending = Pending()
        self._active: dict[str, Name] = {}
        self._unheard = self._owed = False
        self._counts: dict[Name, int] = {}
        self._calls: dict[str, JSON] = {}
        self._requested: set[str] = set()
        self._handlers = self._table()

    def _table(self) -> dict[str, Callable[[Event, JSON], None]]:
        """What is done with a message of the server, by its GA name."""
        return {
            "session.created": self._created,
            "session.updated": self._updated,
            causes.ERROR: self._error,
            causes.STARTED: self._speech,
            causes.STOPPED: self._speech,
            causes.COMMITTED: self._committed,
            causes.ADDED: self._item,
            "conversation.item.done": self._item,
            causes.CREATED: self._response,
            "response.output_item.added": self._output,
            "response.output_item.done": self._output_done,
            "response.function_call_arguments.done": self._arguments,
            causes.DONE: self._done,
        }

    # ---- how things stand

    @property
    def active(self) -> int:
        """How many responses are in progress."""
        return len(self._active)

    @property
    def at_rest(self) -> bool:
        """Whether the server has nothing left to do."""
        return not (self._active or self._pending.responses or self._unheard or self._owed)

    @property
    def unheard(self) -> bool:
        """Whether the server has not yet committed what the user says."""
        return self._unheard

    @property
    def listens(self) -> bool:
        """Whether the server ends the user's turns by itself."""
        return self.vad not in ("", "none")

    @property
    def untranscribed(self) -> bool:
        """Whether words of the user's are still to come."""
        return self.transcribes and bool(self._untranscribed)

    @property
    def unanswered(self) -> bool:
        """Whether the server has not yet said what became of something that was sent."""
        return bool(self._pending.updates or self._pending.items or self._pending.commits)

    def name(self, server_id: str) -> Name | None:
        """What this id stands for."""
        return self.names.get(server_id)

    def cue(self, at_ns: int, *, person: bool) -> Cue | None:
        """What whoever acts at this time may have waited for: the latest that came before.

        A person waits for what can be heard or seen; an application for any of it.
        """
        latest, order = self._perceived if person else self._latest
        heard_out = max(self.rest_ns, self.quiet_ns)
        if self.at_rest and 0 < order <= self._rested and at_ns >= heard_out:
            return Cue(PLAYED, ("turn", self.turn), heard_out)
        if latest is not None and latest.kind == REST:
            return latest._replace(name=("turn", self.turn))
        return latest

    # ---- what passes

    def begin_turn(self, turn: int, *, committed: bool = False, answered: bool = False) -> None:
        """The user begins to speak; whether the server is to commit and to answer by itself."""
        self.turn = turn
        self._unheard, self._owed = committed, answered

    def sent(self, seq: int, event: Event) -> None:
        """The client sent an event; `seq` is its number in the recording."""
        kind = causes.canonical(event.type)
        if kind == causes.APPEND:
            self.axis.append(appended(event), event.at_ns)
            return
        if kind not in causes.ASKED:
            return
        if kind in (causes.CANCEL, causes.TRUNCATE):
            self.quiet_ns = min(self.quiet_ns, event.at_ns)
        if kind == causes.UPDATE:
            self.axis.configure(event)
        body, name = parse(event), ("asked" if kind == causes.RESPOND else "by", seq)
        self._pending.ask(kind, name, body)
        if kind == causes.CREATE_ITEM:
            self._call(name, text(mapping(body, "item"), "id"))

    def received(self, event: Event) -> None:
        """The server sent an event."""
        kind = causes.canonical(event.type)
        if kind in _WORDS:
            self._words(event, kind)
        elif kind in _TRANSCRIBED:
            self._untranscribed.discard(text(parse(event), "item_id"))
        elif (handle := self._handlers.get(kind)) is not None:
            was = self.at_rest
            handle(event, parse(event))
            if self.at_rest and (not was or kind == causes.DONE):
                self.rest_ns = event.at_ns
                self._meet(REST, (), event.at_ns)

    def feed(self, event: Event) -> None:
        """An event of a recording, of either side."""
        if event.origin == Origin.CLIENT:
            self.sent(event.seq, event)
        elif event.origin == Origin.SERVER:
            self.received(event)

    def _meet(self, kind: str, name: Name, at_ns: int) -> None:
        self.met[kind, name] = at_ns if kind == REST else self.met.get((kind, name), at_ns)
        self._order += 1
        found = Cue(kind, name, at_ns), self._order
        self._latest = found
        if kind in PERCEIVED:
            self._perceived = found
        if kind == REST:
            self._rested = self._order

    def _call(self, name: Name, server_id: str) -> None:
        name = self._aliases.get(name, name)
        if server_id:
            self.names.setdefault(server_id, name)
            self.ids.setdefault(name, server_id)

    def _next(self, name: Name) -> Name:
        """The name with its number among those that are called the same."""
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        named = (*name, count)
        return self._aliases.get(named, named)

    # ---- the session

    def _created(self, event: Event, body: JSON) -> None:
        self._stated(event, body)
        self._meet(START, (), event.at_ns)

    def _updated(self, event: Event, body: JSON) -> None:
        self._stated(event, body)
        if self._pending.updates:
            self._meet(ACK, self._pending.updates.pop(0)[0], event.at_ns)

    def _stated(self, event: Event, body: JSON) -> None:
        self.axis.configure(event)
        fact, session = decode(event), mapping(body, "session")
        if not isinstance(fact, SessionStated) or not session:
            return
        if fact.config.vad is not None:
            self.vad = fact.config.vad
        if fact.config.transcription is not None:
            self.transcribes = fact.config.transcription != "none"
        nested = "audio" in session or "output_modalities" in session
        flat = any(key in session for key in ("modalities", "input_audio_format"))
        if nested or flat:
            self.beta = flat and not nested
            self.ever_beta = self.ever_beta or self.beta

    def _error(self, event: Event, body: JSON) -> None:
        self.axis.configure(event)
        error = mapping(body, "error")
        about, name = self._pending.refused(error)
        if name is not None and about in (causes.UPDATE, causes.COMMIT):
            self._meet(ACK if about == causes.UPDATE else INPUT, name, event.at_ns)
        self.errors.append((dict(error), about))

    # ---- what the user says

    def _speech(self, event: Event, body: JSON) -> None:
        item = text(body, "item_id")
        if item and item not in self.names:
            self._call(self._next(("spoken", self.turn)), item)
        name = self.names.get(item, ("spoken", self.turn, 0))
        started = causes.canonical(event.type) == causes.STARTED
        self._meet(SPEECH if started else STOPPED, name, event.at_ns)

    def _committed(self, event: Event, body: JSON) -> None:
        item = text(body, "item_id")
        self._untranscribed.add(item)
        if item not in self.names and self._pending.commits:
            self._call(self._pending.commits.pop(0)[0], item)
        elif item not in self.names:
            self._call(self._next(("spoken", self.turn)), item)
        self._unheard = False
        self._meet(INPUT, self.names.get(item, ("spoken", self.turn, 0)), event.at_ns)

    # ---- items and responses

    def _item(self, event: Event, body: JSON) -> None:
        item = mapping(body, "item")
        own = text(item, "id")
        if (name := self._pending.made(item, known=own in self.names)) is not None:
            self._call(name, own)
            self._meet(MADE, name, event.at_ns)
            return
        if text(item, "type") == APPROVAL:
            self._request(event, item)

    def _response(self, event: Event, body: JSON) -> None:
        response = mapping(body, "response")
        cause = self._pending.answered(response) or ("turn", self.turn)
        name = self._next(cause)
        if cause[0] == "turn":
            self._owed = self._unheard = False
        own = text(response, "id")
        self._call(name, own)
        self._active[own] = name
        self._meet(BEGUN, name, event.at_ns)

    def _output(self, event: Event, body: JSON) -> None:
        item = mapping(body, "item")
        own = text(item, "id")
        response = self.names.get(text(body, "response_id"), ("turn", self.turn, 0))
        if own and own not in self.names:
            self._call(self._next((*response, text(item, "type"))), own)
        self._calls[own] = dict(item)

    def _output_done(self, event: Event, body: JSON) -> None:
        self._output(event, body)
        self._request(event, mapping(body, "item"), text(body, "response_id"))

    def _arguments(self, event: Event, body: JSON) -> None:
        """Whole arguments; the beta tells the function's name with the item alone."""
        item = self._calls.get(text(body, "item_id"), {})
        told = {name: body[name] for name in ("name", "call_id", "arguments") if body.get(name)}
        item = {**item, **told, "type": "function_call"}
        if text(item, "name"):
            self._request(event, item, text(body, "response_id"))

    def _request(self, event: Event, item: JSON, response_id: str = "") -> None:
        """The server asks for a tool or for an approval; told several times, counted once."""
        request = request_in(item, event.at_ns, self.names.get(response_id, ()))
        if request is None or request.server_id in self._requested:
            return
        self._requested.add(request.server_id)
        self.requests.append(request)

    def _words(self, event: Event, kind: str) -> None:
        body = parse(event)
        response = self.names.get(text(body, "response_id"))
        if response is not None and (SOUND, response) not in self.met:
            self._meet(SOUND, response, event.at_ns)
        if kind != _AUDIO:
            return
        length = self.axis.output.ns_of_bytes(audio_bytes(event) or 0)
        item = self.names.get(text(body, "item_id"))
        if item is not None and length:
            self.first_sound.setdefault(item, event.at_ns)
            self.received_ns[item] = self.received_ns.get(item, 0) + length
        self.quiet_ns = max(self.quiet_ns, event.at_ns) + length

    def _done(self, event: Event, body: JSON) -> None:
        response = mapping(body, "response")
        own = text(response, "id")
        if own not in self.names and own not in self._active:
            self._response(event, body)
        for item in sequence(response, "output"):
            if isinstance(item, dict):
                self._request(event, item, own)
        name = self._active.pop(own, self.names.get(own, ()))
        if text(response, "status") == "cancelled":
            self.quiet_ns = min(self.quiet_ns, event.at_ns)
        self._meet(DONE, name, event.at_ns)


def appended(event: Event) -> int:
    """Bytes of audio in a message of the client's, whether they were cut out of it or not."""
    size = audio_bytes(event)
    return base64_size(parse(event).get("audio")) if size is None else size
