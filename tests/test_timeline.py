"""Pacing and choosing: lists in, lists out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.events import NO_FRAME, Event, Origin
from recorder.timeline import (
    SPEEDS,
    Paced,
    at_speed,
    between,
    cap_gaps,
    merged,
    next_speed,
    only,
    paced,
    parse_wanted,
    until,
    without,
)

ORIGINS = ("client", "server", "recorder")


def event(at_ns: int, kind: str = "x", origin: Origin = Origin.SERVER) -> Event:
    return Event(1, at_ns, origin, kind, NO_FRAME, b"")


def times(cues: Iterator[Event]) -> list[int]:
    return [cue.at_ns for cue in cues]


def dues(cues: Iterator[Paced[Event]]) -> list[int]:
    return [due for due, _ in cues]


TALK = [
    event(0, "recorder.opened", Origin.RECORDER),
    event(10, "input_audio_buffer.append", Origin.CLIENT),
    event(20, "response.created"),
    event(30, "response.done"),
    event(40, "error"),
]


def kinds(cues: Iterator[Event]) -> list[str]:
    return [cue.type for cue in cues]


def test_words_are_an_origin_a_type_or_both() -> None:
    """`ORIGIN`, `GLOB`, `ORIGIN:GLOB`."""

    def chosen(word: str) -> list[str]:
        return kinds(only(TALK, [parse_wanted(word, ORIGINS)]))

    assert chosen("client") == ["input_audio_buffer.append"]
    assert chosen("response.*") == ["response.created", "response.done"]
    assert chosen("server:*o*") == ["response.created", "response.done", "error"]
    assert chosen("client:error") == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "'' says nothing; expected client, server or recorder, or a type as in 'response.*'"),
        (
            "server:",
            "'server:' says nothing; expected client, server or recorder, "
            "or a type as in 'response.*'",
        ),
        (
            "sever:error",
            "'sever:error': there is no origin 'sever'; expected client, server or recorder",
        ),
    ],
)
def test_words_that_mean_nothing(word: str, message: str) -> None:
    """It is said what would mean something."""
    with pytest.raises(UsageError) as told:
        parse_wanted(word, ORIGINS)
    assert str(told.value) == message


def test_only_and_without() -> None:
    """Any of several; no condition at all keeps everything."""
    ends = [parse_wanted("error", ORIGINS), parse_wanted("recorder", ORIGINS)]
    assert kinds(only(TALK, ends)) == ["recorder.opened", "error"]
    assert times(without(TALK, ends)) == [10, 20, 30]
    assert list(only(TALK, [])) == list(without(TALK, [])) == TALK


def test_between_includes_both_ends_and_reads_no_further() -> None:
    """An endless log ends there too."""
    endless = (event(n * 10) for n in count())
    assert times(between(endless, 20, 40)) == [20, 30, 40]
    assert times(between(TALK, 25)) == [30, 40]


def test_until_includes_what_ends_it() -> None:
    """And nothing after."""
    assert times(until(iter(TALK), lambda cue: cue.type == "response.created")) == [0, 10, 20]


def test_merged_by_time_the_first_stream_first() -> None:
    """At the same moment, an event comes before what is told of it."""
    first, second = [event(1, "a"), event(5, "b")], [event(1, "c"), event(3, "d")]
    assert kinds(merged(first, second)) == ["a", "c", "d", "b"]


def test_recorded_timing_counts_from_the_first_or_from_a_start() -> None:
    """What lies before the start is due at once."""
    cues = [event(100), event(250), event(400)]
    assert dues(paced(cues)) == [0, 150, 300]
    assert dues(paced(cues, 200)) == [0, 50, 200]


def test_gaps_are_capped_and_short_ones_are_as_they_were() -> None:
    """100 stays, 5000 becomes 1000, 300 stays."""
    cues = [event(0), event(100), event(5100), event(5400)]
    assert dues(cap_gaps(paced(cues), 1000)) == [0, 100, 1100, 1400]


def test_what_does_not_count_is_squeezed_into_its_gap() -> None:
    """Silence is sent at 1000, 2000 … 4000 between words at 0 and 5000: a gap of 5000 becomes 50,
    the silence lies in it at a hundredth of its times; so does what comes after the last word."""
    quiet = [event(n * 1000, "quiet") for n in range(1, 5)]
    tail = [event(6000, "quiet"), event(7000, "quiet")]
    cues = [event(0, "word"), *quiet, event(5000, "word"), *tail]
    found = cap_gaps(paced(cues), 50, lambda cue: cue.type == "word")
    assert dues(found) == [0, 10, 20, 30, 40, 50, 75, 100]


def test_twice_the_speed_is_half_the_time() -> None:
    """And half the speed twice the time."""
    cues = [event(0), event(100), event(300)]
    assert dues(at_speed(paced(cues), 2)) == [0, 50, 150]
    assert dues(at_speed(paced(cues), 0.5)) == [0, 200, 600]


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_standing_still_is_no_speed(speed: float) -> None:
    """It is refused rather than waited for."""
    with pytest.raises(UsageError, match="it must be more than 0"):
        list(at_speed(paced(TALK), speed))


def test_steps_of_speed_go_up_and_down_from_anywhere() -> None:
    """From a step to its neighbour, from between to the nearest, at the ends nowhere."""
    assert next_speed(1.0, faster=True) == 1.25
    assert next_speed(1.0, faster=False) == 0.75
    assert next_speed(1.1, faster=True) == 1.25
    assert next_speed(1.1, faster=False) == 1.0
    assert next_speed(SPEEDS[-1], faster=True) == SPEEDS[-1]
    assert next_speed(SPEEDS[0], faster=False) == SPEEDS[0]
    assert next_speed(100.0, faster=True) == 100.0


_CUES = st.lists(st.tuples(st.integers(0, 10**12), st.booleans()), max_size=40).map(sorted)


@given(_CUES, st.integers(1, 10**10))
def test_capped_times_rise_and_are_never_later(made: list[tuple[int, bool]], limit: int) -> None:
    """Order is kept, nothing is due later than recorded, no counted gap is over the limit."""
    cues = [event(at, "word" if counts else "quiet") for at, counts in made]
    found = list(cap_gaps(paced(cues), limit, lambda cue: cue.type == "word"))
    assert [cue for _, cue in found] == cues
    after = [due for due, _ in found]
    assert after == sorted(after)
    assert all(due <= cue.at_ns - cues[0].at_ns for due, cue in found)
    counted = [0, *(due for due, cue in found if cue.type == "word")]
    assert all(b - a <= limit for a, b in pairwise(counted))


@given(_CUES)
def test_without_long_gaps_nothing_changes(made: list[tuple[int, bool]]) -> None:
    """A limit that no gap reaches is no limit."""
    cues = [event(at, "word" if counts else "quiet") for at, counts in made]
    found = cap_gaps(paced(cues), 10**13, lambda cue: cue.type == "word")
    assert list(found) == list(paced(cues))
