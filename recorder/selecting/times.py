"""The words for times: when a session was, where in a session something is.

Pure: the time and the zone are values that are passed in.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from ..errors import UsageError

SECOND: Final = 1_000_000_000


class Moment(NamedTuple):
    """What relative times are relative to."""

    now_ns: int
    zone: tzinfo | None = None
    """None is the machine's own zone."""


_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1, "ms": 0.001}
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|min|[wdhms])")
_LENGTHS = re.compile(rf"(?:{_LENGTH.pattern}\s*)+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:\.[0-9]+)?)")
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SPAN = re.compile(r"([0-9]{1,10})?(-)?([0-9]{1,10})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(word: str, moment: Moment, *, end: bool = False) -> int:
    """Nanoseconds since 1970 of a time in words: `7d` (ago), `today`, a date, an ISO time.

    With `end` a bare day means the end of that day, so that `until` includes it.
    """
    text = word.strip().lower()
    if _LENGTHS.fullmatch(text):
        return moment.now_ns - _length(text)
    now = local(moment.now_ns, moment.zone)
    today = now.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    if text == "now":
        return moment.now_ns
    try:
        time = days.get(text) or datetime.fromisoformat(word.strip())
        if end and (text in days or _DAY.fullmatch(text)):
            time += timedelta(days=1)
        return _to_ns(time, moment.zone)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{word!r} is no time; expected something like 7d, 2h, today, 2026-11-01 "
            "or 2026-11-01T09:30"
        ) from None


def parse_offset(word: str) -> int:
    """Nanoseconds of a position in a session: `12.5s`, `1:02.5`, `850ms`, `2m`, or bare seconds."""
    text = word.strip().lower()
    if text.startswith("-"):
        raise UsageError(f"{word!r} lies before the session; positions count from 0")
    if _SECONDS.fullmatch(text):
        return _ns(text)
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = found.groups()
        return (int(hours or 0) * 3600 + int(minutes) * 60) * SECOND + _ns(seconds)
    if _LENGTHS.fullmatch(text):
        return _length(text)
    raise UsageError(f"{word!r} is no position; expected something like 12.5s, 850ms or 1:02.5")


def parse_span(word: str) -> tuple[int, int | None]:
    """First and last sequence number of `12`, `12-20`, `12-` or `-20`; the last may be open."""
    found = _SPAN.fullmatch(word.strip())
    first, dash, last = found.groups() if found else ("", "", "")
    if not (first or last):
        raise UsageError(f"{word!r} are no sequence numbers; expected 12, 12-20, 12- or -20")
    low = int(first or 1)
    high = int(last) if last else None if dash else low
    if low < 1 or (high is not None and high < low):
        raise UsageError(f"{word!r} holds no sequence number; they count up from 1")
    return low, high


def local(wall_ns: int, zone: tzinfo | None) -> datetime:
    """The time in this zone; None is the machine's own."""
    return datetime.fromtimestamp(wall_ns / SECOND, UTC).astimezone(zone)


def _to_ns(time: datetime, zone: tzinfo | None) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone) if zone else time.astimezone()
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _length(text: str) -> int:
    pieces = _LENGTH.findall(text)
    return sum(round(float(number) * _UNITS[unit] * SECOND) for number, unit in pieces)


def _ns(seconds: str) -> int:
    return round(float(seconds) * SECOND)
