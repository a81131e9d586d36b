"""Recorded sessions from Python: what the commands show, as objects.

    with recorder.open("calls.db") as library:
        call = library["latest"]
        for turn in call.turns: ...
        call.audio.save("call.wav")
        call.state(at=12.5).config
        slow = library.select("since:7d v2v_audible>2s")

Everything is read when it is first asked for, and kept with the session object; what is asked
for without sound (`state`, `events`) reads no sound.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import UsageError
from .projections.findings import with_interruption
from .selecting import INTERRUPTED, Directory, Moment, Named, parse, resolved
from .sql.opening import locate
from .sql.store import SqlStore
from .sql.views import Views
from .store import Parted

if TYPE_CHECKING:
    from .audio.codecs import Samples
    from .events import Event, Session
    from .projections import Analysis
    from .projections.model import (
        Conversation,
        Finding,
        Latency,
        Playback,
        Quality,
        Speech,
        Summary,
        Transcript,
        Turn,
    )
    from .projections.model_state import State
    from .store import Appends, Sound

Report = Callable[[int, int], None]
"""Told how far something is: events done, and of how many."""

Track = Literal["user", "assistant", "stereo"]
Timeline = Literal["heard", "received", "generated"]


def open(
    db: str | os.PathLike[str] | None = None,
) -> Library:
    """The sessions of a database: a path, a database URL, or None for the user's own.

    `RECORDER_DB` stands in where nothing is named. Raises `UsageError` for a database that is
    not there, `StoreError` for one that cannot be opened.
    """
    place = locate(None if db is None else os.fspath(db), os.environ)
    return Library(SqlStore.open(place, create=False))


class Library:
    """The sessions of one database."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    def __getitem__(self, reference: str) -> RecordedSession:
        """The session that is meant: by any part of its id, `latest`, `latest~2`, its call label,
        or an id that the server sent. Raises `SessionNotFound`."""
        return RecordedSession(self.store, self.store.session(self._directory().one(reference)))

    def __iter__(self) -> Iterator[RecordedSession]:
        """All of them, oldest first."""
        return iter(self.select())

    def __len__(self) -> int:
        """How many sessions there are."""
        return sum(1 for _ in self.store.sessions())

    def select(self, *words: str) -> list[RecordedSession]:
        """The sessions that these words of the selection language mean, oldest first; without
        words all of them. Raises `UsageError` that points at the word that is not understood."""
        now_ns = time.time_ns()
        views = Views(self.store, now_ns)
        selection = parse(words, Moment(now_ns), [])
        if any(isinstance(test, Named) for need in selection.needs for test in need.tests):
            selection = resolved(selection, self._directory())
        entries = sorted(views.entries(selection), key=lambda entry: (entry.wall_ns, entry.id))
        return [RecordedSession(self.store, self.store.session(entry.id)) for entry in entries]

    def _directory(self) -> Directory:
        views = Views(self.store, time.time_ns())
        return Directory(views.known(), views.find)


