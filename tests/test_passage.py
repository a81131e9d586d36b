"""What goes from one process to another through shared memory and a pipe."""

from __future__ import annotations

import marshal
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.sql import passage
from recorder.sql.passage import (
    NoRoom,
    Receiver,
    Sender,
    read_frames,
    shared_file,
    write_frame,
)

Message = tuple[Any, list[bytes]]

scalars = st.one_of(st.integers(), st.text(), st.binary(), st.booleans(), st.none())
messages = st.tuples(st.tuples(scalars, st.lists(scalars)), st.lists(st.binary()))


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Its two ends: to read from, to write to."""
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


def sides() -> tuple[Sender, Receiver]:
    """Both, on the same memory."""
    descriptor = shared_file()
    try:
        return Sender(descriptor), Receiver(descriptor)
    finally:
        os.close(descriptor)


def passed(*sent: Message) -> list[tuple[Any, bytes]]:
    """What arrives of these messages, one after the other."""
    (here, there), (source, target) = sides(), pipe()
    found = []
    with source, target:
        for value, pieces in sent:
            sender = threading.Thread(target=here.send, args=(target, value, pieces))
            sender.start()
            received = there.receive(source)
            assert received is not None
            found.append((received[0], bytes(received[1])))
            sender.join()
    here.close()
    here.close()
    there.close()
    return found


def whole(sent: Iterable[Message]) -> list[tuple[Any, bytes]]:
    """What is to arrive of them."""
    return [(value, b"".join(pieces)) for value, pieces in sent]


@given(st.lists(messages, max_size=3))
def test_what_is_sent_is_received(sent: list[Message]) -> None:
    """Message by message."""
    assert passed(*sent) == whole(sent)


@pytest.mark.parametrize("less", [0, 1])
def test_what_has_no_room_is_not_sent(less: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it; the next message, which has room, is."""
    pieces = [b"x" * size for size in (3, 0, 20, 100_000, 5)]
    room = len(marshal.dumps(7)) + sum(map(len, pieces)) - less
    monkeypatch.setattr(passage, "SHARED_BYTES", room)
    (here, there), (source, target) = sides(), pipe()
    with source, target:
        if less:
            with pytest.raises(NoRoom, match=f"{room + 1} bytes are more than the {room}"):
                here.send(target, 7, pieces)
        else:
            here.send(target, 7, pieces)
            assert there.receive(source) == (7, b"".join(pieces))  # type: ignore[comparison-overlap]
        here.send(target, 8)
        assert there.receive(source) == (8, b"")  # type: ignore[comparison-overlap]


def test_many_pieces() -> None:
    """More than any system takes at once."""
    sent: Message = (list(range(5000)), [b"%d" % number for number in range(5000)])
    assert passed(sent) == whole([sent])


def test_memory_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    """Not half a message."""
    path = tmp_path / "memory"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    here, (source, target) = Sender(descriptor), pipe()
    os.close(descriptor)
    with source, target, pytest.raises(OSError, match="Bad file descriptor"):
        here.send(target, 1, [b"abc"])
    here.close()


def test_an_end_in_the_middle_is_the_end() -> None:
    """Of who sends, killed: what had arrived of the message is no message."""
    (here, there), (source, target) = sides(), pipe()
    with source:
        with target:
            here.send(target, [1])
            assert there.receive(source) == ([1], b"")  # type: ignore[comparison-overlap]
            target.write(b"\0\0\0")
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
