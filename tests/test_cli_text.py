"""Words for people: nothing hostile reaches a terminal, and lengths read as they should."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.cli.output import Column, Out, fit
from recorder.cli.text import (
    counted,
    iso,
    json_text,
    length,
    milliseconds,
    one_line,
    position,
    quoted,
    safe,
    shortened,
    size,
    when,
)
from recorder.projections import clock

HOSTILE = (
    "\x1b[2J\x1b]0;pwned\x07\r\x9b31m\u202egnp.exe\u2066\x00\x7f\ud800\u2028[bold]x[/]\u00ad\t\n"
)


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    """Escapes, marks that reorder text, surrogates: visible, every one of them."""
    assert safe(HOSTILE) == (
        "\\x1b[2J\\x1b]0;pwned\\x07\\x0d\\x9b31m\\u202egnp.exe\\u2066\\x00\\x7f\\ud800\\u2028"
        "[bold]x[/]\\xad\\x09\\x0a"
    )


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Gr\u00fc\u00dfe",
        "\u4f60\u597d",
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f469\u200d\U0001f680",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ],
)
def test_the_world_s_scripts_stay_as_they_are(text: str) -> None:
    """Joiners too: words and emoji are spelt with them."""
    assert safe(text) == text


def test_spaces_of_all_kinds_are_spaces() -> None:
    """A no-break space is nothing to be afraid of."""
    assert safe("a\u00a0b\u3000c") == "a b c"


@given(st.text())
def test_nothing_that_is_left_can_move_a_cursor(text: str) -> None:
    """Law: printable characters, joiners, and, where lines are allowed, line feeds."""
    assert all(c.isprintable() or c in "\u200c\u200d" for c in safe(text))
    assert all(c.isprintable() or c in "\u200c\u200d\n" for c in safe(text, lines=True))
    assert "\n" not in one_line(text)


@given(
    st.recursive(
        st.text() | st.integers(0, 9) | st.none(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_json_for_terminals_is_the_same_json(value: object) -> None:
    """What a terminal would obey is escaped, and reads back as it was."""
    try:
        expected = orjson.dumps(value)
    except TypeError:
        return  # a lone surrogate: no JSON reader gives us one
    text = json_text(value)
    assert orjson.loads(text) == orjson.loads(expected)
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "\u2013"),
        (0, "0 ms"),
        (340_000_000, "340 ms"),
        (999_400_000, "999 ms"),
        (999_600_000, "1.0 s"),
        (12_340_000_000, "12.3 s"),
        (59_940_000_000, "59.9 s"),
        (59_960_000_000, "1 min 00 s"),
        (125_000_000_000, "2 min 05 s"),
        (3_599_600_000_000, "1 h 00 min"),
        (3_720_000_000_000, "1 h 02 min"),
        (-250_000_000, "-250 ms"),
    ],
)
def test_lengths(ns: int | None, text: str) -> None:
    """In the unit that one would say; no value is no 0."""
    assert length(ns) == text


def test_positions_are_those_of_the_transcript() -> None:
    """One way to write a moment, everywhere."""
    for ns in (0, 12_345_678_901, 3_599_999_000_000, 3_600_000_000_000, 86_400_000_000_000):
        assert position(ns) == clock(ns)
    assert position(None) == "\u2013"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (12_000_000, "12.0 MB"), (5 * 10**9, "5.0 GB"), (7 * 10**15, "7000.0 TB")],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    """Decimal units, as disks are sold."""
    assert size(count) == text


def test_small_words() -> None:
    """Plurals, thousands, ellipses, quotation marks."""
    assert [counted(n, "turn") for n in (0, 1, 1200)] == ["0 turns", "1 turn", "1,200 turns"]
    assert counted(2, "reply", "replies") == "2 replies"
    assert (shortened("abcdef", 4), shortened("abcd", 4)) == ("abc\u2026", "abcd")
    assert quoted(" he\nsaid \x1b ") == '"he said \\x1b"'
    assert (milliseconds(1_234_567_890), milliseconds(None)) == ("1235", "\u2013")


def test_when_a_session_was_is_as_short_as_can_be() -> None:
    """Today by the clock, this year by the day, else by the date; in the zone that is asked for."""
    zone = timezone(timedelta(hours=2))
    now = datetime(2026, 11, 22, 15, 0, tzinfo=zone)

    def ns(*time: int) -> int:
        return int(datetime(*time, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[misc]

    assert when(ns(2026, 11, 22, 1, 2, 3), now, zone) == "03:02:03"
    assert when(ns(2026, 11, 21, 1, 2, 3), now, zone) == "21 Nov 03:02"
    assert when(ns(2025, 11, 21, 1, 2, 3), now, zone) == "2025-11-21"
    assert iso(ns(2025, 11, 21, 1, 2, 3), zone) == "2025-11-21 03:02:03+02:00"


# ---- tables


COLUMNS = (
    Column("id"),
    Column("model", least=5),
    Column("call", least=4, optional=True),
    Column("tags", least=4, optional=True),
    Column("n", right=True),
)
ROW = ("abcdef", "gpt-realtime-2025", "support-17", "slow check", "12")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, {0: 6, 1: 17, 2: 10, 3: 10, 4: 2}),
        (50, {0: 6, 1: 14, 2: 10, 3: 10, 4: 2}),
        (40, {0: 6, 1: 8, 2: 8, 3: 8, 4: 2}),
        (29, {0: 6, 1: 5, 2: 4, 3: 4, 4: 2}),
        (28, {0: 6, 1: 7, 2: 7, 4: 2}),
        (20, {0: 6, 1: 8, 4: 2}),
        (5, {0: 6, 1: 5, 4: 2}),
    ],
)
def test_a_table_is_squeezed_where_it_gives(width: int, expected: dict[int, int]) -> None:
    """The widest soft column first; optional ones go before the rest becomes unreadable."""
    room = fit(COLUMNS, [ROW], width)

    assert room == expected
    if width >= 20:
        assert sum(room.values()) + 2 * (len(room) - 1) <= width


def test_an_optional_column_with_nothing_in_it_is_left_out() -> None:
    """On a terminal; a pipe gets all columns, always."""
    assert 3 not in fit(COLUMNS, [(*ROW[:3], "", "12")], 80)


def test_wide_characters_count_double() -> None:
    """Chinese model names do not break the columns."""
    assert fit(COLUMNS[:1], [("\u4f60\u597d",)], 80) == {0: 4}


def test_a_pipe_gets_whole_values_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing cut, nothing coloured, nothing at the end of a line; hostile text escaped."""
    Out().table(COLUMNS, [ROW, ("x", ("\x1b[31m" + "y" * 60, "red"), "", "", "3")])

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", "abcdef", "x"]
    assert lines[2].split()[1] == "\\x1b[31m" + "y" * 60
    assert lines[1].endswith(" 12")
    assert "call" in lines[0]
    assert "tags" in lines[0]


def test_lines_into_a_pipe_are_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Markup is text, and so are escapes."""
    out = Out()
    out.line("[bold]", ("x\x07", "red"), "y" * 200, cut=True)
    out.hanging(["00:01", ("user", "cyan")], ["said ", ("this", "bold")], "and more")
    out.say("to\nstderr\x1b")

    told = capsys.readouterr()
    assert told.out == f"[bold]x\\x07{'y' * 200}\n00:01  user  said this\n             and more\n"
    assert told.err == "to\nstderr\\x1b\n"
