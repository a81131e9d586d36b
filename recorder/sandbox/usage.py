"""Tokens, as a real endpoint would count them, roughly.

Text: one for every four characters, at least one a word. The user's audio: one for 100 ms; the
assistant's: one for 50 ms (the provider's published rates). What stood in the context of the
response before is counted as cached, in blocks of 64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from recorder.sandbox.conversation import Item

USER_MS = 100
ASSISTANT_MS = 50
CACHE_BLOCK = 64


class Tokens(NamedTuple):
    """How many, by modality."""

    text: int = 0
    audio: int = 0

    def plus(self, text: int, audio: int) -> Tokens:
        """The sum."""
        return Tokens(self.text + text, self.audio + audio)

    @property
    def total(self) -> int:
        """Both kinds."""
        return self.text + self.audio

    def cached_of(self, before: Tokens) -> Tokens:
        """The blocks of these that were there before."""
        text, audio = (
            min(now, old) // CACHE_BLOCK * CACHE_BLOCK
            for now, old in zip(self, before, strict=True)
        )
        return Tokens(text, audio)


NO_TOKENS = Tokens()


def text_tokens(text: str) -> int:
    """Tokens of that text."""
    return max(len(text.split()), -(-len(text) // 4))


def audio_tokens(milliseconds: int, per_ms: int) -> int:
    """Tokens of so much audio, rounded up."""
    return -(-milliseconds // per_ms)


def tokens_of(items: Iterable[Item]) -> Tokens:
    """Tokens of items as a model reads or wrote them."""
    count = Tokens()
    for item in items:
        rate = ASSISTANT_MS if item.is_answer else USER_MS
        audio = sum(audio_tokens(item.audio_ms(index), rate) for index in item.audio)
        count = count.plus(sum(map(text_tokens, item.texts)), audio)
    return count


def usage_json(read: Tokens, cached: Tokens, written: Tokens, *, images: bool) -> dict[str, Any]:
    """The `usage` object; GA counts images too."""
    none = {"image_tokens": 0} if images else {}
    return {
        "total_tokens": read.total + written.total,
        "input_tokens": read.total,
        "output_tokens": written.total,
        "input_token_details": {
            "text_tokens": read.text,
            "audio_tokens": read.audio,
            **none,
            "cached_tokens": cached.total,
            "cached_tokens_details": {
                "text_tokens": cached.text,
                "audio_tokens": cached.audio,
                **none,
            },
        },
        "output_token_details": {"text_tokens": written.text, "audio_tokens": written.audio},
    }
