"""References: the words that name one session, or all sessions of one call.

Laws:

1. Pure: the sessions that exist are values that are passed in.
2. An error names the word that could not be understood, and what was expected.
3. What a list shows as a session's name finds that session: an id that *ends* so wins over
   one that merely contains it.

A reference is any unique part of a session's id, `latest` (`latest~1` is the one before), a
call label, or any id that the server sent.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import SessionNotFound
from .times import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

TAIL: Final = 6
"""Characters of an id that are shown at least. Tails, because the heads of UUIDv7 are alike."""


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
        alike = self._alike.get(session_id[-TAIL:], [session_id])
        return shortest_tails(alike).get(session_id, session_id)

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The ids by their ends; nearly always there is only one with each."""
        found: dict[str, list[str]] = {}
        for each in self.known:
            found.setdefault(each.id[-TAIL:], []).append(each.id)
        return found

    def is_call(self, word: str) -> bool:
        """Whether this is the label of a call."""
        return any(each.call == word for each in self.known)

    def _latest(self, word: str, back: int) -> str:
        sessions = [each for each in self.known if each.kind != "http"] or self.known
        if not sessions:
            raise SessionNotFound(
                "nothing was recorded in this database yet; `recorder demo` makes a first session"
            )
        if back >= len(sessions):
            last = len(sessions) - 1
            there = f"are only {len(sessions)} sessions" if last else "is only one session"
            oldest = f"the oldest is latest~{last}" if last else "it is latest"
            raise SessionNotFound(f"{word}: there {there}; {oldest}")
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
