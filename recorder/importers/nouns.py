"""What importers are given, what they give, and how they say that a file is damaged.

An importer is a function from a file (a callable that gives its bytes from the start, in pieces)
and an `Asked` to sessions, their events, and remarks. A session comes before its events, and
only if there is at least one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ..errors import UsageError
from ..events import Event, Session

File: TypeAlias = Callable[[], Iterable[bytes]]
"""Gives the file's bytes from the start, in pieces of any length."""


class Remark(NamedTuple):
    """Something that the person should know: what was skipped, guessed or missing."""

    text: str


Item: TypeAlias = Session | Event | Remark


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known beside the file: who imports it, when, and what they said about it."""

    name: str
    """What the file is called, without its folder."""
    wall_ns: int
    """When the session was opened, where nothing in the file tells: the file's own time."""
    new_id: Callable[[int], str]
    """Gives the id of a new session that was opened at this wall time."""
    versions: Mapping[str, str] = field(default_factory=dict)
    call: str = ""
    model: str = ""
    tags: tuple[str, ...] = ()
    times: str = "auto"
    """How times are to be read: a name of `times.UNITS`, `none`, or `auto`."""
    all_sockets: bool = False
    """Import WebSockets that speak another protocol too."""
    secrets: tuple[str, ...] = ()
    """Keys that are known by their letters, and replaced wherever they stand."""


class Unreadable(UsageError):
    """The file is none that can be imported: nothing of it was read."""


class Damaged(UsageError):
    """The file breaks off or breaks down. What stood before that has been given."""

    def __init__(self, what: str, *, byte: int, line: int | None = None) -> None:
        """`byte` counts from 0 in the text of the file, unpacked; `line` from 1."""
        self.byte, self.line = byte, line
        where = f"byte {byte:,}" if line is None else f"line {line:,}, byte {byte:,}"
        super().__init__(f"damaged at {where}: {what}")
