"""A transcript as text for people: words made harmless, plain lines, Markdown.

Law: no character of a session reaches the text that a terminal would obey or that Markdown
would take for more than words.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Connection, Line, Transcript


def clock(ns: int | None) -> str:
    """Time in the session: 01:02.345, with hours where there are any; a dash where it has none."""
    if ns is None:
        return "\u2013"
    seconds, millis = divmod(max(ns, 0) // 1_000_000, 1000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes:02d}"
    return f"{head}:{seconds:02d}.{millis:03d}"


_JOINERS: Final = "\u200c\u200d"  # invisible, but words and emoji are spelt with them


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    return " ".join(text.split())


def seconds(ns: int) -> str:
    """A length for people: `2.0 s`, `4 min 05 s`, `1 h 02 min`."""
    if ns < 59_950_000_000:
        return f"{ns / 1e9:.1f} s"
    minutes, rest = divmod(round(ns / 1e9), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def name_of(line: Line) -> str:
    """Who speaks, or what kind of line it is."""
    return line.speaker if line.kind in ("speech", "text") else line.kind


def unheard(line: Line) -> tuple[str, str] | None:
    """(what was heard, what was not) of a line whose playback was cut; None for all others."""
    if line.heard is None:
        return None
    text, heard = plain(line.text), plain(line.heard)
    rest = text[len(heard) :] if text.startswith(heard) else text
    return heard, rest.strip()


def words_of(line: Line) -> str:
    """What a reader is shown of the line, apart from its time and speaker."""
    if line.kind in ("tool", "error"):
        return " ".join(filter(None, (plain(line.text), _MARKS[line.kind], result_of(line))))
    if line.kind == "speech" and not line.text:
        return untranscribed(line)
    if parts := unheard(line):
        return f"{parts[0]} [cut here; not heard: {parts[1]}]".strip()
    return plain(line.text)


def untranscribed(line: Line) -> str:
    """Speech of which there are no words: its length."""
    if line.transcribed and line.speaker == "user":
        return "[nothing intelligible]"
    if line.speech_ns is None:
        return "[speech, not transcribed]"
    return f"[{line.speech_ns / 1e9:.1f} s of speech, not transcribed]"


_MARKS: Final = {"tool": "->", "error": ""}
_FOLLOWED: Final[dict[bool | None, str]] = {
    True: "(the session ended with it)",
    False: "(the session went on)",
}


def result_of(line: Line) -> str:
    """What became of a tool call, and how long it took; of an error, what followed it."""
    detail = line.detail or {}
    if line.kind == "error":
        return _FOLLOWED.get(detail.get("fatal"), "")
    if detail.get("error"):
        return f"error: {plain(str(detail['error']))}"
    took = detail.get("exec_ms")
    if detail.get("output") is None:
        return "no output" if took is None else "done"
    output = plain(str(detail["output"]))
    return output if took is None else f"{output} [{took:.0f} ms]"


def render_txt(transcript: Transcript) -> Iterator[str]:
    """Plain text: one line for each line, its time and speaker before it."""
    for line in transcript.lines:
        yield text_line(line) + "\n"


def text_line(line: Line) -> str:
    """The line as `render_txt` writes it, without its end."""
    apart = " (out of band)" if line.out_of_band else ""
    return f"{clock(line.start_ns)}  {name_of(line)}{apart}: {words_of(line)}"


# Markdown.

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#|~&!$@])|(?<=[a-zA-Z])(:)(?=//)|(?<=[wW])(\.)")
"""What could begin markup, HTML, an entity, a formula, a mention or a link made of bare text.
Nothing of ours stands at the beginning of a line, so lists and headings cannot begin."""


def markdown(text: str) -> str:
    """Text as Markdown that shows exactly this text."""
    return _SPECIAL.sub(lambda found: "\\" + found.group(), plain(text))


def code(text: str) -> str:
    """Text as a code span: fenced by more backticks than stand anywhere in it."""
    text = plain(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    edge = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def render_md(transcript: Transcript) -> Iterator[str]:
    """Markdown: a paragraph for each line; what was not heard is struck out."""
    yield "# Transcript\n\n"
    for connection in transcript.connections:
        yield f"- {_connection(connection)}\n"
    if transcript.connections:
        yield "\n"
    for line in transcript.lines:
        apart = " (out of band)" if line.out_of_band else ""
        yield f"**{_NAMES.get(name_of(line), name_of(line))}**{apart} "
        yield f"`{clock(line.start_ns)}` {_markdown_words(line)}\n\n"


_NAMES: Final = {
    name: name.capitalize()
    for name in ("user", "assistant", "system", "tool", "note", "error", "gap", "reconnect")
}


def _connection(connection: Connection) -> str:
    when = datetime.fromtimestamp(connection.wall_ns // 1_000_000_000, UTC)
    length = seconds(connection.end_ns - connection.start_ns)
    words = [code(connection.session), f"{when:%Y-%m-%d %H:%M:%S} UTC", length]
    words += [markdown(connection.model)] if connection.model else []
    return ", ".join(words)


def _markdown_words(line: Line) -> str:
    if line.kind == "tool":
        return f"{code(line.text)} \u2192 {code(result_of(line))}"
    if parts := unheard(line):
        heard, rest = map(markdown, parts)
        return f"{heard} ~~{rest}~~ *(not heard)*".strip() if rest else heard
    return markdown(words_of(line))
