"""What one fold of a session gives to the read models: outline, labels, turns, words.

Only the session's own events have a say in it: neither the time nor other sessions.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recorder.errors import SessionNotFound, StoreUnavailable
from recorder.selecting.conditions import folded
from recorder.selecting.searching import searchable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recorder.events import Event, Session
    from recorder.projections import Analysis
    from recorder.projections.model import Line, Summary
    from recorder.store import EventStore

SOURCES: Final = (
    "audio", "dialects", "projections", "reporting/configuration.py", "selecting/conditions.py",
    "selecting/searching.py", "events.py", "wire.py", "sql/outlines.py", "sql/turn_table.py",
    "sql/view_tables.py", "sql/text_index.py",
)  # fmt: skip
"""The code that has a say in what is made here; a test holds this to what is really imported."""

LABEL_LENGTH: Final = 200
"""Characters of a label that are kept: some providers write a whole message into an error code."""

OPEN, CLOSED, REFUSED = "open", "closed", "refused"
"""Outcomes: no close was recorded; one was; the upgrade was refused or never came about."""


class Outline(NamedTuple):
    """What one session amounts to, as far as it does not depend on the time."""

    number: int
    last_seq: int
    outcome: str
    duration_ns: int | None
    """None where the session has no times."""
    model: str
    """As the server stated it; empty where it did not."""
    tags: tuple[str, ...]
    turns: int | None
    """None where the session could not be analysed."""
    errors: int
    findings: int | None
    lost: int
    """Events that passed and were not recorded."""
    trouble: str = ""
    """Why the session could not be analysed. Such an outline is never stored."""


class Made(NamedTuple):
    """Everything that one fold of a session gives to the read models."""

    outline: Outline
    turns: list[dict[str, Any]]
    """Rows of `turn_table`."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """(kind, label), folded: what the globs of a selection are held against."""
    text: str = ""
    """The transcript, searchable."""


@cache
def version() -> str:
    """A digest of the code that has a say in what is made here.

    So what was kept is never taken for what today's code would say of a session, and nobody has
    to remember to raise a number. The price: a new release builds the read models anew.
    """
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    found = [root / name for name in SOURCES]
    files = [file for place in found for file in (sorted(place.rglob("*.py")) or [place])]
    try:
        for file in files:
            digest.update(b"%s\0%s\0" % (file.name.encode(), file.read_bytes()))
    except OSError:  # installed without its sources
        return metadata.version("realtime-recorder")
    return digest.hexdigest()[:16]


def made_of(store: EventStore, session_id: str, number: int, last_seq: int) -> Made:
    """Fold the session up to this event. Raises `SessionNotFound`, `StoreUnavailable`.

    One session that is damaged, or that our own code cannot cope with, must not hide the
    others: its outline then says what the trouble is, and as much else as can be told.
    """

    # Imported here, because numpy comes with it: most look-ups need no folding at all.
    from recorder.projections import analyse, fold
    from recorder.projections.summary import SummaryProjection

    from . import turn_table

    def events(audio: bool) -> Iterator[Event]:
        return store.read(session_id, until=last_seq, audio=audio)

    session = store.session(session_id)
    blank = Outline(number, last_seq, OPEN, 0, "", (), None, 0, None, 0)
    try:
        analysis = analyse(events)
        return _analysed(session, analysis, blank, turn_table.rows(number, analysis))
    except (SessionNotFound, StoreUnavailable):
        raise
    except Exception as error:
        blank = blank._replace(trouble=f"{type(error).__name__}: {error}")
    try:
        summary = fold(SummaryProjection(), events(False))
        outline = _summed_up(session, summary, blank)
        return Made(outline, [], labels=_labels(session, summary, ()))
    except (SessionNotFound, StoreUnavailable):
        raise
    except Exception:
        return Made(blank, [], labels=_folded({"model": [session.model], "call": [session.call]}))


def _analysed(
    session: Session, analysis: Analysis, blank: Outline, turns: list[dict[str, Any]]
) -> Made:
    outline = _summed_up(session, analysis.summary, blank)._replace(
        turns=len(analysis.turns), findings=len(analysis.findings)
    )
    failed = [response.error for response in analysis.conversation.responses]
    return Made(
        outline,
        turns,
        _labels(session, analysis.summary, failed),
        searchable(_words(analysis.transcript.lines)),
    )


def _summed_up(session: Session, summary: Summary, blank: Outline) -> Outline:
    return blank._replace(
        outcome=outcome(session, summary),
        duration_ns=summary.duration_ns if summary.timed else None,
        model=_storable(summary.model),
        tags=summary.tags,
        errors=len(summary.errors),
        lost=sum(gap.count for gap in summary.gaps),
    )


def _labels(
    session: Session, summary: Summary, failed: Iterable[str]
) -> frozenset[tuple[str, str]]:
    """An error is any that was said on the wire, of a response, the handshake or the close."""
    errors = [word for error in summary.errors for word in (error.code, error.type)]
    errors += failed
    if shake := summary.handshake:
        errors += [shake.error, str(shake.status or "") if shake.status != 101 else ""]
    if summary.closed:
        errors.append(summary.closed.error)
    models = [session.model, summary.model]
    return _folded({"model": models, "call": [session.call], "tag": summary.tags, "error": errors})


def _folded(found: Mapping[str, Iterable[str]]) -> frozenset[tuple[str, str]]:
    pairs = ((kind, folded(_storable(word))) for kind, words in found.items() for word in words)
    return frozenset((kind, label[:LABEL_LENGTH]) for kind, label in pairs if label)


def _words(lines: Iterable[Line]) -> Iterator[str]:
    """What a transcript shows of each line, and what it would show with more room."""
    for line in lines:
        yield line.text
        if line.detail and line.detail.get("output"):
            yield str(line.detail["output"])


def outcome(session: Session, summary: Summary) -> str:
    """What became of the session as far as its events tell."""
    shake, passed = summary.handshake, summary.by_origin
    upgraded = shake.status == 101 if shake else bool(passed.get("server") or passed.get("client"))
    if session.kind == "websocket" and not upgraded and (shake or summary.closed):
        return REFUSED
    return CLOSED if summary.closed else OPEN


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and no database a lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
