"""What a server event waits for: the table, and what applies it to a recording.

Laws:

1. A server event waits for what *caused* it: the client event that it answers, or so much
   appended audio as had come in the recording; else it only follows the server event before it.
2. What is not in the table waits for nothing and holds up nothing: an unknown event is played.
3. An answer that nothing else depends on (`aside`) goes out when it is asked for, whatever else
   is being waited for: a late `session.update` holds up nothing.
4. Server events are read in order, once, with a few recorded client events in mind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..dialects.names import ALIASES
from ..dialects.reading import base64_size, integer, mapping, text
from ..events import CLOSE, PING, PONG, Event, Origin
from ..wire import audio_bytes, parse
from .axis import Axis
from .nouns import Ask, Position, Tell

if TYPE_CHECKING:
    from collections.abc import Callable

APPEND: Final = "input_audio_buffer.append"
UPDATE: Final = "session.update"
COMMIT: Final = "input_audio_buffer.commit"
CREATE_ITEM: Final = "conversation.item.create"
RESPOND: Final = "response.create"
CANCEL: Final = "response.cancel"
CLEAR: Final = "input_audio_buffer.clear"
CLEAR_OUTPUT: Final = "output_audio_buffer.clear"
TRUNCATE: Final = "conversation.item.truncate"
DELETE: Final = "conversation.item.delete"
RETRIEVE: Final = "conversation.item.retrieve"

COMMITTED: Final = "input_audio_buffer.committed"
STARTED: Final = "input_audio_buffer.speech_started"
STOPPED: Final = "input_audio_buffer.speech_stopped"
UPDATED: Final = "session.updated"
ADDED: Final = "conversation.item.added"
ITEM_DONE: Final = "conversation.item.done"
CREATED: Final = "response.created"
DONE: Final = "response.done"
ERROR: Final = "error"


class Rule(NamedTuple):
    """A kind of server event, and the kind of client event that it answers."""

    told: str
    asked: str
    aside: bool
    same: tuple[str, ...] = ()
    """Members in which answer and question must agree, where both have them."""


RULES: Final = {
    rule.told: rule
    for rule in (
        Rule(UPDATED, UPDATE, aside=True),
        Rule(COMMITTED, COMMIT, aside=False),
        Rule(ADDED, CREATE_ITEM, aside=False),
        Rule(CREATED, RESPOND, aside=False),
        Rule("input_audio_buffer.cleared", CLEAR, aside=True),
        Rule("output_audio_buffer.cleared", CLEAR_OUTPUT, aside=True),
        Rule("conversation.item.truncated", TRUNCATE, aside=True, same=("item_id",)),
        Rule("conversation.item.deleted", DELETE, aside=True, same=("item_id",)),
        Rule("conversation.item.retrieved", RETRIEVE, aside=True),
    )
}
"""What answers what. Beside it: `response.done` of a response that the client cancelled waits for
the `response.cancel`, an `error` for the event that it names, the list of an MCP server's tools for
the configuration that names it, and what voice activity detection says for the audio."""

ASKED: Final = frozenset(rule.asked for rule in RULES.values()) | {CANCEL}
"""Client events that matter. All others never hold up anything, and are never missed."""

REQUIRED: Final = frozenset({COMMIT, CREATE_ITEM, RESPOND})
"""Those that must come in the order in which they were recorded."""

HEARD: Final = frozenset({STARTED, STOPPED, COMMITTED})
"""What the server says of the audio that it heard."""

_ERRORS: Final = {
    "input_audio_buffer_commit_empty": COMMIT,
    "response_cancel_not_active": CANCEL,
    "conversation_already_has_active_response": RESPOND,
}
"""Errors that tell what they answer, where they do not name the event."""

UNANSWERED: Final = 512
"""Recorded client events without an answer that are kept in mind."""

_CONFIGURES: Final = frozenset({UPDATE, "session.created", UPDATED, ERROR})
_CONTROL: Final = frozenset({CLOSE, PING, PONG})


def canonical(kind: str) -> str:
    """The GA name of a type."""
    return ALIASES.get(kind, kind)


class Planner:
    """Reads a recording in order, and says of each event what it is to a replay."""

    def __init__(self) -> None:
        self._axis = Axis()
        self._open: list[Ask] = []
        self._stopped: set[str] = set()
        self._spoken: set[str] = set()
        self._items: dict[str, Ask] = {}
        self._responses: dict[str, Ask] = {}
        self._taken: dict[str, Tell] = {}
        self._lists: Ask | None = None
        self._listed: dict[str, Ask] = {}
        self.beta = False
        """The recorded server spoke with the beta's names."""

    def plan(self, event: Event) -> Ask | Tell | None:
        """What the event is; None: nothing that is played or waited for."""
        if event.opcode in _CONTROL:
            return None
        kind = canonical(event.type)
        if kind in _CONFIGURES and event.origin != Origin.RECORDER:
            self._axis.configure(event)
        if event.origin == Origin.CLIENT:
            return self._client(event, kind)
        if event.origin == Origin.SERVER:
            return self._server(event, kind)
        return self._recorder(event)

    def output_ns(self, event: Event) -> int:
        """How long the assistant's audio in the event lasts."""
        if canonical(event.type) != "response.output_audio.delta":
            return 0
        return self._axis.output.ns_of_bytes(audio_bytes(event) or 0)

    def _client(self, event: Event, kind: str) -> Ask | None:
        if kind == APPEND:
            size = audio_bytes(event)
            if size is None:
                size = base64_size(parse(event).get("audio"))
            self._axis.append(size, event.at_ns)
        if kind not in ASKED:
            return None
        ask = Ask(event.seq, event.at_ns, kind, parse(event), kind in REQUIRED)
        self._open.append(ask)
        del self._open[:-UNANSWERED]
        return ask

    def _server(self, event: Event, kind: str) -> Tell:
        self.beta = self.beta or event.type == "conversation.item.created"
        rule = RULES.get(kind)
        if kind == ERROR:
            return self._error(event)
        if kind == DONE:
            return self._done(event)
        if self._lists is not None and (listing := self._listing(event, kind)) is not None:
            return Tell(event, listing, aside=True)
        if rule is None:
            return self._other(event, kind)
        body = parse(event)
        ask = self._answered(rule, body)
        if kind == COMMITTED:
            self._spoken.add(text(body, "item_id"))
        if ask is None:
            cause = self._heard(event, body) if kind in HEARD else None
            return Tell(event, cause)
        tell = Tell(event, ask, rule.aside, ask)
        if ask.event_id:
            self._taken[ask.event_id] = tell
            if len(self._taken) > UNANSWERED:
                del self._taken[next(iter(self._taken))]
        if kind == UPDATED and _names_mcp(ask.body):
            self._lists = ask
        if kind == ADDED:
            self._items[text(mapping(body, "item"), "id")] = ask
        if kind == CREATED:
            self._responses[text(mapping(body, "response"), "id")] = ask
        return tell

    def _listing(self, event: Event, kind: str) -> Ask | None:
        """The configuration that named an MCP server, where the event tells of its tools."""
        if kind not in (ADDED, ITEM_DONE) and not kind.startswith("mcp_list_tools."):
            return None
        body = parse(event)
        item = mapping(body, "item")
        name = text(item, "id") or text(body, "item_id")
        if kind == ADDED and text(item, "type") == "mcp_list_tools" and self._lists is not None:
            self._listed[name] = self._lists
        return self._listed.get(name)

    def _other(self, event: Event, kind: str) -> Tell:
        if kind in HEARD:
            return Tell(event, self._heard(event, parse(event)))
        if kind == ITEM_DONE and self._items:
            about = self._items.pop(text(mapping(parse(event), "item"), "id"), None)
            return Tell(event, None, about=about)
        return Tell(event)

    def _answered(self, rule: Rule, body: dict[str, Any]) -> Ask | None:
        """The open question that this answers, which is then open no more."""
        fits = _FITS.get(rule.told, _agrees(rule.same))
        if rule.told == COMMITTED and text(body, "item_id") in self._stopped:
            return None  # committed by voice activity detection
        if rule.told == ADDED and text(mapping(body, "item"), "id") in self._spoken:
            return None  # it came out of the audio
        for ask in self._open:
            if ask.kind == rule.asked and fits(ask.body, body):
                self._open.remove(ask)
                return ask
        return None

    def _heard(self, event: Event, body: dict[str, Any]) -> Position | None:
        """The audio that this waits for: all that had come, or as much as it says itself."""
        here = self._axis.end_ns
        kind = canonical(event.type)
        if kind == STOPPED:
            self._stopped.add(text(body, "item_id"))
            ended = integer(body, "audio_end_ms")
            if ended is not None and ended > 0:
                here = min(here, ended * 1_000_000)
        if kind == COMMITTED and text(body, "item_id") in self._stopped:
            self._stopped.discard(text(body, "item_id"))
            return None  # it follows what it was told of
        at_ns = self._axis.reached(here)
        return None if at_ns is None else Position(here, at_ns)

    def _done(self, event: Event) -> Tell:
        response = mapping(parse(event), "response")
        about = self._responses.pop(text(response, "id"), None)
        reason = text(mapping(response, "status_details"), "reason")
        cancelled = text(response, "status") == "cancelled" and reason != "turn_detected"
        cause = self._take(CANCEL) if cancelled else None
        return Tell(event, cause, about=about)

    def _error(self, event: Event) -> Tell:
        error = mapping(parse(event), "error")
        named = text(error, "event_id")
        ask = next((each for each in self._open if named and each.event_id == named), None)
        if ask is not None:
            self._open.remove(ask)
        elif (taken := self._taken.pop(named, None)) is not None:
            ask = self._returned(taken)
        elif (kind := _ERRORS.get(text(error, "code"))) is not None:
            ask = self._take(kind)
        elif text(error, "param").startswith("session"):
            ask = self._take(UPDATE)
        return Tell(event, ask, ask is not None, ask)

    def _returned(self, taken: Tell) -> Ask | None:
        """The question that this names; what was held for its answer answers the next one."""
        ask = taken.about
        if ask is not None and (other := self._take(ask.kind)) is not None:
            taken.cause = taken.about = other
        return ask

    def _take(self, kind: str) -> Ask | None:
        ask = next((each for each in self._open if each.kind == kind), None)
        if ask is not None:
            self._open.remove(ask)
        return ask

    def _recorder(self, event: Event) -> Tell | None:
        if event.type != "recorder.closed":
            return None
        body = parse(event)
        code = integer(body, "code")
        if text(body, "initiator") not in ("server", "network") or code is None:
            return None
        return Tell(event, close=(code, text(body, "reason")))


