"""The recording client: a Realtime session over trio-websocket, with every event in the log.

    async with recorder.connect("wss://api.openai.com/v1", model="gpt-realtime",
                                api_key=key, store="calls.db") as session:
        await session.say("What is the weather like?")
        answer = await session.answer()

Failures raise one plain exception of `recorder.errors`, within the timeout that was asked for;
all that happened before it is in the log, the failed handshake too.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from ..errors import EndpointError
from ..events import Event, Origin
from ..secrets import redact_text
from ..sql.opening import locate
from ..sql.store import SqlStore
from ..transport import ClientSocket, Frame, Handshake, Timeouts, open_websocket
from .endpoints import Auth, Dialect, Endpoint, endpoint
from .session import RealtimeSession
from .tap import OnStall, Subject, Tap
from .telling import handshake_fields, told
from .writer import Writer, WriterOptions, open_writer

if TYPE_CHECKING:
    import ssl

    from ..store import EventStore

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of the largest message that is taken from a server."""

BUSY_SECONDS = 2.0
"""How long a recording process waits for a locked database before it counts as a stall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """How a session is recorded; the defaults suit a live call."""

    call: str = ""
    """A label that ties several sessions into one conversation."""
    tags: Sequence[str] = ()
    capture: str = "full"
    """`full`, `no-audio` or `metadata`."""
    on_stall: OnStall = "gap"
    """When the store does not keep up: lose messages and say so, or hold the session back."""
    labels: Mapping[str, str] | None = None
    secrets: Sequence[str] = field(default=(), repr=False)
    """More strings that must never be stored, beside the key and secret headers."""
    listener: Callable[[Event], None] | None = None
    """Called with every event the moment it is recorded. It must not block."""
    opened: Callable[[str], None] | None = None
    """Told the session's id once it is in the store, before the dial."""
    writer_options: WriterOptions | None = None


@asynccontextmanager
async def connect(  # noqa: PLR0913 - the options of one public call, all by keyword
    url: str,
    *,
    model: str = "",
    api_key: str | None = None,
    store: EventStore | Writer | str | os.PathLike[str] | None = None,
    auth: Auth = "auto",
    dialect: Dialect = "auto",
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    timeouts: Timeouts | None = None,
    ca_file: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = "auto",
    recording: Recording | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> AsyncIterator[RealtimeSession]:
    """Dial a Realtime endpoint and record the session until the block is left.

    `url` is an origin, an API base or a full URL. `store` is an `EventStore`, a path or
    database URL, a `Writer` that several sessions share, or None for the user's own database.
    `proxy`: "auto" obeys HTTPS_PROXY, HTTP_PROXY and NO_PROXY; None is direct; else a URL.
    Raises `UsageError`, `StoreError`, and `EndpointError` in all its kinds.
    """
    place = endpoint(
        url,
        model=model,
        api_key=api_key,
        auth=auth,
        dialect=dialect,
        headers=headers,
        subprotocols=subprotocols,
    )
    how = recording or Recording()
    place = replace(place, secrets=(*place.secrets, *how.secrets))
    async with _writer(store, how) as writer:
        tap = Tap(
            writer, _subject(place, how), on_stall=how.on_stall, clock=clock, listener=how.listener
        )
        await tap.open()
        if how.opened is not None:
            how.opened(tap.session.id)
        handshake = Handshake()
        recorded = _Recorded(tap, handshake, place, dialect)
        try:
            async with open_websocket(
                place.url,
                headers=place.headers,
                subprotocols=place.subprotocols,
                timeouts=timeouts or Timeouts(),
                ssl_context=ssl_context,
                ca_file=ca_file,
                proxy=proxy,
                max_message=MAX_MESSAGE,
                clock=clock,
                on_frame=recorded.crossed,
                hold=tap.hold,
                handshake=handshake,
            ) as socket:
                with recorded.session(socket) as session:
                    yield session
        except BaseException as error:
            recorded.failed(error)
            raise
        finally:
            recorded.end()


def _subject(place: Endpoint, how: Recording) -> Subject:
    return Subject(
        url=place.url,
        model=place.model,
        call=how.call,
        tags=how.tags,
        capture=how.capture,
        headers=_with_protocols(place),
        secrets=place.secrets,
        labels=dict(how.labels or {}),
    )


def _with_protocols(place: Endpoint) -> list[tuple[str, str]]:
    offered = ", ".join(place.subprotocols)
    return [*place.headers, *([("Sec-WebSocket-Protocol", offered)] if offered else [])]


@asynccontextmanager
async def _writer(
    store: EventStore | Writer | str | os.PathLike[str] | None, how: Recording
) -> AsyncIterator[Writer]:
    """The writer that was given, or one of our own on the store that was named."""
    if isinstance(store, Writer):
        yield store
        return
    opened: SqlStore | None = None
    if store is None or isinstance(store, (str, os.PathLike)):
        place = locate(None if store is None else os.fspath(store), os.environ)
        store = opened = await trio.to_thread.run_sync(
            lambda: SqlStore.open(place, busy_seconds=BUSY_SECONDS)
        )
    try:
        async with open_writer(store, how.writer_options) as writer:
            yield writer
    finally:
        if opened is not None:
            opened.close()


class _Recorded:
    """What the log says of one dial: its handshake, its frames, its end."""

    def __init__(self, tap: Tap, handshake: Handshake, place: Endpoint, dialect: Dialect) -> None:
        self._tap, self._handshake, self._place, self._dialect = tap, handshake, place, dialect
        self._socket: ClientSocket | None = None
        self._session: RealtimeSession | None = None
        self._early: list[tuple[Frame, int | None]] = []
        self._noted = False
        self._error: BaseException | None = None

    def crossed(self, frame: Frame) -> None:
        """A frame passed; the first one proves that the handshake is over."""
        self._note_handshake()
        origin = Origin.CLIENT if frame.sent else Origin.SERVER
        seq = self._tap.frame(origin, frame.at_ns, frame.data, frame.opcode)
        if self._session is not None:
            self._session.crossed(frame, seq)
        else:
            self._early.append((frame, seq))

    @contextmanager
    def session(self, socket: ClientSocket) -> Iterator[RealtimeSession]:
        """The session over this socket."""
        self._note_handshake()
        self._socket = socket
        self._session = RealtimeSession(socket, self._tap, self._dialect)
        for frame, seq in self._early:
            self._session.crossed(frame, seq)
        self._early.clear()
        yield self._session

    def failed(self, error: BaseException) -> None:
        """What ended the session, if something did."""
        self._error = error
        self._note_handshake(error)

    def end(self) -> None:
        """Note how the session was closed."""
        info = self._socket.close_info if self._socket else None
        fields: dict[str, Any] = {"code": None, "reason": "", "initiator": "client", "clean": False}
        if info is not None:
            reason = redact_text(info.reason, self._place.secrets)[0]
            fields = {
                "code": info.code,
                "reason": reason,
                "initiator": info.initiator,
                "clean": info.clean,
                "answer": info.answer,
            }
        elif isinstance(self._error, EndpointError):
            fields["initiator"] = "server" if self._handshake.answered_ns else "network"
        if self._error is not None:
            fields["error"] = told(self._error, self._place.secrets)
        self._tap.end(**fields)

    def _note_handshake(self, error: BaseException | None = None) -> None:
        if self._noted:
            return
        self._noted = True
        shake = self._handshake
        fields = handshake_fields(shake, self._tap.opened_ns, self._place.secrets, error)
        self._tap.note("handshake", at_ns=shake.answered_ns, **fields)
