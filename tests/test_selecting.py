"""Naming sessions and times: every way that is promised, every mistake that can be made."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import SessionNotFound, UsageError
from recorder.events import new_session_id
from recorder.selecting import (
    SECOND,
    TAIL,
    Ambiguous,
    Directory,
    Known,
    Moment,
    parse_offset,
    parse_span,
    parse_time,
    shortest_tails,
)

DAY = 86_400 * SECOND
BERLIN = timezone(timedelta(hours=1))
NOON = int(datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()) * SECOND
NOW = Moment(NOON, BERLIN)

A = "01934b1e-7f00-7abc-8def-0000aaaa1111"
B = "01934b1e-7f01-7abc-8def-0000aaaa2222"
C = "01934b1e-7f02-7abc-8def-0000bbbb2222"


def directory(**server_ids: list[str]) -> Directory:
    """Three sessions, two of them of one call; `server_ids` stand in the sessions they name."""
    known = [
        Known(B, NOON + 1, "support-17"),
        Known(A, NOON, "support-17"),
        Known(C, NOON + 2, "lone"),
    ]
    return Directory(known, lambda name: server_ids.get(name, []), UTC)


def test_a_whole_id_and_any_unique_part_of_it_name_a_session() -> None:
    """Head, middle or tail, in any case: what fits one session names it."""
    for word in (A, A.upper(), "aaaa1111", "1111", "7f01", "-7f02-", "\u2026bbbb2222"):
        expected = {"7f01": B, "-7f02-": C, "\u2026bbbb2222": C}.get(word, A)
        assert directory().one(word) == expected


def test_an_id_that_ends_so_wins_over_one_that_contains_it() -> None:
    """What a list shows is a tail; it must not become ambiguous by another session's middle."""
    other = "aaaa1111-7f00-7abc-8def-0000cccc3333"
    known = [Known(A, 1, ""), Known(other, 2, "")]

    assert Directory(known, lambda _: []).one("aaaa1111") == A


def test_latest_counts_back_in_time_and_passes_side_calls_over() -> None:
    """`latest` is the newest connection, whatever order the sessions were entered in."""
    known = [Known(A, 5, ""), Known(B, 3, ""), Known(C, 9, "", "http")]
    names = Directory(known, lambda _: [])

    assert [names.one(word) for word in ("latest", "latest~0", "latest~1")] == [A, A, B]
    with pytest.raises(SessionNotFound, match="only 2 sessions"):
        names.one("latest~2")


def test_latest_of_only_side_calls_is_the_newest_of_them() -> None:
    """Where nothing but HTTP calls was recorded, these are what there is."""
    assert Directory([Known(A, 1, "", "http")], lambda _: []).one("latest") == A


def test_latest_in_an_empty_store_says_how_to_begin() -> None:
    """The first thing a new user types must not be a dead end."""
    with pytest.raises(SessionNotFound, match="recorder demo"):
        Directory([], lambda _: []).one("latest")


def test_a_call_label_names_all_its_sessions_oldest_first() -> None:
    """Where several are welcome a call is all of them; where one is needed it must be the only."""
    assert directory().all("support-17") == [A, B]
    assert directory().one("lone") == C
    with pytest.raises(Ambiguous) as caught:
        directory().one("support-17")
    assert caught.value.candidates == (A, B)


def test_an_id_of_the_server_is_asked_for_last() -> None:
    """Looking one up may have to read, so everything else is tried first."""
    asked = []

    def find(name: str) -> list[str]:
        asked.append(name)
        return [B] if name == "resp_1" else []

    names = Directory(directory().known, find)
    assert [names.one(word) for word in ("latest", "aaaa1111", "lone")] == [C, A, C]
    assert asked == []
    assert names.one("resp_1") == B


def test_an_ambiguous_part_lists_the_candidates_newest_first() -> None:
    """The error names the word and everything that it fits, by names that can be typed."""
    with pytest.raises(Ambiguous) as caught:
        directory().one("2222")

    assert set(caught.value.candidates) == {B, C}
    assert str(caught.value).splitlines() == [
        "'2222' fits several sessions; name one of them:",
        "  bb2222  2026-11-22 12:00:00  call lone",
        "  aa2222  2026-11-22 12:00:00  call support-17",
    ]


def test_many_candidates_are_not_all_listed() -> None:
    """Ten are shown and the rest counted."""
    known = [Known(f"0193{n:04x}-7f00-7abc-8def-0000aaaa1111", n, "") for n in range(14)]
    with pytest.raises(Ambiguous, match=r"and 4 more$") as caught:
        Directory(known, lambda _: []).one("0193")
    assert len(caught.value.candidates) == 14


def test_an_id_of_the_server_that_stands_in_several_sessions_is_ambiguous() -> None:
    """A tool call that was re-sent after a reconnect stands in both sessions."""
    with pytest.raises(Ambiguous, match="stands in several"):
        directory(call_x=[A, B]).one("call_x")


@pytest.mark.parametrize("word", ["", "  ", "nothing", "ffff", "latest~", "latest~x"])
def test_what_names_nothing_is_said_with_the_word(word: str) -> None:
    """No reference is silently taken for another."""
    with pytest.raises(SessionNotFound, match=word.strip() or "nothing"):
        directory().one(word)


