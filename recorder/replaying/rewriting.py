"""What this client chose, in the place of what the recorded client chose.

Laws:

1. Only ids that a client chose are replaced, only as values of members that hold ids, and all of
   them everywhere: a message without such an id goes out byte for byte.
2. What the recorded server repeated of the recorded client's words (a configuration, an item,
   metadata), it now repeats of this client's; what it made up itself stays as it was recorded.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from ..dialects.reading import mapping, text
from .causes import ADDED, CREATE_ITEM, CREATED, DONE, ERROR, RESPOND, canonical
from .nouns import JSON, Ask, Tell

_VALUE: Final = re.compile(
    rb'("(?:id|item_id|previous_item_id|call_id|approval_request_id)"\s*+:\s*+")([^"\\]*+)(?=")'
)
_ABSENT: Final = object()


class Ids:
    """Which id of the recording is called what in this run."""

    def __init__(self) -> None:
        self._live: dict[bytes, bytes] = {}
        self._recorded: dict[str, str] = {}
        self._met: set[str] = set()

    def learn(self, recorded: str, live: str) -> None:
        """From now on the one stands for the other."""
        if recorded and live:
            self._met.add(recorded)
            self._recorded[live] = recorded
            if recorded != live:
                self._live[recorded.encode()] = live.encode()

    def live(self, recorded: str) -> str:
        """What it is called now."""
        return self._live.get(recorded.encode(), recorded.encode()).decode()

    def recorded(self, live: str) -> str:
        """What it was called in the recording."""
        return self._recorded.get(live, live)

    def is_new(self, recorded: str) -> bool:
        """Whether nobody has used it yet in this run."""
        return recorded not in self._met

    def announced(self, head: bytes) -> None:
        """A message with these ids went out: the client knows them by their recorded names."""
        for found in _VALUE.finditer(head):
            self._met.add(found.group(2).decode("utf-8", "replace"))

    def rewritten(self, head: bytes, message: bytes) -> bytes:
        """The message with this run's ids; `head` is the same without audio, to look first."""
        live = self._live
        if not live or not any(found.group(2) in live for found in _VALUE.finditer(head)):
            return message
        return _VALUE.sub(
            lambda found: found.group(1) + live.get(found.group(2), found.group(2)), message
        )


class Echoes:
    """What this client asked for, put where the recorded server repeated what it was asked."""

    def __init__(self) -> None:
        self._swaps: dict[tuple[str, ...], tuple[Any, Any]] = {}

    def apply(self, tell: Tell, message: bytes) -> bytes:
        """The message as it answers this client."""
        about, kind = tell.about, canonical(tell.event.type)
        if kind == "session.updated":
            return self._session(about, message)
        if about is None or about.live_at_ns is None:
            return message
        if kind == ERROR:
            return _error(about, message)
        if about.kind == CREATE_ITEM and kind in (ADDED, "conversation.item.done"):
            return _item(about, message)
        if about.kind == RESPOND and kind in (CREATED, DONE):
            return _metadata(about, message)
        return message

    def _session(self, about: Ask | None, message: bytes) -> bytes:
        if about is not None and about.live_at_ns is not None:
            self._learn(mapping(about.body, "session"), mapping(about.live, "session"))
        if not self._swaps:
            return message
        body = _parsed(message)
        session = body.get("session")
        if not isinstance(session, dict):
            return message
        changed = [_swap(session, path, *pair) for path, pair in self._swaps.items()]
        return orjson.dumps(body) if any(changed) else message

    def _learn(self, recorded: JSON, live: JSON) -> None:
        old, new = _leaves(recorded), _leaves(live)
        for path, value in new.items():
            before = old.get(path, _ABSENT)
            if before == value:
                self._swaps.pop(path, None)
            else:
                self._swaps[path] = before, value


def _leaves(value: JSON, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every member that is no object, by its path."""
    found: dict[tuple[str, ...], Any] = {}
    for name, member in value.items():
        if isinstance(member, dict) and member:
            found |= _leaves(member, (*path, name))
        else:
            found[(*path, name)] = member
    return found


def _swap(session: dict[str, Any], path: tuple[str, ...], before: Any, now: Any) -> bool:
    """Put what is asked for now where the server repeated what was asked then.

    What nobody asked for in the recording is put in where the server states it at all.
    """
    within: Any = session
    for name in path[:-1]:
        within = within.get(name) if isinstance(within, dict) else None
    if not isinstance(within, dict):
        return False
    there = within.get(path[-1], _ABSENT)
    if there is _ABSENT or there == now or (before is not _ABSENT and there != before):
        return False
    within[path[-1]] = now
    return True


def _error(about: Ask, message: bytes) -> bytes:
    """The error names this client's event."""
    body = _parsed(message)
    error = body.get("error")
    now = about.live.get("event_id")
    if not isinstance(error, dict) or error.get("event_id") == now:
        return message
    error["event_id"] = now
    return orjson.dumps(body)


def _item(about: Ask, message: bytes) -> bytes:
    """The item as this client made it, in every member that repeated the recorded client's."""
    before, now = mapping(about.body, "item"), mapping(about.live, "item")
    changes = {
        name: value
        for name, value in now.items()
        if name not in ("id", "call_id") and value != before.get(name, _ABSENT)
    }
    if not changes:
        return message
    body = _parsed(message)
    item = body.get("item")
    if not isinstance(item, dict):
        return message
    for name, value in changes.items():
        if name in before or name not in item:
            item[name] = value
    return orjson.dumps(body)


def _metadata(about: Ask, message: bytes) -> bytes:
    before = mapping(about.body, "response").get("metadata")
    now = mapping(about.live, "response").get("metadata")
    if before == now:
        return message
    body = _parsed(message)
    response = body.get("response")
    if not isinstance(response, dict):
        return message
    response["metadata"] = now
    return orjson.dumps(body)


def learn_from(ask: Ask, ids: Ids) -> None:
    """The ids that the client chose in the event that stands for this one."""
    before, now = mapping(ask.body, "item"), mapping(ask.live, "item")
    if ask.kind != CREATE_ITEM:
        return
    ids.learn(text(before, "id"), text(now, "id"))
    ids.learn(text(before, "call_id"), text(now, "call_id"))


def learn_answer(tell: Tell, ids: Ids) -> None:
    """The recorded server named the item that the client did not name; now it has a name."""
    ask = tell.about
    if ask is None or ask.kind != CREATE_ITEM or canonical(tell.event.type) != ADDED:
        return
    given = text(mapping(_parsed(tell.event.head), "item"), "id")
    ids.learn(given, text(mapping(ask.live, "item"), "id"))


def _parsed(message: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


__all__ = ["Echoes", "Ids", "learn_answer", "learn_from"]
