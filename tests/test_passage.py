"""What goes from one process to another through shared memory and a pipe."""

from __future__ import annotations

import os
import threading
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.sql import passage
from recorder.sql.passage import Passage, read_frames, shared_file, write_frame

scalars = st.one_of(st.integers(), st.text(), st.binary(), st.booleans())
values = st.lists(st.one_of(scalars, st.tuples(scalars, st.lists(scalars))))


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Its two ends: to read from, to write to."""
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


def sides() -> tuple[Passage, Passage]:
    """Both, on the same memory."""
    descriptor = shared_file()
    try:
        return Passage(descriptor), Passage(descriptor)
    finally:
        os.close(descriptor)


def passed(*rows: list[Any]) -> list[Any]:
    """What arrives of these messages, one after the other."""
    (here, there), (source, target) = sides(), pipe()
    found = []
    with source, target:
        for row in rows:
            sender = threading.Thread(target=here.send, args=(target, row))
            sender.start()
            found.append(there.receive(source))
            sender.join()
    here.close()
    there.close()
    return found


@given(st.lists(values, max_size=3))
def test_what_is_sent_is_received(rows: list[list[Any]]) -> None:
    """Message by message."""
    assert passed(*rows) == rows


@pytest.mark.parametrize("room", [0, 8, 40, 4096])
def test_what_has_no_room_goes_through_the_pipe(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a message, or all of it; and the next one begins anew."""
    monkeypatch.setattr(passage, "SHARED_BYTES", max(room, 1))
    rows = [[b"x" * size for size in (3, 20, 100_000, 5)], [], [1, "two", (3, None)]]
    assert passed(*rows) == rows


def test_an_end_in_the_middle_is_the_end() -> None:
    """Of who sends, killed: what had arrived of the message is no message."""
    (here, there), (source, target) = sides(), pipe()
    with source:
        with target:
            here.send(target, [1])
            assert there.receive(source) == [1]
            here.send(target, [2])
            target.write(b"\0\0\0")
        assert there.receive(source) == [2]
        assert there.receive(source) is None
        assert there.receive(source) is None


def test_frames_without_memory() -> None:
    """An answer; half of one is none."""
    source, target = pipe()
    with source:
        with target:
            write_frame(target, ("told", 7))
            target.write(b"\x05\0\0\0\0\0\0\0abc")
        assert list(read_frames(source)) == [("told", 7)]
