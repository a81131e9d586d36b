"""`recorder report`: tables, comparisons, gates and files, as a user and as a CI job sees them."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from recorder.sql.store import SqlStore

from .cli_kit import Recorder, plain
from .talks import NOW, SECOND, Talk, silence, spoken, texted, tone

DAY = 86_400 * SECOND
SPAN = ("since:2026-11-18T00:00Z", "until:2026-11-19T00:00Z")
"""The day of `NOW`."""


def unanswered(store: SqlStore, **given: Any) -> Talk:
    """Somebody speaks, and nobody answers."""
    talk = Talk(store, **given).opened().created()
    talk.says(200, tone(1000) + silence(800)).heard(1750, "item_q1", 0, 1500, "Hello?")
    return talk.closed(20_000).kept()


def fill(store: SqlStore) -> None:
    """Two spoken calls of two turns (1,020 and 3,520 ms each), a text, one without an answer."""
    spoken(store, seed=1, tags=("new",))
    spoken(store, seed=2, wall_ns=NOW + SECOND, tags=("new", "|odd|"))
    texted(store, seed=3, wall_ns=NOW + 2 * SECOND)
    unanswered(store, seed=4, wall_ns=NOW + 3 * SECOND)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The command line on these four sessions; reports change nothing but read models."""
    made = Recorder(tmp_path_factory.mktemp("report") / "recorder.db")
    made.filled(fill)
    return made


@pytest.fixture
def empty(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def test_the_table_says_n_percentiles_and_what_was_left_out(recorder: Recorder) -> None:
    """Of 1,020, 1,020, 3,520 and 3,520 the median lies halfway, p90 among the slow ones."""
    lines = recorder("report", "--metric", "v2v_audible").stdout.splitlines()
    titles, row = (re.split(r"\s{2,}", line.strip()) for line in lines[:2])
    found = dict(zip(titles, row, strict=True))
    assert (found["n"], found["p50"], found["p90"], found["max"]) == ("4", "2270", "3520", "3520")
    assert (found["left out"], found["unansw."], found["failed"]) == ("2", "1", "0")
    assert found["why"] == "text_input 1, unanswered 1"
    assert "linear interpolation between closest ranks" in lines[2]


def test_groups_by_model_and_day_in_a_zone(recorder: Recorder) -> None:
    """11:06 UTC is the next day in Kiritimati; the model that was asked for stands beside."""
    found = json.loads(
        recorder("report", "--by", "model,day", "--tz", "Pacific/Kiritimati", "--json").stdout
    )
    group = found["rows"][0]["group"]
    assert group == {
        "model": "gpt-realtime-2025", "model_asked": ["gpt-realtime"], "day": "2026-11-19",
    }  # fmt: skip
    assert (found["sessions"], found["turns"], found["tz"]) == (4, 6, "Pacific/Kiritimati")


def test_a_selection_chooses_the_sessions(recorder: Recorder) -> None:
    """In the one language there is."""
    told = json.loads(recorder("report", "tag:new", "--json").stdout)
    assert (told["sessions"], told["turns"]) == (2, 4)
    error = recorder("report", "sinse:7d", code=2).stderr
    assert "sinse" in error


def test_nothing_selected_is_said(recorder: Recorder) -> None:
    """With an empty table's worth of silence on stdout, and no failure without a gate."""
    result = recorder("report", "tag:nothing")
    assert "no session is meant" in result.stderr
    assert recorder("report", "tag:nothing", "--fail-if", "n < 1", code=2)


# ---- gates


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("v2v_audible.p50 > 2269ms", 1),
        ("v2v_audible.p50 > 2271ms", 0),
        ("v2v_audible.p95 > 3.6s", 0),
        ("unanswered.rate > 16%", 1),
        ("unanswered.rate > 17%", 0),
        ("tool_exec.p50 > 1ms", 2),
        ("n < 5", 1),
    ],
)
def test_the_exit_code_is_the_verdict(recorder: Recorder, gate: str, code: int) -> None:
    """0 held, 1 broken, 2 could not tell."""
    words = {0: "held", 1: "broken", 2: "could not tell"}
    told = recorder("report", "--fail-if", gate, "--min-n", "4", code=code).stdout
    assert f"{words[code]}" in told.partition("Gates")[2]


