"""The frame scanner: the same marks however the bytes are cut, and in agreement with wsproto."""

from __future__ import annotations

import itertools
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from recorder.events import BINARY, CLOSE, PING, PONG, TEXT
from recorder.transport.frames import FrameScanner, Mark, close_code, unmask
from tests.transport_kit import Sent, encode

KEY = b"\x37\xfa\x21\x3d"


def in_chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([125, 126, 127, 1023, 1025, 65535, 65536]).map(lambda n: b"audio" * (n // 5)),
    st.integers(0, 300).map(lambda n: b"x" * n),
)
keys = st.one_of(st.none(), st.binary(min_size=4, max_size=4))
controls = st.builds(
    Sent, st.sampled_from([PING, PONG]), st.binary(max_size=125), st.just(True), keys
)


@st.composite
def messages(draw: st.DrawFn) -> list[Sent]:
    """One message in fragments, with control frames in between."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    parts = draw(st.lists(payloads, min_size=1, max_size=4))
    frames: list[Sent] = []
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        frames.append(Sent(opcode if first else 0, part, last, draw(keys)))
        if not last:
            frames += draw(st.lists(controls, max_size=2))
    return frames


streams = st.lists(st.one_of(messages(), controls.map(lambda frame: [frame])), max_size=6).map(
    lambda groups: [frame for group in groups for frame in group]
)


def expected_marks(frames: list[Sent], at_ns: int = 0) -> list[Mark]:
    """What has passed, told from the frames themselves."""
    marks, open_opcode, parts = [], 0, []
    for frame in frames:
        if frame.opcode >= CLOSE:
            marks.append(Mark(at_ns, frame.opcode, len(frame.payload), frame.payload))
            continue
        open_opcode = frame.opcode or open_opcode
        parts.append(frame.payload)
        if frame.fin:
            whole = b"".join(parts)
            marks.append(Mark(at_ns, open_opcode, len(whole), whole, len(parts)))
            parts = []
    return marks


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 1 << 20), max_size=8))
def test_any_cut_gives_the_same_marks(frames: list[Sent], cuts: list[int]) -> None:
    """Every message and control frame is told once, whole, wherever the chunks end."""
    scanner = FrameScanner(keep=True)

    told: list[Mark] = []
    for chunk in in_chunks(b"".join(map(encode, frames)), cuts):
        told += scanner.feed(chunk, 0)

    assert told == expected_marks(frames)
    assert scanner.fault is None
    assert scanner.at_boundary
    assert scanner.between_messages
    assert scanner.pending == 0


@settings(deadline=None, max_examples=40)
@given(streams.filter(lambda frames: sum(len(frame.payload) for frame in frames) < 2000))
def test_the_time_is_that_of_the_last_byte(frames: list[Sent]) -> None:
    """Fed byte by byte, each mark carries the number of its very last byte."""
    data = b"".join(map(encode, frames))
    scanner = FrameScanner()

    told = [mark for at, _ in enumerate(data) for mark in scanner.feed(data[at : at + 1], at)]

    ends, end = [], -1
    for frame in frames:
        end += len(encode(frame))
        if frame.fin:
            ends.append(end)
    assert [mark.at_ns for mark in told] == ends


def wsproto_reads(data: bytes, masked: bool) -> tuple[list[tuple[int, bytes]], int]:
    """What wsproto makes of the bytes: frames told, and its close code if it refused them."""
    kind = ConnectionType.SERVER if masked else ConnectionType.CLIENT
    connection = Connection(kind)
    connection.receive_data(data)
    told: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    for event in connection.events():
        match event:
            case TextMessage() | BytesMessage():
                text = isinstance(event, TextMessage)
                parts.append(event.data.encode() if text else bytes(event.data))
                if event.message_finished:
                    told.append((TEXT if text else BINARY, b"".join(parts)))
                    parts = []
            case Ping():
                told.append((PING, bytes(event.payload)))
            case Pong():
                told.append((PONG, bytes(event.payload)))
            case CloseConnection():
                refused = connection.state.name == "OPEN"
                return told, int(event.code) if refused else 0
    return told, 0


@settings(deadline=None, max_examples=150)
@given(
    st.lists(messages(), min_size=1, max_size=3),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=2),
)
def test_it_agrees_with_wsproto(
    groups: list[list[Sent]], masked: bool, damage: list[tuple[int, int]]
) -> None:
    """On sound and on damaged streams both tell the same frames, and both refuse or neither."""
    key = KEY if masked else None
    frames = [frame._replace(key=key) for group in groups for frame in group]
    frames = [f._replace(payload=b"a" * len(f.payload)) if f.opcode < CLOSE else f for f in frames]
    data = bytearray(b"".join(map(encode, frames)))
    for at, value in damage:
        data[at % len(data)] = value
    padded = bytes(data) + bytes(20)  # so that both come to see what they would object to

    theirs, code = wsproto_reads(padded, masked)
    scanner = FrameScanner(masked=masked, keep=True)
    ours = [(mark.opcode, mark.data) for mark in scanner.feed(padded, 0)]

    if CLOSE in [opcode for opcode, _ in ours]:  # wsproto looks at nothing behind a Close
        ours = ours[: [opcode for opcode, _ in ours].index(CLOSE)]
        assert ours[: len(theirs)] == theirs
    elif code == 1007:  # bad UTF-8 is nothing that a scanner of frames sees
        assert ours[: len(theirs)] == theirs
    else:
        assert ours == theirs
        assert (scanner.fault is not None) == (code == 1002)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xc1\x00", "reserved bit"),
        (b"\xa1\x00", "reserved bit"),
        (b"\x83\x00", "reserved opcode 3"),
        (b"\x8f\x00", "reserved opcode 15"),
        (b"\x09\x00", "control frame"),
        (b"\x89\x7e\x00\x80", "control frame"),
        (b"\x80\x00", "continuation of no message"),
        (b"\x01\x00\x81\x00", "inside a fragmented"),
        (b"\x81\x7e\x00\x7d", "shortest form"),
        (b"\x81\x7f" + struct.pack("!Q", 65535), "shortest form"),
        (b"\x81\x7f" + struct.pack("!Q", 1 << 63), "shortest form"),
        (b"\x81\x80" + KEY, "masked frame from a server"),
    ],
)
def test_what_breaks_the_framing_is_a_fault(data: bytes, words: str) -> None:
    """A fault says what and where; what came before it is told, what comes after is not read."""
    scanner = FrameScanner(masked=False)
    before = encode(Sent(TEXT, b"{}"))
    fault_at = len(before) + (2 if words.startswith("inside") else 0)

    told = scanner.feed(before + data, 7)

    assert [mark.length for mark in told] == [2]
    assert scanner.fault is not None
    assert (scanner.fault.at_ns, scanner.fault.offset) == (7, fault_at)
    assert words in scanner.fault.why
    assert scanner.feed(encode(Sent(TEXT, b"later")), 8) == []
    assert not scanner.at_boundary
    assert scanner.position == fault_at


def test_a_server_wants_masks() -> None:
    """`masked=True` objects to a bare frame of a client."""
    scanner = FrameScanner(masked=True)

    scanner.feed(encode(Sent(TEXT, b"{}")), 0)

    assert scanner.fault is not None
    assert "without a mask" in scanner.fault.why


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_garbage_never_raises(data: bytes, cuts: list[int]) -> None:
    """Whatever the bytes and the cuts: the same marks, the same fault, no exception."""
    whole = FrameScanner(keep=True)
    in_one = whole.feed(data, 0)

    pieces = FrameScanner(keep=True)
    told = [mark for chunk in in_chunks(data, cuts) for mark in pieces.feed(chunk, 0)]

    assert told == in_one
    assert pieces.fault == whole.fault
    assert pieces.position == whole.position
    assert pieces.pending == whole.pending


def test_it_knows_where_it_stands() -> None:
    """Boundaries and the bytes of the message in progress, announced ones included."""
    scanner = FrameScanner()

    scanner.feed(encode(Sent(TEXT, b"12345", fin=False)), 0)
    assert (scanner.at_boundary, scanner.between_messages, scanner.pending) == (True, False, 5)

    scanner.feed(b"\x80\x7e", 0)
    assert not scanner.at_boundary
    scanner.feed(b"\x01\x00abc", 0)
    assert (scanner.at_boundary, scanner.pending) == (False, 5 + 256)

    assert [mark.length for mark in scanner.feed(b"d" * 253, 0)] == [261]
    assert scanner.between_messages


def test_a_long_message_is_told_whole_and_kept_to_the_limit() -> None:
    """Over `keep_limit` the length is still right, and the beginning is kept, unmasked."""
    scanner = FrameScanner(keep=True, keep_limit=1000)
    text = os.urandom(3001)
    frames = [Sent(TEXT, text[:600], False, KEY), Sent(0, text[600:], True, KEY)]

    (mark,) = scanner.feed(b"".join(map(encode, frames)), 0)
    (small,) = scanner.feed(encode(Sent(TEXT, b"{}", key=KEY)), 0)

    assert (mark.length, mark.data, mark.frames) == (3001, text[:1000], 2)
    assert small.data == b"{}"


def test_without_keep_only_control_frames_are_held() -> None:
    """A hundred megabytes pass through and leave nothing behind."""
    scanner = FrameScanner()
    size = 100 << 20

    scanner.feed(b"\x82\x7f" + struct.pack("!Q", size), 0)
    chunk = bytes(1 << 20)
    marks = [mark for _ in range(100) for mark in scanner.feed(chunk, 0)]
    (ping,) = scanner.feed(encode(Sent(PING, b"why?", key=KEY)), 1)

    assert [(mark.length, mark.data) for mark in marks] == [(size, None)]
    assert ping == Mark(1, PING, 4, b"why?")


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4), st.sampled_from([0, 1000, 4096]))
def test_unmasking_is_xor(tail: bytes, key: bytes, more: int) -> None:
    """Short and long payloads alike: byte i is XORed with byte i mod 4 of the key."""
    data = b"\x5a" * more + tail

    assert unmask(data, key) == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def test_close_codes() -> None:
    """Empty means 1005; odd payloads are told as they are."""
    assert close_code(b"") == (1005, "")
    assert close_code(b"\x03") == (1005, "")
    assert close_code(struct.pack("!H", 4000) + b"bye") == (4000, "bye")
    assert close_code(struct.pack("!H", 1000) + b"\xff") == (1000, "\ufffd")
