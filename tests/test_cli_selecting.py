"""The selection language at the command line: `ls`, `rm`, `tag` and `note` all take it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recorder.cli import cli
from recorder.cli.tables import selection_table
from recorder.selecting import guide

from .cli_kit import Recorder
from .talks import NOW, SECOND, process, refused, spoken, texted, unended

DAY = 86_400 * SECOND


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on five sessions, a day apart; the first is the oldest."""
    made = Recorder(database)
    made.filled(
        lambda s: spoken(s, seed=1, wall_ns=NOW - 4 * DAY, call="support 17", tags=("slow",)),
        lambda s: texted(s, "A refund, please", seed=2, wall_ns=NOW - 3 * DAY, model="grok"),
        lambda s: refused(s, seed=3, wall_ns=NOW - 2 * DAY, call="support 17"),
        lambda s: unended(s, seed=4, wall_ns=NOW - DAY, tags=("test", "slow")),
        lambda s: texted(s, "refund", seed=5, wall_ns=NOW, tags=("test",)),
    )
    return made


def listed(recorder: Recorder, *words: str) -> list[int]:
    """Which of the five `ls` shows with these words, oldest first."""
    rows = json.loads(recorder("ls", "--json", "--sort", "time", *words).stdout)
    return [int(row["id"][-6:]) for row in rows]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["text:refund"], [2, 5]),
        (["text:refund please"], [2]),
        (['text:"refund please" tag:x'], []),
        (["text:refund", "-tag:test"], [2]),
        (["-tag:test", "text:refund"], [2]),
        (["-tag:test -status:refused"], [1, 2]),
        (["-latest"], [1, 2, 3, 4]),
        (["--sort", "time", "-latest~1", "--json", "turns>0"], [1, 2, 5]),
        (["v2v_audible>2s"], [1]),
        (["v2v_audible > 2 s", "tag:slow"], [1]),
        (["support 17", "status:ended"], [1]),
        (["support 17", "latest"], [1, 3, 5]),
        (["latest latest~1", "tag:slow"], [4]),
        (["000002", "--model", "gr*"], [2]),
        (["text:refund", "--text", "please"], [2]),
        (["--text", "refund please"], [2]),
        (["--error", "401"], [3]),
        (["findings>0", "status:interrupted"], [4]),
        (["--", "-latest", "turns>0"], [1, 2]),
    ],
)
def test_ls_takes_the_language(recorder: Recorder, words: list[str], meant: list[int]) -> None:
    """One by one or in quotes, options and words, exclusions before and after options."""
    assert listed(recorder, *words) == meant


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["since:7d status:open"], "recorder: 'open' is no status"),
        (["since:7d status:open"], "\n  since:7d status:open\n                  ^^^^\n"),
        (["modle:gpt*"], "did you mean model?"),
        (["-x"], "No such option"),
        (["v2v_audible"], "in quotes because of the shell"),
        ([""], "an empty word chooses nothing"),
        (["tag:\x1b[31m\x00"], ""),
    ],
)
def test_what_ls_does_not_understand_is_pointed_at(
    recorder: Recorder, words: list[str], told: str
) -> None:
    """In the words that were typed; control characters of theirs do not reach the terminal."""
    result = recorder("ls", *words, code=0 if not told else 2)
    assert told in result.stderr
    assert "\x1b" not in result.stderr


def test_rm_takes_the_language(recorder: Recorder) -> None:
    """And what is excluded stays."""
    recorder("rm", "--yes", "text:refund", "-tag:test")
    assert listed(recorder) == [1, 3, 4, 5]
    recorder("rm", "--yes", "tag:test turns>0")
    assert listed(recorder) == [1, 3, 4]


