"""The table of routes: every address that this server answers, and by whom.

To add one: a handler, and a row here. `/api` is written from this table.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from . import (
    calls,
    changing,
    hearing,
    listing,
    pages,
    reports,
    side_by_side,
    statics,
    watching,
)
from .asking import Route

if TYPE_CHECKING:
    from recorder.transport.http import Response

    from .asking import Ask

SESSION: Final = "/api/v1/sessions/{id}"


async def about(_ask: Ask) -> Response:
    """The page that lists the API."""
    return pages.told("The HTTP API", pages.api(ROUTES))


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/", pages.page("sessions.html"), "The list of sessions."),
    Route("GET", "/reports", pages.page("reports.html"), "Reports with charts."),
    Route("GET", "/compare", pages.page("compare.html"), "Two sessions side by side."),
    Route("GET", "/api/v1/sessions", listing.sessions_page, "A page of the list of sessions.",
          {"q": "A selection; none is all.", "sort": "A column; a minus before it turns it around.",
           "offset": "Sessions to leave out.", "limit": "Sessions at most.",
           "typing": "1: the query is not finished; no id of a server is looked for.",
           "metric": "Only the calls of a point of a report: with a turn that has this metric,",
           "ge": "of so many milliseconds or more,", "lt": "and of less;",
           "by": "of the group by this,", "is": "with this label;",
           "per": "begun in a span of time (quarter, hour, day, week),", "at": "of this label."}),
    Route("GET", "/api/v1/language", listing.search_language,
          "What a selection can be made of: terms, figures, and the labels that there are."),
    Route("GET", "/api/v1/report", reports.report_page,
          "The figures of `recorder report --json`, and what can be drawn of one of them.",
          {"q": "A selection.", "by": "What to group by.", "metric": "Metrics, with commas.",
           "chart": "The metric that is drawn.", "per": "Over time by this much.",
           "vs": "What to compare with: `previous`, or another selection.",
           "fail-if": "Gates as of `recorder report --fail-if`, with semicolons between them.",
           "min-n": "Fewer measured turns than this cannot break a gate; else 30."}),
    Route("GET", "/api/v1/compare", side_by_side.comparison_page,
          "What differs between two sessions, and both on one axis.",
          {"a": "A session.", "b": "Another."}),
    Route("GET", "/session/{id}", pages.session, "The page of a session."),
    Route("GET", "/api", about, "This list."),
    Route("GET", "/favicon.ico", statics.icon, "The sign of the pages."),
    Route("GET", "/static/{name}", statics.static, "A script or a style of the pages."),
    Route("GET", SESSION, calls.about,
          "What a session was: its facts, turns with latencies, speech, responses, tool calls, "
          "playback, transcript and findings, as [name, value]; and where everything else lies: "
          "how many events, at which times every so many of them, which outlines of the sound.",
          {"seq": "Only if there are more events than this; else 204."}),
    Route("GET", SESSION + "/growth", watching.growth,
          "What is another in a session that is being recorded than after an event: by name the "
          "rows that changed, the tail of the outlines, the events and states that came; 204 where "
          "nothing is, and {\"again\": true} where it is not followed: load its facts again.",
          {"after": "The number of the last event that is known."}),
    Route("GET", SESSION + "/now", calls.now,
          "What is so at this moment: its status, whether it is live, its tags."),
    Route("GET", SESSION + "/peaks/{level}/{tile}", calls.peaks,
          "A tile of the outlines of the sound: by channel the lowest and highest of every so "
          "many samples, base64 of int8."),
    Route("GET", SESSION + "/events/{tile}", calls.events,
          "A tile of the log: columns of its events; audio as its length."),
    Route("GET", SESSION + "/messages/{tile}", calls.messages,
          "The messages of a tile of the log without their audio, each different one once."),
    Route("GET", SESSION + "/states/{tile}", calls.states,
          "The states after the events of a tile; the first whole, the others as what changed."),
    Route("GET", SESSION + "/sound.wav", hearing.sound,
          "What was heard: user left, assistant right, 16 bits, by ranges of bytes.",
          {"until": "The number of the last event that it is made of; else all that are there."}),
    Route("GET", SESSION + "/live", watching.live,
          "Server-sent events while the session grows: `grown` with the number and time of the "
          "last event, `over` when it ended, `removed` when it is gone.",
          {"after": "The number of the last event that is known; else `Last-Event-ID` says it."}),
    Route("POST", SESSION + "/notes", changing.note,
          "Write a note to a moment of a session that is over.",
          {"text": "The note.", "at_ns": "The moment; else the end."}),
    Route("POST", SESSION + "/tags", changing.tag,
          "Tag a session that is over, or take tags off.",
          {"add": "Tags to give it.", "remove": "Tags to take off."}),
)  # fmt: skip


class Found(NamedTuple):
    """The row for a path, and what stood in the path."""

    route: Route
    place: dict[str, str]


@cache
def _patterns() -> list[tuple[re.Pattern[str], Route]]:
    return [(_compiled(route.pattern), route) for route in ROUTES]


def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", pattern)
    literal = [re.escape(piece) for piece in pieces[::2]]
    named = [f"(?P<{name}>[^/]+)" for name in pieces[1::2]]
    text = literal[0] + "".join(a + b for a, b in zip(named, literal[1:], strict=True))
    return re.compile(text)


def found(method: str, path: str) -> Found | list[str]:
    """The row for this request; else the methods that the path has, which may be none."""
    asked = "GET" if method == "HEAD" else method
    others = []
    for pattern, route in _patterns():
        if match := pattern.fullmatch(path):
            if route.method == asked:
                place = {name: unquote(value) for name, value in match.groupdict().items()}
                return Found(route, place)
            others.append(route.method)
    return others