ids = st.builds(
    new_session_id,
    st.integers(min_value=0, max_value=2**60),
    st.sampled_from([b"same ten b", b"\0" * 10]) | st.binary(min_size=10, max_size=10),
)


@given(st.lists(ids, unique=True, max_size=30))
def test_every_shown_tail_names_its_session_and_is_as_short_as_can_be(names: list[str]) -> None:
    """Law 3: what `ls` shows finds the session; one character less would fit another too."""
    found = Directory([Known(name, 0, "") for name in names], lambda _: [])

    for name, tail in shortest_tails(names).items():
        assert found.one(tail) == name
        assert found.tail(name) == tail
        assert len(tail) >= TAIL
        shorter = tail[1:].lstrip("-")
        if len(shorter) >= TAIL:
            assert sum(other.endswith(shorter) for other in names) > 1


# ---- times


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("now", "2026-11-22T12:00+00:00"),
        ("7d", "2026-11-15T12:00+00:00"),
        ("2h", "2026-11-22T10:00+00:00"),
        ("1d12h", "2026-11-21T00:00+00:00"),
        ("1.5h", "2026-11-22T10:30+00:00"),
        ("2w", "2026-11-08T12:00+00:00"),
        ("90s", "2026-11-22T11:58:30+00:00"),
        ("today", "2026-11-22T00:00+01:00"),
        ("Yesterday", "2026-11-21T00:00+01:00"),
        ("2026-11-01", "2026-11-01T00:00+01:00"),
        ("2026-11-01T09:30", "2026-11-01T09:30+01:00"),
        ("2026-11-01 09:30:15.25", "2026-11-01T09:30:15.25+01:00"),
        ("2026-11-01T09:30Z", "2026-11-01T09:30+00:00"),
        ("2026-11-01T09:30-05:00", "2026-11-01T14:30+00:00"),
    ],
)
def test_times_in_words(word: str, time: str) -> None:
    """Ages, days and ISO times; without a zone they are in the person's own."""
    expected = datetime.fromisoformat(time)
    assert datetime.fromtimestamp(parse_time(word, NOW) / SECOND, UTC) == expected


@pytest.mark.parametrize(
    ("word", "days"), [("today", 1), ("2026-11-22", 1), ("2026-11-22T00:00", 0)]
)
def test_a_bare_day_as_an_end_includes_the_day(word: str, days: int) -> None:
    """`--until 2026-11-22` means the whole of that day; with an hour it means that hour."""
    assert parse_time(word, NOW, end=True) - parse_time(word, NOW) == days * DAY


def test_without_a_zone_the_machine_s_own_is_used() -> None:
    """Local midnight, whatever the machine thinks that is."""
    local_midnight = datetime(2026, 11, 1).astimezone()
    assert parse_time("2026-11-01", Moment(NOON)) == local_midnight.timestamp() * SECOND


@pytest.mark.parametrize(
    "word", ["", "7", "7y", "-7d", "d", "2026-02-30", "nan", "\u06637d", "9" * 40]
)
def test_what_is_no_time_is_refused_by_name(word: str) -> None:
    """Not guessed at."""
    with pytest.raises(UsageError, match="no time"):
        parse_time(word, NOW)


@pytest.mark.parametrize(
    ("word", "ns"),
    [
        ("12.5s", 12_500_000_000),
        ("12.5", 12_500_000_000),
        (".5", 500_000_000),
        ("0", 0),
        ("850ms", 850_000_000),
        ("2m", 120_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1:02.5", 62_500_000_000),
        ("1:00:00", 3_600_000_000_000),
        ("90:00", 5_400_000_000_000),
    ],
)
def test_positions_in_a_session(word: str, ns: int) -> None:
    """As players and people write them."""
    assert parse_offset(word) == ns


@pytest.mark.parametrize("word", ["", "-1s", "-0:01", "1:2:3:4", "12,5", "s", "1e9", "inf"])
def test_what_is_no_position_is_refused_by_name(word: str) -> None:
    """Negative ones too: nothing lies before the session."""
    with pytest.raises(UsageError, match=repr(word) if word else "''"):
        parse_offset(word)


@pytest.mark.parametrize(
    ("word", "span"),
    [("12", (12, 12)), ("12-20", (12, 20)), ("12-", (12, None)), ("-20", (1, 20)), (" 7 ", (7, 7))],
)
def test_spans_of_sequence_numbers(word: str, span: tuple[int, int | None]) -> None:
    """One, from, up to, or both."""
    assert parse_span(word) == span


@pytest.mark.parametrize("word", ["", "-", "0", "5-2", "a-b", "1-2-3", "-0", "1.5"])
def test_what_is_no_span_is_refused_by_name(word: str) -> None:
    """Numbers count up from 1."""
    with pytest.raises(UsageError, match="sequence number"):
        parse_span(word)


@given(st.text(max_size=12))
def test_words_are_understood_or_refused_and_nothing_else(word: str) -> None:
    """No word raises anything but our own error, whatever it holds."""
    for parse in (parse_offset, parse_span, lambda w: parse_time(w, NOW), directory().all):
        with contextlib.suppress(UsageError):
            parse(word)
