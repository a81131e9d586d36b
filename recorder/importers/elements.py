"""The values of one large JSON document, one at a time, as the exact bytes that stand in it.

A document is never held whole: a cursor moves over it, and only the value under it, up to
`LINE_LIMIT` bytes, has to fit. The text is held as Latin-1, in which a character is a byte: the
scanner of the standard library then tells where a value ends at the speed of C.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from .nouns import Damaged
from .raw import BOM, LINE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Numbers stay text: Python refuses to convert very long ones.
_scan: Final = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode

_SPACE: Final = " \t\r\n"
_NEAR: Final = 16
"""A token that breaks off so near to the end of what was read may go on in what was not."""


_NUMBER: Final = re.compile(r"[-+.0-9eE]*")
"""What a number may go on with: where nothing else follows in what was read, it may."""


def _is_cut(rest: str) -> bool:
    """Whether this is nothing, or the beginning of a word of JSON."""
    return any(word.startswith(rest) for word in ("true", "false", "null", "-"))


def value_end(text: str, start: int) -> int:
    """Where the JSON value that begins at `start` ends. Raises `ValueError`, `RecursionError`."""
    end: int = _scan(text, start)[1]
    return end


class Cursor:
    """A place in a JSON document that is read from the front."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._text = ""
        self._at = 0
        self._before = 0
        while len(self._text) < len(BOM) and self._more():
            pass
        if self._text.startswith(BOM.decode("latin-1")):
            self._at = len(BOM)

    @property
    def byte(self) -> int:
        """Where it stands in the document."""
        return self._before + self._at

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the document."""
        while True:
            while self._at < len(self._text):
                if (found := self._text[self._at]) not in _SPACE:
                    return found
                self._at += 1
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Step over the next character, which must be one of these. Raises `Damaged`."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(repr(each) for each in expected)
            told = repr(found) if found else "the end of the file"
            raise Damaged(f"{told} where {wanted} was expected", byte=self.byte)
        self._at += 1
        return found

    def value(self) -> bytes:
        """The next value, and step over it. Raises `Damaged`."""
        if not self.peek():
            raise Damaged("the file ends where a value was expected", byte=self.byte)
        while True:
            try:
                end = value_end(self._text, self._at)
            except RecursionError:
                raise Damaged("JSON that is nested too deeply", byte=self.byte) from None
            except json.JSONDecodeError as error:
                self._go_on(error)
            except ValueError as error:
                raise Damaged(str(error), byte=self.byte) from None
            else:
                whole = self._text[end - 1] in '"}]' or not _NUMBER.fullmatch(self._text, end)
                if whole or not self._more():
                    found = self._text[self._at : end].encode("latin-1")
                    self._at = end
                    return found

    def _go_on(self, error: json.JSONDecodeError) -> None:
        """Read more if the value may only be cut off here. Raises `Damaged` if it is not."""
        inside = error.msg.startswith("Unterminated")
        near = inside or error.pos >= len(self._text) - _NEAR
        cut = inside or _is_cut(self._text[error.pos :])
        place, held = self._before + error.pos, len(self._text) - self._at
        if held > LINE_LIMIT:
            raise Damaged(f"a value of over {LINE_LIMIT >> 20} MiB", byte=self.byte)
        if near and self._more(held):
            return
        if cut:
            raise Damaged("the file breaks off", byte=self._before + len(self._text)) from None
        raise Damaged(f"it is no JSON ({error.msg})", byte=place) from None

    def _more(self, least: int = 1) -> bool:
        """Read at least so many bytes on; False at the end of the document.

        As much again as is held already: a long value is then scanned a few times, not often.
        """
        pieces, size = [], 0
        for piece in self._pieces:
            pieces.append(piece.decode("latin-1"))
            size += len(piece)
            if size >= least:
                break
        self._before += self._at
        self._text, self._at = self._text[self._at :] + "".join(pieces), 0
        return size > 0

    def elements(self) -> Iterator[int]:
        """Step into the array that comes next: once for each element, with its place.

        Whoever iterates steps over the element, by `value` or otherwise.
        """
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            self.peek()
            yield self.byte
            if self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """Step into the object that comes next: the key of each member.

        Whoever iterates steps over the value.
        """
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                self.take('"')
            key = self.value()
            self.take(":")
            yield key[1:-1].decode("utf-8", "replace")
            if self.take(",}") == "}":
                return
