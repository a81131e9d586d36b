"""The file, piece by piece: the page's own text, and the blocks of data in it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import orjson

from ..projections.metrics import METRICS, PARTS, QUALITIES
from . import facts, log, sound, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facts import Call

SOUNDS: Final = sound.FORMS
"""What the sound can be in: `flac`, `wav`, `opus`, `none`."""

MODULES: Final = (
    "base", "data", "view", "sound", "links", "lanes", "timeline", "transcript", "turns",
    "events", "state", "findings", "keys", "main",
)  # fmt: skip
"""The scripts, each after those that it imports."""

_IMPORT = re.compile(r'^import (\{[^;]*\}) from "\./([a-z]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:const|let|function\*?|class) (\w+))", re.MULTILINE)
_DAMAGED: Final = """} catch (error) {
  document.getElementById("about").textContent =
    `This page is damaged and cannot be drawn (${error}). Export the session again.`;
}
"""
"""Ends the script: what stands in the page instead of a call whose data cannot be read."""
_DATA: Final = b"<!-- data -->"
"""Stands in `page.html` where the blocks of data go."""
_BLOCK = re.compile(
    rb'<script type="(?P<kind>application/json|text/plain)" id="(?P<name>[a-z]+-[0-9]+)">\n'
    rb"(?P<text>[^<]*)</script>\n"
)


def document(call: Call, audio: str | None = None) -> Iterator[bytes]:
    """The whole page; `audio` is one of `SOUNDS`, or None for what suits."""
    before, after = shell()
    yield before
    yield from _blocks(call, audio)
    yield after


def _blocks(call: Call, audio: str | None) -> Iterator[bytes]:
    form = "none" if call.sharing is not None else audio or "flac"
    with sound.recorded(call, form) as heard:
        yield from _json("call-0", facts.told(call, heard))
        if heard is not None:
            for number, level in enumerate(heard.levels):
                yield from _json(f"peaks-{number}", [level])
        for number, lines in enumerate(log.blocks(call)):
            yield from _json(f"events-{number}", [lines.columns])
            yield from _json(f"messages-{number}", lines.messages)
        for number, rows in enumerate(states.blocks(call)):
            yield from _json(f"states-{number}", rows)
        if heard is not None:
            for number, piece in enumerate(heard.pieces()):
                yield b'<script type="text/plain" id="sound-%d">\n' % number
                yield base64.b64encode(piece) + b"\n</script>\n"


def _json(name: str, values: list[object]) -> Iterator[bytes]:
    """A block of data: a value a line."""
    yield b'<script type="application/json" id="%s">\n[' % name.encode()
    for number, value in enumerate(values):
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        yield (b",\n" if number else b"\n") + _harmless(text)
    yield b"\n]</script>\n"


def _harmless(text: bytes) -> bytes:
    """JSON in which no markup can begin, and no line end that scripts would see."""
    for mark, escape in ((b"<", b"\\u003c"), (b"\xe2\x80\xa8", b"\\u2028"),
                         (b"\xe2\x80\xa9", b"\\u2029")):  # fmt: skip
        text = text.replace(mark, escape)
    return text


def blocks(page: bytes) -> Iterator[tuple[str, bytes]]:
    """The blocks of data of a page by their names; last, under no name, what is none."""
    rest, begin = [], 0
    for found in _BLOCK.finditer(page):
        rest.append(page[begin : found.start()])
        begin = found.end()
        yield found["name"].decode(), found["text"]
    yield "", b"".join([*rest, page[begin:]])


# ---- what is the same for every session


@cache
def shell() -> tuple[bytes, bytes]:
    """The page before its data, and after them."""
    style, script = _file("page.css"), _script()
    words = orjson.dumps({"metrics": METRICS | QUALITIES, "parts": PARTS}).decode()
    text = _file("page.html")
    filled = {
        "POLICY": _policy(style, script),
        "STYLE": style,
        "SCRIPT": script,
        "WORDS": _harmless(words.encode()).decode(),
    }
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value)
    before, _, after = text.encode().partition(_DATA + b"\n")
    return before, after


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _script() -> str:
    """The modules as one script: each a function whose exports the later ones take."""
    return f'\n"use strict";\ntry {{\n{"".join(map(_module, MODULES))}{_DAMAGED}'


def _module(name: str) -> str:
    text = _file(f"{name}.js")
    names = ", ".join(found[2] for found in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(r"const \1 = from_\2;", text))
    return f"const from_{name} = (() => {{\n{body}return {{ {names} }};\n}})();\n"


def _policy(style: str, script: str) -> str:
    """Nothing but what stands in the page: its script and its style by their sums."""
    return (
        f"default-src 'none'; script-src {_sum(script)}; style-src {_sum(style)}; "
        "media-src blob:; img-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _sum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
