"""`recorder latency` where it draws: one scale, owners in colours or letters; and its CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from pathlib import Path

import pytest

from recorder.cli.output import Out
from recorder.cli.waterfall import print_waterfalls
from recorder.projections.metrics import METRICS, PARTS
from recorder.projections.model import TurnLatency, Waterfall, WaterfallPart

from .cli_kit import Recorder, _Screen, environment, plain
from .talks import spoken

MS = 1_000_000


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The command line on one session of two turns, of 1,020 and 3,520 ms."""
    made = Recorder(tmp_path_factory.mktemp("latency") / "recorder.db")
    made.filled(spoken)
    return made


def turn(number: int, *parts: tuple[str, int]) -> TurnLatency:
    """A turn whose time went so, in milliseconds."""
    made = tuple(WaterfallPart(name, PARTS[name][0], ms * MS, float(ms), ()) for name, ms in parts)
    fall = Waterfall("v2v_audible", 0, sum(part.ns for part in made), made)
    return TurnLatency(number, "vad_commit", 0, {}, fall)


def drawn(turns: list[TurnLatency], width: int = 60, *, color: bool = True) -> list[str]:
    """The lines that a person sees, without their colours."""
    screen = _Screen(io.BytesIO(), encoding="utf-8", write_through=True)
    with environment({"COLUMNS": str(width), "TERM": "xterm"}), contextlib.redirect_stdout(screen):
        print_waterfalls(Out(color=color), turns)
    return plain(screen.buffer.getvalue().decode())  # type: ignore[attr-defined]


TWO = [
    turn(1, ("endpointing", 250), ("model_first_audio", 250)),
    turn(2, ("endpointing", 250), ("tool", 500), ("model_first_audio", 250)),
]


def test_bars_have_one_scale() -> None:
    """The longest turn fills the line; half as long is half the bar."""
    bars = [line for line in drawn(TWO) if "\u2588\u2588" in line]
    counts = [line.count("\u2588") for line in bars]
    assert counts == [26, 52]  # 60 columns, less "turn 1" and two spaces
    assert all(line.startswith(f"turn {n}  \u2588") for n, line in enumerate(bars, 1))


def test_owners_are_letters_where_there_are_no_colours() -> None:
    """A quarter turn detection, a half the tool, a quarter the provider."""
    lines = drawn(TWO, color=False)
    assert "turn 2  " + "v" * 13 + "t" * 26 + "p" * 13 in lines
    assert "v vad  p provider  t tool" in lines


def test_colours_are_the_owners() -> None:
    """Yellow, red and green, in this order."""
    screen = _Screen(io.BytesIO(), encoding="utf-8", write_through=True)
    with environment({"COLUMNS": "60", "TERM": "xterm"}), contextlib.redirect_stdout(screen):
        print_waterfalls(Out(), TWO)
    told = screen.buffer.getvalue().decode()  # type: ignore[attr-defined]
    bar = next(line for line in told.splitlines() if "\u2588" * 20 in line)
    assert re.findall(r"\x1b\[(\d+)m\u2588+", bar) == ["33", "31", "32"]


def test_the_sum_stands_below_each_bar() -> None:
    """In numbers, which add up."""
    text = " ".join(line.strip() for line in drawn(TWO))
    assert "v2v_audible 1000 = 250 endpointing + 500 tool + 250 model_first_audio" in text


def test_one_turn_is_drawn_part_by_part() -> None:
    """Each part begins where the one before it ended."""
    lines = drawn([TWO[1]], color=False)
    rows = {line.split()[0]: line for line in lines if line.split()[1:2] and "  " in line}
    starts = {name: re.search(r"[vtp]+$", row) for name, row in rows.items() if name in PARTS}
    spans = [found.span() for found in starts.values() if found]
    assert spans[0][1] == spans[1][0]
    assert spans[1][1] == spans[2][0]
    assert rows["tool"].split()[1] == "500"
    assert rows["v2v_audible"].split()[1:] == ["1000", "turn", "2"]


def test_a_negative_part_is_drawn_backwards() -> None:
    """The bar is as long as the sum, and nothing is clamped away from the numbers."""
    back = [("endpointing", 600), ("app_wait", -200), ("model_first_audio", 600)]
    lines = drawn([turn(1, *back), turn(2, ("tool", 1000))], color=False)
    bar = next(line for line in lines if line.startswith("turn 1"))
    assert len(bar.removeprefix("turn 1  ")) == 52
    assert "-200 app_wait" in " ".join(lines)
    alone = drawn([turn(1, *back)], color=False)
    assert any(line.startswith("app_wait") and "-200" in line for line in alone)


@pytest.mark.parametrize("total", [0, -300])
def test_no_time_at_all_is_no_crash(total: int) -> None:
    """A turn whose answer came before its end has no bar, but its numbers."""
    lines = drawn([turn(1, ("queue", total)), turn(2, ("queue", total))])
    assert any(f"v2v_audible {total} =" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_width_is_kept(recorder: Recorder, width: int) -> None:
    """No line of a drawing is longer than the terminal is wide."""
    for turns in (TWO, TWO[:1]):
        assert max(map(len, drawn(turns, width))) <= max(width, 34)
    if width >= 80:
        for words in ((), ("--turn", "2")):
            lines = plain(recorder.on_a_terminal("latency", *words, width=width))
            assert max(map(len, lines)) <= width


def test_into_a_pipe_go_words_and_no_bars(recorder: Recorder) -> None:
    """A line a turn, that can be searched."""
    told = recorder("latency").stdout
    assert "\u2588" not in told
    assert re.search(r"^turn 1  v2v_audible 1020 = ", told, re.MULTILINE)


# ---- CSV


def test_csv_has_a_record_a_turn(recorder: Recorder) -> None:
    """Metrics and parts in milliseconds as they are; empty where there is none."""
    records = list(csv.DictReader(io.StringIO(recorder("latency", "--csv").stdout)))
    told = json.loads(recorder("latency", "--json").stdout)
    assert [record["turn"] for record in records] == ["1", "2"]
    for record, turn in zip(records, told["turns"], strict=True):
        assert record["session"] == told["id"]
        for name in METRICS:
            value = turn["values"][name]["value_ms"]
            assert record[name] == ("" if value is None else str(value))
        parts = sum(float(record[f"part_{name}"] or 0) for name in PARTS)
        assert parts == pytest.approx(float(record["waterfall"]))


def test_csv_of_the_evidence_has_a_record_a_value(recorder: Recorder) -> None:
    """Its label and events, or the reason why there is none."""
    text = recorder("latency", "--csv", "--evidence", "--turn", "1").stdout
    records = {record["metric"]: record for record in csv.DictReader(io.StringIO(text))}
    assert set(records) == set(METRICS)
    wire = records["v2v_wire"]
    assert (wire["label"], wire["reason"]) == ("measured", "")
    assert all(seq.isdigit() for seq in wire["evidence"].split())
    assert (records["tool_exec"]["ms"], records["tool_exec"]["reason"]) == ("", "no_tools")


def test_csv_and_json_exclude_each_other(recorder: Recorder, tmp_path: Path) -> None:
    """One form at a time."""
    assert "exclude each other" in recorder("latency", "--csv", "--json", code=2).stderr
