"""Message bytes <-> (type, head, meta, audio): the only parsing on the recording path.

Laws:

1. Byte-exact: `join(split(message))` is `message`, for every input, valid or not.
2. Audio is cut out only where encoding it again gives the very characters that came: canonical
   base64, one string value, known carrier. Whatever else stays in the head as it is.
3. Nothing here can fail on what passed: no input raises in `split`.
4. `type` is a hint, taken from the top level. The last word on a message is its JSON.

`meta` is JSON with up to three members, in this order: `cuts`, `redacted`, `tombstone`. A cut
[offset, n] says: at this offset of the head stood the base64 text of the next n bytes of audio.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pybase64

from .errors import RecorderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .events import Event

TYPE_LIMIT = 120
"""Characters of a type that are kept; real ones stay under 60."""

# A member whose value needs no nesting, read once and never given back (atomic groups keep a
# hostile message linear).
_MEMBER = rb'(?>\s*"(?!%s")[^"\\]*+"\s*+:\s*+(?>"[^"\\]*+"|[-+.0-9A-Za-z]++)\s*+,)'


def _top_level_string(key: bytes) -> re.Pattern[bytes]:
    """Matches up to the opening quote of `key`'s string value, where only scalars precede it."""
    member = _MEMBER % key
    return re.compile(rb"\s*+\{" + member + rb'{0,12}+\s*+"' + key + rb'"\s*+:\s*+"')


_TYPE = _top_level_string(b"type")
_AUDIO = _top_level_string(b"audio")
_DELTA = _top_level_string(b"delta")
_NESTED_AUDIO = re.compile(rb'"audio"\s*+:\s*+"')

_TOP_LEVEL: dict[str, tuple[str, re.Pattern[bytes]]] = {
    "input_audio_buffer.append": ("audio", _AUDIO),
    "response.output_audio.delta": ("delta", _DELTA),
    "response.audio.delta": ("delta", _DELTA),
    # Translation and Live sessions (protocol.md 3.5) name theirs a little differently.
    "session.input_audio_buffer.append": ("audio", _AUDIO),
    "session.input_audio.append": ("audio", _AUDIO),
    "session.output_audio.delta": ("delta", _DELTA),
}
"""Messages that carry one piece of audio, at the top level under this key."""

_NESTED = frozenset(
    {
        "conversation.item.create",
        "conversation.item.created",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.retrieved",
        "response.create",
        "response.created",
        "response.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
    }
)
"""Messages that may carry audio inside items: every string under a key `audio`."""

AUDIO_CARRIERS = frozenset(_TOP_LEVEL) | _NESTED
"""Every type whose audio is cut out."""


class Split(NamedTuple):
    """A message in the form in which it is stored."""

    type: str
    head: bytes
    meta: str | None
    audio: bytes | None


class AudioGone(RecorderError):
    """The message cannot be given back whole: its audio was erased or never kept."""


def split(message: bytes) -> Split:
    """The message taken apart; `join` gives back exactly these bytes."""
    kind = find_type(message)
    carrier = _TOP_LEVEL.get(kind)
    if carrier is not None:
        key, pattern = carrier
        if found := pattern.match(message):
            return _cut_one(kind, message, found.end())
        return _cut_all(kind, message, (key,))
    if kind in _NESTED and _NESTED_AUDIO.search(message):
        return _cut_all(kind, message, None)
    return Split(kind, message, None, None)


def _cut_one(kind: str, message: bytes, start: int) -> Split:
    """The hot path: one string value that starts at `start`."""
    end = message.find(b'"', start)
    audio = _canonical(message[start:end]) if end >= 0 else None
    if audio is None:
        return Split(kind, message, None, None)
    head = message[:start] + message[end:]
    return Split(kind, head, f'{{"cuts":[[{start},{len(audio)}]]}}', audio)


