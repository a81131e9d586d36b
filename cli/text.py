"""Words for people: hostile text made harmless, and lengths, sizes and times in few characters.

Law: whatever came from a session, a file or a server passes through `safe` before it reaches a
terminal. Only `--raw` does not.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, tzinfo
from typing import Any

import orjson

from recorder.selecting import local

NA = "\u2013"
"""Stands where there is no value. Never 0."""

_JOINERS = "\u200c\u200d"
"""Invisible, but words and emoji are spelt with them, and they move nothing."""


def _escaped(character: str) -> str:
    if character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else (
        f"\\U{code:08x}"
    )  # fmt: skip


def safe(text: str, *, lines: bool = False) -> str:
    """The text with everything that a terminal would obey made visible.

    Control characters, escape sequences, marks that reorder text, surrogates and unassigned
    code points become `\\x1b` and the like. With `lines`, line feeds stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c == "\n") else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """The text on one line: every run of white space becomes one space, then `safe`."""
    return safe(" ".join(text.split()))


def shortened(text: str, most: int) -> str:
    """At most so many characters, with an ellipsis where something is missing."""
    return text if len(text) <= most else text[: max(most - 1, 0)].rstrip() + "\u2026"


def quoted(text: str, most: int = 200) -> str:
    """Somebody's words, on one line, in quotation marks."""
    return f'"{shortened(one_line(text), most)}"'


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 turn`, `2 turns`, `1,200 events`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def length(ns: int | None) -> str:
    """How long something took: `340 ms`, `12.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if ns is None:
        return NA
    if abs(ns) < 999_500_000:
        return f"{ns / 1e6:.0f} ms"
    if abs(ns) < 59_950_000_000:
        return f"{ns / 1e9:.1f} s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def milliseconds(ns: int | None) -> str:
    """A latency: whole milliseconds, so that a column can be compared."""
    return NA if ns is None else f"{ns / 1e6:.0f}"


def position(ns: int | None) -> str:
    """A moment of a session, to the millisecond: `00:12.500`, with hours where there are any."""
    if ns is None:
        return NA
    seconds, millis = divmod(max(ns, 0) // 1_000_000, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{head}{minutes:02}:{seconds:02}.{millis:03}"


def size(count: float) -> str:
    """So many bytes: `812 B`, `3.4 kB`, `12.0 MB`."""
    if count < 1000:
        return f"{count:.0f} B"
    units = ["kB", "MB", "GB", "TB"]
    while count >= 999_950 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count / 1000:.1f} {units[0]}"


def when(wall_ns: int, now: datetime, zone: tzinfo | None = None) -> str:
    """When a session was, as short as can be without doubt."""
    time = local(wall_ns, zone)
    if time.date() == now.date():
        return f"{time:%H:%M:%S}"
    if time.year == now.year:
        return f"{time.day} {time:%b %H:%M}"
    return f"{time:%Y-%m-%d}"


def iso(wall_ns: int, zone: tzinfo | None = None) -> str:
    """When a session was, for machines and long lines."""
    return local(wall_ns, zone).isoformat(sep=" ", timespec="seconds")


_HIDDEN = re.compile("[\x7f-\x9f\u00ad\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def json_text(value: Any, *, indent: bool = False) -> str:
    """Compact JSON in which nothing is invisible: what a terminal would obey is escaped."""
    option = orjson.OPT_INDENT_2 if indent else 0
    text = orjson.dumps(value, option=option | orjson.OPT_NON_STR_KEYS).decode()
    return _HIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
