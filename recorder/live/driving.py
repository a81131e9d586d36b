"""A sans-IO session on a socket: one task reads, one keeps the time.

Whoever of them has something to do holds the session until it is done, sending included: a client
that does not read is not read either, and what waits for it stays small.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import trio

from ..transport.connection import Connection
from ..transport.nurseries import plain_nursery

NEVER: Final = float("inf")

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


class Party(Protocol[A_co]):
    """One end of a session: messages and times in, actions out. Times are trio's, in ns."""

    @property
    def closed(self) -> bool:
        """It takes nothing more in."""

    def open(self, now_ns: int) -> None:
        """The connection stands."""

    def receive(self, message: str | bytes, now_ns: int) -> None:
        """The other end sent a message."""

    def poll(self, now_ns: int) -> Iterable[A_co]:
        """What is to be done now, in order."""

    def next_at(self) -> int | None:
        """When to poll again, if nothing comes in until then; None: never."""


Doing: TypeAlias = Callable[[Connection, A], Awaitable[float | None]]
"""Does one action on the socket. Gives trio's time in seconds until when nothing may be read from
now on (infinity: never again), or None."""


async def drive(party: Party[A], socket: Connection, do: Doing[A], *, at_once: int = 1) -> None:
    """Let it talk until it is closed and has nothing more to do.

    It gets at most `at_once` messages before it is polled, where so many have arrived.
    """
    await _Drive(party, socket, do, at_once).run()


class _Drive(Generic[A]):
    def __init__(self, party: Party[A], socket: Connection, do: Doing[A], at_once: int) -> None:
        self._party, self._socket, self._do, self._at_once = party, socket, do, at_once
        self._lock = trio.Lock()
        self._changed = trio.Event()
        self._wakes_ns: float = 0
        self._deaf_until_s = 0.0

    async def run(self) -> None:
        self._party.open(_now_ns())
        async with plain_nursery() as nursery:
            nursery.start_soon(self._read)
            await self._keep_time()
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.get_message()
            if trio.current_time() < self._deaf_until_s:
                await trio.sleep_until(self._deaf_until_s)
            await self._hold()
            try:
                self._receive(message)
                await self._act()
                if self._party.closed or self._due_ns() < self._wakes_ns:
                    self._changed.set()
            finally:
                self._lock.release()

    def _receive(self, message: str | bytes | None) -> None:
        """Hand it over, with what has arrived behind it."""
        now_ns = _now_ns()
        left = self._at_once
        while message is not None:
            self._party.receive(message, now_ns)
            left -= 1
            message = self._socket.get_waiting() if left else None

    async def _keep_time(self) -> None:
        """Do what is due when it is due."""
        while True:
            await self._hold()
            try:
                await self._act()
                self._wakes_ns = self._due_ns()
                self._changed = trio.Event()
            finally:
                self._lock.release()
            if self._party.closed and self._wakes_ns == NEVER:
                return
            with trio.move_on_at(self._wakes_ns / 1e9):
                await self._changed.wait()

    async def _hold(self) -> None:
        """Take the session; without giving others a turn where nobody has it."""
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()

    async def _act(self) -> None:
        for action in self._party.poll(_now_ns()):
            until_s = await self._do(self._socket, action)
            if until_s is not None:
                self._deaf_until_s = until_s

    def _due_ns(self) -> float:
        due_ns = self._party.next_at()
        return NEVER if due_ns is None else due_ns


def _now_ns() -> int:
    """Trio's clock, so that a test can turn it."""
    return round(trio.current_time() * 1e9)
