"""What serves an application under test: an event loop in a thread of its own.

The application talks to a recording proxy; behind it stands the mock, or a real endpoint. So
synchronous, asyncio and trio tests are served alike, and what they did is recorded like a call.

Ending in order: the proxy takes nobody new, open connections get `PARTING_SECONDS` to end by
themselves, and what the mock was still reading is read to its end.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from recorder.errors import RecorderError
from recorder.live.frontdoor import Request, Response
from recorder.live.writer import WriterOptions, open_writer
from recorder.mocking.choosing import Played, Recorded
from recorder.mocking.serving import Mock, Options, serve_mock
from recorder.proxy.options import ProxyOptions
from recorder.proxy.routes import parse_upstream
from recorder.proxy.running import drain, serve_proxy
from recorder.store import MemoryStore
from recorder.transport.http import Accept
from recorder.transport.nurseries import plain_nursery

PARTING_SECONDS: Final = 0.5
"""What an application gets to close its connections when the test is over."""
READING_SECONDS: Final = 2.0
"""What the mock gets to read what was sent before that."""
JOIN_SECONDS: Final = 30.0


class _Stage(Mock):
    """A mock that knows whether all that came to it are gone again."""

    def __init__(self, recorded: Sequence[Recorded], options: Options) -> None:
        super().__init__(recorded, options, self._ended)
        self.played: list[Played] = []
        self._let_in = 0
        self._changed = trio.Event()

    async def upgrade(self, request: Request) -> Accept | Response:
        answer = await super().upgrade(request)
        self._let_in += isinstance(answer, Accept)
        return answer

    def _ended(self, played: Played) -> None:
        self.played.append(played)
        self._changed.set()

    async def emptied(self) -> None:
        """Wait until everybody has left."""
        while len(self.played) < self._let_in:
            self._changed = trio.Event()
            await self._changed.wait()


class Engine(threading.Thread):
    """Serves recorded sessions, or passes on to an endpoint, until it is told to end."""

    def __init__(
        self,
        recorded: Sequence[Recorded] = (),
        options: Options | None = None,
        *,
        endpoint: str = "",
    ) -> None:
        """Either `recorded`, played as `options` say, or an `endpoint`."""
        super().__init__(name="recorder-mocked", daemon=True)
        self.store = MemoryStore()
        """What passed in this run."""
        self._recorded, self._options, self._endpoint = recorded, options or Options(), endpoint
        self._ready = threading.Event()
        self._address = ""
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._ending: trio.Event | None = None
        self._played: list[Played] = []

    def listen(self) -> str:
        """Start, and give host and port. Raises what kept it from that."""
        self.start()
        self._ready.wait()
        if not self._address:
            self.join()
            raise self._error or RecorderError("the mock did not start")
        return self._address

    def finish(self) -> list[Played]:
        """End it, and say what was played. Raises what ended it before; may be called again."""
        if self._token is not None and self._ending is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._ending.set)
        self.join(JOIN_SECONDS)
        if self.is_alive():
            raise RecorderError(f"the mock did not end within {JOIN_SECONDS:g} s")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._played

    def run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token, self._ending = trio.lowlevel.current_trio_token(), trio.Event()
        if self._endpoint:
            await self._proxy(self._endpoint, self._ending, outer="auto")
            return
        async with _staged(_Stage(self._recorded, self._options)) as (stage, address):
            try:
                await self._proxy(f"http://{address}/v1", self._ending, outer=None)
                with trio.move_on_after(READING_SECONDS):
                    await stage.emptied()
            finally:
                self._played = stage.played

    async def _proxy(self, upstream: str, ending: trio.Event, outer: str | None) -> None:
        options = ProxyOptions(upstreams=[parse_upstream(upstream)], outer_proxy=outer)
        async with (
            open_writer(self.store, WriterOptions()) as writer,
            serve_proxy(options, writer) as (proxy, address),
        ):
            self._address = str(address)
            self._ready.set()
            await ending.wait()
            await drain(proxy, PARTING_SECONDS)


@asynccontextmanager
async def _staged(stage: _Stage) -> AsyncIterator[tuple[_Stage, str]]:
    async with plain_nursery() as nursery:
        address = await nursery.start(serve_mock, stage)
        yield stage, str(address)
        nursery.cancel_scope.cancel()
