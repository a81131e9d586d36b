"""Who sent an event: as the file names it, else as its type tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..dialects import PASSED_ON, TABLES
from ..events import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT, SERVER = Origin.CLIENT, Origin.SERVER

KEYS: Final = (
    "direction", "dir", "origin", "source", "from", "sender", "side", "type", "kind",
    "event_type", "role", "actor", "who",
)  # fmt: skip
"""Members that may name the direction, in the order in which they are asked."""

_BY_NAME: Final = {
    "client": CLIENT, "server": SERVER, "c": CLIENT, "s": SERVER,
    "app": CLIENT, "application": CLIENT, "browser": CLIENT, "caller": CLIENT,
    "model": SERVER, "provider": SERVER, "endpoint": SERVER, "openai": SERVER,
    "clienttoserver": CLIENT, "clientserver": CLIENT, "c2s": CLIENT, "cs": CLIENT,
    "servertoclient": SERVER, "serverclient": SERVER, "s2c": SERVER, "sc": SERVER,
    "toserver": CLIENT, "toclient": SERVER, "fromclient": CLIENT, "fromserver": SERVER,
    "clientevent": CLIENT, "serverevent": SERVER,
    "clientmessage": CLIENT, "servermessage": SERVER,
}  # fmt: skip
"""Words that mean the same whoever wrote the file."""

_BY_VIEW: Final = {
    "sent": CLIENT, "send": CLIENT, "out": CLIENT, "outgoing": CLIENT, "outbound": CLIENT,
    "tx": CLIENT, "output": CLIENT, "request": CLIENT,
    "received": SERVER, "receive": SERVER, "recv": SERVER, "in": SERVER, "incoming": SERVER,
    "inbound": SERVER, "rx": SERVER, "input": SERVER, "response": SERVER, "rcvd": SERVER,
    ">": CLIENT, "->": CLIENT, "<": SERVER, "<-": SERVER,
}  # fmt: skip
"""Words that mean the opposite where a server wrote the file."""

_NO_LETTERS = re.compile(r"[^a-z0-9]+")

# What other vocabularies call their events (protocol.md 3.5), and xAI's keep-alive.
_OTHERS: Final = {
    "pong": CLIENT, "session.close": CLIENT, "session.start": CLIENT,
    "session.input_audio_buffer.append": CLIENT, "session.input_audio.append": CLIENT,
}  # fmt: skip


def _known() -> dict[str, Origin]:
    """Every type that only one side sends."""
    sides = {kind: _OTHERS.get(kind, SERVER) for kind in PASSED_ON}
    for origin, other in ((CLIENT, SERVER), (SERVER, CLIENT)):
        sides |= dict.fromkeys(TABLES[origin].keys() - TABLES[other].keys(), origin)
    return sides


BY_TYPE: Final = _known()
"""Types of the protocol, and who sends them."""


class Named(NamedTuple):
    """A direction as a record names it."""

    origin: Origin
    by_view: bool
    """The word means the opposite where a server wrote the file."""

    def seen(self, *, by_server: bool) -> Origin:
        """Who sent it, in a file that the application wrote, or the server."""
        return self.origin if not (by_server and self.by_view) else _other(self.origin)


def _other(origin: Origin) -> Origin:
    return SERVER if origin == CLIENT else CLIENT


_WORDS: Final = {
    **{word: Named(origin, False) for word, origin in _BY_NAME.items()},
    **{word: Named(origin, True) for word, origin in _BY_VIEW.items()},
}


def word(text: object) -> Named | None:
    """What the word says of the direction, if it is one that does."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    return _WORDS.get(text) or _WORDS.get(_NO_LETTERS.sub("", text.lower()))


_FLAGS: Final = {
    "from_client": True, "fromClient": True, "is_client": True, "isClient": True,
    "from_server": False, "fromServer": False, "is_server": False, "isServer": False,
}  # fmt: skip


def named(record: Mapping[str, Any]) -> Named | None:
    """The direction that a record names, if it names one."""
    for key in KEYS:
        if key in record and (found := word(record[key])):
            return found
    for key, means_client in _FLAGS.items():
        if isinstance(value := record.get(key), bool):
            return Named(CLIENT if value is means_client else SERVER, by_view=False)
    return None
