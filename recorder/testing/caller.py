"""The recorded caller: what he said, by his clock, and all that his client sent, once more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pybase64
import trio

from recorder import wire
from recorder.errors import RecorderError, SessionClosed
from recorder.events import BINARY, TEXT, Origin
from recorder.transport.client import open_websocket

if TYPE_CHECKING:
    from recorder.events import Event

APPEND: Final = "input_audio_buffer.append"
COMMITTED: Final = "input_audio_buffer.committed"
CREATE: Final = "conversation.item.create"
WAIT_SECONDS: Final = 30.0
"""How long the recorded caller waits for what he got in the recording."""


class Chunk(NamedTuple):
    """A piece of what the user said."""

    at: float
    """Seconds since the session was opened, when the recorded client sent it."""
    data: bytes
    """As it goes over the wire, in the session's own format; silence where it was cut."""

    @property
    def base64(self) -> str:
        """For `input_audio_buffer.append`."""
        return pybase64.b64encode(self.data).decode()


def utterances(events: Sequence[Event]) -> list[list[Chunk]]:
    """What the user said, each up to where the server took it in."""
    found: list[list[Chunk]] = [[]]
    for event in events:
        if event.origin == Origin.CLIENT and event.type == APPEND:
            size = wire.audio_bytes(event) or 0
            data = event.audio if event.audio is not None else bytes(size)
            found[-1].append(Chunk(event.at_ns / 1e9, data))
        elif event.type == COMMITTED and found[-1]:
            found.append([])
    return found if found[-1] else found[:-1]


def paced(chunks: Sequence[Chunk], speed: float = 1.0) -> Iterator[Chunk]:
    """The chunks, each when it is due by the recorded clock, from the first on. It sleeps."""
    begun = time.monotonic()
    for chunk in chunks:
        due = begun + (chunk.at - chunks[0].at) / speed
        time.sleep(max(0.0, due - time.monotonic()))
        yield chunk


def history(events: Sequence[Event], count: int) -> list[dict[str, Any]]:
    """The first so many items that the client created."""
    created = (wire.parse(event) for event in events if event.type == CREATE)
    return [dict(body.get("item") or {}) for body, _ in zip(created, range(count), strict=False)]


def repeat(events: Sequence[Event], url: str, key: str) -> None:
    """Send what the recorded client sent, each when all had come that it had got before.

    It waits for the end, in a thread of its own. Raises `RecorderError` where something does not
    come, or the connection is closed first.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            trio.run(_repeat, events, url, key)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="recorded-caller", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


async def _repeat(events: Sequence[Event], url: str, key: str) -> None:
    headers = (("Authorization", f"Bearer {key}"),)
    async with open_websocket(url, headers=headers, proxy=None) as socket:
        awaited = came = 0
        for event in events:
            if event.opcode not in (TEXT, BINARY):
                continue
            if event.origin == Origin.SERVER:
                awaited += 1
            elif event.origin == Origin.CLIENT:
                while came < awaited:
                    came += await _received(socket, event)
                message = wire.join(event, silence=True)
                await socket.send(message if event.opcode == BINARY else message.decode())
        while came < awaited:
            came += await _received(socket, None)


async def _received(socket: Any, before: Event | None) -> int:
    """Take one message in. Raises `RecorderError`."""
    what = f"event {before.seq} ({before.type})" if before else "the end"
    try:
        with trio.fail_after(WAIT_SECONDS):
            message = await socket.receive()
    except trio.TooSlowError:
        raise RecorderError(f"the recorded caller waited in vain, before {what}") from None
    except SessionClosed as error:
        raise RecorderError(f"the connection was closed before {what}: {error}") from None
    return 1 if message else 0
