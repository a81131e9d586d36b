"""`mocked`: an application before a cassette, for as long as a block runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from recorder.errors import UsageError
from recorder.mocking.cassettes import from_file
from recorder.mocking.choosing import Recorded, check_playable
from recorder.mocking.faults import parse_fault, read_time
from recorder.mocking.serving import Options
from recorder.pinning import Pinned, pin, rehearse, write
from recorder.pinning.writing import checked_name, put, remove_stale
from recorder.projections.analysis import analyse
from recorder.replaying import STRICT, Rules

from .caller import Chunk, history, paced, repeat, utterances
from .engine import Engine
from .run import Run
from .verdict import verdict

if TYPE_CHECKING:
    from recorder.events import Event

KEY: Final = "sk-no-key-is-needed"
"""What clients that insist on a key may present."""
SETTLED_SECONDS: Final = 0.1
"""So long nothing may pass before a run that is looked at counts as over."""
SETTLING_SECONDS: Final = 2.0


class CassetteMismatch(AssertionError):
    """The application did something else than the recorded one, or left something out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """How a cassette is played."""

    match: str = STRICT
    """`strict`: the first difference fails. `lenient`: only what was left does. `free`: neither;
    the next recorded answer goes out when something asks for one."""
    speed: float | None = None
    """How many times as fast as it was recorded; None: without waiting."""
    patience: str = "10s"
    """How much longer than the recorded client this one may take."""
    faults: Sequence[str] = ()
    """What goes wrong, as in `recorder mock --fault`; what is left is then not looked at."""
    seed: str = "0"

    def options(self) -> Options:
        """For the mock. Raises `UsageError`."""
        patience_ns = read_time(self.patience)
        if patience_ns is None:
            raise UsageError(f"patience={self.patience!r}: expected a time such as 500ms or 10s")
        rules = Rules(match=self.match, speed=self.speed, patience_ns=patience_ns)
        faults = tuple(parse_fault(each) for each in self.faults)
        return Options(rules=rules, faults=faults, seed=self.seed)


class Mocked:
    """An endpoint for an application under test. Made by `mocked` and `recorded_to`."""

    def __init__(self, engine: Engine, *, name: str, recorded: Sequence[Recorded] = ()) -> None:
        self.name = name
        """Of the cassette, as it was named."""
        self._engine, self._recorded = engine, tuple(recorded)
        self._address = engine.listen()
        self._seen: dict[str, int] = {}
        self._runs: list[Run] = []

    def __repr__(self) -> str:
        return f"<realtime mock {self.name} at {self.http_url}>"

    @property
    def recording(self) -> bool:
        """A real endpoint stands behind it, and a cassette is being made."""
        return not self._recorded

    @property
    def http_url(self) -> str:
        """The base URL for clients that take an HTTP one, as `OPENAI_BASE_URL`."""
        return f"http://{self._address}/v1"

    @property
    def url(self) -> str:
        """The same as a WebSocket URL."""
        return f"ws://{self._address}/v1"

    @property
    def api_key(self) -> str:
        """What to present: your own key where a real endpoint stands behind it."""
        return os.environ.get("OPENAI_API_KEY", "") if self.recording else KEY

    @property
    def environ(self) -> dict[str, str]:
        """Variables that point the `openai` package, and what is made with it, here."""
        key = {} if self.recording else {"OPENAI_API_KEY": KEY}
        return {"OPENAI_BASE_URL": self.http_url, **key}

    # ---- the recorded caller

    @cached_property
    def _events(self) -> list[Event]:
        if self.recording:
            raise _no_caller()
        return list(self._recorded[0].events())

    @property
    def history(self) -> list[dict[str, Any]]:
        """Items that stand for what was said before the first turn of the cassette: the client
        creates them, in this order, before anything else."""
        if self.recording:
            return []
        return history(self._events, int(self._recorded[0].session.labels.get("history", "0")))

    @property
    def utterances(self) -> list[list[Chunk]]:
        """What the recorded user said, utterance by utterance, in the chunks and at the times in
        which his client sent it. Silence of the same length where the cassette has no audio."""
        return utterances(self._events)

    @property
    def caller_audio(self) -> list[Chunk]:
        """All of it."""
        return [chunk for each in self.utterances for chunk in each]

    def paced(self, chunks: Sequence[Chunk] | None = None, speed: float = 1.0) -> Iterator[Chunk]:
        """The chunks by the recorded clock: it sleeps until each is due."""
        return paced(self.caller_audio if chunks is None else chunks, speed)

    def repeat_caller(self) -> None:
        """Let the recorded client do once more what it did: a test without an application."""
        if self.recording:
            raise _no_caller()
        for recorded in self._recorded:
            named = {"model": recorded.session.model or recorded.model}
            query = urlencode({**named, "session": recorded.session.id})
            repeat(list(recorded.events()), f"{self.url}/realtime?{query}", self.api_key)

    # ---- this run

    @property
    def runs(self) -> list[Run]:
        """What the application did so far: one for each connection. It waits until nothing has
        passed for a moment."""
        lengths = self._settled()
        if lengths != self._seen:
            sessions = {each.id: each for each in self._engine.store.sessions()}
            self._seen = lengths
            self._runs = [
                Run(sessions[name], partial(_read, self._engine, name), self.name)
                for name in lengths
                if sessions[name].kind == "websocket"
            ]
        return self._runs

    @property
    def run(self) -> Run:
        """The one connection that there was. Raises `UsageError` where there was none, or more."""
        found = self.runs
        if len(found) != 1:
            raise UsageError(
                "no client has connected yet" if not found else
                f"there were {len(found)} connections; realtime_mock.runs has each of them"
            )  # fmt: skip
        return found[0]

    def _settled(self) -> dict[str, int]:
        """How many events each session of this run has, once nothing passes any more."""
        until = time.monotonic() + SETTLING_SECONDS
        before, since = self._lengths(), time.monotonic()
        while time.monotonic() < until and time.monotonic() - since < SETTLED_SECONDS:
            time.sleep(SETTLED_SECONDS / 10)
            if (now := self._lengths()) != before:
                before, since = now, time.monotonic()
        return before

    def _lengths(self) -> dict[str, int]:
        store = self._engine.store
        return {each.id: store.last_seq(each.id) for each in store.sessions()}