def test_rm_by_name_or_time_folds_nothing(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that takes minutes to analyse, or cannot be, is removed at once."""
    monkeypatch.setattr("recorder.sql.views.made_of", None)
    recorder("rm", "--yes", "latest", "000002")
    recorder("rm", "--yes", "until:2026-11-14")
    monkeypatch.undo()
    assert listed(recorder) == [3, 4]


def test_rm_with_an_empty_variable_removes_nothing(recorder: Recorder) -> None:
    """`rm "$name"` where the name is empty."""
    assert "empty word" in recorder("rm", "--yes", "", code=2).stderr
    assert len(listed(recorder)) == 5


def test_tag_takes_a_selection_in_one_word(recorder: Recorder) -> None:
    """All that are meant get the tags, or lose them; how many is said."""
    told = recorder("tag", "text:refund since:2026-01-01", "money", "b").stderr
    assert told == "tags of 2 sessions changed\n"
    assert listed(recorder, "tag:money") == listed(recorder, "tag:b") == [2, 5]

    recorder("tag", "tag:money -latest", "money", "--remove")
    assert listed(recorder, "tag:money") == [5]

    assert recorder("tag", "-tag:nothing latest", "new").stdout.split() == [
        "test", "money", "b", "new",
    ]  # fmt: skip
    assert recorder("tag", "support 17", "both").stderr == "tags of 2 sessions changed\n"


def test_tag_of_several_without_a_tag_lists_theirs(recorder: Recorder) -> None:
    """A line a session, whole ids."""
    lines = recorder("tag", "tag:slow").stdout.splitlines()
    assert [line.split()[1:] for line in lines] == [["slow"], ["test", "slow"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["since:7d", "status:interrupted", "x"], "put the whole selection in one pair of quotes"),
        (["latest", "v2v_audible>2s"], "put the whole selection"),
        (["tag:nothing", "x"], "no session is meant by 'tag:nothing'"),
        (["", "x"], "empty word"),
        (["status:lvie", "x"], "did you mean live?"),
    ],
)
def test_tag_guesses_nothing(recorder: Recorder, words: list[str], told: str) -> None:
    """Words that would choose sessions are no tags; nothing is tagged by mistake."""
    assert told in recorder("tag", *words, code=2).stderr
    assert listed(recorder, "tag:x") == []


def test_note_takes_a_selection_in_one_word(recorder: Recorder) -> None:
    """The same note in each."""
    assert recorder("note", "text:refund", "xylophone").stderr == "noted in 2 sessions\n"
    assert listed(recorder, "text:xylophone") == [2, 5]


def test_a_note_that_does_not_fit_one_session_is_written_to_none(recorder: Recorder) -> None:
    """All or nothing, as far as it can be known before."""
    told = recorder("note", "since:2026-01-01", "--at", "10s", "xylophone", code=2).stderr
    assert "nothing was noted" in told
    assert listed(recorder, "text:xylophone") == []


def test_live_sessions_are_left_alone(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them in a selection, and nothing is changed at all."""
    monkeypatch.setattr("time.time_ns", lambda: NOW)
    recorder.filled(
        lambda s: s.register(process("alive", NOW + 5 * SECOND)),
        lambda s: unended(s, seed=6, wall_ns=NOW, recorder="alive"),
    )
    for words in (["tag", "since:2026-01-01", "x"], ["note", "since:2026-01-01", "x"],
                  ["rm", "--yes", "since:2026-01-01"]):  # fmt: skip
        assert "being recorded right now" in recorder(*words, code=2).stderr
    assert listed(recorder, "tag:x") == listed(recorder, "text:x") == []
    assert len(listed(recorder)) == 6


@pytest.mark.parametrize("command", ["ls", "rm", "tag", "note", "report", "export"])
def test_help_explains_the_language(command: str) -> None:
    """From the one table of terms, in every command that takes it."""
    told = " ".join(CliRunner().invoke(cli, [command, "--help"]).stdout.split())
    for line in guide():
        assert line.example in told
        assert " ".join(line.meaning.split()[:3]) in told


def test_the_table_for_the_readme_says_the_same() -> None:
    """A row for each line of the guide, its columns whole."""
    rows = selection_table().splitlines()[2:]
    assert len(rows) == len(guide())
    assert all(row.count("|") == 3 for row in rows)
