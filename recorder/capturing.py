"""Keeping less than everything: without audio, or without content.

What is dropped leaves a tombstone: its length and the reason stay, so that every figure that
needs only sizes and times can still be computed, and views can say what was not kept.
`no-audio` drops audio wherever it stands, known carrier or not. `metadata` keeps types, ids,
numbers and settings; every other string becomes an ellipsis, and so do the objects whose very
keys are somebody's words. What is in doubt is dropped.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from .wire import AUDIO_CARRIERS, Split, string_spans, without_audio

CAPTURES: Final = ("full", "no-audio", "metadata")
"""What is kept of a message: all; all but the audio; neither audio nor content."""

ELLIPSIS: Final = "\u2026"
"""Stands for a string that was not kept and was not empty."""

_KEPT_KEYS = frozenset(
    {
        "type", "object", "status", "role", "code", "model", "voice", "format",
        "input_audio_format", "output_audio_format", "eagerness", "modality", "modalities",
        "output_modalities", "id", "param", "effort", "kind", "max_output_tokens",
        "max_response_output_tokens", "tool_choice", "conversation", "name",
    }
)  # fmt: skip
_WORDS = frozenset(
    {
        "metadata", "variables", "headers", "sip_headers", "tracing", "parameters", "properties",
        "arguments", "bytes",
    }
)  # fmt: skip
"""Keys under which keys and numbers tell content too: `logprobs[].bytes` spells the text."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+\-]{1,128}")
"""Ids, names and settings; anything else is taken for content, whatever key it stands under."""

_DEPTH = 60
"""What is nested deeper is dropped."""

_LONG = 256
"""Base64 of this length is taken for audio, whatever key it stands under."""