def _cut_all(kind: str, message: bytes, path: tuple[str, ...] | None) -> Split:
    """Any number of string values: those at `path`, or every one under a key `audio`."""
    heads, pieces, cuts, begin, removed = [], [], [], 0, 0
    for where, start, end in string_spans(message):
        if where != path if path is not None else where[-1:] != ("audio",):
            continue
        audio = _canonical(message[start:end])
        if audio is None:
            continue
        heads.append(message[begin:start])
        pieces.append(audio)
        cuts.append([start - removed, len(audio)])
        begin, removed = end, removed + end - start
    if not cuts:
        return Split(kind, message, None, None)
    heads.append(message[begin:])
    meta = orjson.dumps({"cuts": cuts}).decode()
    return Split(kind, b"".join(heads), meta, b"".join(pieces))


def _canonical(text: bytes) -> bytes | None:
    """What the base64 text decodes to, if encoding that gives the same text again."""
    if len(text) % 4:
        return None
    try:
        audio = pybase64.b64decode(text, validate=True)
    except ValueError:
        return None
    return audio if pybase64.b64encode(audio) == text else None


def find_type(message: bytes) -> str:
    """The message's top-level `type`, sanitised; empty where there is none."""
    if found := _TYPE.match(message):
        start = found.end()
        raw = message[start : message.find(b'"', start)]
        if known := _known_types.get(raw):
            return known
        if b"\\" not in raw and message.startswith(b'"', start + len(raw)):
            return _learn(raw)
    return _parsed_type(message)


_known_types: dict[bytes, str] = {}
_KNOWN_LIMIT = 512  # real protocols have under 100; a hostile one must not fill the memory


def _learn(raw: bytes) -> str:
    name = _sanitised(raw.decode("utf-8", "replace"))
    if len(_known_types) < _KNOWN_LIMIT and len(raw) <= TYPE_LIMIT:
        _known_types[raw] = name
    return name


def _parsed_type(message: bytes) -> str:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return _walked_type(message)
    kind = value.get("type") if isinstance(value, dict) else None
    return _sanitised(kind) if isinstance(kind, str) else ""


_WALKED = 65536
"""Bytes of a message that orjson refuses in which its type is still looked for."""


def _walked_type(message: bytes) -> str:
    """The type of a message that is cut short, or that only a laxer parser reads."""
    for path, start, end in string_spans(message[:_WALKED]):
        if path == ("type",):
            return _sanitised(_decoded(message[start:end]))
    return ""


def _sanitised(name: str) -> str:
    """Printable and short: drivers break on NUL and lone surrogates, terminals on the rest."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name.strip()[:TYPE_LIMIT])


_TOKEN = re.compile(
    rb'\s*+(?:"((?:[^"\\]++|\\(?:.|\Z))*+)(?:"|\Z)|([{}\[\],:])|([^\s{}\[\],:"]++))', re.DOTALL
)

_DEPTH = 64
"""Parts of a path that are told, the innermost: deep nesting must not cost its depth each time."""


def string_spans(message: bytes) -> Iterator[tuple[tuple[str | int, ...], int, int]]:
    """Every string value as (path, start, end): the span lies between its quotes.

    Keys are decoded, values are not. On broken JSON it gives what stood before the break, and
    a string that the message ends in.
    """
    path: list[str | int] = []
    key_next = False
    position = 0
    while token := _TOKEN.match(message, position):
        position = token.end()
        mark = token.group(2)
        if token.group(1) is not None:
            if key_next and path:
                path[-1], key_next = _decoded(token.group(1)), False
            else:
                yield tuple(path[-_DEPTH:]), token.start(1), token.end(1)
        elif mark == b"{":
            path.append("")
            key_next = True
        elif mark == b"[":
            path.append(0)
            key_next = False
        elif mark in (b"}", b"]"):
            if not path:
                return
            path.pop()
            key_next = False
        elif mark == b"," and path:
            last = path[-1]
            key_next = isinstance(last, str)
            path[-1] = last if isinstance(last, str) else last + 1


def _decoded(raw: bytes) -> str:
    """The text that stands between the quotes of a JSON string, as well as it can be told."""
    if b"\\" in raw:
        try:
            return str(orjson.loads(b'"' + raw + b'"'))
        except orjson.JSONDecodeError:
            pass
    return raw.decode("utf-8", "replace")


def cuts_of(event: Event) -> list[list[int]]:
    """The event's cuts as [offset in the head, bytes of audio], in order."""
    meta = event.meta
    if meta is None or not meta.startswith('{"cuts":'):
        return []
    cuts: list[list[int]] = orjson.loads(meta)["cuts"]
    return cuts


