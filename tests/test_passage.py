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

Portion = tuple[Any, list[bytes]]
Message = list[Portion]

scalars = st.one_of(st.integers(), st.text(), st.binary(), st.booleans(), st.none())
portions = st.tuples(st.tuples(scalars, st.lists(scalars)), st.lists(st.binary()))
messages = st.lists(portions, min_size=1, max_size=4)


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


def received(there: Receiver, source: IO[bytes]) -> list[tuple[Any, bytes]] | None:
    """The next message, copied out of the memory."""
    found = there.receive(source)
    return found and [(value, bytes(data)) for value, data in found]


def passed(*sent: Message) -> list[list[tuple[Any, bytes]] | None]:
    """What arrives of these messages, one after the other."""
    (here, there), (source, target) = sides(), pipe()
    found = []
    with source, target:
        for message in sent:
            sender = threading.Thread(target=here.send, args=(target, message))
            sender.start()
            found.append(received(there, source))
            sender.join()
    here.close()
    here.close()
    there.close()
    return found


def whole(sent: Iterable[Message]) -> list[list[tuple[Any, bytes]]]:
    """What is to arrive of them."""
    return [[(value, b"".join(pieces)) for value, pieces in message] for message in sent]


@given(st.lists(messages, max_size=3))
def test_what_is_sent_is_received(sent: list[Message]) -> None:
    """Message by message."""
    assert passed(*sent) == whole(sent)


@pytest.mark.parametrize("less", [0, 1])
def test_what_has_no_room_is_not_sent(less: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it; the next message, which has room, is."""
    pieces = [b"x" * size for size in (3, 0, 20, 100_000, 5)]
    message: Message = [(7, pieces[:2]), (8, pieces[2:])]
    room = sum(16 + len(marshal.dumps(value)) + sum(map(len, some)) for value, some in message)
    monkeypatch.setattr(passage, "SHARED_BYTES", room - less)
    (here, there), (source, target) = sides(), pipe()
    with source, target:
        if less:
            with pytest.raises(NoRoom, match=f"more than the {room - 1} bytes"):
                here.send(target, message)
        else:
            here.send(target, message)
            assert [received(there, source)] == whole([message])
        here.send(target, [(8, [])])
        assert received(there, source) == [(8, b"")]


def test_between_two_portions_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single portion waits for nobody."""
    breaths: list[float] = []
    monkeypatch.setattr(passage.time, "sleep", breaths.append)
    (here, there), (source, target) = sides(), pipe()
    with source, target:
        for count in (1, 4):
            here.send(target, [(number, [b"abc"]) for number in range(count)])
            assert received(there, source) == [(number, b"abc") for number in range(count)]
            assert breaths == [passage.BREATH_SECONDS] * (count - 1)


def test_many_pieces() -> None:
    """More than any system takes at once."""
    sent: Message = [(list(range(5000)), [b"%d" % number for number in range(5000)])]
    assert passed(sent) == whole([sent])


def test_memory_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    """Not half a message."""
    path = tmp_path / "memory"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    here, (source, target) = Sender(descriptor), pipe()
    os.close(descriptor)
    with source, target, pytest.raises(OSError, match="Bad file descriptor"):
        here.send(target, [(1, [b"abc"])])
    here.close()


def test_an_end_in_the_middle_is_the_end() -> None:
    """Of who sends, killed: what had arrived of the message is no message."""
    (here, there), (source, target) = sides(), pipe()
    with source:
        with target:
            here.send(target, [([1], [])])
            assert received(there, source) == [([1], b"")]
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
