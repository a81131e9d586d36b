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
    from collections.abc import Iterable

    from ..dialects.facts import JSON
    from ..events import Event


class Usage(Fold[Tokens]):
    """All tokens of a session."""

    def __init__(self) -> None:
        super().__init__()
        self._input: Counter[str] = Counter()
        self._output: Counter[str] = Counter()
        self._transcription: dict[tuple[str, int], dict[str, float]] = {}
        self._begun: set[str] = set()
        self._done = 0
        self._reported = 0
        self._over: set[str] = set()

    @on(ResponseCreated)
    def _began(self, event: Event, fact: ResponseCreated) -> None:
        self._begun.add(fact.response.id or f"response@{event.seq}")

    @on(ResponseDone)
    def _ended(self, event: Event, fact: ResponseDone) -> None:
        if fact.response.id and fact.response.id in self._over:
            return  # told twice
        self._over.add(fact.response.id)
        self._done += 1
        usage = fact.response.usage
        if usage is None:
            return
        self._reported += 1
        _add(self._input, usage, "input")
        _add(self._output, usage, "output")

    @on(TranscriptionCompleted)
    def _transcribed(self, event: Event, fact: TranscriptionCompleted) -> None:
        """Where it comes several times for one item, the last one counts."""
        if not fact.final:
            return
        names = (("input", "input_tokens"), ("output", "output_tokens"), ("seconds", "seconds"))
        told = {name: number(fact.usage or {}, key) for name, key in names}
        key = fact.item or f"input@{event.seq}", fact.part
        self._transcription[key] = {n: value for n, value in told.items() if value is not None}

    def result(self) -> Tokens:
        transcription: dict[str, float] = {}
        for told in self._transcription.values():
            for name, value in told.items():
                transcription[name] = transcription.get(name, 0) + value
        return Tokens(
            dict(self._input),
            dict(self._output),
            transcription,
            self._reported,
            max(len(self._begun), self._done) - self._reported,
        )


def tokens_of(usages: Iterable[JSON]) -> tuple[dict[str, int], dict[str, int]]:
    """Tokens of input and of output of these reports together, named as in `Tokens`."""
    given: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for usage in usages:
        _add(given, usage, "input")
        _add(made, usage, "output")
    return dict(given), dict(made)


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
    _count(counter, details, "")
    _count(counter, mapping(details, "cached_tokens_details"), "cached_")


def _count(counter: Counter[str], details: dict[str, Any], prefix: str) -> None:
    for key in details:
        value = number(details, key)
        if key.endswith("_tokens") and value:
            counter[prefix + key.removesuffix("_tokens")] += round(value)
