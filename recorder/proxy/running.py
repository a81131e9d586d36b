"""A proxy as it runs: its front door, its end in order, and one in a thread for applications.

    with recorder.proxied("https://api.openai.com/v1", store="calls.db") as base_url:
        client = OpenAI(base_url=base_url)

Ending in order: `/readyz` turns red, no new session is taken, open ones go on until they end by
themselves, at most `grace` seconds; what is then still open gets a Close with 1001.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from recorder.errors import RecorderError, StoreError, UsageError
from recorder.live import frontdoor
from recorder.live.writer import LONGEST_FLUSH_SECONDS, Writer, WriterOptions, open_writer
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.transport.nurseries import plain_nursery

from .options import ProxyOptions
from .routes import parse_upstream
from .serving import Proxy
from .sessions import GOING_AWAY

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from recorder.store import EventStore
    from recorder.transport.http import Address

log = logging.getLogger("recorder.proxy")

WATCH_SECONDS: Final = 1.0
"""How often open sessions are looked at."""
ENDING_SECONDS: Final = 5.0
"""How long sessions that were told to end may take for it."""
PARTING_SECONDS: Final = 0.5
"""What a proxy in a thread gives sessions that are just being closed."""
BUSY_SECONDS: Final = 2.0
"""How long a locked database is waited for before it counts as a stall."""


@asynccontextmanager
async def serve_proxy(
    options: ProxyOptions,
    writer: Writer,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Proxy, Address]]:
    """A proxy that serves for as long as the block runs; leaving it cuts off what is open.

    Call `drain` before for an end in order. Raises `UsageError` for an address that cannot be
    bound and for options that do not go together.
    """
    proxy = Proxy(options, writer)
    try:
        async with plain_nursery() as nursery:
            address = await nursery.start(
                partial(
                    frontdoor.serve,
                    proxy,
                    host=host,
                    port=port,
                    ssl_context=ssl_context,
                    limits=options.bounds.limits,
                )
            )
            nursery.start_soon(_watch, proxy)
            nursery.start_soon(proxy.reader.run)
            nursery.start_soon(proxy.board.run)
            yield proxy, address
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(5):
            await proxy.aclose()


def writer_options(on_trouble: Callable[[str], None] | None = None) -> WriterOptions:
    """How a proxy's writer behaves."""
    return WriterOptions(longest_flush_seconds=LONGEST_FLUSH_SECONDS, on_trouble=on_trouble)


async def drain(proxy: Proxy, grace: float) -> None:
    """Take no new sessions, and wait until the open ones have ended, at most so many seconds."""
    proxy.draining = True
    with trio.move_on_after(grace):
        await proxy.emptied()
    if proxy.live:
        log.warning("still open, and ended now: %d", len(proxy.live))
    end_now(proxy)
    with trio.move_on_after(ENDING_SECONDS):
        await proxy.emptied()


def end_now(proxy: Proxy) -> None:
    """End what is open, with 1001."""
    proxy.end_all(GOING_AWAY, "the proxy is going away")


async def _watch(proxy: Proxy) -> None:
    """End what has been idle for too long."""
    idle_ns = int(proxy.options.bounds.idle_seconds * 1e9)
    while True:
        await trio.sleep(WATCH_SECONDS)
        now = proxy.clock()
        for name, live in list(proxy.live.items()):
            if now - live.relay.last_ns > idle_ns:
                log.warning("session %s: not a byte for %d s, ended", name, idle_ns // 10**9)
                live.relay.stop(GOING_AWAY, "idle for too long")


# ---- in a thread


@contextmanager
def proxied(
    upstream: str | Sequence[str],
    *,
    store: EventStore | str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    on_session: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[str]:
    """A recording proxy in a thread of its own; gives the base URL to point a client at.

    `upstream` is a URL, or several `NAME=URL`. `store` is an `EventStore`, a path or database
    URL, or None for the user's own database. `on_session` is told the id of every session as it
    begins, in the thread of the proxy. Further options are those of `ProxyOptions`. Leaving the
    block ends what is open. Raises `UsageError` and `StoreError`.
    """
    named = [upstream] if isinstance(upstream, str) else list(upstream)
    chosen = ProxyOptions(
        upstreams=[parse_upstream(each) for each in named], on_session=on_session, **options
    )
    thread = _Thread(chosen, store, host, port)
    thread.start()
    try:
        yield thread.base_url()
    except BaseException:
        thread.finish(quietly=True)  # what went wrong in the block is what its author must see
        raise
    thread.finish()


class _Thread(threading.Thread):
    """A proxy with an event loop of its own."""

    def __init__(
        self,
        options: ProxyOptions,
        store: EventStore | str | os.PathLike[str] | None,
        host: str,
        port: int,
    ) -> None:
        super().__init__(name="recorder-proxy", daemon=True)
        self._options, self._store, self._host, self._port = options, store, host, port
        self._ready = threading.Event()
        self._address: Address | None = None
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._ending: trio.Event | None = None

    def base_url(self) -> str:
        """Where the proxy listens, once it does. Raises what kept it from that."""
        self._ready.wait()
        if self._address is None:
            self.join()
            raise self._error or RecorderError("the proxy did not start")
        name = next(iter(self._options.upstreams)).name if len(self._options.upstreams) == 1 else ""
        return f"http://{self._address}/{f'{name}/' if name else ''}v1"

    def finish(self, *, quietly: bool = False) -> None:
        """End it, and wait for what it still has to write. Raises what ended it, or logs it."""
        if self._token is not None and self._ending is not None:
            with suppress(trio.RunFinishedError):  # it has ended by itself
                self._token.run_sync_soon(self._ending.set)
        self.join()
        if self._error is None:
            return
        if not quietly:
            raise self._error
        log.error("the proxy in a thread ended with %s", type(self._error).__name__)

    def run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token, self._ending = trio.lowlevel.current_trio_token(), trio.Event()
        with opened(self._store) as store:
            async with (
                open_writer(store, writer_options()) as writer,
                serve_proxy(self._options, writer, host=self._host, port=self._port) as (
                    proxy,
                    address,
                ),
            ):
                self._address = address
                self._ready.set()
                await self._ending.wait()
                await drain(proxy, PARTING_SECONDS)
            if writer.lost:
                raise StoreError(f"{writer.lost} events could not be written: {writer.trouble}")


@contextmanager
def opened(store: EventStore | str | os.PathLike[str] | None) -> Iterator[EventStore]:
    """The store that was given, or the database that was named."""
    if store is not None and not isinstance(store, (str, os.PathLike)):
        yield store
        return
    place = locate(None if store is None else os.fspath(store), os.environ)
    database = SqlStore.open(place, busy_seconds=BUSY_SECONDS)
    try:
        yield database
    finally:
        database.close()


def check_listening(host: str, *, secure: bool, guarded: bool, insecure: bool) -> None:
    """Raises `UsageError` for an address that others reach, without TLS and client auth."""
    from recorder.transport.urls import is_loopback

    if is_loopback(host) or insecure or (secure and guarded):
        return
    missing = [] if secure else ["TLS (--cert and --key, or --dev-cert)"]
    missing += [] if guarded else ["tokens for clients (--client-auth FILE)"]
    raise UsageError(
        f"--listen {host}: others reach this address, so it takes {' and '.join(missing)}; "
        "or, if the network is your protection, --insecure"
    )
