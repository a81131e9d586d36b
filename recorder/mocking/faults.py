"""What goes wrong on request, in a small language.

    ACTION[=VALUE][@WHERE][#N][%P]

WHERE is a type of server event (`*` and `?` stand for anything) or a time since the connection
(`12s`, `800ms`). `#N` is only the Nth of them, `%P` each of them with a chance of P percent.

Laws:

1. Faults count what they see for themselves, anew for every connection.
2. The same seed makes the same choices, connection for connection.
3. What is not understood is refused, with the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from recorder.errors import UsageError

SECOND: Final = 1_000_000_000


class Kind(NamedTuple):
    """One action of the language."""

    value: str
    """What stands after `=`: `time`, `code`, `status`, `name`, `factor`, or nothing."""
    where: str
    """`event`, `any` (an event or a time), or nothing."""
    optional: bool
    """The value may be left out."""
    example: str
    help: str


KINDS: Final = {
    "delay": Kind("time", "event", False, "delay=300ms@response.created", "send it later"),
    "drop": Kind("", "event", False, "drop@response.output_audio.delta%5", "do not send it"),
    "duplicate": Kind("", "event", False, "duplicate@response.done#2", "send it twice"),
    "reorder": Kind("", "event", False, "reorder@response.output_text.delta%20",
                    "send it after the event that follows it"),
    "error": Kind("name", "any", False, "error=server_error@response.created",
                  "an error event after it"),
    "close": Kind("code", "any", False, "close=1011@12s", "close with this code"),
    "abort": Kind("", "any", False, "abort@response.output_audio.delta#3",
                  "cut the connection off, without a Close"),
    "stall": Kind("time", "any", True, "stall=5s@response.created",
                  "send and read nothing for so long, or for ever"),
    "slow": Kind("factor", "", False, "slow=0.5",
                 "the assistant's audio comes at this fraction of real time"),
    "refuse": Kind("status", "", False, "refuse=429#1",
                   "answer the handshake with this status; #N: the Nth connection"),
}  # fmt: skip
"""By name. The help of `recorder mock` is made of this table."""

_SPEC: Final = re.compile(
    r"(?P<do>[a-z]+)(?:=(?P<value>[^@#%]+))?(?:@(?P<where>[^#%]+))?(?:#(?P<nth>\d{1,9}))?"
    r"(?:%(?P<chance>\d{1,9}(?:\.\d{1,9})?))?"
)
_TIME: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m)", re.ASCII)
_UNITS: Final = {"ms": 1_000_000, "s": SECOND, "m": 60 * SECOND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    do: str
    text: str
    """As it was written."""
    ns: int | None = None
    """How long: of `delay` and `stall`."""
    number: int = 0
    """A close code or HTTP status."""
    name: str = ""
    """The code of an error."""
    factor: float = 1.0
    on: str = ""
    """Types of server events, as a pattern."""
    at_ns: int | None = None
    """Since the connection was opened."""
    nth: int | None = None
    chance: float = 1.0


def parse_fault(text: str) -> Fault:
    """The fault that is meant. Raises `UsageError`."""
    found = _SPEC.fullmatch(text.strip())
    if found is None:
        raise _misread(text, "expected ACTION[=VALUE][@WHERE][#N][%P]")
    kind = KINDS.get(found["do"])
    if kind is None:
        raise _misread(text, f"there is no {found['do']!r}; there are: {', '.join(KINDS)}")
    facts: dict[str, object] = {"do": found["do"], "text": text.strip()}
    facts |= _value(text, kind, found["value"])
    facts |= _where(text, kind, found["where"])
    if found["nth"] is not None:
        facts["nth"] = int(found["nth"])
        if facts["nth"] == 0:
            raise _misread(text, "#N counts from 1")
    if found["chance"] is not None:
        facts["chance"] = float(found["chance"]) / 100
        if not 0 < float(found["chance"]) <= 100:
            raise _misread(text, "a chance is above 0 and at most 100 percent")
    if facts.get("at_ns") is not None and (found["nth"] or found["chance"]):
        raise _misread(text, "a time comes once: #N and %P are for events")
    if kind.value == "factor" and (found["nth"] or found["chance"]):
        raise _misread(text, "it holds for the whole connection: #N and %P are for events")
    return Fault(**facts)  # type: ignore[arg-type]


def _value(text: str, kind: Kind, value: str | None) -> dict[str, object]:
    if value is None:
        if kind.value and not kind.optional:
            raise _misread(text, f"a {kind.value} is missing, as in {kind.example}")
        return {}
    match kind.value:
        case "time":
            if (ns := read_time(value)) is None:
                raise _misread(text, f"{value!r} is no time; as in 300ms or 1.5s")
            return {"ns": ns}
        case "code" | "status":
            return {"number": _number(text, kind.value, value)}
        case "name":
            return {"name": value}
        case "factor":
            return {"factor": _factor(text, value)}
    raise _misread(text, f"it takes no value; as in {kind.example}")


def _number(text: str, what: str, value: str) -> int:
    least, most = (400, 599) if what == "status" else (1000, 4999)
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0
    if not least <= number <= most or number in (1005, 1006, 1015):
        hint = "; abort@… cuts off without one" if what == "code" else ""
        raise _misread(text, f"{value!r} is no {what} that can be sent ({least} to {most}){hint}")
    return number


def _factor(text: str, value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 100:
        raise _misread(text, f"{value!r} is no fraction of real time, as in slow=0.5")
    return factor


def _where(text: str, kind: Kind, where: str | None) -> dict[str, object]:
    if where is None:
        if kind.where:
            raise _misread(text, f"say at which event, as in {kind.example}")
        return {}
    if not kind.where:
        raise _misread(text, f"it is at no event; as in {kind.example}")
    at_ns = read_time(where)
    if at_ns is None:
        return {"on": where}
    if kind.where != "any":
        raise _misread(text, f"it is at an event, not at a time; as in {kind.example}")
    return {"at_ns": at_ns}


def read_time(text: str) -> int | None:
    """Nanoseconds of `300ms`, `1.5s`, `2m`; None if it is none."""
    found = _TIME.fullmatch(text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def _misread(text: str, why: str) -> UsageError:
    return UsageError(f"--fault {text}: {why}")


class Faults:
    """The faults of one connection."""

    def __init__(self, faults: tuple[Fault, ...], chance: Callable[[], float]) -> None:
        """`chance` gives a number from 0 to below 1 each time."""
        self._faults = tuple(fault for fault in faults if fault.on)
        self._seen = [0] * len(self._faults)
        self._chance = chance
        self.none = not any(fault.do != "refuse" for fault in faults)
        """Nothing ever goes wrong on this connection."""
        self.timed = tuple(fault for fault in faults if fault.at_ns is not None)
        """Those that come at a time."""
        slow = [fault.factor for fault in faults if fault.do == "slow"]
        self.pace = min(slow) if slow else None
        """How fast audio may come, as a fraction of real time; None: as it was recorded."""

    def on(self, names: tuple[str, ...]) -> list[Fault]:
        """Those that a server event of these names sets off."""
        return [
            fault
            for row, fault in enumerate(self._faults)
            if any(fnmatchcase(name, fault.on) for name in names) and self._strikes(row, fault)
        ]

    def _strikes(self, row: int, fault: Fault) -> bool:
        self._seen[row] += 1
        if fault.nth is not None and fault.nth != self._seen[row]:
            return False
        return fault.chance >= 1 or self._chance() < fault.chance


def refusal(faults: tuple[Fault, ...], number: int, chance: Callable[[], float]) -> int | None:
    """The status with which the connection of that number is refused; None: it is let in."""
    for fault in faults:
        struck = fault.do == "refuse" and fault.nth in (None, number)
        if struck and (fault.chance >= 1 or chance() < fault.chance):
            return fault.number
    return None
