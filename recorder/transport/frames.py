"""A scanner of WebSocket frames (RFC 6455 §5), sans-IO: bytes of one direction in, marks out.

It watches a stream beside the path and says which messages and control frames passed, how
long they were, and when their last byte arrived. It refuses nothing: what breaks the framing
is reported as a `Fault`, and nothing after it is looked at, because where the next frame
begins is then anybody's guess.

Laws:

1. How the bytes are cut into chunks changes nothing but the times.
2. `feed` never raises, whatever the bytes.
3. What text says is none of its business: UTF-8 is not checked, close codes are not judged.
4. It holds at most one incomplete header, one control frame, and, with `keep`, one message up
   to `keep_limit`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from recorder.events import BINARY, CLOSE, PING, PONG, TEXT

CONTINUATION: Final = 0
DATA_OPCODES: Final = (TEXT, BINARY)
MAX_CONTROL: Final = 125
NO_STATUS: Final = 1005
"""What a Close without a code counts as (RFC 6455 §7.1.5); never on the wire."""
ABNORMAL: Final = 1006
"""What the absence of a Close counts as; never on the wire."""
PROTOCOL_ERROR: Final = 1002
MAX_HEADER: Final = 14

_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))


class Mark(NamedTuple):
    """A message or control frame that has passed."""

    at_ns: int
    """Of the chunk in which its last byte arrived."""
    opcode: int
    """Of a message that came in fragments: the first one's."""
    length: int
    """Of the whole payload."""
    data: bytes | None
    """The unmasked payload: of control frames always, of messages with `keep`.

    Shorter than `length` where a message went over `keep_limit`, or was shortened.
    """
    frames: int = 1


class Fault(NamedTuple):
    """Where the bytes stopped being WebSocket frames."""

    at_ns: int
    offset: int
    """Of the first byte of the offending frame, counted from the first byte ever fed."""
    why: str


