"""Microphone and loudspeaker, through the optional extra `sound` (sounddevice, PortAudio).

The loudspeaker knows what was really played: it writes playback marks, and when the user cuts in
it falls silent, says so to the server (`conversation.item.truncate`) and to the log.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import trio

from ..audio.codecs import decode_audio, encode_audio
from ..audio.formats import AudioFormat
from ..errors import UsageError
from ..transport import plain_nursery

if TYPE_CHECKING:
    from .caller import Caller
    from .session import RealtimeSession, ServerEvent

CHUNK_MS: Final = 20
MARK_SECONDS: Final = 0.5
"""How often a playback mark says how far an item has been played."""


def require(what: str = "--mic and --speaker need") -> Any:
    """The sounddevice module. Raises `UsageError` where it, or PortAudio, is not installed."""
    try:
        import sounddevice
    except ImportError:
        raise UsageError(f"{what} the extra: pip install 'realtime-recorder[sound]'") from None
    except OSError:
        raise UsageError(
            f"{what} the PortAudio library (Debian: apt install libportaudio2)"
        ) from None
    return sounddevice


@contextmanager
def _device(open_stream: Callable[[], Any], what: str) -> Iterator[None]:
    """A running stream of the sound card. Raises `UsageError` where there is none."""
    sounddevice = require()
    try:
        stream = open_stream()
        stream.start()
    except sounddevice.PortAudioError as error:
        raise UsageError(f"no {what} can be opened: {error}") from None
    try:
        yield
    finally:
        stream.abort()
        stream.close()


class Microphone:
    """What the sound card hears, in the session's input format."""

    def __init__(self, form: AudioFormat) -> None:
        self.form = form
        # A minute: if the session does not take it by then, the oldest is still the right one.
        self._send, self._receive = trio.open_memory_channel[bytes](60_000 // CHUNK_MS)

    @contextmanager
    def listening(self) -> Iterator[AsyncIterator[bytes]]:
        """Chunks of 20 ms as they are captured."""
        token = trio.lowlevel.current_trio_token()

        def captured(data: Any, _frames: int, _time: object, _status: object) -> None:
            token.run_sync_soon(self._take, bytes(data))

        rate = self.form.rate
        sounddevice = require()
        with _device(
            lambda: sounddevice.RawInputStream(
                samplerate=rate,
                channels=1,
                dtype="int16",
                blocksize=rate * CHUNK_MS // 1000,
                callback=captured,
            ),
            "microphone",
        ):
            yield self._receive

    def _take(self, data: bytes) -> None:
        samples = np.frombuffer(data, np.int16)
        # Nobody takes it: the session has stalled for a minute, or is over.
        with suppress(trio.WouldBlock, trio.BrokenResourceError):
            self._send.send_nowait(encode_audio(samples, self.form))


class Loudspeaker:
    """Plays the assistant's audio, and knows how much of each item was played."""

    def __init__(self, session: RealtimeSession, form: AudioFormat) -> None:
        self._session, self._form = session, form
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._played: dict[str, int] = {}
        self._told: dict[str, int] = {}

    @contextmanager
    def playing(self) -> Iterator[None]:
        """The sound card plays what is put, silence in between."""
        sounddevice = require()

        def wanted(out: Any, _frames: int, _time: object, _status: object) -> None:
            out[:] = self._pull(len(out))

        with _device(
            lambda: sounddevice.RawOutputStream(
                samplerate=self._form.rate, channels=1, dtype="int16", callback=wanted
            ),
            "loudspeaker",
        ):
            yield

    def put(self, item_id: str, audio: bytes) -> None:
        """Queue audio of an item, in the session's output format."""
        pcm = decode_audio(audio, self._form).astype("<i2").tobytes()
        with self._lock:
            self._queue.append((item_id, pcm))

    def _pull(self, size: int) -> bytes:
        """The next bytes to be played; called in the sound card's thread."""
        pieces, left = [], size
        with self._lock:
            while left and self._queue:
                item_id, pcm = self._queue.popleft()
                piece, rest = pcm[:left], pcm[left:]
                if rest:
                    self._queue.appendleft((item_id, rest))
                pieces.append(piece)
                left -= len(piece)
                self._played[item_id] = self._played.get(item_id, 0) + len(piece)
        return b"".join(pieces) + bytes(left)

    def cut(self) -> tuple[str, int] | None:
        """Fall silent: the item that was playing and the ms of it that were played."""
        with self._lock:
            if not self._queue:
                return None
            item_id = self._queue[0][0]
            self._queue.clear()
            return item_id, self._ms(self._played.get(item_id, 0))

    def _ms(self, size: int) -> int:
        return round(size / 2 / self._form.rate * 1000)

    def mark(self) -> None:
        """Write a playback mark for each item that was played further since the last time."""
        with self._lock:
            played = dict(self._played)
        for item_id, size in played.items():
            if item_id and size != self._told.get(item_id):
                self._told[item_id] = size
                self._session.mark("playback", item_id=item_id, played_ms=self._ms(size))

    async def marking(self) -> None:
        """Write marks for ever."""
        while True:
            await trio.sleep(MARK_SECONDS)
            self.mark()

    async def heed(self, event: ServerEvent) -> None:
        """Play what the event brings; fall silent where the user cuts in."""
        if event.type in ("response.output_audio.delta", "response.audio.delta"):
            from .answers import decoded

            self.put(str(event.data.get("item_id", "")), decoded(event.data.get("delta")))
        elif event.type == "input_audio_buffer.speech_started" and (cut := self.cut()):
            item_id, played_ms = cut
            self.mark()
            await self._session.truncate(item_id, played_ms)


async def talk(caller: Caller, *, speaker: bool) -> None:
    """Send the microphone until cancelled; with `speaker`, play the answers."""
    session = caller.session
    await session.ready()
    microphone = Microphone(session.input_format)
    async with plain_nursery() as nursery:
        with microphone.listening() as chunks:
            nursery.start_soon(_stream, session, chunks)
            if not speaker:
                await caller.idle(math.inf)
                return
            loudspeaker = Loudspeaker(session, caller.output_format)
            with loudspeaker.playing():
                nursery.start_soon(loudspeaker.marking)
                while True:
                    await loudspeaker.heed(await session.receive())


async def _stream(session: RealtimeSession, chunks: AsyncIterator[bytes]) -> None:
    await session.stream(chunks, speed=math.inf)