def test_too_few_turns_could_not_tell(recorder: Recorder) -> None:
    """Thirty are needed where nobody says otherwise."""
    told = recorder("report", "--fail-if", "v2v_audible.p50 > 1ms", code=2).stdout
    assert "could not tell  v2v_audible.p50 > 1ms: 4 turns, fewer than 30" in told


def test_a_grouped_gate_names_the_groups_that_break_it(recorder: Recorder) -> None:
    """One is enough, and broken is worse than not knowing."""
    gate = ("--fail-if", "v2v_audible.p50 > 2s", "--min-n", "3")
    told = recorder("report", "--by", "tag", *gate, code=1).stdout.partition("Gates")[2]
    lines = [re.sub(r"\.[0-9]+ ms", " ms", line) for line in told.splitlines() if line]
    assert lines == [
        "could not tell  v2v_audible.p50 > 2s in no tag: 0 turns, fewer than 3",
        "broken          v2v_audible.p50 > 2s in tag new: 2,270 ms, 4 turns",
        "could not tell  v2v_audible.p50 > 2s in tag |odd|: 2 turns, fewer than 3",
    ]


def test_the_worst_of_several_gates_counts(recorder: Recorder) -> None:
    """Broken before unknown before held."""
    gates = ("--fail-if", "tool_exec.p50 > 1s", "--fail-if", "n < 1")
    assert recorder("report", *gates, code=2)
    assert recorder("report", *gates, "--fail-if", "n < 100", code=1)


# ---- comparisons


def test_the_span_before(empty: Recorder) -> None:
    """The day before had only the fast and slow turns of one call."""

    def before(store: SqlStore) -> None:
        spoken(store, seed=8, wall_ns=NOW - DAY)
        spoken(store, seed=9, wall_ns=NOW - 2 * DAY)

    empty.filled(fill, before)
    words = ("report", *SPAN, "--metric", "v2v_audible", "--vs", "previous")
    found = json.loads(empty(*words, "--json").stdout)["against"]
    assert (found["selection"], found["sessions"]) == ("previous", 1)
    p50, p95 = found["differences"]
    assert (p50["stat"], p50["n_here"], p50["n_there"], p50["difference"]) == ("p50", 4, 2, 0)
    assert (p50["low"], p95["stat"]) == (None, "p95")
    assert "Fewer than 5 calls: too few for a 95 % interval" in empty(*words).stdout


def test_a_difference_repeats_with_its_seed(empty: Recorder) -> None:
    """Byte by byte, for people and for machines."""

    def calls(store: SqlStore) -> None:
        for seed in range(1, 7):
            spoken(store, seed=seed, tags=("old" if seed % 2 else "new",), call=f"c{seed}")
            spoken(store, seed=seed + 10, tags=("old",), call=f"d{seed}")

    empty.filled(calls)
    words = ("report", "--vs", "tag:old", "--metric", "ttft")
    first, again = (empty(*words, "--seed", "7").stdout for _ in range(2))
    assert first == again
    assert "from 2000 resamples of whole calls, seed 7" in first
    assert re.search(r"ttft\s+p50\s+1400\s+1400\s+\+0\s+-?\+?\d+ to \+\d+\s+24\s+18", first)


def test_what_cannot_be_compared_is_said(recorder: Recorder) -> None:
    """Before what? And which days?"""
    assert "needs a since:" in recorder("report", "--vs", "previous", code=2).stderr
    words = ("report", *SPAN, "--vs", "previous", "--by", "day")
    assert "leave day out of --by" in recorder(*words, code=2).stderr
    assert "--vs" in recorder("report", "--vs", "since:never", code=2).stderr


