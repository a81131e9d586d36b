"""Naming sessions: references that name one, filters that choose many, and the words for times.

Laws:

1. Pure: the sessions that exist, the time and the zone are values that are passed in.
2. An error names the word that could not be understood, and what was expected.
3. What a list shows as a session's name finds that session: an id that *ends* so wins over
   one that merely contains it.

A reference is any unique part of a session's id, `latest` (`latest~1` is the one before), a
call label, or any id that the server sent. A filter is data, made of (term, word) pairs by the
table `TERMS`: a command line gives them as options, a language would give them as `term:word`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from .errors import SessionNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SECOND: Final = 1_000_000_000

TAIL: Final = 6
"""Characters of an id that are shown at least. Tails, because the heads of UUIDv7 are alike."""

LIVE, INTERRUPTED, ENDED, REFUSED, IMPORTED = STATUSES = (
    "live", "interrupted", "ended", "refused", "imported",
)  # fmt: skip
"""What became of a session: still open; no close and its recorder is gone; closed; the upgrade
was refused or failed; brought in from elsewhere."""


# ---- references


class Known(NamedTuple):
    """What a session can be named by without reading any of its events."""

    id: str
    wall_ns: int
    call: str
    kind: str = "websocket"


class Ambiguous(SessionNotFound):
    """A reference fits several sessions; `candidates` are their ids."""

    def __init__(self, message: str, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")
_PART_OF_ID = re.compile(r"[0-9a-f-]+")


class Directory:
    """All sessions of a store, by everything that people call them."""

    def __init__(
        self,
        known: Iterable[Known],
        by_server_id: Callable[[str], Sequence[str]],
        zone: tzinfo | None = None,
    ) -> None:
        """`by_server_id` gives the sessions in which an id of the server stands. It is asked
        last, because it may have to read. `zone` is for messages; None is the machine's own."""
        self.known = sorted(known, key=lambda each: (each.wall_ns, each.id))
        self._by_server_id, self._zone = by_server_id, zone
        self._tails: dict[str, str] | None = None

    def one(self, reference: str) -> str:
        """The id of the one session that is meant. Raises `SessionNotFound`, `Ambiguous`."""
        found = self.all(reference)
        if len(found) > 1:
            raise self._ambiguous(reference, found, "is the call label of several sessions")
        return found[0]

    def all(self, reference: str) -> list[str]:
        """The ids of the sessions that are meant, oldest first: several only for a call label."""
        word = reference.strip().removeprefix("\u2026")
        if not word:
            raise SessionNotFound("a session cannot be named by nothing; `latest` is the newest")
        if found := _LATEST.fullmatch(word):
            return [self._latest(word, int(found.group(1) or 0))]
        if labelled := [each.id for each in self.known if each.call == word]:
            return labelled
        return [self._by_part(word) or self._by_server(word)]

    def tail(self, session_id: str) -> str:
        """The shortest name of the session that fits no other: the end of its id."""
        if self._tails is None:
            self._tails = shortest_tails([each.id for each in self.known])
        return self._tails.get(session_id, session_id)

    def _latest(self, word: str, back: int) -> str:
        sessions = [each for each in self.known if each.kind != "http"] or self.known
        if not sessions:
            raise SessionNotFound(
                "nothing was recorded in this database yet; `recorder demo` makes a first session"
            )
        if back >= len(sessions):
            raise SessionNotFound(
                f"{word}: there are only {len(sessions)} sessions; "
                f"the oldest is latest~{len(sessions) - 1}"
            )
        return sessions[-1 - back].id

    def _by_part(self, word: str) -> str | None:
        part = word.lower()
        if not _PART_OF_ID.fullmatch(part):
            return None
        ids = [each.id for each in self.known]
        found = [name for name in ids if name.endswith(part)]
        found = found or [name for name in ids if part in name]
        if len(found) > 1:
            raise self._ambiguous(word, found, "fits several sessions")
        return found[0] if found else None

    def _by_server(self, word: str) -> str:
        found = self._by_server_id(word)
        if len(found) > 1:
            raise self._ambiguous(word, found, "stands in several sessions")
        if not found:
            raise SessionNotFound(
                f"no session answers to {word!r}: it is no part of a session's id, no call label, "
                "and no id that a server sent; `recorder ls` shows what there is"
            )
        return found[0]

    def _ambiguous(self, word: str, found: Sequence[str], why: str) -> Ambiguous:
        wanted = set(found)
        lines = [
            f"  {self.tail(each.id)}  {local(each.wall_ns, self._zone):%Y-%m-%d %H:%M:%S}"
            + (f"  call {each.call}" if each.call else "")
            for each in reversed(self.known)
            if each.id in wanted
        ]
        more = [f"  \u2026 and {len(lines) - 10} more"] if len(lines) > 10 else []
        text = "\n".join([f"{word!r} {why}; name one of them:", *lines[:10], *more])
        return Ambiguous(text, found)


