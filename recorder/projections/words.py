"""What the words of an item are, when several events tell them.

Authority, the highest first: the stream's `.done`; what the item itself states when it is done;
the deltas joined; diarised segments; what `response.done` lists. An empty `.done` does not take
words away. A part may come as text and as transcript at once: the same words count once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..secrets import may_hold_secret, redact_text
from .model import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dialects.facts import ContentPart

SOURCES: Final = ("done", "item", "deltas", "segments", "response.done")
"""Where words may be from, the most trusted first."""


def joined(pieces: Sequence[str]) -> str:
    """The pieces as one text, without what looks like a key.

    Each message was redacted before it was stored, but alone: a key that came in two pieces
    shows only here.
    """
    text = "".join(pieces)
    if may_hold_secret(text.encode("utf-8", "surrogatepass")):
        return redact_text(text)[0]
    return text


@dataclass(slots=True)
class Stream:
    """One stream of words: the text, or the transcript, of one content part."""

    deltas: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)

    def words(self) -> tuple[str, str]:
        """(words, where they are from)."""
        if len(self.deltas) > 1:  # joined for good, so that asking after each delta stays cheap
            self.deltas[:] = ["".join(self.deltas)]
        for source in SOURCES:
            words = joined(self.deltas) if source == "deltas" else self.told.get(source, "")
            if words:
                return words, source
        return "", ""


@dataclass(slots=True)
class PartState:
    """One content part while it comes in."""

    kind: str = ""
    text: Stream = field(default_factory=Stream)
    transcript: Stream = field(default_factory=Stream)
    transcription: str = ""
    """Of user speech: `partial`, `completed`, `failed`."""

    def stream(self, kind: str) -> Stream:
        """The stream that words of a part of this kind belong to."""
        return self.transcript if kind == "audio" else self.text

    def state(self, content: ContentPart, source: str) -> None:
        """Take what an item or a `content_part` states."""
        if content.kind:
            self.kind = content.kind
        if content.text is not None:
            self.stream(content.kind).told[source] = content.text

    def part(self) -> Part:
        """The part as it stands."""
        written, from_text = self.text.words()
        spoken, from_speech = self.transcript.words()
        words = once(written, spoken)
        source = from_speech if spoken and words == spoken else from_text or from_speech
        return Part(self.kind or ("audio" if spoken else "text"), words, source)


def once(first: str, second: str) -> str:
    """Both texts, but the same words once; of a text and its beginning, the text."""
    one, two = " ".join(first.split()), " ".join(second.split())
    if two.startswith(one):
        return second
    if one.startswith(two):
        return first
    return f"{first}\n{second}"