# ---- wrong words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--fail-if", "v2v_audble.p95 > 1s"), "--fail-if: 'v2v_audble' is nothing"),
        (("--by", "week"), "--by: 'week' is nothing to group by"),
        (("--metric", "speed"), "--metric: 'speed' is no metric"),
        (("--tz", "Mars/Olympus"), "--tz: 'Mars/Olympus' is no time zone"),
        (("--tz", "../../etc/passwd"), "is no time zone"),
        (("--md", "--csv"), "exclude each other"),
        (("-o", "x.md"), "say in what form"),
        (("--junit", "x.xml"), "give --fail-if"),
        (("--min-n", "0"), "--min-n"),
    ],
)
def test_errors_say_which_option(recorder: Recorder, words: tuple[str, ...], told: str) -> None:
    """And what was expected."""
    assert told in recorder("report", *words, code=2).stderr


def test_a_gate_that_cannot_be_read_is_pointed_at(recorder: Recorder) -> None:
    """Under the word."""
    error = recorder("report", "--fail-if", "v2v_audible.p95 >> 1s", code=2).stderr
    shown, arrows = error.splitlines()[1:3]
    assert shown[arrows.index("^") :].startswith(">> 1s")


# ---- files and formats


def test_files_are_private_and_whole(recorder: Recorder, tmp_path: Path) -> None:
    """JUnit beside the report, whatever form that has; the exit code stays."""
    junit, table = tmp_path / "gates.xml", tmp_path / "report.md"
    gates = ("--fail-if", "n < 100", "--fail-if", "v2v_audible.max > 9s", "--min-n", "1")
    recorder("report", "--md", "-o", str(table), "--junit", str(junit), *gates, code=1)
    suite = ET.fromstring(junit.read_text())[0]
    assert [len(case) for case in suite] == [1, 0]
    assert table.read_text().startswith("6 turns of 4 sessions\n")
    assert {path.stat().st_mode & 0o777 for path in (junit, table)} == {0o600}
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_cannot_be_written(recorder: Recorder, tmp_path: Path) -> None:
    """Says so in a line."""
    where = str(tmp_path / "nowhere" / "x.csv")
    error = recorder("report", "--csv", "-o", where, code=2).stderr
    assert "cannot be written" in error


def test_csv_and_markdown_on_stdout(recorder: Recorder) -> None:
    """A record or a row for each metric of each group."""
    text = recorder("report", "--csv", "--by", "tag", "--metric", "v2v_audible").stdout
    records = list(csv.DictReader(io.StringIO(text)))
    assert [(each["tag"], each["n"]) for each in records] == [
        ("", "0"),
        ("new", "4"),
        ("|odd|", "2"),
    ]
    lines = recorder("report", "--md", "--by", "tag", "--metric", "v2v_audible").stdout.splitlines()
    assert "| \\|odd\\| | v2v\\_audible | 2 | 2270 |" in next(
        line for line in lines if "odd" in line
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_it_fits(recorder: Recorder, width: int) -> None:
    """Where there is room the groups of a metric stand below each other, else its metrics below
    each group; the turn to look at first is named."""
    words = ("report", "--by", "model,tag", "--vs", "tag:new", "--fail-if", "n < 9")
    lines = plain(recorder.on_a_terminal(*words, width=width, code=1))
    tables = [line for line in lines if "recorder latency" not in line]
    if width >= 80:
        assert max(map(len, tables)) <= width
        assert any("unansw." in line for line in lines)
    assert any("Slowest v2v_audible, 3,520 ms" in line for line in lines)
    heading = "v2v_audible" if width == 120 else "gpt-realtime-2025 (asked for gpt-realtime), new"
    assert heading in lines


def test_hostile_names_are_harmless_on_a_terminal(empty: Recorder) -> None:
    """A call label cannot move the cursor."""
    empty.filled(lambda store: spoken(store, call="\x1b[2J\x07evil"))
    told = empty.on_a_terminal("report", "--by", "call", "--metric", "v2v_audible", width=120)
    assert "\x1b[2J" not in told
    assert "\x07" not in told
    assert "\\x1b[2J" in "\n".join(plain(told))
