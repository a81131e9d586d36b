"""What the read models keep of one session: its outline, and the ids that stand in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from recorder.errors import SessionNotFound, StoreUnavailable
from recorder.events import Origin
from recorder.wire import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.events import Event, Session
    from recorder.projections import Analysis
    from recorder.projections.model import Summary
    from recorder.store import EventStore

VERSION: Final = "1"
"""Of the outlines: raised when they, or what they are folded with, mean something else."""

OPEN, CLOSED, REFUSED = "open", "closed", "refused"
"""Outcomes: no close was recorded; one was; the upgrade was refused or never came about."""


class Outline(NamedTuple):
    """What one session amounts to, as far as it does not depend on the time."""

    number: int
    last_seq: int
    outcome: str
    duration_ns: int
    model: str
    """As the server stated it; empty where it did not."""
    tags: tuple[str, ...]
    turns: int | None
    """None where the session could not be analysed."""
    errors: int
    findings: int | None
    lost: int
    """Events that passed and were not recorded."""
    summary: str
    """JSON; empty where it was not asked for."""
    trouble: str = ""
    """Why the session could not be analysed. Such an outline is never stored."""


_ID = re.compile(rb'"(?:id|[a-z_]*_id)"\s*:\s*"([^"\\\x00-\x1f]{4,128})"')
_REQUEST_ID = re.compile(r"(?i)(^|-)(request|correlation|trace|ray)(-?id)?$")


def ids_in(event: Event) -> Iterator[str]:
    """Every id that the message carries, whoever chose it.

    In the JSON text of a message a key stands between plain quotation marks; inside a string
    they are escaped, so what somebody said is never taken for an id.
    """
    if event.type == "recorder.handshake":
        yield from _request_ids(event)
        return
    if event.origin == Origin.RECORDER or b'id"' not in event.head:
        return
    for found in _ID.finditer(event.head):
        yield found.group(1).decode("utf-8", "replace")


def _request_ids(event: Event) -> Iterator[str]:
    headers = parse(event).get("headers")
    for pair in headers if isinstance(headers, list) else ():
        match pair:
            case [str(name), str(value)] if _REQUEST_ID.search(name) and 4 <= len(value) <= 128:
                yield value


def outline_of(store: EventStore, session_id: str, number: int, last_seq: int) -> Outline:
    """Fold the session up to this event. Raises `SessionNotFound`, `StoreUnavailable`.

    One session that is damaged, or that our own code cannot cope with, must not hide the
    others: its outline then says what the trouble is, and as much else as can be told.
    """

    # Imported here, because numpy comes with it: most look-ups need no folding at all.
    from recorder.projections import analyse, fold
    from recorder.projections.summary import SummaryProjection

    def events(audio: bool) -> Iterator[Event]:
        return store.read(session_id, until=last_seq, audio=audio)

    session = store.session(session_id)
    blank = Outline(number, last_seq, OPEN, 0, "", (), None, 0, None, 0, "")
    try:
        return _analysed(session, analyse(events), blank)
    except (SessionNotFound, StoreUnavailable):
        raise
    except Exception as error:
        blank = blank._replace(trouble=f"{type(error).__name__}: {error}")
    try:
        return _summed_up(session, fold(SummaryProjection(), events(False)), blank)
    except (SessionNotFound, StoreUnavailable):
        raise
    except Exception:
        return blank


def _analysed(session: Session, analysis: Analysis, blank: Outline) -> Outline:
    told = {"summary": analysis.summary, "findings": analysis.findings}
    return _summed_up(session, analysis.summary, blank)._replace(
        turns=len(analysis.turns),
        findings=len(analysis.findings),
        summary=orjson.dumps(told).decode(),
    )


def _summed_up(session: Session, summary: Summary, blank: Outline) -> Outline:
    return blank._replace(
        outcome=outcome(session, summary),
        duration_ns=summary.duration_ns,
        model=_storable(summary.model),
        tags=summary.tags,
        errors=len(summary.errors),
        lost=sum(gap.count for gap in summary.gaps),
    )


def outcome(session: Session, summary: Summary) -> str:
    """What became of the session as far as its events tell."""
    shake, passed = summary.handshake, summary.by_origin
    upgraded = shake.status == 101 if shake else bool(passed.get("server") or passed.get("client"))
    if session.kind == "websocket" and not upgraded and (shake or summary.closed):
        return REFUSED
    return CLOSED if summary.closed else OPEN


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL in text."""
    return text.replace("\x00", "\ufffd")
