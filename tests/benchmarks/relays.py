"""What a proxy is measured against: a bare TCP relay and a stock trio-websocket relay.

    python -m tests.benchmarks.relays tcp|websocket PORT-OF-THE-UPSTREAM

Prints its port and runs until its input ends.
"""

from __future__ import annotations

import sys

import trio
import trio_websocket


async def tcp(stream: trio.SocketStream, upstream: int) -> None:
    """Bytes from one socket to the other, both ways."""
    other = await trio.open_tcp_stream("127.0.0.1", upstream)

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        while data := await source.receive_some(65536):
            await sink.send_all(data)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, stream, other)
            nursery.start_soon(pump, other, stream)
    except* trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(other)


async def websocket(request: trio_websocket.WebSocketRequest, upstream: int) -> None:
    """Messages from one WebSocket to the other, both ways, as trio-websocket gives them."""
    url = f"ws://127.0.0.1:{upstream}{request.path}"
    client = await request.accept()
    async with trio_websocket.open_websocket_url(url, max_message_size=64 << 20) as other:

        async def pump(source, sink) -> None:
            while True:
                await sink.send_message(await source.get_message())

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, other)
                nursery.start_soon(pump, other, client)
        except* trio_websocket.ConnectionClosed:
            pass


async def main(kind: str, upstream: int) -> None:
    """Serve until our input ends."""
    async with trio.open_nursery() as nursery:
        if kind == "tcp":
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(
                trio.serve_listeners, lambda stream: tcp(stream, upstream), listeners
            )
            port = listeners[0].socket.getsockname()[1]
        else:

            async def handle(request: trio_websocket.WebSocketRequest) -> None:
                await websocket(request, upstream)

            server = await nursery.start(
                lambda task_status: trio_websocket.serve_websocket(
                    handle, "127.0.0.1", 0, None, task_status=task_status
                )
            )
            port = server.port
        print(port, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
