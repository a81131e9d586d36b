"""The sound of a session, by ranges of bytes.

What was heard, user left and assistant right, as WAV of 16 bits: the same samples that
`recorder audio` writes. Its length is known from the layout before any of it is computed. The
samples are computed from the start into a temporary file without a name, by one thread for each
sound, or for a long one by a process of its own (`helping`); a range is answered as soon as it is
there. So memory does not grow, a seek costs a read, and the first sound of an hour-long call is
there at once.

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
from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import trio

from recorder.errors import RecorderError, StoreUnavailable
from recorder.page.sound import RATE
from recorder.tracks import lay_out, stereo
from recorder.transport.http import Response

from .asking import wrong
from .helping import helped, is_worth_it, received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from multiprocessing.connection import Connection

    from recorder.events import Event
    from recorder.sql.store import SqlStore
    from recorder.tracks import EventSource, Layout

    from .asking import Ask

KEPT: Final = 4
STRIPES: Final = 16
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

    def fill(self, pieces: Generator[bytes]) -> None:
        """Write all of it; in a thread of its own."""
        try:
            with closing(pieces):
                for piece in pieces:
                    if not self._write(piece):
                        return
            if self._ready < self.bytes:
                self._fail(StoreUnavailable("the sound could not be made to its end"))
        except RecorderError as error:
            self._fail(error)
        except Exception as error:
            self._fail(StoreUnavailable(f"the sound cannot be made ({type(error).__name__})"))

    def _write(self, data: bytes) -> bool:
        """Whether somebody still wants more of it."""
        with self._changed:
            if self._gone:
                return False
            self._file.seek(self._ready)
            self._ready += self._file.write(data[: self.bytes - self._ready])
            self._changed.notify_all()
            return True

    def _fail(self, error: RecorderError) -> None:
        with self._changed:
            self._failed = error
            self._changed.notify_all()

    @property
    def failed(self) -> bool:
        """Whether it was not made to its end, and never will be."""
        return self._failed is not None

    def read(self, begin: int, end: int) -> bytes:
        """These bytes, once they are there. Raises what stopped them from being made."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready >= end or self._failed or self._gone)
            if self._gone:
                raise StoreUnavailable("the server is ending")
            if self._failed and self._ready < end:
                raise self._failed
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
        self._starting = [threading.Lock() for _ in range(STRIPES)]
        """Each for some of the sessions: held by who begins the sound of one."""

    def sound(self, session_id: str, until: int = 0) -> Sound | None:
        """The sound as far as this event; None where there is none. Raises `SessionNotFound`."""
        last = self._store.last_seq(session_id)
        until = min(until or last, last)
        tag = f'"{session_id}-{until}"'
        with self._starting[hash(session_id) % STRIPES]:
            with self._lock:
                known = self._kept.get(tag)
                if known is not None and not known.failed:
                    self._kept.move_to_end(tag)
                    return known
            begin = _elsewhere if is_worth_it(self._store, until) else _here
            samples, pieces = begin(self._store, session_id, until)
            if samples is None:
                return None
            made = Sound(tag, samples)
            threading.Thread(target=made.fill, args=(pieces,), daemon=True).start()
            self._keep(made)
        return made

    def _keep(self, made: Sound) -> None:
        with self._lock:
            dropped = [self._kept.pop(made.tag)] if made.tag in self._kept else []
            self._kept[made.tag] = made
            dropped += [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - KEPT)]
        for each in dropped:
            each.close()

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


# ---- making


def _here(store: SqlStore, session_id: str, until: int) -> tuple[int | None, Generator[bytes]]:
    """How many samples there are, None where there is no sound; and the file, bit by bit."""

    def events(audio: bool) -> Iterator[Event]:
        return store.read(session_id, until=until, audio=audio)

    layout = lay_out(events)
    sounds = layout.has_user or layout.has_assistant
    samples = -(-layout.end_ns * RATE // 10**9)
    return samples if sounds else None, _wav(events, layout, samples)


def _wav(events: EventSource, layout: Layout, samples: int) -> Generator[bytes]:
    left = samples * FRAME
    yield wav_head(samples)
    for block in stereo(events, layout, RATE):
        yield block.tobytes()
        left -= block.nbytes
    yield bytes(max(left, 0))


def _elsewhere(store: SqlStore, session_id: str, until: int) -> tuple[int | None, Generator[bytes]]:
    """The same, made by a process of its own."""
    with ExitStack() as stack:
        pipe = stack.enter_context(helped(_help, store, session_id, until))
        try:
            samples = received(pipe)
        except EOFError:
            raise StoreUnavailable("the sound cannot be made: its helper ended early") from None
        return samples, _sent(pipe, stack.pop_all())


def _sent(pipe: Connection, helper: ExitStack) -> Generator[bytes]:
    with helper:
        while True:
            try:
                yield received(pipe)
            except EOFError:
                return


def _help(store: SqlStore, pipe: Connection, session_id: str, until: int) -> None:
    samples, pieces = _here(store, session_id, until)
    pipe.send(samples)
    if samples is not None:
        for piece in pieces:
            pipe.send(piece)


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