class RecordedSession:
    """One recorded session: its log, and everything that follows from it."""

    def __init__(self, store: SqlStore, session: Session) -> None:
        self.store, self.session = store, session

    def __repr__(self) -> str:
        return f"<RecordedSession {self.id}>"

    @property
    def id(self) -> str:
        """Its own id."""
        return self.session.id

    @property
    def status(self) -> str:
        """`live`, `interrupted`, `ended`, `refused` or `imported`, as of now."""
        return Views(self.store, time.time_ns()).status(self.session, self.summary)

    @property
    def events(self) -> Events:
        """The log itself; iterate it as often as you like."""
        return Events(self.store, self.id)

    @property
    def summary(self) -> Summary:
        """What it was and what happened, in numbers."""
        return self.analysis.summary

    @property
    def conversation(self) -> Conversation:
        """Items in conversation order, responses, tool calls, errors, configuration."""
        return self.analysis.conversation

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Each trigger with everything that answers it."""
        return self.analysis.turns

    @property
    def latency(self) -> Latency:
        """How long each turn took, with evidence; and its waterfall."""
        return self.analysis.latency

    @property
    def quality(self) -> Quality:
        """Overlap, interruptions, cadence."""
        return self.analysis.quality

    @property
    def speech(self) -> Speech:
        """When the user spoke."""
        return self.analysis.speech

    @property
    def playback(self) -> Playback:
        """What of the assistant's audio was played, by model and evidence."""
        return self.analysis.playback

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was wrong, worst first; that the recording just stops, too."""
        if self.status == INTERRUPTED:
            return with_interruption(self.analysis.findings, self.summary)
        return self.analysis.findings

    @property
    def transcript(self) -> Transcript:
        """What was said, and what of it was heard."""
        return self.analysis.transcript

    @cached_property
    def analysis(self) -> Analysis:
        """All of the above, computed in one pass over the log and then kept."""
        return self.analyse()

    def analyse(
        self,
        *,
        prebuffer_ms: int = 0,
        assume_stop_on_speech: bool = False,
        detector: str = "energy",
        report: Report | None = None,
    ) -> Analysis:
        """The same under other assumptions about the player, or with another detector of speech
        (`silero`, an extra); not kept."""
        from .projections import analyse

        def events(audio: bool) -> Iterator[Event]:
            return self.events.read(audio=audio, report=report)

        return analyse(
            events,
            detector=detector,
            prebuffer_ms=prebuffer_ms,
            assume_stop_on_speech=assume_stop_on_speech,
        )

    def state(self, *, at: float | None = None, seq: int | None = None) -> State:
        """What was in force, waiting and playing: `at` seconds, after event `seq`, or at the end.

        Raises `UsageError` where both are said.
        """
        from .projections.state import state_at

        if at is not None and seq is not None:
            raise UsageError("at and seq both name a moment; say one of them")
        at_ns = None if at is None else round(at * 1e9)
        return state_at(self.events.read(audio=False, until=seq), at_ns=at_ns)

    @property
    def audio(self) -> SessionAudio:
        """Its sound, as tracks."""
        return SessionAudio(self)


class Events:
    """The events of a session, read in pages: an hour never has to fit in memory."""

    def __init__(self, store: SqlStore, session_id: str) -> None:
        self._store, self._id = store, session_id

    def __iter__(self) -> Iterator[Event]:
        return self.read()

    def __len__(self) -> int:
        return self._store.last_seq(self._id)

    def __getitem__(self, seq: int) -> Event:
        """The event of this number; they count from 1. Raises `IndexError`."""
        found = next(self.read(after=seq - 1, until=seq), None) if seq > 0 else None
        if found is None:
            raise IndexError(f"no event {seq}; this session has {len(self)}")
        return found

    def read(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        audio: bool = True,
        types: Iterable[str] | None = None,
        report: Report | None = None,
    ) -> Iterator[Event]:
        """Some of them: after and up to these numbers, of these types, with or without sound."""
        wanted = None if types is None else set(types)
        found = self._store.read(self._id, after=after, until=until, audio=audio, types=wanted)
        return found if report is None else _Reported(found, report, until or len(self))


class _Reported:
    """Events that tell how far they were read; in two parts as well (`recorder.store.Parted`)."""

    def __init__(self, found: Iterator[Event], report: Report, last: int) -> None:
        self._found, self._report, self._last = found, report, last
        self._events = self._told(found)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def _told(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if event.seq % 500 == 0:
                self._report(event.seq, self._last)
            yield event

    def apart(self) -> tuple[Iterator[Event], Iterator[Appends]]:
        """Both tell: there may be next to nothing in one of them."""
        if not isinstance(self._found, Parted):
            return self._events, iter(())
        others, appends = self._found.apart()
        return self._told(others), self._told_appends(appends)

    def sound(self) -> Iterator[Sound]:
        """Tells, too."""
        found = self._found.sound() if isinstance(self._found, Parted) else iter(())
        for page in found:
            self._report(page.seqs[-1], self._last)
            yield page

    def _told_appends(self, appends: Iterator[Appends]) -> Iterator[Appends]:
        for page in appends:
            self._report(page.seqs[-1], self._last)
            yield page


class SessionAudio:
    """The sound of a session: streamed, sample-counted, on the session's clock."""

    def __init__(self, recorded: RecordedSession) -> None:
        self._recorded = recorded

    def track(
        self, track: Track = "stereo", *, rate: int = 24_000, timeline: Timeline = "heard"
    ) -> Iterator[Samples]:
        """Blocks of 16-bit samples: one column for `user` and `assistant`, two for `stereo`."""
        from .tracks import TRACKS, lay_out

        stream, _channels = TRACKS[track]
        return stream(self._events, lay_out(self._events, timeline=timeline), rate)

    def item(self, item_id: str) -> bytes:
        """The sound of one item exactly as it passed, in the session's own format."""
        from .tracks import item_audio

        return b"".join(item_audio(self._events, item_id))

    def save(
        self,
        path: str | os.PathLike[str],
        track: Track = "stereo",
        *,
        rate: int = 24_000,
        timeline: Timeline = "heard",
    ) -> int:
        """Write a track as WAV, or as FLAC if the name ends so; the samples a channel.

        The file is readable by its owner only. Raises `AudioFileError`.
        """
        from .audio.writing import write_sound

        blocks = self.track(track, rate=rate, timeline=timeline)
        return write_sound(Path(path), blocks, rate, channels=2 if track == "stereo" else 1)

    def _events(self, audio: bool) -> Iterator[Event]:
        return self._recorded.events.read(audio=audio)
