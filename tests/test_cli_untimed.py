"""A session that was imported without times, through every command: N/A is never 0."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import orjson
import pytest

from .cli_kit import Recorder
from .talks import spoken

SUBTITLES, TRACE = "subtitles need times", "a trace needs times"


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


@pytest.fixture
def untimed(recorder: Recorder, tmp_path: Path) -> Recorder:
    """One that holds a spoken session of which only the order of its messages is known."""
    other = Recorder(tmp_path / "other.db")
    (talk,) = other.filled(spoken)
    lines = other("export", "jsonl", talk.id, "-o", "-").stdout_bytes.splitlines()[1:]
    rows = [orjson.loads(line) for line in lines]
    bare = tmp_path / "bare.jsonl"
    kept = (
        {"direction": row["origin"], "event": row["message"]}
        for row in rows
        if row["origin"] != "recorder"
    )
    bare.write_bytes(b"\n".join(orjson.dumps(row) for row in kept))
    recorder("import", str(bare))
    return recorder


def test_the_state_at_a_time_is_refused(untimed: Recorder) -> None:
    """An event can be named; playback is N/A, not nothing."""
    assert "name an event" in untimed("state", "--at", "1s", code=2).stderr
    told = untimed("state").stdout
    assert "without times" in told
    assert "00:00" not in told
    assert "n/a: imported without times" in told
    state = json.loads(untimed("state", "--seq", "9", "--json").stdout)["state"]
    assert (state["at_ns"], state["timed"], state["playing"]) == (None, False, None)
    assert {setting["at_ns"] for setting in state["config"]} == {None}


def test_show_tells_no_moment(untimed: Recorder) -> None:
    """Neither of turns nor of findings."""
    told = json.loads(untimed("show", "--json").stdout)
    assert {(turn["trigger_ns"], turn["start_ns"], turn["end_ns"]) for turn in told["turns"]} == {
        (None, None, None)
    }
    assert {found["at_ns"] for found in told["findings"]} == {None}


def test_what_was_heard_when_is_not_known_and_said(untimed: Recorder, tmp_path: Path) -> None:
    """The user's sound is one stretch; the assistant's has no place, and each item can be had."""
    files = untimed("audio", "-d", str(tmp_path / "s"))
    assert [Path(file).name.split("-")[1] for file in files.stdout.splitlines()] == ["user.wav"]
    assert "when the assistant was heard is not known" in files.stderr
    told = untimed("audio", "--track", "assistant", "-o", str(tmp_path / "a.wav"), code=2).stderr
    assert "--track items" in told
    items = untimed("audio", "--track", "items", "-d", str(tmp_path / "i")).stdout.splitlines()
    assert [Path(item).name.split("-")[1] for item in items] == ["user", "assistant"] * 2


@pytest.mark.parametrize(
    ("form", "said"), [("srt", SUBTITLES), ("vtt", SUBTITLES), ("perfetto", TRACE)]
)
def test_what_is_all_times_is_refused(
    untimed: Recorder, tmp_path: Path, form: str, said: str
) -> None:
    """With the reason, and no file."""
    file = tmp_path / "file"
    assert said in untimed("export", form, "latest", "-o", str(file), code=2).stderr
    assert not file.exists()


def test_the_table_of_events_has_empty_cells(untimed: Recorder) -> None:
    """Not zeros."""
    table = csv.DictReader(untimed("export", "csv", "latest", "-o", "-").stdout.splitlines())
    assert {row["at_ms"] for row in table} == {""}


def test_a_bundle_of_it_is_without_times_wherever_it_goes(
    untimed: Recorder, tmp_path: Path
) -> None:
    """No trace in it; and whoever imports its events knows that there are no times."""
    file = tmp_path / "b.zip"
    untimed("export", "bundle", "latest", "-o", str(file))
    with zipfile.ZipFile(file) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        assert "trace.json" not in names
        assert json.loads(archive.read("manifest.json"))["sessions"][0]["duration_ns"] is None
        events = tmp_path / "events.jsonl"
        events.write_bytes(archive.read(names["events.jsonl"]))
        rows = csv.DictReader(archive.read(names["events.csv"]).decode().splitlines())
        assert {row["at_ms"] for row in rows} == {""}
    again = Recorder(tmp_path / "again.db")
    again("import", str(events))
    assert "without times" in again("show").stdout
    told = json.loads(again("latency", "--json").stdout)
    values = [value["value_ms"] for turn in told["turns"] for value in turn["values"].values()]
    assert values
    assert set(values) == {None}


def test_reports_and_lists_leave_it_out(untimed: Recorder) -> None:
    """Its turns are counted, none is measured."""
    (row,) = json.loads(untimed("ls", "--json").stdout)
    assert row["duration_ns"] is None
    told = json.loads(untimed("report", "--json").stdout)
    text = json.dumps(told)
    assert '"p50": 0' not in text
