"""Where the golden calls are read from: memory, or a SQLite file that they went through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from recorder.events import Event
from recorder.projections import Analysis, analyse
from recorder.sql.store import SqlStore
from recorder.store import EventStore, MemoryStore

from .kit import Line, played

KEPT = ("memory", "sqlite")


class Shelf:
    """The golden calls in one store; each is put there when it is first asked for."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self._there: set[str] = set()
        self._found: dict[tuple[Any, ...], Analysis] = {}

    def lines(self, name: str) -> tuple[Line, ...]:
        """The lines of a golden call, in the store."""
        lines = played(name)
        if name not in self._there:
            self._there.add(name)
            for line in lines:
                self.store.begin(line.recorder.session)
                self.store.append([(line.recorder.session.id, line.log)])
        return lines

    def events(self, name: str, row: int = 0, *, audio: bool = True) -> Iterable[Event]:
        """One line, as it stands in the store."""
        line = self.lines(name)[row]
        return self.store.read(line.recorder.session.id, audio=audio)

    def analysis(self, name: str, row: int = 0, **options: Any) -> Analysis:
        """What one line amounts to."""
        key = (name, row, *sorted(options.items()))
        if key not in self._found:
            read = partial(self.events, name, row)
            self._found[key] = analyse(lambda audio: read(audio=audio), **options)
        return self._found[key]


@contextmanager
def open_shelf(kept: str, folder: Path) -> Iterator[Shelf]:
    """The calls in memory, or in a file in this folder."""
    store: EventStore = MemoryStore()
    if kept == "sqlite":
        store = SqlStore.open(folder / "golden.db", durability="normal")
    try:
        yield Shelf(store)
    finally:
        store.close()
