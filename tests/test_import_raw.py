"""Bytes before they mean anything: unpacking, lines, recognising, values of a large document."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.importers import raw
from recorder.importers.elements import Cursor
from recorder.importers.nouns import Damaged, Unreadable
from recorder.importers.raw import lines, recognised, unpacked
from tests.log_kit import json_texts

TEXT = b'{"type":"a"}\n' * 5000


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(st.lists(st.binary(max_size=9)), st.integers(1, 7))
def test_lines_are_those_of_the_file(parts: list[bytes], size: int) -> None:
    """However it is cut into pieces: numbers count up, places are right, nothing is lost."""
    data = b"\n".join(parts)
    found = list(lines(pieces(data, size)))
    wanted = data.split(b"\n")
    assert [line.text for line in found] == wanted[: len(wanted) - (wanted[-1] == b"")]
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(data[line.byte :].startswith(line.text) for line in found)


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held for ever."""
    monkeypatch.setattr(raw, "LINE_LIMIT", 100)
    reader = lines(pieces(b"ab\n" + bytes(1000), 10))
    assert next(reader).text == b"ab"
    with pytest.raises(Damaged) as found:
        next(reader)
    assert (found.value.line, found.value.byte) == (2, 3)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bytes])
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_packed_files_are_unpacked(pack, size: int) -> None:
    """In pieces of any size; what is not packed passes through."""
    assert b"".join(unpacked(pieces(pack(TEXT), size))) == TEXT


def test_packed_files_may_follow_each_other() -> None:
    """As `cat a.gz b.gz` makes them."""
    both = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert b"".join(unpacked(pieces(both, 5))) == b"one\ntwo\n"


def test_a_bomb_is_unpacked_in_small_pieces() -> None:
    """What is held does not depend on how much it becomes."""
    packed = gzip.compress(bytes(30_000_000))
    assert max(map(len, unpacked([packed]))) <= raw.PIECE


@pytest.mark.parametrize("cut", [20, -1, -9])
def test_a_packed_file_that_breaks_off(cut: int) -> None:
    """What could be unpacked is given first."""
    text = bytes(range(256)) * 4000
    found = b""
    with pytest.raises(Damaged, match="breaks off"):
        for piece in unpacked(pieces(gzip.compress(text)[:cut], 100)):
            found += piece
    assert text.startswith(found)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"realtime_recorder":"jsonl","version":1', "jsonl"),
        (b'\xef\xbb\xbf { "realtime_recorder": "jsonl"', "jsonl"),
        (b'{"log":{"version":"1.2"', "har"),
        (b'{\n  "log": {\n    "version": "1.2"', "har"),
        (b'{"log":"info","message":{}}', "events"),
        (b'{"type":"session.update"}\n\x00\x00', "events"),
        (b"\n [{", "events"),
    ],
)
def test_formats_are_recognised(head: bytes, name: str) -> None:
    """By their first bytes."""
    assert recognised(head) == name


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", "nothing in it"),
        (b" \n\t\r\n", "nothing in it"),
        (b"SQLite format 3\x00...", "--db"),
        (b"PK\x03\x04", "unpack"),
        (b"RIFF....WAVE", "sound"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-16-le"), "another encoding"),
        (b"\x00\x01\x02", "binary"),
        (b"1234:7:version;1:1#", "HAR"),
        (b"hello \x1b[31m", "begins with"),
        (b'"text"', "begins with"),
    ],
)
def test_strangers_are_refused(head: bytes, told: str) -> None:
    """With what they seem to be."""
    with pytest.raises(Unreadable, match=told):
        recognised(head)


# ---- one large document


@given(st.lists(json_texts(), max_size=5), st.integers(1, 9))
def test_elements_are_given_as_they_stand(texts: list[bytes], size: int) -> None:
    """Byte for byte, in pieces of any size, and told where they are."""
    kept = []
    for text in texts:
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        kept.append(text)
    data = b" [ " + b" ,\n".join(kept) + b"\n] "
    cursor, found = Cursor(pieces(data, size)), []
    for byte in cursor.elements():
        found.append(cursor.value())
        assert data[byte:].startswith(found[-1])
    assert found == kept
    assert cursor.peek() == ""


def test_members_by_their_keys() -> None:
    """Any nesting of both."""
    cursor = Cursor([b'{"a" : [1, 22', b'2, {"x":"]}"}], "\xc3', b'\xa9\\n":null}'])
    found: dict[str, object] = {}
    for key in cursor.members():
        found[key] = [cursor.value() for _ in cursor.elements()] if key == "a" else cursor.value()
    assert found == {"a": [b"1", b"222", b'{"x":"]}"}'], "\u00e9\\n": b"null"}


@pytest.mark.parametrize(
    ("data", "byte"),
    [
        (b'[{"a":1},{"b', 12),
        (b'[{"a":1},{"b":2}', 16),
        (b'[{"a":1} {"b":2}]', 9),
        (b'[{"a":1},{"b" 2}' + b" " * 50 + b"]", 14),
        (b'[{"a":1},]', 9),
        (b"[tru", 4),
        (b'{"a":1}', 0),
    ],
)
def test_damage_is_told_by_its_place(data: bytes, byte: int) -> None:
    """The values before it have been given."""
    cursor = Cursor(pieces(data, 3))
    with pytest.raises(Damaged) as found:
        for _ in cursor.elements():
            json.loads(cursor.value())
    assert found.value.byte == byte


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[" + b'{"a":' * 100_000])
def test_deep_nesting_is_damage(data: bytes) -> None:
    """And no traceback."""
    cursor = Cursor(pieces(data, 5000))
    with pytest.raises(Damaged):
        cursor.value()


def test_a_value_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held for ever."""
    monkeypatch.setattr("recorder.importers.elements.LINE_LIMIT", 1000)
    with pytest.raises(Damaged, match="a value of over"):
        Cursor(pieces(b'"' + b"a" * 10_000, 100)).value()
