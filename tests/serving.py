"""Real servers on loopback for the tests: one whose WebSocket side is a test's own function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from recorder.live import frontdoor
from recorder.live.frontdoor import Accept, Headers, Request, Response
from recorder.transport import plain_nursery

CREATED = {
    "type": "session.created",
    "event_id": "event_1",
    "session": {
        "type": "realtime",
        "id": "sess_test",
        "model": "m",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}},
        },
    },
}
"""What a GA server says first."""


class Scripted:
    """Accepts every upgrade, with these headers, and leaves the WebSocket to `talk`."""

    def __init__(
        self,
        talk: Callable[[Any], Awaitable[None]],
        accept: Headers | Response = (("x-request-id", "req_test_1"),),
    ) -> None:
        self.talk, self.accept = talk, accept
        self.requests: list[Request] = []

    async def http(self, request: Request) -> Response:
        self.requests.append(request)
        return Response.json({"error": {"message": "only WebSockets here"}}, 404)

    async def upgrade(self, request: Request) -> Accept | Response:
        self.requests.append(request)
        if isinstance(self.accept, Response):
            return self.accept
        offered = "realtime" in request.subprotocols
        return Accept(self.talk, "realtime" if offered else None, self.accept)


@asynccontextmanager
async def serving(
    talk: Callable[[Any], Awaitable[None]],
    accept: Headers | Response = (("x-request-id", "req_test_1"),),
) -> AsyncIterator[tuple[str, Scripted]]:
    """The base URL of a server that talks like this, and the server."""
    handler = Scripted(talk, accept)
    async with plain_nursery() as nursery:
        address = await nursery.start(frontdoor.serve, handler)
        yield f"ws://{address.host}:{address.port}/v1", handler
        nursery.cancel_scope.cancel()


async def send(socket: Any, *events: dict[str, Any]) -> None:
    """Server events as JSON text."""
    for event in events:
        await socket.send_message(orjson.dumps(event).decode())


async def answer_everything(socket: Any) -> None:
    """A minimal GA server: session.created, then a text response to each response.create."""
    await send(socket, CREATED)
    count = 0
    while True:
        event = orjson.loads(await socket.get_message())
        if event["type"] == "session.update":
            await send(socket, {**CREATED, "type": "session.updated"})
        if event["type"] == "response.create":
            count += 1
            await respond(socket, f"resp_{count}", "hello")


async def respond(socket: Any, response_id: str, text: str) -> None:
    """One text response, as short as can be."""
    ids = {"response_id": response_id, "item_id": f"item_{response_id}", "output_index": 0}
    output = [
        {
            "id": ids["item_id"],
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text}],
        }
    ]
    await send(
        socket,
        {"type": "response.created", "response": {"id": response_id, "status": "in_progress"}},
        {"type": "response.output_text.delta", **ids, "content_index": 0, "delta": text},
        {"type": "response.output_text.done", **ids, "content_index": 0, "text": text},
        {
            "type": "response.done",
            "response": {"id": response_id, "status": "completed", "output": output, "usage": {}},
        },
    )
