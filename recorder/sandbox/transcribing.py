"""Input transcription: another model, with a time of its own, that nobody waits for."""

from __future__ import annotations

import re
from typing import Any

from recorder.sandbox.agenda import MS, Steps
from recorder.sandbox.conversation import Item
from recorder.sandbox.responding import error_json
from recorder.sandbox.script import Heard
from recorder.sandbox.state import State
from recorder.sandbox.usage import USER_MS, audio_tokens, text_tokens

_PIECE = re.compile(r"\s*\S+")
_NAME = "conversation.item.input_audio_transcription"


def words_of(heard: Heard, length_ms: int) -> str:
    """What the script says was heard; else how much it was."""
    return heard.text if heard.text is not None else f"{length_ms / 1000:.1f} seconds of speech."


def transcribe(state: State, item: Item, heard: Heard, model: str) -> Steps:
    """Deltas, then the whole; or the failure."""
    length_ms = item.audio_ms(0)
    words = words_of(heard, length_ms)
    place: dict[str, Any] = {"item_id": item.id, "content_index": 0}
    yield heard.delay_ms * MS
    if heard.fail is not None:
        state.line.send(f"{_NAME}.failed", **place, error=error_json(heard.fail) | {"param": None})
        return
    # whisper-1 transcribes all at once.
    pieces = [words] if model.startswith("whisper") else _PIECE.findall(words)
    for piece in pieces if heard.deltas else []:
        state.line.send(f"{_NAME}.delta", **place, delta=piece)
        yield heard.spread_ms * MS // len(pieces)
    if not (pieces and heard.deltas):
        yield heard.spread_ms * MS
    if item.content:
        item.content[0]["transcript"] = words
    usage = _usage(model, length_ms, words)
    state.line.send(f"{_NAME}.completed", **place, transcript=words, usage=usage)


def _usage(model: str, length_ms: int, words: str) -> dict[str, Any]:
    """By duration for the whisper family, by tokens for the others."""
    if "whisper" in model:
        return {"type": "duration", "seconds": -(-length_ms // 1000)}
    heard, said = audio_tokens(length_ms, USER_MS), text_tokens(words)
    return {
        "type": "tokens",
        "total_tokens": heard + said,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": said,
    }
