"""A server of `recorder ui` in a thread of its own, on a free port of loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.ui.guarding import Guard
from recorder.ui.serving import serve

TOKEN = "token-of-the-tests"
FOREVER = 4_000_000_000 * 1_000_000_000
"""A lease that outlives the tests."""


@dataclass(frozen=True)
class Served:
    """A running server."""

    base: str
    store: SqlStore
    """Another connection to the same database, as a recorder beside it has."""

    @property
    def link(self) -> str:
        """What a person opens first."""
        return f"{self.base}/?token={TOKEN}"

    def client(self, **options: object) -> httpx.Client:
        """A client that shows the token."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=20, **options)  # type: ignore[arg-type]


@contextmanager
def served(path: Path) -> Iterator[Served]:
    """Serve this database, which is made where it is not there."""
    beside = SqlStore.open(locate(str(path), {}))
    store = SqlStore.open(locate(str(path), {}))
    there: list[str] = []
    scopes: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []
    ready = threading.Event()

    async def main() -> None:
        try:
            async with trio.open_nursery() as nursery:
                scopes.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
                there.append(str(await nursery.start(serve, store, Guard(token=TOKEN))))
                ready.set()
        finally:
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert ready.wait(20), "the server never came up"
        assert there, "the server ended at once"
        yield Served(f"http://{there[0]}", beside)
    finally:
        if scopes:
            token, scope = scopes[0]
            token.run_sync_soon(scope.cancel)
        thread.join(20)
        beside.close()
        store.close()
