"""The HTML of the pages: shells without data; their scripts ask the API for the rest."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Final

from recorder.transport.http import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .asking import Ask, Handler, Route

_KIND: Final = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache"))


def html(text: str, status: int = 200) -> Response:
    """A page."""
    return Response(status, _KIND, text.encode())


def page(name: str) -> Handler:
    """The handler of a page that stands in `static/`."""

    async def answer(_ask: Ask) -> Response:
        return html(_own(name))

    return answer


@cache
def _own(name: str) -> str:
    return (resources.files(__package__) / "static" / name).read_text("utf-8")


# ---- the page of a session: that of the exported file, with its data outside

_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="[^"]*">\n?')
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_BLOCK = re.compile(r"<script\b[^>]*>.*?</script>\n?", re.DOTALL)
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
_HEADER: Final = "<header>"
_LINKS: Final = (
    '<link rel="stylesheet" href="/static/page.css">\n'
    '<link rel="stylesheet" href="/static/session.css">\n'
    '<script type="module" src="/static/session.js"></script>'
)
_ABOVE: Final = (
    '<nav id="views" aria-label="Views"><a href="/">Sessions</a><a href="/reports">Reports</a>'
    '<a id="compare" href="/compare">Compare</a></nav>\n'
    '<p id="live" role="status" aria-live="polite" hidden></p>\n'
)


@cache
def session_shell() -> str:
    """The shell of the exported page without what stands inside a file."""
    text = resources.files("recorder.page").joinpath("page.html").read_text("utf-8")
    text = _BLOCK.sub("", _POLICY.sub("", text)).replace("<!-- data -->\n", "")
    text = _TITLE.sub("<title>Session · recorder</title>", _STYLE.sub(lambda _: _LINKS, text))
    return text.replace(_HEADER, _ABOVE + _HEADER, 1)


async def session(ask: Ask) -> Response:
    """The page of a session; other ways to name it lead to its id."""
    name = ask.place["id"]
    found = await ask.work(ask.desk.session, name)
    if found.id != name:
        return Response(303, (("Location", f"/session/{found.id}"),))
    return html(session_shell())


# ---- what the API is

_SHELL: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · recorder</title>
<link rel="stylesheet" href="/static/views.css">
</head>
<body>
<header>
<h1>{title}</h1>
<nav aria-label="Views"><a href="/">Sessions</a><a href="/reports">Reports</a></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""

_RULES: Final = (
    "Answers are JSON (sound is WAV, events in the making a stream). Show the token of the link "
    "as <code>Authorization: Bearer TOKEN</code>. Times that end in <code>_ns</code> are "
    "nanoseconds since the session was opened, <code>opened_ns</code> since 1970. What is wrong is "
    'said as <code>{"error": {"message": …}}</code>: 400 what was asked, 401 no token, 403 a '
    "foreign page, 404 no such session, 503 the database. Members may be added; a change that "
    "breaks a caller makes it <code>/api/v2</code>."
)


def told(title: str, body: str, status: int = 200) -> Response:
    """A short page; `body` is markup of ours."""
    return html(_SHELL.format(title=escape(title), body=body), status)


def api(routes: Iterable[Route]) -> str:
    """The table of routes as markup."""
    rows = []
    for route in routes:
        if not route.pattern.startswith("/api/"):
            continue
        named = "".join(
            f"<br><code>{escape(name)}</code> {escape(help)}" for name, help in route.given.items()
        )
        rows.append(
            f"<tr><td>{route.method}</td><td><code>{escape(route.pattern)}</code></td>"
            f"<td>{escape(route.help)}{named}</td></tr>\n"
        )
    head = "<tr><th>Method</th><th>Address</th><th>What it answers</th></tr>"
    table = f"<table><thead>{head}</thead>\n<tbody>\n{''.join(rows)}</tbody></table>"
    return (
        f'<p class="lead">{_RULES}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Addresses">{table}</div>'
    )
