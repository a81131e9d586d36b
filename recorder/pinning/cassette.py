"""Cassettes: made of a session, written as files, and read again.

    greeting.jsonl            the events, one a line (`recorder.exporters.jsonl`)
    greeting.user.flac        what the user said, without loss
    greeting.assistant.flac   what the assistant said

What a cassette is stands in the labels of its session: `cassette` (the version), `pinned_from`,
`turns`, `history` (items that stand for what was before), `audio` (`kept`, `cut`, or `none` where
there was none to keep), and for each side the name and digest of its sound.

Laws:

1. The same session pinned in the same way gives the same bytes.
2. Nothing in it looks like a secret: what is written is read again and redacted again, and that
   must change nothing.
3. Older versions are brought up to date as they are read; a newer one is refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UsageError
from ..events import Event, Session, new_session_id
from ..exporters import jsonl
from ..importers import Asked
from ..importers.ours import read as read_ours
from .choosing import choose
from .sidecars import Joiner, Splitter
from .trimming import trimmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..projections.analysis import Analysis
    from .choosing import Turns

VERSION: Final = 2
"""1 was a plain export, without labels of its own and with all sound in its events."""
SUFFIX: Final = ".jsonl"
KEEP, CUT = "keep", "cut"
AUDIO: Final = (KEEP, CUT)

_SOUNDS: Final = {"user": "user_sound", "assistant": "assistant_sound"}
"""The label that tells of a side's sound."""
_PIECE: Final = 1 << 18


class Pinned(NamedTuple):
    """A cassette before it is written."""

    session: Session
    events: list[Event]
    """Whole, with their sound."""
    files: dict[str, bytes]
    """By name; the cassette itself comes last."""
    notes: tuple[str, ...]

    @property
    def history(self) -> int:
        """Items that stand for what was before."""
        return int(self.session.labels["history"])


def pin(
    session: Session,
    source: Callable[[bool], Iterable[Event]],
    analysis: Analysis,
    *,
    name: str,
    turns: Turns | None = None,
    audio: str = KEEP,
    secrets: tuple[str, ...] = (),
) -> Pinned:
    """The cassette of a session. `source(audio)` gives its events; `secrets` are keys by letter.

    Raises `UsageError`.
    """
    excerpt = choose(source, analysis, turns)
    events = list(trimmed(excerpt.events, cut=audio == CUT))
    span = "all" if turns is None else str(turns)
    labels = {
        "cassette": str(VERSION),
        "pinned_from": session.id,
        "turns": span,
        "history": str(excerpt.history),
        "audio": _audio(events, audio),
    }
    made = _anonymous(session, labels, f"{session.id} {span}")
    made, events = sealed(made, events, secrets)
    files, told = _files(name, made, events, secrets)
    return Pinned(replace(made, labels={**made.labels, **told}), events, files, excerpt.notes)


def _audio(events: list[Event], asked: str) -> str:
    if any(event.audio for event in events):
        return "kept"
    return "cut" if asked == CUT else "none"


def _anonymous(session: Session, labels: dict[str, str], seed: str) -> Session:
    """The session without what tells of machines, hosts and people."""
    digest = hashlib.sha256(seed.encode()).digest()
    return Session(
        id=new_session_id(session.wall_ns, digest[:10]),
        wall_ns=session.wall_ns,
        mono_ns=0,
        vantage="imported",
        model=session.model,
        capture=session.capture,
        versions=session.versions,
        labels=labels,
    )


def sealed(
    session: Session, events: Iterable[Event], secrets: tuple[str, ...] = ()
) -> tuple[Session, list[Event]]:
    """The same without secrets, in case there were any left."""
    asked = Asked(name="", wall_ns=0, new_id=str, secrets=secrets)
    found: list[Event] = []
    clean = session
    for item in read_ours(lambda: jsonl.lines(session, events), asked):
        if isinstance(item, Session):
            clean = item
        elif isinstance(item, Event):
            found.append(item)
    return clean, found


def _files(
    name: str, session: Session, events: list[Event], secrets: tuple[str, ...]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files, and the labels that tell of them. Raises `UsageError`."""
    splitter = Splitter()
    lean = [splitter.split(event) for event in events]
    files, told = {}, {}
    for side, sidecar in splitter.sidecars().items():
        file = f"{name}.{side}.flac"
        files[file] = sidecar.data
        told[_SOUNDS[side]] = f"{file} {sidecar.told}"
    whole = replace(session, labels={**session.labels, **told})
    if sealed(whole, lean, secrets) != (whole, lean):
        raise UsageError("what would be written still holds what looks like a secret: not written")
    files[f"{name}{SUFFIX}"] = b"".join(jsonl.lines(whole, lean))
    return files, told


def write(sessions: Iterable[Pinned]) -> dict[str, bytes]:
    """The files of several sessions that are one cassette; each was pinned under its own name."""
    pinned = list(sessions)
    files: dict[str, bytes] = {}
    for each in pinned:
        files |= {name: data for name, data in each.files.items() if not name.endswith(SUFFIX)}
    name = next(name for name in pinned[0].files if name.endswith(SUFFIX))
    bodies = [each.files[next(n for n in each.files if n.endswith(SUFFIX))] for each in pinned]
    return files | {name: b"".join(bodies)}


# ---- reading


def read(path: Path) -> Iterator[Session | Event]:
    """The sessions of a cassette or an export, gzipped or not, each followed by its events.

    Raises `UsageError`.
    """
    asked = Asked(name="", wall_ns=0, new_id=str)
    joiner: Joiner | None = None
    try:
        for item in read_ours(lambda: _pieces(path), asked):
            if isinstance(item, Session):
                session = replace(item, labels=_upgraded(item))
                joiner = Joiner(path.parent, _sounds(session.labels))
                yield session
            elif isinstance(item, Event):
                yield item if joiner is None else joiner.joined(item)
    except UsageError as error:
        told = str(error)
        raise UsageError(told if told.startswith(str(path)) else f"{path}: {told}") from None


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}") from None


def _sounds(labels: Mapping[str, str]) -> dict[str, str]:
    return {side: labels[label] for side, label in _SOUNDS.items() if label in labels}


def _upgraded(session: Session) -> dict[str, str]:
    """The labels as this version writes them. Raises `UsageError` for a newer one."""
    labels = dict(session.labels)
    written = labels.get("cassette", "1")
    version = int(written) if written.isascii() and written.isdigit() and len(written) < 6 else 0
    if version > VERSION:
        raise UsageError(
            f"this cassette is of version {version}, from a newer realtime-recorder; this one "
            f"reads up to version {VERSION}: update it, or pin the session again with this one"
        )
    if version < 1:
        raise UsageError(f"{written!r} is no version of a cassette")
    for step in range(version, VERSION):
        labels = _UPGRADES[step](labels, session)
    if not re.fullmatch(r"[0-9]{1,6}", labels.get("history", "")):
        raise UsageError(f"history is {labels.get('history')!r}, not a number of items")
    return labels


def _from_export(labels: dict[str, str], session: Session) -> dict[str, str]:
    """1 to 2: an export is the whole session, with its sound in the events."""
    audio = "kept" if session.capture == "full" else "none"
    whole = {"pinned_from": session.id, "turns": "all", "history": "0", "audio": audio}
    return {**labels, **whole, "cassette": "2"}


_UPGRADES: Final[dict[int, Callable[[dict[str, str], Session], dict[str, str]]]] = {1: _from_export}
"""By the version that it brings on by one."""
