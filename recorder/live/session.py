"""A Realtime session as an application drives it: send, receive, and the common acts."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import orjson
import pybase64
import trio

from ..errors import EndpointTimeout, ServerError, SessionClosed
from ..events import BINARY, TEXT
from ..secrets import redact_text
from ..transport import ClientSocket, Frame, Handshake
from ..transport.handshake import NO_KEY_SENT, sends_key
from . import shapes
from .answers import Answer
from .marks import check_mark as check_mark

if TYPE_CHECKING:
    import os

    from ..audio.formats import AudioFormat
    from .endpoints import Dialect
    from .tap import Tap
    from .writer import Writer

EVENT_ID = "event_rec_"
"""How the ids begin that we give to our own events."""


class ServerEvent(NamedTuple):
    """A message from the server, as it is handed to the application."""

    type: str
    data: dict[str, Any]
    """The parsed JSON object; empty where the message was none."""
    at_ns: int
    """When its last byte arrived, on the session's clock."""
    seq: int | None
    """Its number in the log; None if it was lost."""
    raw: bytes


class RealtimeSession:
    """An open session. Made by `connect`."""

    def __init__(self, socket: ClientSocket, tap: Tap, dialect: Dialect) -> None:
        self._socket, self._tap = socket, tap
        self._asked: Dialect = dialect
        self._ahead: deque[ServerEvent] = deque()
        self._seqs: deque[tuple[int, int | None]] = deque()
        self._events_sent = 0
        self.config: dict[str, Any] = {}
        """The session object as the server last sent it: what is in effect."""

    @property
    def id(self) -> str:
        """The name of the recording."""
        return self._tap.session.id

    @property
    def writer(self) -> Writer:
        """What commits this session, and perhaps others."""
        return self._tap.writer

    @property
    def lost(self) -> int:
        """Messages that passed and are not in the log."""
        return self._tap.lost

    @property
    def handshake(self) -> Handshake:
        """How the dial went: status, headers, times."""
        return self._socket.handshake

    @property
    def beta(self) -> bool:
        """Whether events are shaped as the beta protocol wants them."""
        if self._asked == "auto":
            return shapes.is_beta(self.config)
        return self._asked == "beta"

    @property
    def input_format(self) -> AudioFormat:
        """How the session takes audio."""
        return shapes.input_format(self.config)

    # ---- the wire

    async def send(self, event: Mapping[str, Any] | str | bytes) -> None:
        """Send a client event; text and bytes go out exactly as they are.

        Raises `SessionClosed` if the connection has ended.
        """
        await self._send(event if isinstance(event, str | bytes) else orjson.dumps(event).decode())

    async def _send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except SessionClosed as closed:
            raise self._explained(closed) from None

    def _explained(self, closed: SessionClosed) -> SessionClosed:
        keyed = sends_key(self.handshake.request, self._tap.session.url)
        return explained(closed, keyed=keyed)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerEvent:
        """The next server event. The iteration ends where the session was closed normally."""
        try:
            return await self.receive()
        except SessionClosed as closed:
            if closed.code in (1000, 1005):
                raise StopAsyncIteration from None
            raise

    async def receive(self) -> ServerEvent:
        """The next server event. Raises `SessionClosed` at the end, whatever the close code."""
        if self._ahead:
            return self._ahead.popleft()
        return await self._receive()

    async def _receive(self) -> ServerEvent:
        try:
            at_ns, _, raw = await self._socket.receive()
        except SessionClosed as closed:
            raise self._explained(closed) from None
        data = _parsed(raw)
        kind = data.get("type")
        if kind in ("session.created", "session.updated"):
            stated = data.get("session")
            self.config = stated if isinstance(stated, dict) else self.config
        seq = self._seqs.popleft()[1] if self._seqs else None
        name = kind if isinstance(kind, str) else ""
        return ServerEvent(name, data, at_ns - self._tap.opened_ns, seq, raw)

    def crossed(self, frame: Frame, seq: int | None) -> None:
        """Called for each frame as it is recorded, so that events know their numbers."""
        if not frame.sent and frame.opcode in (TEXT, BINARY):
            self._seqs.append((frame.at_ns, seq))

    # ---- common acts

    async def ready(self, timeout: float = 10.0) -> dict[str, Any]:
        """Wait until the server has said what the session is; the session object.

        What arrives meanwhile is kept for whoever receives next.
        Raises `EndpointTimeout`, `ServerError`, `SessionClosed`.
        """
        with within(timeout, "the server sent no session.created"):
            while not self.config:
                self._ahead.append(await self._receive())
        return self.config

    async def configure(self, options: shapes.SessionOptions, timeout: float = 10.0) -> None:
        """Ask for these options in the session's own dialect, and wait until they hold.

        Raises `ServerError` if the server refuses them.
        """
        await self.ready(timeout)
        update = shapes.session_update(options, beta=self.beta)
        if update is None:
            return
        event_id = await self._send_named(update)
        with within(timeout, "the server did not answer session.update"):
            while True:
                event = await self._receive()
                if event.type == "error" and answers_us(event.data, event_id):
                    raise server_error(event.data)
                self._ahead.append(event)
                if event.type == "session.updated":
                    return

    async def say(self, text: str) -> None:
        """Add a user message of text and ask for a response."""
        await self.send(shapes.user_text(text))
        await self.respond()

    async def respond(self, **response: Any) -> None:
        """Ask for a response; keywords are its parameters, in the endpoint's own shape."""
        event: shapes.Json = {"type": "response.create"}
        if response:
            event["response"] = response
        await self._send_named(event)

    async def cancel(self) -> None:
        """Stop the response that is being generated."""
        await self._send_named({"type": "response.cancel"})

    async def truncate(self, item_id: str, audio_end_ms: int) -> None:
        """Tell the server how much of an item's audio was really played."""
        await self._send_named(
            {
                "type": "conversation.item.truncate",
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": audio_end_ms,
            }
        )

    async def tool_output(self, call_id: str, output: str) -> None:
        """Give the result of a function call. Ask for the continuation with `respond`."""
        await self._send_named(shapes.tool_output(call_id, output))

    async def append(self, audio: bytes) -> None:
        """Append audio, in the session's input format, to the input buffer."""
        text = pybase64.b64encode(audio)
        await self._send((b'{"type":"input_audio_buffer.append","audio":"' + text + b'"}').decode())

    async def commit(self) -> None:
        """Make a user message of what is in the input buffer."""
        await self._send_named({"type": "input_audio_buffer.commit"})

    async def stream(
        self, audio: AsyncIterator[bytes] | bytes, *, chunk_ms: int = 20, speed: float = 1.0
    ) -> None:
        """Append audio in small chunks, at the pace at which a microphone would bring it.

        Bytes are cut into chunks of `chunk_ms`; the pieces of an iterator are sent as they are,
        each when its last sample would have been spoken. `speed` inf does not wait at all.
        """
        form = self.input_format
        pieces = _chunks(audio, form, chunk_ms) if isinstance(audio, bytes) else audio
        started, spoken = trio.current_time(), 0
        async for piece in pieces:
            spoken += len(piece)
            if math.isfinite(speed):
                await trio.sleep_until(started + form.ns_of_bytes(spoken) / 1e9 / speed)
            await self.append(piece)

    async def stream_file(
        self,
        path: str | os.PathLike[str],
        *,
        rate: int | None = None,
        chunk_ms: int = 20,
        speed: float = 1.0,
    ) -> None:
        """`stream` a WAV, FLAC or raw PCM16 file, converted to the session's input format.

        `rate` is that of raw PCM; for other files it overrides what their header says.
        Raises `AudioFileError`.
        """
        from ..audio.files import load

        audio = await trio.to_thread.run_sync(load, Path(path), self.input_format, rate)
        await self.stream(audio, chunk_ms=chunk_ms, speed=speed)

    async def answer(self, timeout: float = 60.0) -> Answer:
        """Wait for the next response to be done, and give what it brought.

        Events that arrive meanwhile are taken in. Raises `EndpointTimeout`, `SessionClosed`,
        and `ServerError` for an error that comes before any response has begun.
        """
        answer = Answer()
        with within(timeout, "the server did not finish a response"):
            while True:
                event = await self.receive()
                if event.type == "error" and not answer.id and answers_us(event.data):
                    raise server_error(event.data)
                if answer.feed(event.data):
                    return answer

    def mark(self, kind: str, **fields: Any) -> int:
        """Record what the application did or saw; the event's number in the log.

        `mark("playback", item_id=…, played_ms=…)` says what was really played, `mark("note",
        text=…)` is free text; other kinds are kept as they are. Fields must be JSON.
        Raises `UsageError` for what is no mark (`recorder.live.marks`).
        """
        check_mark(kind, fields)
        return self._tap.note(kind, **fields)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection. Leaving the `connect` block does this too."""
        await self._socket.close(code, reason)

    async def _send_named(self, event: Mapping[str, Any]) -> str:
        """Send with an event id of our own, so that an error can refer to it."""
        self._events_sent += 1
        event_id = f"{EVENT_ID}{self._events_sent}"
        await self.send({"event_id": event_id, **event})
        return event_id


@contextlib.contextmanager
def within(seconds: float, complaint: str) -> Iterator[None]:
    """`EndpointTimeout` with this complaint if the block takes longer."""
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise EndpointTimeout(f"{complaint} within {seconds:g} s") from None


_HINTS = {
    3000: "the key was refused: look at the variable it comes from, and at --auth",
    4000: "if it no longer speaks the beta protocol, use dialect ga (--dialect ga)",
    1001: "the session may have reached its longest duration; a new one starts without history",
    1009: "a message was larger than the other side takes",
}


def explained(closed: SessionClosed, *, keyed: bool = True) -> SessionClosed:
    """The same error, with what can be done about its close code."""
    hint = NO_KEY_SENT if closed.code == 3000 and not keyed else _HINTS.get(closed.code)
    text = redact_text(str(closed))[0]
    return SessionClosed(
        f"{text}; {hint}" if hint else text, code=closed.code, reason=closed.reason
    )


def server_error(data: Mapping[str, Any]) -> ServerError:
    """Our exception for an `error` event."""
    error = data.get("error")
    error = error if isinstance(error, dict) else {"message": str(error)}
    message = redact_text(str(error.get("message") or "no message"))[0].strip().rstrip(".")
    code = error.get("code") or error.get("type") or "error"
    param = f" (param {error['param']})" if error.get("param") else ""
    return ServerError(
        f"the endpoint answered with an error: {code}: {message}{param}", error=error
    )


_HARMLESS = frozenset({"response_cancel_not_active", "conversation_already_has_active_response"})
"""Codes of races that every client runs into: an answer still comes, or came."""


def answers_us(data: Mapping[str, Any], event_id: str = EVENT_ID) -> bool:
    """Whether an error is the answer to an event of ours whose id begins like this.

    Most servers name no event: then those count that speak of an invalid request. Others, such
    as a passing `server_error`, come unasked, and the session goes on.
    """
    error = data.get("error")
    if not isinstance(error, dict) or error.get("code") in _HARMLESS:
        return False
    refers_to = error.get("event_id")
    if isinstance(refers_to, str):
        return refers_to.startswith(event_id)
    return str(error.get("type", "invalid_request_error")) == "invalid_request_error"


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}


async def _chunks(audio: bytes, form: AudioFormat, chunk_ms: int) -> AsyncIterator[bytes]:
    size = max(1, form.rate * chunk_ms // 1000) * form.width
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
