"""The copy of what passes in one direction: frames read beside the path, messages recorded.

Laws:

1. Nothing here raises, and nothing here is waited for: whatever the bytes, the call goes on.
2. Where bytes stop being WebSocket frames, the log keeps how many there were, their digest and
   the first 64 KiB of them, without secrets, and says where and why.
3. What is held of unfinished messages is bounded, for each message and for all together. What
   is longer passes; the log has its beginning, and a gap event tells of the rest.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from recorder.events import CLOSE, Origin
from recorder.secrets import redact_message
from recorder.transport.frames import DATA_OPCODES, FrameScanner, Mark, close_code, unmask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorder.live.tap import Tap

log = logging.getLogger("recorder.proxy")

RAW_KEPT: Final = 64 * 1024
"""Bytes that are kept of what was no WebSocket any more."""


class Budget:
    """What all unfinished messages of all sessions may hold together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Closing(NamedTuple):
    """A Close frame that passed."""

    at_ns: int
    code: int
    reason: str


class Copy:
    """One direction of one session."""

    __slots__ = (
        "_budget", "_cut", "_digest", "_held", "_raw", "_raw_bytes", "_secrets", "_tap", "bytes",
        "closing", "gaps", "messages", "origin", "scanner",
    )  # fmt: skip

    def __init__(
        self,
        tap: Tap | None,
        origin: Origin,
        limit: int,
        budget: Budget,
        secrets: Sequence[str] = (),
    ) -> None:
        """Without a tap only the frames are followed. `limit`: bytes of a recorded message;
        `secrets`: known keys, which are taken out of what is no WebSocket too."""
        self._tap, self.origin, self._budget = tap, origin, budget
        self._secrets = secrets
        self.scanner = FrameScanner(
            masked=origin == Origin.CLIENT, keep=tap is not None, keep_limit=limit
        )
        self.closing: Closing | None = None
        self.messages = self.bytes = 0
        self.gaps = 0
        """Stretches of what passed that are not in the log whole."""
        self._cut: int | None = None
        self._held = self._raw_bytes = 0
        self._raw = b""
        self._digest: hashlib._Hash | None = None

    def take(self, data: bytes | bytearray, at_ns: int) -> None:
        """Look at what arrived at this clock reading."""
        self.bytes += len(data)
        try:
            if self._digest is not None:
                self._keep_raw(data)
                return
            for mark in self.scanner.feed(data, at_ns):
                self._passed(mark)
            if self.scanner.fault is not None:
                self._digest = hashlib.sha256()
                self._keep_raw(self.scanner.rest)
                self._said("what passes is no WebSocket any more: %s", self.scanner.fault.why)
            elif self.scanner.held != self._held:
                self._weigh()
        except Exception as error:  # law 1: a defect of ours must not end the call
            log.error("a message could not be recorded (%s)", type(error).__name__)
            log.debug("a message could not be recorded", exc_info=error)

    def parts_with(self, data: bytes | bytearray, at_ns: int) -> bool:
        """Whether what came after a Close of our own holds the Close that answers it.

        Such bytes go nowhere, so nothing of them is recorded; what they cut short is a gap.
        """
        if self._cut is None:
            self._cut = self._unfinished
        for mark in self.scanner.feed(data, at_ns):
            if mark.opcode == CLOSE:
                self.closing = self.closing or Closing(at_ns, *close_code(mark.data or b""))
        return self.closing is not None or self.scanner.fault is not None

    def _passed(self, mark: Mark) -> None:
        data = mark.data or b""
        if mark.opcode in DATA_OPCODES:
            self.messages += 1
        elif mark.opcode == CLOSE and self.closing is None:
            self.closing = Closing(mark.at_ns, *close_code(data))
        if self._tap is None:
            return
        self._tap.frame(self.origin, mark.at_ns, data, mark.opcode)
        if len(data) < mark.length:
            self._shortened(mark.at_ns, len(data), mark.length)

    def _shortened(self, at_ns: int, kept: int, length: int) -> None:
        assert self._tap is not None
        missing = {"count": 1, "bytes": length - kept}
        why = f"a message of {length} bytes; the first {kept} of them are in the log"
        self._said("over the limit of what is recorded: %s", why)
        origins = {self.origin.name.lower(): missing}
        self._tap.note("gap", at_ns=at_ns, **missing, origins=origins, why=why)

    def _said(self, text: str, detail: str) -> None:
        if self._tap is not None:
            self.gaps += 1
            side = self.origin.name.lower()
            log.warning(f"session %s, %s: {text}", self._tap.session.id, side, detail)

    @property
    def _unfinished(self) -> int:
        """Bytes of the message that is half way; -1 where none is."""
        pending = self.scanner.pending
        return pending if pending or not self.scanner.at_boundary else -1

    def _weigh(self) -> None:
        held = self.scanner.held
        self._budget.used += held - self._held
        self._held = held
        if self._budget.used > self._budget.limit:
            self.scanner.shorten()

    def _keep_raw(self, data: bytes | bytearray) -> None:
        assert self._digest is not None
        self._digest.update(data)
        self._raw_bytes += len(data)
        if len(self._raw) < RAW_KEPT and self._tap is not None:
            self._raw += bytes(data[: RAW_KEPT - len(self._raw)])

    def end(self, at_ns: int) -> None:
        """Note what was no WebSocket, and what was cut off in the middle."""
        self._budget.used -= self._held
        self._held = 0
        if self._tap is None:
            return
        side = self.origin.name.lower()
        fault = self.scanner.fault
        pending = self._unfinished if self._cut is None else self._cut
        if fault is not None and self._digest is not None:
            self._tap.note(
                "unparsed",
                at_ns=at_ns,
                side=side,
                why=fault.why,
                offset=fault.offset,
                first_ns=max(fault.at_ns - self._tap.opened_ns, 0),
                bytes=self._raw_bytes,
                sha256=self._digest.hexdigest(),
                data=base64.b64encode(_without_secrets(self._raw, self._secrets)).decode(),
            )
        elif pending >= 0:
            self.gaps += 1
            why = "the connection ended in the middle of a message"
            missing = {"count": 1, "bytes": pending}
            self._tap.note("gap", at_ns=at_ns, **missing, origins={side: missing}, why=why)


def _without_secrets(raw: bytes, known: Sequence[str]) -> bytes:
    """The bytes, unmasked where their header allows, without known keys and what looks like one."""
    head, body = _header(raw)
    return head + redact_message(body, [secret.encode() for secret in known if secret])[0]


def _header(raw: bytes) -> tuple[bytes, bytes]:
    """A frame's header without its mask, and everything behind it unmasked."""
    if len(raw) < 2 or not raw[1] & 0x80:
        return b"", raw
    size = {126: 4, 127: 10}.get(raw[1] & 0x7F, 2)
    key = raw[size : size + 4]
    if len(key) < 4:
        return b"", raw
    return raw[:size], unmask(raw[size + 4 :], key)
