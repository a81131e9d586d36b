"""Folds: what is fed one by one, at once, or in pieces of any size amounts to the same."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.dialects import KINDS, TABLES, decode
from recorder.dialects.facts import (
    AudioDelta,
    CommitAsked,
    InputAppended,
    SpeechStarted,
    TranscriptDelta,
)
from recorder.events import Event
from recorder.projections.analysis import Analyser
from recorder.projections.base import Chunks, Fold, Looks, Together, in_runs, on
from tests.building import Talk, hush
from tests.captured import captured, names


class Heard(Fold[list[str]]):
    """Writes down what comes, and in which company."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @on(InputAppended)
    @in_runs
    def _appended(self, run: Chunks) -> None:
        assert len(run) == len(run.seqs) == len(run.times) == len(run.sizes) == len(run.audio())
        self.found += [f"append {seq}" for seq in run.seqs]

    @on(CommitAsked)
    def _commit(self, event: Event, fact: CommitAsked) -> None:
        self.found.append(f"commit {event.seq}")

    def result(self) -> list[str]:
        return self.found


class Spoken(Fold[list[str]]):
    """Takes deltas, one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.seen: list[int] = []
        self.every = (Looks(self._seen, self._heard),)

    def _seen(self, events: list[Event]) -> None:
        self.seen += [event.seq for event in events]

    def _heard(self, run: Chunks) -> None:
        self.seen += run.seqs

    @on(AudioDelta, SpeechStarted)
    def _delta(self, event: Event, fact: AudioDelta | SpeechStarted) -> None:
        self.found.append(f"{type(fact).__name__} {event.seq}")

    def result(self) -> list[str]:
        return self.found


def mixed() -> list[Event]:
    """Appends, deltas between them, a commit, more appends."""
    talk = Talk().open()
    for row in range(6):
        talk.append(20 * (row + 1), hush(20))
        if row in (1, 3):
            ids = {"response_id": "R", "item_id": "A"}
            talk.server(20 * (row + 1), "response.output_audio.delta", **ids, delta="AAAA")
    talk.client(90, "input_audio_buffer.commit")
    return talk.events


def chunked(fold: Fold[object], events: list[Event], sizes: Iterable[int]) -> None:
    take, begin = fold.taker(), 0
    for size in sizes:
        if chunk := events[begin : begin + size]:
            take(chunk)
        begin += size


@given(st.lists(st.integers(1, 6), min_size=12, max_size=12))
def test_how_many_come_at_once_does_not_matter(sizes: list[int]) -> None:
    """Each fold sees its own events in their order; nothing waits beyond a chunk."""
    events = mixed()
    one, other = (Heard(), Spoken()), (Heard(), Spoken())
    for event in events:
        Together(*one).feed(event)
    chunked(Together(*other), events, sizes)

    assert [fold.result() for fold in one] == [fold.result() for fold in other]
    assert one[0].result() == [
        "append 2", "append 3", "append 5", "append 6", "commit 8", "append 9", "append 10",
    ]  # fmt: skip
    assert one[1].result() == ["AudioDelta 4", "AudioDelta 7"]
    assert one[1].seen == other[1].seen == [event.seq for event in events]


def test_deltas_pass_a_run_and_everything_else_ends_it() -> None:
    """Or a call for every few appends would undo what runs are for."""
    lengths: list[int] = []

    class Counting(Heard):
        @on(InputAppended)
        @in_runs
        def _appended(self, run: Chunks) -> None:
            lengths.append(len(run))

    Together(Counting(), Spoken()).feed_all(mixed())
    assert lengths == [4, 2]


def test_a_fold_that_takes_deltas_too_gets_them_in_their_place() -> None:
    """Its appends come before the delta that came after them."""

    class Both(Heard):
        @on(AudioDelta)
        def _delta(self, event: Event, fact: AudioDelta) -> None:
            self.found.append(f"delta {event.seq}")

    fold = Both()
    fold.feed_all(mixed())
    assert fold.result()[:4] == ["append 2", "append 3", "delta 4", "append 5"]


def test_what_nobody_takes_is_not_decoded() -> None:
    """A message that nobody asks about costs nothing."""
    events = mixed()
    decoded: list[str] = []
    kind = next(iter(name for name in TABLES[1] if name == "session.created"))
    before = TABLES[1][kind]

    def told(event: Event) -> TranscriptDelta:
        decoded.append(event.type)
        return TranscriptDelta("", "", 0, "")

    KINDS[told] = TranscriptDelta
    TABLES[1][kind] = told
    try:
        Together(Heard(), Spoken()).feed_all(events)
        assert not decoded
        Heard().feed(events[0])
        assert decoded == ["session.created"]
    finally:
        TABLES[1][kind] = before
        del KINDS[told]


def test_a_decode_function_gives_what_it_says() -> None:
    """Of messages with nothing in them as well: handlers are chosen before decoding."""
    for origin, table in enumerate(TABLES):
        for name, function in table.items():
            event = Event(1, 1, origin, name, 1, b"{}")  # type: ignore[arg-type]
            assert type(decode(event)) is KINDS[function], name


@pytest.mark.parametrize("name", names()[:6])
def test_real_sessions_amount_to_the_same_either_way(name: str) -> None:
    """Everything there is, event by event and at once."""
    events = captured(name, 37)
    single, at_once = Analyser(), Analyser()
    for event in events:
        single.feed(event)
    at_once.feed_all(events)
    one, other = single.analysis(), at_once.analysis()
    assert (one.summary, one.turns, one.latency) == (other.summary, other.turns, other.latency)
    assert (one.transcript, one.speech, one.playback) == (
        other.transcript, other.speech, other.playback,
    )  # fmt: skip