def shortest_tails(ids: Sequence[str], least: int = TAIL) -> dict[str, str]:
    """For each id the shortest end of it, of at least `least` characters, that fits no other."""
    ordered = sorted(ids, key=lambda name: name[::-1])
    shared = [_common_end(a, b) for a, b in pairwise(ordered)]
    tails = {}
    for name, before, after in zip(ordered, [0, *shared], [*shared, 0], strict=False):
        tail = name[-max(least, before + 1, after + 1) :]
        tails[name] = name[-len(tail) - 1 :] if tail.startswith("-") else tail
    return tails


def _common_end(a: str, b: str) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count


# ---- filters


class Selectable(Protocol):
    """What a filter looks at."""

    @property
    def wall_ns(self) -> int: ...
    @property
    def models(self) -> tuple[str, ...]:
        """As it was asked for, and as the server stated it."""

    @property
    def call(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def status(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which sessions are meant. What is empty or None lets everything pass.

    A session has one model, call and status, so several of these mean any of them; it has many
    tags, so several tags mean all of them.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    status: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Filter()

    def matches(self, session: Selectable) -> bool:
        """Whether the session is meant."""
        return (
            (self.since_ns is None or session.wall_ns >= self.since_ns)
            and (self.until_ns is None or session.wall_ns < self.until_ns)
            and (not self.status or session.status in self.status)
            and (not self.calls or _fits(session.call, self.calls))
            and (not self.models or any(_fits(model, self.models) for model in session.models))
            and all(any(_fits(tag, (glob,)) for tag in session.tags) for glob in self.tags)
        )


def _fits(value: str, globs: Sequence[str]) -> bool:
    lower = value.lower()
    return any(lower == glob.lower() or fnmatchcase(lower, glob.lower()) for glob in globs)


class Moment(NamedTuple):
    """What relative times are relative to."""

    now_ns: int
    zone: tzinfo | None = None
    """None is the machine's own zone."""


class Term(NamedTuple):
    """One thing that sessions can be chosen by."""

    name: str
    field: str
    metavar: str
    help: str
    read: Callable[[str, Moment], Any]
    many: bool = True


def _as_it_is(word: str, _moment: Moment) -> str:
    if not word.strip():
        raise UsageError("an empty word chooses nothing")
    return word.strip()


def _status(word: str, _moment: Moment) -> str:
    if word.lower() in STATUSES:
        return word.lower()
    raise UsageError(f"{word!r} is no status; one of {', '.join(STATUSES)}")


def _since(word: str, moment: Moment) -> int:
    return parse_time(word, moment)


def _until(word: str, moment: Moment) -> int:
    return parse_time(word, moment, end=True)


TERMS: Final[Mapping[str, Term]] = {
    term.name: term
    for term in (
        Term("since", "since_ns", "TIME", "Opened at TIME or later: 7d, 2h, today, 2026-11-01, "
             "2026-11-01T09:30.", _since, many=False),
        Term("until", "until_ns", "TIME", "Opened before TIME; a bare day is included.",
             _until, many=False),
        Term("model", "models", "GLOB", "Model asked for or used, as in 'gpt*'; any of several.",
             _as_it_is),
        Term("tag", "tags", "GLOB", "Tagged so; all of several.", _as_it_is),
        Term("call", "calls", "GLOB", "Call label; any of several.", _as_it_is),
        Term("status", "status", "STATUS", f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}; "
             "any of several.", _status),
    )
}  # fmt: skip
"""Everything that sessions can be chosen by, in the order in which help shows it."""


def make_filter(pairs: Iterable[tuple[str, str]], moment: Moment) -> Filter:
    """The filter that these (term, word) pairs say. Raises `UsageError` naming term and word."""
    values: dict[str, Any] = {}
    for name, word in pairs:
        term = TERMS.get(name)
        if term is None:
            raise UsageError(f"{name!r} is nothing to choose by; one of {', '.join(TERMS)}")
        try:
            value = term.read(word, moment)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        values[term.field] = (*values.get(term.field, ()), value) if term.many else value
    return Filter(**values)


# ---- words for times


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