def audio_bytes(event: Event) -> int | None:
    """How many bytes of audio the message carried, read or not; None where it carried none.

    It needs no audio column: it reads the cuts, so a tombstone answers too.
    """
    meta = event.meta
    if meta is None or not meta.startswith('{"cuts":[['):
        return None
    comma = meta.index(",")
    end = meta.index("]", comma)
    if meta.startswith("]", end + 1):
        return int(meta[comma + 1 : end])
    return sum(n for _, n in cuts_of(event))


def tombstone(event: Event) -> dict[str, Any] | None:
    """Why the audio is not here, and what is known of it; None where nothing is missing."""
    if event.meta is None or '"tombstone"' not in event.meta:
        return None
    stone: dict[str, Any] | None = orjson.loads(event.meta).get("tombstone")
    return stone


def redacted(event: Event) -> list[str]:
    """What was replaced in this message before it was stored."""
    if event.meta is None or '"redacted"' not in event.meta:
        return []
    names: list[str] = orjson.loads(event.meta).get("redacted", [])
    return names


def join(event: Event, *, silence: bool = False) -> bytes:
    """The exact message that passed.

    With `silence`, audio that is gone is replaced by zero bytes of the same length; without,
    a message whose audio is gone raises `AudioGone`.
    """
    meta, head, audio = event.meta, event.head, event.audio
    if meta is None:
        return head
    if not meta.startswith('{"cuts":'):
        if not silence and '"tombstone"' in meta:
            _stand_in(event, silence)
        return head
    if audio is None:
        audio = _stand_in(event, silence)
    comma = meta.index(",")
    end = meta.index("]", comma)
    if meta.startswith("]", end + 1):
        offset = int(meta[10:comma])
        return head[:offset] + pybase64.b64encode(audio) + head[offset:]
    return _join_all(head, audio, cuts_of(event))


def _join_all(head: bytes, audio: bytes, cuts: list[list[int]]) -> bytes:
    pieces, begin, used = [], 0, 0
    for offset, length in cuts:
        pieces.append(head[begin:offset])
        pieces.append(pybase64.b64encode(audio[used : used + length]))
        begin, used = offset, used + length
    pieces.append(head[begin:])
    return b"".join(pieces)


def _stand_in(event: Event, silence: bool) -> bytes:
    if not silence:
        why = (tombstone(event) or {}).get("reason", "it was not read")
        raise AudioGone(f"event {event.seq} ({event.type}) cannot be given back whole: {why}")
    return bytes(sum(n for _, n in cuts_of(event)))


def without_audio(part: Split, reason: str, digest: str | None = None) -> Split:
    """The same message as a tombstone: its audio dropped, its length and times kept."""
    if part.meta is None:
        return part
    meta = orjson.loads(part.meta)
    meta["tombstone"] = {"reason": reason} | ({"sha256": digest} if digest else {})
    return Split(part.type, part.head, orjson.dumps(meta).decode(), None)


def with_redactions(part: Split, names: list[str]) -> Split:
    """The same message, saying what was replaced in it."""
    meta = orjson.loads(part.meta) if part.meta else {}
    meta["redacted"] = names
    return part._replace(meta=orjson.dumps(meta).decode())


def parse(event: Event) -> dict[str, Any]:
    """The message as JSON, its cut audio standing as empty strings; {} if it is no object."""
    try:
        value = orjson.loads(event.head)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
