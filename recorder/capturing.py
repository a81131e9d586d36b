"""Keeping less than everything: without audio, or without content.

What is dropped leaves a tombstone: its length and the reason stay, so that every figure that
needs only sizes and times can still be computed, and views can say what was not kept.
`metadata` keeps types, ids, numbers and settings; every other string becomes an ellipsis.
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
        "type", "object", "status", "role", "reason", "code", "model", "voice", "format",
        "input_audio_format", "output_audio_format", "eagerness", "modality", "modalities",
        "output_modalities", "id", "param", "effort", "subprotocol", "initiator", "kind",
        "max_output_tokens", "max_response_output_tokens", "tool_choice", "conversation", "name",
        "capture", "why",
    }
)  # fmt: skip
_ID_KEY = re.compile(r"_id$")


def reduced(part: Split, capture: str, *, binary: bool = False) -> Split:
    """The message as `capture` keeps it. `binary` frames that are no JSON may be audio."""
    if capture == "full":
        return part
    reason = f"not captured ({capture})"
    if binary and part.meta is None and not part.type:
        return _emptied(part, reason)
    part = _without_any_audio(part, reason)
    return part if capture == "no-audio" else _without_content(part, reason)


def _without_any_audio(part: Split, reason: str) -> Split:
    if part.audio is not None:
        part = without_audio(part, reason)
    if part.type not in AUDIO_CARRIERS:
        return part
    return _without_odd_audio(part, reason)


def _without_odd_audio(part: Split, reason: str) -> Split:
    """Audio that could not be cut out byte-exactly (odd base64) goes as text."""
    head, cuts, removed, begin, pieces = part.head, [], 0, 0, []
    try:
        orjson.loads(head)
    except orjson.JSONDecodeError:
        return _emptied(part, reason)
    for path, start, end in string_spans(head):
        flat = len(path) == 1 and path[0] in ("audio", "delta")
        if end > start and (flat or path[-1:] == ("audio",)):
            pieces.append(head[begin:start])
            cuts.append([start - removed, (end - start) * 3 // 4])
            begin, removed = end, removed + end - start
    if not cuts:
        return part
    pieces.append(head[begin:])
    meta: dict[str, Any] = orjson.loads(part.meta) if part.meta else {}
    meta = {"cuts": cuts} | {k: v for k, v in meta.items() if k != "cuts"}
    meta["tombstone"] = {"reason": reason}
    return Split(part.type, b"".join(pieces), orjson.dumps(meta).decode(), None)


def _without_content(part: Split, reason: str) -> Split:
    """Every string that is neither id nor setting becomes an ellipsis."""
    head = part.head
    try:
        orjson.loads(head)
    except orjson.JSONDecodeError:
        return _emptied(part, reason)
    cuts: list[list[int]] = []
    meta: dict[str, Any] = orjson.loads(part.meta) if part.meta else {}
    waiting = [list(cut) for cut in meta.get("cuts", [])]
    pieces, begin, shift, dropped = [], 0, 0, False
    for path, start, end in string_spans(head):
        if waiting and waiting[0][0] == start:
            offset, length = waiting.pop(0)
            cuts.append([offset + shift, length])
        elif end > start and not _is_kept(path):
            mark = ELLIPSIS.encode()
            pieces += [head[begin:start], mark]
            begin, shift, dropped = end, shift + len(mark) - (end - start), True
    if not dropped:
        return part
    pieces.append(head[begin:])
    if cuts:
        meta = {"cuts": cuts} | {k: v for k, v in meta.items() if k != "cuts"}
    meta["tombstone"] = {"reason": reason}
    return Split(part.type, b"".join(pieces), orjson.dumps(meta).decode(), None)


def _is_kept(path: tuple[str | int, ...]) -> bool:
    names = [part for part in path if isinstance(part, str)]
    if not names or "metadata" in names or "headers" in names:
        return False
    return names[-1] in _KEPT_KEYS or bool(_ID_KEY.search(names[-1]))


def _emptied(part: Split, reason: str) -> Split:
    stone = {"reason": reason, "bytes": len(part.head)}
    return Split(part.type, b"", orjson.dumps({"tombstone": stone}).decode(), None)