_ODD_AUDIO = re.compile(
    rb'"audio"\s*+:\s*+"[^"]|data:audio|[A-Za-z0-9+/_\-]{%d}|\\[u/]' % (_LONG // 2)
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\-\s]+={0,2}")


def reduced(part: Split, capture: str, *, binary: bool = False) -> Split:
    """The message as `capture` keeps it. `binary` frames that are no JSON may be audio."""
    if capture == "full":
        return part
    reason = f"not captured ({capture})"
    if binary and not _is_object(part.head):
        return _emptied(part, reason)
    size = len(part.head)
    part = _without_any_audio(part, reason)
    return part if capture == "no-audio" else _without_content(part, reason, size)


def _is_object(head: bytes) -> bool:
    try:
        return isinstance(orjson.loads(head), dict)
    except orjson.JSONDecodeError:
        return False


def _without_any_audio(part: Split, reason: str) -> Split:
    if part.audio is not None:
        part = without_audio(part, reason)
    if b'"delta"' in part.head and _speaks(part.type):
        return _without_odd_audio(part, reason)
    return _without_odd_audio(part, reason) if _ODD_AUDIO.search(part.head) else part


def _speaks(kind: str) -> bool:
    """Whether the deltas of such a message are audio."""
    return kind in AUDIO_CARRIERS or ("audio" in kind and "transcript" not in kind)


def _without_odd_audio(part: Split, reason: str) -> Split:
    """Audio that was not cut out: odd base64, or where nobody expects it."""
    head, begin, removed = part.head, 0, 0
    try:
        orjson.loads(head)
    except orjson.JSONDecodeError:
        return _emptied(part, reason)
    meta: dict[str, Any] = orjson.loads(part.meta) if part.meta else {}
    waiting = dict(meta.get("cuts", ()))
    pieces: list[bytes] = []
    cuts: list[list[int]] = []
    for path, start, end in string_spans(head):
        if start in waiting:
            cuts.append([start - removed, waiting[start]])
        elif end > start and _is_audio(path, head[start:end], part.type):
            pieces.append(head[begin:start])
            cuts.append([start - removed, _decoded_length(head[start:end])])
            begin, removed = end, removed + end - start
    if not pieces:
        return part
    pieces.append(head[begin:])
    meta = {"cuts": cuts} | {k: v for k, v in meta.items() if k != "cuts"}
    meta["tombstone"] = {"reason": reason}
    return Split(part.type, b"".join(pieces), orjson.dumps(meta).decode(), None)


def _is_audio(path: tuple[str | int, ...], text: bytes, kind: str) -> bool:
    if path[-1:] == ("audio",) or (path == ("delta",) and _speaks(kind)):
        return True
    if text.startswith(b"data:audio"):
        return True
    return len(text) >= _LONG and bool(_BASE64.fullmatch(text.replace(b"\\/", b"/")))


def _decoded_length(text: bytes) -> int:
    """About how many bytes the base64 text stands for."""
    characters = re.sub(rb"\\[^/]|[^A-Za-z0-9+/_\-]", b"", text.rpartition(b",")[2])
    return len(characters) * 3 // 4


def _without_content(part: Split, reason: str, size: int) -> Split:
    """Every string that is neither id nor setting becomes an ellipsis."""
    meta: dict[str, Any] = orjson.loads(part.meta) if part.meta else {}
    cuts = meta.get("cuts", [])
    try:
        marker = _unused_word(part.head)
        marked = _marked(part.head, cuts, marker)
        kept = orjson.dumps(_kept(orjson.loads(marked), "", "", marker))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _emptied(part, reason)
    if kept == marked:
        return part
    head, places = _unmarked(kept, marker)
    lengths = {str(index): length for index, (_, length) in enumerate(cuts)}
    told = {"cuts": [[place, lengths[name]] for place, name in places]} if places else {}
    meta = told | {key: value for key, value in meta.items() if key != "cuts"}
    meta["tombstone"] = {"reason": reason, "bytes": size}
    return Split(part.type, head, orjson.dumps(meta).decode(), None)


def _unused_word(head: bytes) -> str:
    """A word with which no string of the message begins."""
    plain = orjson.dumps(orjson.loads(head))
    word = "cut"
    while f'"{word}:'.encode() in plain:
        word += "-"
    return word


def _marked(head: bytes, cuts: list[list[int]], marker: str) -> bytes:
    """The head with a numbered marker in the place of each cut, so that cuts can move."""
    pieces, begin = [], 0
    for index, (offset, _) in enumerate(cuts):
        pieces += [head[begin:offset], f"{marker}:{index}".encode()]
        begin = offset
    pieces.append(head[begin:])
    return b"".join(pieces)


def _unmarked(text: bytes, marker: str) -> tuple[bytes, list[tuple[int, str]]]:
    """The text without its markers, and where each of them stood."""
    pieces, places, begin, length = [], [], 0, 0
    for found in re.finditer(rb'(?<=")' + re.escape(marker).encode() + rb':(\d+)(?=")', text):
        pieces.append(text[begin : found.start()])
        length += len(pieces[-1])
        places.append((length, found.group(1).decode()))
        begin = found.end()
    pieces.append(text[begin:])
    return b"".join(pieces), places


def _kept(value: Any, key: str, parent: str, marker: str, depth: int = 0) -> Any:
    """The value without content: `key` is where it stands, `parent` where its object stands."""
    if isinstance(value, str):
        keeps = not value or value.startswith(f"{marker}:") or _keeps(key, parent, value)
        return value if keeps else ELLIPSIS
    if not isinstance(value, dict | list):
        return value
    if key in _WORDS or depth > _DEPTH:
        return ELLIPSIS
    if isinstance(value, list):
        return [_kept(each, key, parent, marker, depth + 1) for each in value]
    return {
        name if _PLAIN.fullmatch(name) else ELLIPSIS: _kept(each, name, key, marker, depth + 1)
        for name, each in value.items()
    }


def _keeps(key: str, parent: str, text: str) -> bool:
    named = key in _KEPT_KEYS or key.endswith("_id")
    # Elsewhere a reason is a person's: that of an approval, for one.
    named = named or (key == "reason" and parent in ("status_details", "incomplete_details"))
    return named and bool(_PLAIN.fullmatch(text))


def _emptied(part: Split, reason: str) -> Split:
    """Nothing but how much it was."""
    meta: dict[str, Any] = orjson.loads(part.meta) if part.meta else {}
    audio = sum(length for _, length in meta.pop("cuts", ()))
    told = {"cuts": [[0, audio]]} if audio else {}
    size = len(part.head) + (audio + 2) // 3 * 4
    meta["tombstone"] = {"reason": reason, "bytes": size}
    return Split(part.type, b"", orjson.dumps(told | meta).decode(), None)
