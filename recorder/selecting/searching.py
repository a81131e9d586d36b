"""Full text: what is a word, and how a transcript is kept so that words are found in it.

Laws:

1. A text is found if its words stand in one line of the transcript, whole and in this order;
   case, punctuation and spaces make no difference.
2. That is the same as one string standing in another (`Said.needle` in `searchable`). So every
   database, with or without an index, finds the same; an index may only make it faster.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from .conditions import Said

if TYPE_CHECKING:
    from collections.abc import Iterable

# Vowel signs and accents that stand alone belong to the word they are in, though `\w` leaves
# them out; scripts that are written without spaces have a word a character.
_MARKS: Final = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\w{_MARKS}])+")


def words_in(text: str) -> list[str]:
    """The words of a text, folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def searchable(lines: Iterable[str]) -> str:
    """The words of these lines, each between spaces, each line between line ends.

    Nothing stands in it but words, spaces and line ends: an index that divides at spaces finds
    exactly these words.
    """
    found = (words_in(line) for line in lines)
    return "".join(f"\n {' '.join(words)} \n" for words in found if words)


def said(text: str) -> Said:
    """The test for this text; a `*` at its end stands for the rest of a word."""
    bare = text.strip()
    begun = bare.endswith("*")
    words = words_in(bare.removesuffix("*"))
    if not words:
        raise UsageError(f"{text!r} holds no word to search for")
    if "*" in bare[:-1]:
        raise UsageError(f"{text!r}: a * can only stand at the end, for the rest of the last word")
    return Said(tuple(words), begun)
