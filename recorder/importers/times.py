"""Reading times that somebody else wrote: which member is the time, in which unit, since when.

Laws:

1. The name of the member has the first word (`at_ms`, `t_ns`), the size of its numbers the
   second: seconds, milliseconds, microseconds and nanoseconds since 1970 lie far apart. Times
   since some other moment are told by the usual distance between two events.
2. What does not go forward is no time: a member counts only where nine of ten values are not
   before the one before.
3. Nothing is rounded: a decimal fraction is read as it is written.
4. Without times there are none: nothing is made up (`None`, and at 0 in the log).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Final, TypeAlias

Value: TypeAlias = int | float | str

UNITS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each, the longest first."""

NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

NONE: Final = "none"
"""Of an imported session without times: only its order is known."""

_STEMS: Final = (
    "t", "ts", "time", "timestamp", "at", "when", "offset", "elapsed", "clock", "wall", "wall_time",
    "wall_clock", "mono", "monotonic", "created_at", "received_at", "recorded_at", "sent_at",
    "logged_at", "event_time", "relative_time", "rel", "date", "datetime",
)  # fmt: skip
_SUFFIXES: Final = {
    "ns": "ns", "nanos": "ns", "nanoseconds": "ns", "us": "us", "micros": "us",
    "microseconds": "us", "ms": "ms", "millis": "ms", "milliseconds": "ms", "s": "s", "sec": "s",
    "secs": "s", "seconds": "s",
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,18}))?\s*(Z|[+-]\d\d:?\d\d)?\Z", re.I
)
_EARLIEST, _LATEST = 1_420_070_400, 4_102_444_800
"""2015 and 2100, in seconds since 1970: between them a number may be a date."""

_FARTHEST: Final = 1 << 62
"""Nanoseconds beyond which a time is no time: the log holds 64 bits."""


def unit_in_name(key: str) -> str | None:
    """The unit that the name of a member tells; empty where it tells only that it is a time.

    None where the name is not that of a time.
    """
    name = _CAMEL.sub("_", key).lower().replace("-", "_").strip("_@")
    if name in _STEMS:
        return ""
    stem, _, suffix = name.rpartition("_")
    return _SUFFIXES[suffix] if stem in _STEMS and suffix in _SUFFIXES else None


def nanoseconds(value: Any, unit: str) -> int | None:
    """The value in nanoseconds, exactly; None where it is no time.

    `unit` is a name of `UNITS`, or `iso` for dates, which give nanoseconds since 1970.
    """
    try:
        if unit == "iso":
            return _date(value) if isinstance(value, str) else None
        found = _decimal(value)
        ns = None if found is None else int((found * UNITS[unit]).to_integral_value())
    except (ArithmeticError, ValueError, OverflowError):
        return None
    return None if ns is None or abs(ns) > _FARTHEST else ns


_MOST_DIGITS: Final = 21
"""Before the point: nanoseconds since 1970 have 19."""


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found.adjusted() < _MOST_DIGITS else None


def _date(text: str) -> int | None:
    """Nanoseconds since 1970 of an ISO 8601 date; UTC where it names no zone."""
    found = _ISO.match(text.strip())
    if found is None:
        return None
    day, hour, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{hour}{'+00:00' if zone in (None, 'Z', 'z') else zone}")
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
    whole = (since.days * 86_400 + since.seconds) * 10**9
    return whole + int(f"{fraction or '0':0<9}"[:9])


@dataclass(frozen=True, slots=True)
class Clock:
    """How the times of one file are read."""

    key: str
    unit: str
    """A name of `UNITS`, or `iso`."""
    epoch: bool
    """The times are since 1970; else since a moment that nobody tells."""
    zero_ns: int
    """The time of the session's opening, by this clock."""

    def read(self, record: Mapping[str, Any]) -> int | None:
        """The record's time since the opening of the session; None where it has none."""
        found = nanoseconds(record.get(self.key), self.unit)
        return None if found is None else found - self.zero_ns

    def __str__(self) -> str:
        if self.unit == "iso":
            return f"dates under {self.key!r}"
        since = " since 1970" if self.epoch else ""
        return f"{NAMES[self.unit]}{since} under {self.key!r}"


def find_clock(records: Sequence[Mapping[str, Any]], times: str = "auto") -> Clock | None:
    """The clock of these records, the first of a file; None where they have no times.

    `times` is the unit that the person says it is, `none`, or `auto`.
    """
    if times == NONE:
        return None
    keys = dict.fromkeys(key for record in records[:50] for key in record)
    units = {key: unit for key in keys if (unit := unit_in_name(key)) is not None}
    for key in sorted(units, key=lambda key: not units[key]):
        asked = times if times in UNITS else units[key]
        clock = _clock(key, asked, [record.get(key) for record in records])
        if clock is not None:
            return clock
    return None


def _clock(key: str, unit: str, values: list[Any]) -> Clock | None:
    found = "iso" if _are(values, lambda value: nanoseconds(value, "iso")) else unit
    if not found:
        if not _are(values, _decimal):
            return None
        found = _unit_by_size([number for each in values if (number := _decimal(each)) is not None])
    moments = [ns for value in values if (ns := nanoseconds(value, found)) is not None]
    if not found or not moments or 2 * len(moments) < len(values) or not _goes_forward(moments):
        return None
    epoch = _EARLIEST * 10**9 <= moments[0] <= _LATEST * 10**9
    return Clock(key, found, epoch, _zero(moments[0], epoch=epoch))


def _are(values: Sequence[Any], read: Callable[[Any], object]) -> bool:
    """Whether most of the values can be read so."""
    return 2 * sum(read(value) is not None for value in values) > len(values)


def _zero(first: int, *, epoch: bool) -> int:
    """Times that begin within a minute count from the opening; else the first event opens it."""
    return 0 if not epoch and 0 <= first < 60 * 10**9 else first


def _goes_forward(moments: Sequence[int]) -> bool:
    steps = [after - before for before, after in pairwise(moments)]
    if len(steps) >= 20 and not any(steps):
        return False
    return 10 * sum(step < 0 for step in steps) <= len(steps)


_RELATIVE: Final = (("s", 2), ("ms", 2_000), ("us", 2_000_000))
"""Mean distances of two events, in the unit, below which it is that unit: a Realtime session
has some ten to a hundred events a second, and rarely less than one in two seconds."""
_FRACTIONS: Final = 5
"""The same for seconds with decimals, which are what times with decimals mostly are."""


def _unit_by_size(values: Sequence[Decimal]) -> str:
    first, last = values[0], values[-1]
    gap = (last - first) / max(len(values) - 1, 1)
    for unit, length in UNITS.items():
        date = first * length / 10**9
        if _EARLIEST <= date <= _LATEST and gap * length < 3600 * 10**9:
            return unit
    if gap < _FRACTIONS and any(value % 1 for value in values):
        return "s"
    return next((unit for unit, most in _RELATIVE if gap < most), "ns")
