"""The selection language: from words to a `Selection`.

    since:7d model:gpt* -tag:test v2v_audible>2s text:"opening hours" latest support-17

Laws:

1. Parsed here and nowhere else; the tables of `terms` say what there is.
2. One string with several terms means the same as one string for each of them. Quotes that a
   shell took away are not missed: `text:two words` in one string is one term, because what
   follows is no term.
3. An error shows the place in the string that could not be understood.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import SessionNotFound, UsageError
from .conditions import OPERATORS, Among, Named, Need, Said, Selection, Test
from .references import Ambiguous
from .terms import MEASURES, TERMS, TURN_METRICS, comparison, is_figure, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .references import Directory
    from .terms import Term
    from .times import Moment

_SIGNS: Final = "|".join(OPERATORS)
_TERM: Final = re.compile(rf"({'|'.join(TERMS)}):", re.IGNORECASE)
_COMPARISON: Final = re.compile(
    rf"([A-Za-z_][A-Za-z0-9_]*)(\.[a-z0-9]+)?\s*(!=|==|{_SIGNS})\s*"
    r"([0-9.]+\s+(?:ms|min|[wdhms])(?!\S)|\S*)"
)
_QUOTED: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_BARE: Final = re.compile(r"\S*")


class _Piece(NamedTuple):
    """One term, or one reference, and where it stands."""

    test: Test
    wanted: bool
    term: str
    """Its name; empty for comparisons and references."""


def parse(
    words: Iterable[str], moment: Moment, options: Iterable[tuple[str, str]] = ()
) -> Selection:
    """What these words mean, together with options such as ("since", "7d").

    Raises `UsageError`, which names the word and what was expected.
    """
    pieces = [piece for word in words for piece in _Reader(word, moment).pieces()]
    pieces += [_option(name, word, moment) for name, word in options]
    return Selection(tuple(_needs(pieces)))


def resolved(selection: Selection, directory: Directory) -> Selection:
    """The same with every reference looked up. Raises `SessionNotFound`, `Ambiguous`."""
    try:
        needs = [
            Need(tuple(_looked_up(test, directory) for test in need.tests), need.wanted)
            for need in selection.needs
        ]
    except Ambiguous:
        raise
    except SessionNotFound as error:
        tests = [test for need in selection.needs for test in need.tests]
        if not any(isinstance(test, Said) for test in tests):
            raise
        raise SessionNotFound(
            f"{error}\nTo search for several words put quotes around the term: 'text:two words'"
        ) from None
    return Selection(tuple(needs))


def is_term(word: str) -> bool:
    """Whether a word begins as a term or a comparison of the language does."""
    bare = word.lstrip("-")
    found = _COMPARISON.match(bare)
    return bool(_TERM.match(bare) or (found and is_figure(found.group(1))))


def is_exclusion(word: str) -> bool:
    """Whether a word of a command line that begins with a minus is ours, and no option."""
    return bool(_EXCLUSION.match(word)) or (word.startswith("-") and is_term(word))


_EXCLUSION: Final = re.compile(r"-(latest(~[0-9]+)?|[0-9a-f-]*[0-9][0-9a-f-]{3,})(?=\s|$)")


# ---- needs


def _needs(pieces: Sequence[_Piece]) -> list[Need]:
    """References are any of several, and so are terms of which a session has one."""
    together: dict[str, list[Test]] = {}
    needs: list[Need] = []
    for piece in pieces:
        alone = not piece.wanted or not _any_of(piece)
        if alone:
            needs.append(Need((piece.test,), piece.wanted))
        else:
            together.setdefault(piece.term, []).append(piece.test)
    return needs + [Need(tuple(tests)) for tests in together.values()]


def _any_of(piece: _Piece) -> bool:
    return TERMS[piece.term].any_of if piece.term else isinstance(piece.test, Named)


def _looked_up(test: Test, directory: Directory) -> Test:
    if not isinstance(test, Named):
        return test
    words = [test.word] if directory.is_call(test.word) else test.word.split()
    return Among(frozenset(name for word in words for name in _found(word, directory)))


def _found(word: str, directory: Directory) -> list[str]:
    if not directory.is_call(word) and (told := _misspelt(word)):
        raise SessionNotFound(told)
    try:
        return directory.all(word)
    except Ambiguous:
        raise
    except SessionNotFound as error:
        if is_figure(word):
            told = f"{word} is compared, in quotes because of the shell: '{word}>\u2026'"
        elif word.lower() in TERMS:
            told = f"{word} is a term: {TERMS[word.lower()].example}"
        else:
            raise
        raise SessionNotFound(f"{error}\n{told}") from None


def _misspelt(word: str) -> str:
    """What is wrong with a word that names no session for sure, but looks like a term.

    Said before an id of the server is looked for, which may take long.
    """
    head, sign, _ = [*re.split(r"([:<>=!])", word, maxsplit=1), "", ""][:3]
    near = nearest(head, [*TERMS, *MEASURES, *TURN_METRICS])
    if not sign or (sign == ":" and not near):
        return ""
    return f"{word!r}: {head!r} is nothing to choose by{near or f'; there are {_listed()}'}"


def _listed() -> str:
    return f"{', '.join(f'{name}:' for name in TERMS)} and figures such as turns or v2v_audible"


# ---- reading


def _option(name: str, word: str, moment: Moment) -> _Piece:
    try:
        return _Piece(_read(TERMS[name], word, moment), True, name)
    except UsageError as error:
        raise UsageError(f"--{name}: {error}") from None


def _read(term: Term, word: str, moment: Moment) -> Test:
    if not word.strip():
        raise UsageError(f"an empty word chooses nothing; expected {term.metavar}")
    return term.read(word.strip(), moment)


class _Reader:
    """One string of the language, read from left to right."""

    def __init__(self, text: str, moment: Moment) -> None:
        self._text, self._moment = text, moment
        self._at = 0

    def pieces(self) -> list[_Piece]:
        """Every term and reference in it."""
        found = []
        while self._skip():
            found.append(self._piece())
        if not found:
            raise UsageError("an empty word chooses nothing; without any word all are meant")
        return found

    def _skip(self) -> bool:
        """Pass spaces over; whether anything comes after them."""
        rest = self._text[self._at :].lstrip()
        self._at = len(self._text) - len(rest)
        return bool(rest)

    def _piece(self) -> _Piece:
        start = self._at
        wanted = not self._text.startswith("-", start)
        self._at += not wanted
        if found := _TERM.match(self._text, self._at):
            name = found.group(1).lower()
            self._at = found.end()
            return _Piece(self._term(TERMS[name], start), wanted, name)
        found = _COMPARISON.match(self._text, self._at)
        if found and is_figure(found.group(1)):
            self._at = found.end()
            return _Piece(self._comparison(found), wanted, "")
        return _Piece(self._reference(start), wanted, "")

    def _term(self, term: Term, start: int) -> Test:
        at = self._at
        word = self._word(more=term.spaces)
        try:
            return _read(term, word, self._moment)
        except UsageError as error:
            raise self._pointed(str(error), at if word else start) from None

    def _comparison(self, found: re.Match[str]) -> Test:
        name, suffix, sign, word = found.groups()
        try:
            if suffix:
                raise UsageError(
                    f"{name}{suffix} is a figure of many turns, for `recorder report --fail-if`; "
                    f"sessions are chosen by single turns: {name}{sign}{word}"
                )
            if sign not in OPERATORS:
                instead = f"{name}={word}" if sign == "==" else f"-{name}={word}"
                raise UsageError(f"{sign} is no comparison here; write {instead}")
            return comparison(name, sign, word.strip())
        except UsageError as error:
            raise self._pointed(str(error), found.start()) from None

    def _reference(self, start: int) -> Test:
        """Bare words that follow each other may be one call label with spaces in it."""
        word = self._word(more=True)
        if not word.strip():
            raise self._pointed("a session cannot be named by nothing", start)
        return Named(word.strip())

    def _word(self, *, more: bool) -> str:
        """A quoted text; else what reaches to the next space, or with `more` to the next term."""
        if self._text[self._at : self._at + 1] in ("'", '"'):
            return self._quoted()
        start = self._at
        self._at = _end(_BARE, self._text, start)
        while more and self._goes_on():
            self._skip()
            self._at = _end(_BARE, self._text, self._at)
        return self._text[start : self._at]

    def _quoted(self) -> str:
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            raise self._pointed("this quotation mark is not closed", self._at)
        self._at = found.end()
        return str(found.group(1) if found.group(1) is not None else found.group(2))

    def _goes_on(self) -> bool:
        """Whether what comes next is neither a term nor quoted nor excluded."""
        rest = self._text[self._at :].lstrip()
        return bool(rest) and rest[0] not in "-'\"" and not is_term(rest)

    def _pointed(self, told: str, start: int) -> UsageError:
        """The error with the string below it, and what is wrong in it underlined."""
        end = max(self._at, start + 1)
        marks = " " * start + "^" * (end - start)
        return UsageError(f"{told}\n  {self._text}\n  {marks}")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
