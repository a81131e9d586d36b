"""Which of a script's faults an event sets off.

Faults count what they have seen: `nth` of one is not changed by another. An event that a fault
made up sets off nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from recorder.sandbox.script import Fault


class Faults:
    """The faults of one session."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = tuple(faults)
        self._seen = [0] * len(self._faults)

    @property
    def timed(self) -> list[Fault]:
        """Those that come at a time."""
        return [fault for fault in self._faults if fault.at_ms is not None]

    def on(self, names: Collection[str]) -> list[Fault]:
        """Those that an event sets off; `names` is what it is called in either dialect."""
        return [
            fault
            for at, fault in enumerate(self._faults)
            if any(fnmatchcase(name, fault.on) for name in names) and self._is_due(at, fault)
        ]

    def _is_due(self, at: int, fault: Fault) -> bool:
        self._seen[at] += 1
        return fault.nth is None or fault.nth == self._seen[at]


def changed(event: Mapping[str, Any], faults: Iterable[Fault]) -> dict[str, Any]:
    """The event as `with` and `without` leave it."""
    changing = dict(event)
    for fault in faults:
        if fault.do == "with":
            changing = _with(changing, fault.event)
        elif fault.do == "without":
            changing = _without(changing, fault.keys)
    return changing


def _with(members: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Objects within are filled up, everything else is replaced."""
    both = {name: members[name] for name in more if isinstance(members.get(name), Mapping)}
    deeper = {
        name: _with(old, more[name])
        for name, old in both.items()
        if isinstance(more[name], Mapping)
    }
    return {**members, **more, **deeper}


def _without(value: Any, keys: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(each, keys) for name, each in value.items() if name not in keys}
    if isinstance(value, list):
        return [_without(each, keys) for each in value]
    return value
