"""The list of sessions as JSON: a page of it, and what can be searched for.

    listed(shelf, now_ns, Asked(query="tag:slow", sort="-turns"))

A page never fails over its query: what the parser says stands in `error`, with the place in the
query that it is about, so that the search box can show it where it was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from recorder.errors import UsageError
from recorder.projections.metrics import METRICS, QUALITIES
from recorder.selecting import (
    LIVE,
    MEASURES,
    RULES,
    STATUSES,
    TERMS,
    Among,
    Need,
    Selection,
    guide,
)
from recorder.sql.pages import SORTS, page_of
from recorder.sql.schema import sessions
from recorder.sql.view_tables import labels

from .asking import json_answer
from .reports import calls_at
from .shelf import chosen, told_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorder.sql.pages import Page
    from recorder.sql.views import Views
    from recorder.transport.http import Response

    from .asking import Ask
    from .reports import Point
    from .shelf import Shelf

PAGE: Final = 100
"""Sessions a page, where nobody says how many."""

MOST: Final = 500
"""Sessions a page at most."""

KNOWN: Final = 200
"""Labels of each kind that are proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the list."""

    query: str = ""
    sort: str = "-time"
    offset: int = 0
    limit: int = PAGE
    whole: bool = True
    """Whether the query is all there is; else it is still being typed."""
    point: Point | None = None
    """The point of a report: only the calls that it was made of."""


def asked(given: Mapping[str, str]) -> Asked:
    """What the parameters of an address ask for. Raises `UsageError`."""
    from .reports import point_of

    sort = given.get("sort") or "-time"
    if sort.removeprefix("-") not in SORTS:
        raise UsageError(f"sort={sort!r}: a list is put in order by one of {', '.join(SORTS)}")
    return Asked(
        query=given.get("q", ""),
        sort=sort,
        offset=_count(given, "offset", 0, 10**9),
        limit=_count(given, "limit", PAGE, MOST),
        whole=given.get("typing") != "1",
        point=point_of(given),
    )


def _count(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    word = given.get(name)
    if not word:
        return default
    if not (word.isascii() and word.isdigit() and len(word) < 12) or int(word) > most:
        raise UsageError(f"{name}={word!r}: expected a whole number up to {most}")
    return int(word)


def listed(shelf: Shelf, now_ns: int, want: Asked) -> dict[str, Any]:
    """One page of the list, ready for JSON."""
    with shelf.opened(now_ns) as views:
        try:
            selection = chosen(views, want.query, whole=want.whole)
        except UsageError as error:
            return _answer(shelf, want) | {"error": told_of(error, want.query)}
        if want.point is not None and shelf.unread:
            return _answer(shelf, want)
        if want.point is not None:
            ids = calls_at(views, selection, want.point)
            selection = Selection((*selection.needs, Need((Among(ids),))))
        page = page_of(views, selection, want.sort, want.offset, want.limit)
        there = views.count()
    rows = [_row(row, page) for row in page.rows]
    return _answer(shelf, want) | {"there": there, "total": page.total, "sessions": rows}


def _answer(shelf: Shelf, want: Asked) -> dict[str, Any]:
    return {
        "query": want.query,
        "sort": want.sort,
        "offset": want.offset,
        "limit": want.limit,
        "unread": shelf.unread,
        "error": None,
        "there": 0,
        "total": 0,
        "sessions": [],
    }


def _row(row: Any, page: Page) -> dict[str, Any]:
    """The members of `recorder ls --json`, and what only a list on a screen needs."""
    entry, outline = row.entry, row.outline
    last_seq, at_ns = page.now.get(row.id, (outline.last_seq, outline.duration_ns))
    return {
        "id": row.id,
        "opened_ns": row.wall_ns,
        "status": row.status,
        "kind": entry.kind,
        "vantage": entry.vantage,
        "capture": entry.capture,
        "call": row.call,
        "model": row.model,
        "model_asked": entry.model,
        "tags": row.tags,
        "duration_ns": at_ns if row.status == LIVE else outline.duration_ns,
        "last_seq": last_seq,
        "turns": outline.turns,
        "errors": outline.errors,
        "findings": row.findings,
        "lost": outline.lost,
        "trouble": outline.trouble,
        "found": [each._asdict() for each in page.found.get(row.id, ())],
    }


# ---- the language of the search box


_SENTENCES: Final = re.compile(r"[^.]+\.(?=\s|$)")


def language(shelf: Shelf, now_ns: int) -> dict[str, Any]:
    """All that the search box can propose: terms, figures, and the labels that there are."""
    with shelf.opened(now_ns) as views:
        known = {kind: _labels(views, kind) for kind in ("tag", "model", "call", "error")}
    return {
        "rules": " ".join(each for each in _SENTENCES.findall(RULES) if "shell" not in each),
        "guide": [line._asdict() for line in guide()],
        "terms": [
            {"name": term.name, "metavar": term.metavar, "example": term.example,
             "help": term.help} for term in TERMS.values()
        ],
        "figures": [
            *({"name": each.name, "unit": each.unit, "help": each.help}
              for each in MEASURES.values()),
            *({"name": name, "unit": "length", "help": help}
              for name, help in (METRICS | QUALITIES).items()),
        ],
        "values": {**known, "status": list(STATUSES),
                   "since": ["1h", "24h", "7d", "30d", "today", "yesterday"],
                   "until": ["1h", "24h", "7d", "today", "yesterday"]},
        "sorts": list(SORTS),
    }  # fmt: skip


def _labels(views: Views, kind: str) -> list[str]:
    """The most frequent labels of this kind."""
    count = sa.func.count()
    query = (
        sa.select(labels.c.label, count)
        .join(sessions, sessions.c.number == labels.c.number)
        .where(labels.c.kind == kind)
        .group_by(labels.c.label)
        .order_by(count.desc(), labels.c.label)
        .limit(KNOWN)
    )
    return [str(row[0]) for row in views.ask(query)]


# ---- handlers


async def sessions_page(ask: Ask) -> Response:
    """A page of the list."""
    return json_answer(await ask.work(listed, ask.desk.shelf, ask.desk.now_ns(), asked(ask.given)))


async def search_language(ask: Ask) -> Response:
    """What the search box can propose."""
    return json_answer(await ask.work(language, ask.desk.shelf, ask.desk.now_ns()))
