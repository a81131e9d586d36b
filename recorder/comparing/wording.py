"""Two texts, word by word.

Laws:

1. A word is the same whatever its case and the punctuation around it. Where a script has no
   spaces between words (Chinese, Japanese, Thai), each character is one.
2. The stretches of one side, with what stands between them, are that side's text: nothing is lost.
3. Seen from the other side the difference is the same.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final, NamedTuple

from .nouns import ONLY_A, ONLY_B, SAME, Stretch, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNSPACED: Final = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

MOST: Final = 1_000_000
"""Words of one text times words of the other, beyond which only their heads and tails are laid
beside each other: what lies between is then one difference."""


class Word(NamedTuple):
    """One word, and where it stands in its text."""

    key: str
    """By which it is the same as another."""
    start: int
    end: int


class Block(NamedTuple):
    """From one place up to another, on both sides."""

    same: bool
    a: tuple[int, int]
    b: tuple[int, int]


def words_of(text: str) -> list[Word]:
    """The words of a text. Punctuation that stands alone belongs to the word before it."""
    found: list[Word] = []
    for match in _WORD.finditer(text):
        key = _key(match.group())
        if key:
            found.append(Word(key, match.start(), match.end()))
        elif found:
            found[-1] = found[-1]._replace(end=match.end())
    bare = text.strip()
    return found or ([Word(bare, 0, len(text))] if bare else [])


def _key(word: str) -> str:
    """The word without what does not make it another."""
    key = unicodedata.normalize("NFKC", word.casefold()).replace("\u2019", "'")
    start, end = 0, len(key)
    while start < end and unicodedata.category(key[start])[0] == "P":
        start += 1
    while end > start and unicodedata.category(key[end - 1])[0] == "P":
        end -= 1
    return key[start:end]


def wording(a: str | None, b: str | None) -> Wording:
    """The difference of two texts; None is a text that is not known."""
    mine = words_of(a) if a is not None else []
    yours = words_of(b) if b is not None else []
    if a is None or b is None:
        return Wording(a, b, None, (), len(mine), len(yours), 0, 0)
    found = blocks([word.key for word in mine], [word.key for word in yours])
    return Wording(
        a=a,
        b=b,
        same=all(block.same for block in found),
        stretches=tuple(_stretches(a, mine, b, yours, found)),
        words_a=len(mine),
        words_b=len(yours),
        only_a=sum(block.a[1] - block.a[0] for block in found if not block.same),
        only_b=sum(block.b[1] - block.b[0] for block in found if not block.same),
    )


def _stretches(
    a: str, mine: Sequence[Word], b: str, yours: Sequence[Word], found: Sequence[Block]
) -> Iterator[Stretch]:
    for same, one, two in found:
        left, right = _slice(a, mine, *one), _slice(b, yours, *two)
        if same:
            yield Stretch(SAME, left, right)
            continue
        if one[0] < one[1]:
            yield Stretch(ONLY_A, left, "")
        if two[0] < two[1]:
            yield Stretch(ONLY_B, "", right)


def _slice(text: str, words: Sequence[Word], begin: int, end: int) -> str:
    return text[words[begin].start : words[end - 1].end] if begin < end else ""


def blocks(a: list[str], b: list[str]) -> list[Block]:
    """What is the same in two lists and what is not, in order.

    It is looked for from the lesser list, so that the sides may be changed.
    """
    if a > b:
        return [Block(same, two, one) for same, one, two in blocks(b, a)]
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    ends = len(a) - tail, len(b) - tail
    found = [Block(True, (0, head), (0, head))]
    found += _between(a[head : ends[0]], b[head : ends[1]], head)
    found.append(Block(True, (ends[0], len(a)), (ends[1], len(b))))
    return [block for block in found if block.a[0] < block.a[1] or block.b[0] < block.b[1]]


def _between(a: list[str], b: list[str], at: int) -> Iterator[Block]:
    """The same of what is left; `at` words stand before it on both sides."""
    if not a or not b or len(a) * len(b) > MOST:
        yield Block(False, (at, at + len(a)), (at, at + len(b)))
        return
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    for kind, a1, a2, b1, b2 in matcher.get_opcodes():
        yield Block(kind == "equal", (at + a1, at + a2), (at + b1, at + b2))


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words both begin with."""
    count = 0
    for one, two in zip(a, b, strict=False):
        if one != two:
            break
        count += 1
    return count
