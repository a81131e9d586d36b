"""Tokens as the provider counted them, under whatever names it gave them.

Cached tokens are a subset of the input, never added to it. Transcription is a model of its own
with a price of its own. A response that never reported is unknown, not 0.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ..dialects.facts import ResponseCreated, ResponseDone, TranscriptionCompleted
from ..dialects.reading import mapping, number
from .base import Fold, on
from .model import Tokens

if TYPE_CHECKING:
    from ..dialects.facts import JSON
    from ..events import Event


class Usage(Fold[Tokens]):
    """All tokens of a session."""

    def __init__(self) -> None:
        super().__init__()
        self._input: Counter[str] = Counter()
        self._output: Counter[str] = Counter()
        self._transcription: dict[str, float] = {}
        self._created = 0
        self._done = 0
        self._reported = 0

    @on(ResponseCreated)
    def _began(self, event: Event, fact: ResponseCreated) -> None:
        self._created += 1

    @on(ResponseDone)
    def _ended(self, event: Event, fact: ResponseDone) -> None:
        self._done += 1
        usage = fact.response.usage
        if usage is None:
            return
        self._reported += 1
        _add(self._input, usage, "input")
        _add(self._output, usage, "output")

    @on(TranscriptionCompleted)
    def _transcribed(self, event: Event, fact: TranscriptionCompleted) -> None:
        usage = fact.usage or {}
        for name, key in (
            ("input", "input_tokens"),
            ("output", "output_tokens"),
            ("seconds", "seconds"),
        ):
            value = number(usage, key)
            if value is not None and fact.final:
                self._transcription[name] = self._transcription.get(name, 0) + value

    def result(self) -> Tokens:
        return Tokens(
            dict(self._input),
            dict(self._output),
            dict(self._transcription),
            self._reported,
            max(self._created, self._done) - self._reported,
        )


def _add(counter: Counter[str], usage: JSON, side: str) -> None:
    """Totals and details of one side; some servers put the names in the plural."""
    total = number(usage, f"{side}_tokens")
    if total is not None:
        counter["total"] += round(total)
    details: dict[str, Any] = (
        mapping(usage, f"{side}_token_details")
        or mapping(usage, f"{side}_tokens_details")
        or mapping(usage, f"{side}_token_detail")
    )
    for key in details:
        value = number(details, key)
        if key.endswith("_tokens") and value:
            counter[key.removesuffix("_tokens")] += round(value)