def _agrees(names: tuple[str, ...]) -> Callable[[Any, Any], bool]:
    def fits(asked: Any, told: Any) -> bool:
        return all(asked.get(name) in (None, told.get(name)) for name in names)

    return fits


def _names_mcp(asked: Any) -> bool:
    tools = mapping(asked, "session").get("tools")
    return isinstance(tools, list) and any(
        isinstance(each, dict) and each.get("type") == "mcp" for each in tools
    )


def _same_item(asked: Any, told: Any) -> bool:
    """By the id that the client chose; else by what kind of item it is."""
    wanted, got = mapping(asked, "item"), mapping(told, "item")
    if text(wanted, "id"):
        return text(wanted, "id") == text(got, "id")
    if text(got, "type") == "function_call_output":
        return text(wanted, "call_id") == text(got, "call_id")
    return (
        all(text(wanted, name) in ("", text(got, name)) for name in ("type", "role"))
        and text(got, "status") != "in_progress"
    )


def _same_response(asked: Any, told: Any) -> bool:
    """By metadata, where the client gave some."""
    metadata = mapping(mapping(asked, "response"), "metadata")
    echoed = mapping(mapping(told, "response"), "metadata")
    return not metadata or not echoed or metadata == echoed


def _same_retrieved(asked: Any, told: Any) -> bool:
    return text(asked, "item_id") in ("", text(mapping(told, "item"), "id"))


_FITS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ADDED: _same_item,
    CREATED: _same_response,
    "conversation.item.retrieved": _same_retrieved,
}
