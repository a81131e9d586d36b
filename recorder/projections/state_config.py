"""The session's configuration, value by value: what is in force, and which event set it.

Laws:

1. What the server states is in force. A value belongs to the client's event that asked for it,
   where the server states what was asked; else to the event in which the server first stated it.
2. `session.update` is answered in order. Until then what it asks for is shown as asked, and an
   error about it takes it back.
3. What a statement leaves out at its top level still holds; what it leaves out deeper does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..dialects.facts import ErrorSeen, SessionAsked, SessionStated
from .base import Part, on
from .model_state import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..dialects.facts import JSON
    from ..events import Event

DEEPEST: Final = 8
"""Objects inside objects beyond this are one value."""


class _Ask(NamedTuple):
    event_id: str
    seq: int
    at_ns: int
    values: dict[str, Any]


def leaves(body: JSON, path: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in the object that is no object itself."""
    for key, value in body.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value and depth < DEEPEST:
            yield from leaves(value, name, depth + 1)
        else:
            yield name, value


class SettingsFold(Part):
    """Configuration by path."""

    def __init__(self) -> None:
        super().__init__()
        self._stated: dict[str, Setting] = {}
        self._asks: list[_Ask] = []
        self._shown: tuple[tuple[Setting, ...], tuple[Setting, ...]] | None = ((), ())

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        values = dict(leaves(fact.config.raw))
        self._asks.append(_Ask(fact.event_id, event.seq, event.at_ns, values))
        self._shown = None

    @on(SessionStated)
    def _state(self, event: Event, fact: SessionStated) -> None:
        ask = self._asks.pop(0) if self._asks and not fact.created else None
        told, raw = dict(leaves(fact.config.raw)), fact.config.raw
        kept = {p: s for p, s in self._stated.items() if p.split(".", 1)[0] not in raw}
        for path, value in told.items():
            kept[path] = self._setting(event, path, value, ask)
        self._stated = kept
        self._shown = None

    def _setting(self, event: Event, path: str, value: Any, ask: _Ask | None) -> Setting:
        before = self._stated.get(path)
        if before is not None and _same(before.value, value):
            return before
        if ask is not None and path in ask.values and _same(ask.values[path], value):
            return Setting(path, value, ask.seq, ask.at_ns, "client", event.seq)
        return Setting(path, value, event.seq, event.at_ns, "server", event.seq)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        about = fact.error.event_id
        for row, ask in enumerate(self._asks):
            unnamed = not about and fact.error.param.startswith("session")
            if unnamed or (about and about == ask.event_id):
                del self._asks[row]
                self._shown = None
                return

    def settings(self) -> tuple[tuple[Setting, ...], tuple[Setting, ...]]:
        """(what is in force, what was asked for and is not confirmed), each by path."""
        if self._shown is None:
            asked: dict[str, Setting] = {}
            for ask in self._asks:
                for path, value in ask.values.items():
                    asked[path] = Setting(path, value, ask.seq, ask.at_ns, "client", None)
            self._shown = _ordered(self._stated), _ordered(asked)
        return self._shown


def _same(one: Any, two: Any) -> bool:
    """Equal in JSON: true is not 1."""
    return type(one) is type(two) and bool(one == two)


def _ordered(settings: dict[str, Setting]) -> tuple[Setting, ...]:
    return tuple(settings[path] for path in sorted(settings))


def values_of(settings: tuple[Setting, ...]) -> dict[str, Any]:
    """The settings as path and value, for who does not care where they are from."""
    return {setting.path: setting.value for setting in settings}
