"""Scripts and styles from the package, under one name each.

What stands in `recorder/ui/static` comes before what stands in `recorder/page`: so the pages here
have the modules of the page that is exported as a file, except those that must load what a file
has inside. Only names that are there are opened: no path is made of what was asked.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from recorder.transport.http import Response

from .asking import wrong

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from .asking import Ask

KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class File(NamedTuple):
    """One file as it is sent."""

    kind: str
    data: bytes
    tag: str


@cache
def places() -> dict[str, Traversable]:
    """Every file that is served, by its name."""
    found: dict[str, Traversable] = {}
    folders = (resources.files("recorder.page"), resources.files("recorder.ui") / "static")
    for folder in folders:
        for each in folder.iterdir():
            if "." in each.name and each.name[each.name.rindex(".") :] in KINDS:
                found[each.name] = each
    return found


@cache
def file(name: str) -> File:
    """A file by its name. Raises `KeyError`."""
    data = places()[name].read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    return File(KINDS[name[name.rindex(".") :]], data, tag)


async def icon(ask: Ask) -> Response:
    """The sign of the pages, where browsers look for it."""
    return _answer(ask, "icon.svg")


async def static(ask: Ask) -> Response:
    """A script or a style."""
    return _answer(ask, ask.place["name"])


def _answer(ask: Ask, name: str) -> Response:
    if name not in places():
        return wrong(404, "there is no such file")
    found = file(name)
    headers = (("ETag", found.tag), ("Cache-Control", "no-cache"))
    if ask.request.header("If-None-Match") == found.tag:
        return Response(304, headers)
    return Response(200, (("Content-Type", found.kind), *headers), found.data)