def _no_caller() -> UsageError:
    return UsageError("there is no recorded caller: this run is being recorded")


class Staging:
    """A cassette that is being played, and what came of it in the end."""

    def __init__(self, path: Path, playing: Playing, name: str = "") -> None:
        """`name` is what it is called in messages, if not by its path. Raises `UsageError`."""
        options = playing.options()
        recorded = from_file(path)
        for each in recorded:
            check_playable(each)
        self._playing, self._engine = playing, Engine(recorded, options)
        self._sessions = [each.session for each in recorded]
        self.mocked = Mocked(self._engine, name=name or str(path), recorded=recorded)

    def finish(self) -> str:
        """End it: what was not as it was recorded, or nothing. May be called again."""
        played = self._engine.finish()
        if self._playing.faults and played:
            return ""
        return verdict(self.mocked.name, played, self._sessions, self._playing.match)


class Taking:
    """A cassette that is being recorded."""

    def __init__(self, path: Path, endpoint: str, name: str = "") -> None:
        """`name` is what it is called in messages, if not by its path. Raises `UsageError`."""
        self.name = name or str(path)
        self._path, self._stem = path, checked_name(path)
        self._engine = Engine(endpoint=endpoint)
        self.mocked = Mocked(self._engine, name=self.name)

    def finish(self) -> str:
        """End it, and keep nothing: why nothing could be kept, or nothing."""
        self._engine.finish()
        if any(each.kind == "websocket" for each in self._engine.store.sessions()):
            return ""
        return f"nothing was recorded for {self.name}: no client connected"

    def keep(self) -> str:
        """Write the cassette; what was written, in a line. Raises `UsageError`."""
        self._engine.finish()
        store = self._engine.store
        keys = [v for k, v in os.environ.items() if k.endswith("_API_KEY") and v]
        pinned: list[Pinned] = []
        for session in store.sessions():
            if session.kind != "websocket":
                continue
            name = self._stem if not pinned else f"{self._stem}.{len(pinned) + 1}"
            source = partial(_read, self._engine, session.id)
            analysis = analyse(source)
            pinned.append(pin(session, source, analysis, name=name, secrets=tuple(keys)))
        files = write(pinned)
        put(self._path.parent, files)
        remove_stale(self._path.parent, self._stem, files)
        count = sum(len(each.events) for each in pinned)
        sessions = "one session" if len(pinned) == 1 else f"{len(pinned)} sessions"
        told = f"recorded {self.name}: {sessions}, {count} events"
        if not all(rehearse(each.events).sound for each in pinned):
            told += "; mind that it does not play as it was recorded, even to its own caller"
        return told


def _read(engine: Engine, session_id: str, audio: bool) -> Iterator[Event]:
    return engine.store.read(session_id, audio=audio)


@contextmanager
def mocked(
    cassette: str | os.PathLike[str], *, check: bool = True, **playing: Any
) -> Iterator[Mocked]:
    """An endpoint that plays a cassette, in a thread of its own, on 127.0.0.1.

    For synchronous, asyncio and trio code alike. `playing` are the options of `Playing`: `match`,
    `speed`, `patience`, `faults`, `seed`. At the end of the block `CassetteMismatch` is raised
    where the application did something else than the recorded one or left something out, unless
    `check` is false; an error of the block itself stays what it is, and gets that as a note.
    Raises `UsageError` for a cassette that cannot be played.
    """
    staging = Staging(Path(cassette), Playing(**playing))
    try:
        yield staging.mocked
    except BaseException as error:
        if told := staging.finish():
            error.add_note(told)
        raise
    told = staging.finish()
    if told and check:
        raise CassetteMismatch(told)


@contextmanager
def recorded_to(cassette: str | os.PathLike[str], endpoint: str) -> Iterator[Mocked]:
    """The recording proxy to an endpoint; when the block ends well, the cassette is written.

    Raises `UsageError` where nothing was recorded, or it cannot be written.
    """
    taking = Taking(Path(cassette), endpoint)
    try:
        yield taking.mocked
    except BaseException:
        taking.finish()
        raise
    if told := taking.finish():
        raise UsageError(told)
    taking.keep()
