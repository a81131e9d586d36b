"""The sound of a session, by ranges of bytes.

What was heard, user left and assistant right, as WAV of 16 bits: the same samples that
`recorder audio` writes. Its length is known from the layout before any of it is computed. The
samples are computed from the start into a temporary file without a name, by one thread for each
sound; a range is answered as soon as it is there. So memory does not grow, a seek costs a read,
and the first sound of an hour-long call is there at once.

Laws:

1. A range is answered with 206 and exactly its bytes; several ranges with the whole (RFC 9110
   §14.2 allows that), one beyond the end with 416.
2. What a browser has of a sound is continued only where it is still the same sound (`If-Range`):
   the tag names the session and its last event.
3. Sounds are kept on disk while somebody may listen: of the last `KEPT` sessions, no longer than
   the server runs.
"""

from __future__ import annotations

import re
import struct
import tempfile
import threading
from collections import OrderedDict
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import trio

from recorder.errors import RecorderError, StoreUnavailable
from recorder.page.sound import RATE
from recorder.tracks import lay_out, stereo
from recorder.transport.http import Response

from .asking import wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from recorder.events import Event
    from recorder.sql.store import SqlStore
    from recorder.tracks import Layout

    from .asking import Ask

KEPT: Final = 4
PIECE: Final = 256 * 1024
"""Bytes that are read and sent at once."""
FRAME: Final = 4
"""Bytes of a sample of both sides."""
HEAD: Final = 44


class Sound:
    """One sound, being computed or ready."""

    def __init__(self, tag: str, samples: int) -> None:
        self.tag, self.samples = tag, samples
        self.bytes = HEAD + samples * FRAME
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._ready = 0
        self._failed: RecorderError | None = None
        self._changed = threading.Condition()
        self._gone = False

    def compute(self, events: object, layout: Layout) -> None:
        """Write all of it; in a thread of its own. The layout, large as it is, ends with that."""
        try:
            self._write(wav_head(self.samples))
            for block in stereo(events, layout, RATE):  # type: ignore[arg-type]
                if self._gone:
                    return
                self._write(block.tobytes())
            self._write(bytes(max(self.bytes - self._ready, 0)))
        except RecorderError as error:
            self._fail(error)
        except Exception as error:
            self._fail(StoreUnavailable(f"the sound cannot be made ({type(error).__name__})"))

    def _write(self, data: bytes) -> None:
        with self._changed:
            if self._gone:
                return
            data = data[: self.bytes - self._ready]
            self._file.seek(self._ready)
            self._file.write(data)
            self._ready += len(data)
            self._changed.notify_all()

    def _fail(self, error: RecorderError) -> None:
        with self._changed:
            self._failed = error
            self._changed.notify_all()

    def read(self, begin: int, end: int) -> bytes:
        """These bytes, once they are there. Raises what stopped them from being made."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready >= end or self._failed or self._gone)
            if self._failed:
                raise self._failed
            if self._gone:
                raise StoreUnavailable("the server is ending")
            self._file.seek(begin)
            return self._file.read(end - begin)

    def close(self) -> None:
        """Let go of the file."""
        with self._changed:
            self._gone = True
            self._file.close()
            self._changed.notify_all()


class Sounds:
    """The sounds of one store. Safe to share between threads."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._kept: OrderedDict[str, Sound] = OrderedDict()
        self._lock = threading.Lock()

    def sound(self, session_id: str, until: int = 0) -> Sound | None:
        """The sound as far as this event; None where there is none. Raises `SessionNotFound`."""
        last = self._store.last_seq(session_id)
        until = min(until or last, last)
        tag = f'"{session_id}-{until}"'
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
                return self._kept[tag]

        def events(audio: bool) -> Iterator[Event]:
            return self._store.read(session_id, until=until, audio=audio)

        layout = lay_out(events)
        if not (layout.has_user or layout.has_assistant):
            return None
        made = Sound(tag, -(-layout.end_ns * RATE // 10**9))
        with self._lock:
            known = self._kept.setdefault(tag, made)
            dropped = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - KEPT)]
        for each in (*dropped, *((made,) if known is not made else ())):
            each.close()
        if known is made:
            threading.Thread(target=made.compute, args=(events, layout), daemon=True).start()
        return known

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            sounds, self._kept = list(self._kept.values()), OrderedDict()
        for each in sounds:
            each.close()


def wav_head(samples: int) -> bytes:
    """The first bytes of a WAV file of both sides (Microsoft RIFF, PCM)."""
    size = min(samples * FRAME, 2**32 - 1 - HEAD)
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * FRAME, FRAME, 16)
    riff = b"RIFF" + struct.pack("<I", size + HEAD - 8) + b"WAVE"
    return riff + b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size)


# ---- ranges


class Span(NamedTuple):
    """Bytes from `begin` up to before `end`."""

    begin: int
    end: int


_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE)


def span_of(header: str | None, size: int) -> Span | None:
    """What a `Range` asks for; None: the whole, for what is not understood is to be ignored.

    An empty span where nothing of it is there (RFC 9110 §14.1.2).
    """
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if not found or found[1] == found[2] == "":
        return None
    if not found[1]:
        return Span(max(size - int(found[2]), 0), size) if int(found[2]) else Span(0, 0)
    begin = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if last < begin and found[2]:
        return None
    return Span(begin, min(last + 1, size)) if begin < size else Span(0, 0)


async def sound(ask: Ask) -> Response:
    """The sound, or a part of it."""
    until = ask.count("until", 0, 2**40)
    found = await ask.work(ask.desk.sounds.sound, ask.place["id"], until)
    if found is None:
        return wrong(404, "this session has no sound")
    headers = (("Content-Type", "audio/wav"), ("Accept-Ranges", "bytes"), ("ETag", found.tag))
    condition = ask.request.header("If-Range")
    ranged = condition is None or condition == found.tag
    span = span_of(ask.request.header("Range"), found.bytes) if ranged else None
    if span is None:
        body = _pieces(ask, found, Span(0, found.bytes))
        return Response(200, headers, body, found.bytes)
    if span.begin >= span.end:
        return Response(416, (*headers, ("Content-Range", f"bytes */{found.bytes}")))
    where = f"bytes {span.begin}-{span.end - 1}/{found.bytes}"
    body = _pieces(ask, found, span)
    return Response(206, (*headers, ("Content-Range", where)), body, span.end - span.begin)


async def _pieces(ask: Ask, found: Sound, span: Span) -> AsyncIterator[bytes]:
    for begin in range(span.begin, span.end, PIECE):
        yield await trio.to_thread.run_sync(
            found.read, begin, min(begin + PIECE, span.end), limiter=ask.desk.listening
        )