class FrameScanner:
    """One direction of one connection, from the first byte after the handshake.

    `masked`: True demands masks (client to server), False forbids them, None takes both.
    """

    __slots__ = (
        "_frame_length", "_frame_opcode", "_frames", "_head", "_in_frame", "_keep",
        "_keep_limit", "_kept", "_kept_bytes", "_key", "_last_frame", "_left", "_length",
        "_masked", "_message_opcode", "_pieces", "_position", "_shortened", "fault", "rest",
    )  # fmt: skip

    def __init__(
        self, *, masked: bool | None = None, keep: bool = False, keep_limit: int = 64 << 20
    ) -> None:
        self.fault: Fault | None = None
        self.rest = b""
        """Of the chunk in which the fault was: its bytes from there on."""
        self._shortened = False
        self._masked, self._keep, self._keep_limit = masked, keep, keep_limit
        self._position = 0  # in the stream, of the first byte not yet taken
        self._head = b""  # an incomplete header
        self._in_frame = False
        self._frame_opcode = self._frame_length = self._left = 0
        self._last_frame = True  # FIN of the current frame
        self._key: bytes | None = None
        self._pieces: list[bytes] = []  # of the current control frame
        self._message_opcode = CONTINUATION  # of the message in progress; CONTINUATION: none
        self._length = self._frames = self._kept_bytes = 0
        self._kept: list[bytes] = []

    @property
    def at_boundary(self) -> bool:
        """Whether a frame of one's own could stand here: no frame has begun and not ended."""
        return not self._in_frame and not self._head and self.fault is None

    @property
    def between_messages(self) -> bool:
        """Whether no message is half way, between two fragments either."""
        return self.at_boundary and self._message_opcode == CONTINUATION

    @property
    def pending(self) -> int:
        """Payload bytes of the unfinished message, the announced ones of its frame included."""
        announced = self._in_frame and self._frame_opcode < CLOSE
        return self._length + (self._frame_length if announced else 0)

    @property
    def held(self) -> int:
        """Payload bytes of the unfinished message that are held."""
        return self._kept_bytes

    def shorten(self) -> None:
        """Keep no more of the unfinished message than what is held of it."""
        self._shortened = True

    @property
    def position(self) -> int:
        """How many bytes of the stream were taken: all that were fed, up to a fault."""
        return self._position + len(self._head)

    def feed(self, data: bytes | bytearray, at_ns: int) -> list[Mark]:
        """What `data`, which arrived at `at_ns`, completes."""
        marks: list[Mark] = []
        if self.fault is not None:
            return marks
        chunk = self._head + data if self._head else bytes(data)
        self._head = b""
        at, end = 0, len(chunk)
        while at < end:
            if self._in_frame:
                taken = self._take(chunk, at)
            else:
                taken = self._open(chunk, at, at_ns)
                if not taken:
                    self._stopped(chunk[at:])
                    break
            at += taken
            self._position += taken
            if self._in_frame and not self._left:
                self._end_frame(at_ns, marks)
        return marks

    def _open(self, chunk: bytes, at: int, at_ns: int) -> int:
        """Read a frame's header; its size, or 0 if it is incomplete or at fault."""
        if len(chunk) - at < 2:
            return 0
        first, second = chunk[at], chunk[at + 1]
        why = self._objection(first, second)
        if why:
            return self._fail(at_ns, why)
        length, size = second & 0x7F, 2
        if length > MAX_CONTROL:
            short = length == 126
            size = 4 if short else 10
            if len(chunk) - at < size:
                return 0
            length = int.from_bytes(chunk[at + 2 : at + size], "big")
            if length <= MAX_CONTROL if short else length < 1 << 16 or length >> 63:
                return self._fail(at_ns, "a payload length that is not in its shortest form")
        if second & 0x80:
            if len(chunk) - at < size + 4:
                return 0
            self._key = chunk[at + size : at + size + 4]
            size += 4
        else:
            self._key = None
        self._in_frame = True
        self._frame_opcode, self._last_frame = first & 0x0F, first > 0x7F
        self._frame_length = self._left = length
        if self._frame_opcode in DATA_OPCODES:
            self._message_opcode = self._frame_opcode
        return size

    def _objection(self, first: int, second: int) -> str:
        """What is wrong with the first two bytes of a header; empty if nothing is."""
        opcode = first & 0x0F
        if first & 0x70:
            return "a reserved bit is set, and no extension was agreed on"
        if opcode not in _OPCODES:
            return f"the reserved opcode {opcode}"
        if opcode >= CLOSE and (first < 0x80 or second & 0x7F > MAX_CONTROL):
            return "a control frame that is fragmented or longer than 125 bytes"
        if self._masked is not None and self._masked != (second > 0x7F):
            return "a frame without a mask" if self._masked else "a masked frame from a server"
        if opcode == CONTINUATION and self._message_opcode == CONTINUATION:
            return "a continuation of no message"
        if opcode in DATA_OPCODES and self._message_opcode != CONTINUATION:
            return "a new message inside a fragmented one"
        return ""

    def _fail(self, at_ns: int, why: str) -> int:
        self.fault = Fault(at_ns, self._position, why)
        return 0

    def _stopped(self, remainder: bytes) -> None:
        """Keep what no frame begins with yet, or never will."""
        if self.fault is None:
            self._head = remainder
        else:
            self.rest = remainder

    def _take(self, chunk: bytes, at: int) -> int:
        """Take as much of the current frame's payload as the chunk holds; how much it was."""
        taken = min(self._left, len(chunk) - at)
        if self._frame_opcode >= CLOSE:
            self._pieces.append(self._bare(chunk[at : at + taken]))
        elif self._keep and not self._shortened and self._kept_bytes < self._keep_limit:
            wanted = min(taken, self._keep_limit - self._kept_bytes)
            self._kept.append(self._bare(chunk[at : at + wanted]))
            self._kept_bytes += wanted
        self._left -= taken
        return taken

    def _bare(self, piece: bytes) -> bytes:
        if self._key is None:
            return piece
        turn = (self._frame_length - self._left) & 3
        return unmask(piece, self._key[turn:] + self._key[:turn])

    def _end_frame(self, at_ns: int, marks: list[Mark]) -> None:
        self._in_frame = False
        if self._frame_opcode >= CLOSE:
            data, self._pieces = b"".join(self._pieces), []
            marks.append(Mark(at_ns, self._frame_opcode, self._frame_length, data))
            return
        self._length += self._frame_length
        self._frames += 1
        if not self._last_frame:
            return
        kept = b"".join(self._kept) if self._keep else None
        marks.append(Mark(at_ns, self._message_opcode, self._length, kept, self._frames))
        self._message_opcode = CONTINUATION
        self._length = self._frames = self._kept_bytes = 0
        self._kept = []
        self._shortened = False


_BY_NUMPY: Final = 400  # from here on numpy's call is cheaper than big-integer arithmetic


def unmask(data: bytes, key: bytes) -> bytes:
    """`data` XORed with the four bytes of `key` over and over (RFC 6455 §5.3)."""
    size = len(data)
    pad = (key * (size + 3 >> 2))[:size]
    if size < _BY_NUMPY:
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")
        return mixed.to_bytes(size, "little")
    return (np.frombuffer(data, np.uint8) ^ np.frombuffer(pad, np.uint8)).tobytes()


def close_code(payload: bytes) -> tuple[int, str]:
    """Code and reason of a Close frame's payload, whatever they are; 1005 for an empty one."""
    if len(payload) < 2:
        return NO_STATUS, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")
