"""`recorder diff`: two sessions and two groups, as a person and as a CI job see them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from recorder.rerunning.origin import Origin, labels_of
from recorder.sql.store import SqlStore

from .cli_kit import Recorder, plain
from .talks import NOW, SECOND, Talk, refused, silence, spoken, texted, tone, unended

EVIL = "\x1b[31mred\x1b[0m [bold]x[/bold]\u202e"


def asked(
    store: SqlStore, words: str = "We are open.", *, late: float = 0, question: str = "Open?",
    voice: str = "", **given: Any,
) -> Talk:  # fmt: skip
    """One spoken question and its answer, whose first audio comes 420 + `late` after `created`;
    the user stops at 1200, `created` is at 1800: v2v_audible is 1,020 + `late`."""
    talk = Talk(store, **given).opened().created()
    if voice:
        talk.server(150, "session.updated", session={"audio": {"output": {"voice": voice}}})
    talk.says(200, tone(1000) + silence(800)).heard(1750, "item_q1", 0, 1500, question)
    talk.answers(1800, "a1", words, tone(500), first_ms=400 + late)
    return talk.closed(6_000).kept()


def fill(store: SqlStore) -> None:
    """Pairs of sessions, odd ones, and two groups of five."""

    def at(seed: int) -> dict[str, Any]:
        return {"seed": seed, "wall_ns": NOW + seed * SECOND}

    asked(store, call="base", **at(1))
    asked(store, late=300, call="later", **at(2))
    asked(store, "We are closed.", voice="cedar", call="worded", **at(3))
    asked(store, EVIL, question=EVIL, call="evil", **at(4))
    asked(store, f"{EVIL} and more", question=EVIL, call="evil too", **at(5))
    spoken(store, call="two turns", **at(6))
    texted(store, call="text", **at(7))
    unended(store, call="stopped", **at(8))
    refused(store, call="refused", **at(9))
    talk = Talk(store, kind="http", call="side", **at(10)).opened()
    talk.closed(100).kept()
    for n in range(5):
        asked(store, late=n, tags=("old",), **at(20 + 2 * n))
        asked(store, late=200 + n, tags=("new",), **at(21 + 2 * n))
    asked(store, call="reconnected", **at(40))
    asked(store, call="reconnected", **at(41))


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The command line on these sessions; nothing that is asked changes any of them."""
    made = Recorder(tmp_path_factory.mktemp("diff") / "recorder.db")
    made.filled(fill)
    return made


def test_identical_sessions_do_not_differ(recorder: Recorder) -> None:
    """The same session on both sides: no difference, and nothing is broken by any gate."""
    gates = [f"--gate={name}" for name in ("turns", "words", "tools", "status", "events")]
    found = recorder("diff", "base", "base", "--tolerance", "v2v_audible=+0ms", *gates).stdout
    assert "no difference" in found
    assert "broken" not in found


def test_a_person_sees_what_differs(recorder: Recorder) -> None:
    """Words marked like wdiff, the voice, and the difference of the headline."""
    found = recorder("diff", "base", "worded").stdout
    assert "differs: words, events, configuration" in found
    assert "We are [-open.-] {+closed.+}" in found
    assert re.search(r"audio\.output\.voice +marin +cedar", found)
    late = recorder("diff", "base", "later").stdout
    assert "differs: latency" in late
    assert "1,020" in late
    assert "1,320" in late
    assert "+300 (+29 %)" in late
    assert "waterfall.model_first_audio" in late


def test_one_pair_with_everything(recorder: Recorder) -> None:
    """Every metric of the turn, those that do not differ too; a pair that is not there is told."""
    found = recorder("diff", "base", "later", "--turn", "1").stdout
    assert "endpointing" in found
    assert "What was said" in found
    error = recorder("diff", "base", "later", "--turn", "2", code=2).stderr
    assert "no pair of turns 2: this comparison has 1 pair" in error


def test_json_for_two_sessions(recorder: Recorder) -> None:
    """The documented members in their order; N/A is null; twice the same text."""
    words = ("diff", "base", "later", "--json", "--tolerance", "v2v_audible=+20%")
    text = recorder(*words, code=1).stdout
    assert text == recorder(*words, code=1).stdout
    found = json.loads(text)
    assert list(found) == [
        "kind", "a", "b", "differs", "verdict", "judgements", "facts", "configuration", "counts",
        "latencies", "events", "turns",
    ]  # fmt: skip
    assert (found["kind"], found["verdict"], found["differs"]) == (
        "sessions",
        "broken",
        ["latency"],
    )
    (turn,) = found["turns"]
    assert list(turn) == [
        "number", "differs", "a", "b", "user", "assistant", "generated", "tools", "reordered",
        "status", "latencies", "waterfall", "usage", "events", "configuration",
    ]  # fmt: skip
    values = {each["name"]: each for each in turn["latencies"]}
    assert values["v2v_audible"]["difference"] == 300
    assert values["tool_exec"]["a"] is None
    assert values["tool_exec"]["difference"] is None
    assert values["tool_exec"]["reason_a"]
    assert found["judgements"][0]["turns"] == [1]


def test_tolerances_and_gates_make_the_exit_code(recorder: Recorder) -> None:
    """1 broken, 2 could not be told, 0 held; wording breaks only where it is asked for."""
    late = ("diff", "base", "later")
    assert "broken" in recorder(*late, "--tolerance", "v2v_audible=+20%", code=1).stdout
    assert "held" in recorder(*late, "--tolerance", "v2v_audible=+300ms").stdout
    told = recorder(*late, "--tolerance", "tool_exec=+1ms", code=2).stdout
    assert "could not tell" in told
    recorder(*late, "--tolerance", "tool_exec=+1ms", "--tolerance", "v2v_audible=+1%", code=1)
    recorder("diff", "base", "worded")
    recorder("diff", "base", "worded", "--tolerance", "v2v_audible=+1%")
    recorder("diff", "base", "worded", "--gate", "words", code=1)
    recorder("diff", "base", "worded", "--gate", "status")


def test_junit_is_private_and_tells_what_broke(recorder: Recorder, tmp_path: Path) -> None:
    """A failure for the broken tolerance, an error for the one that could not be told."""
    file = tmp_path / "diff.xml"
    options = ["--tolerance=v2v_audible=+20%", "--tolerance=tool_exec=+1%", "--gate=words"]
    recorder("diff", "base", "later", *options, "--junit", str(file), code=1)
    suites = ET.parse(file).getroot()
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("3", "1", "1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    error = recorder("diff", "base", "later", "--junit", str(file), code=2).stderr
    assert "give --tolerance or --gate" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("base", "later", "--tolerance", "v2v_audable=+20%"), "did you mean v2v_audible"),
        (("base", "later", "--tolerance", "v2v_audible=20"), "20%, 20ms, 20s"),
        (("base", "later", "--gate", "word"), "did you mean words"),
        (("base", "later", "--metric", "ttft"), "--metric is for groups"),
        (("base", "later", "--metric", "tt"), "--metric: 'tt' is nothing that is measured"),
        (("base", "nothing"), "no session answers to 'nothing'"),
        (("base", "tag:nothing"), "no session is meant by 'tag:nothing'"),
        (("base",), "is no rerun: say what to compare it with"),
        (("base", "side"), "an HTTP side call has no conversation"),
        (("base", "reconnected"), "are the connections of one call"),
        (("tag:new", "tag:new"), "would be in both A and B"),
        (("tag:new", "tag:old", "--turn", "1"), "--turn is for two sessions"),
        (("base", "later", "--turn", "0"), "--turn"),
        ((), "Missing argument"),
    ],
)
def test_wrong_input_is_told(recorder: Recorder, words: tuple[str, ...], told: str) -> None:
    """What was wrong, and what there is; exit 2."""
    assert told in recorder("diff", *words, code=2).stderr


@pytest.mark.parametrize("other", ["two turns", "text", "stopped", "refused"])
def test_odd_sessions_on_either_side(recorder: Recorder, other: str) -> None:
    """Another length, text only, interrupted, refused: compared both ways, as text and JSON."""
    for words in (("base", other), (other, "base"), (other, other)):
        text = recorder("diff", *words).stdout
        json.loads(recorder("diff", *words, "--json").stdout)
        assert ("no difference" in text) == (words[0] == words[1])


def test_hostile_text_is_harmless_on_a_terminal(recorder: Recorder) -> None:
    """Escapes of the session are shown, not obeyed, and markup is text."""
    shown = recorder.on_a_terminal("diff", "evil", "evil too", width=120)
    assert "\x1b[31mred" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[31mred" in "".join(plain(shown))
    assert "[bold]" in "".join(plain(shown))
    piped = recorder("diff", "evil", "evil too").stdout
    assert "\x1b" not in piped
    assert "{+and more+}" in piped
    assert "\x1b" not in recorder("diff", "evil", "evil too", "--json").stdout


def test_a_narrow_terminal(recorder: Recorder) -> None:
    """No line is longer than the terminal."""
    for words in (("base", "worded"), ("tag:old", "tag:new")):
        lines = plain(recorder.on_a_terminal("diff", *words, width=80))
        tables = [line for line in lines if "  " in line.strip()]
        assert tables
        assert max(map(len, tables)) <= 80


def test_groups_with_an_interval_and_a_sentence(recorder: Recorder) -> None:
    """Medians of 1,022 and 1,222 over five calls each: more than chance."""
    found = recorder("diff", "tag:old", "tag:new", "--tolerance", "v2v_audible=+10%", code=1).stdout
    assert "v2v_audible: 200 ms longer in B by turn: this is more than chance" in found
    assert "broken" in found
    recorder("diff", "tag:old", "tag:new", "--tolerance", "v2v_audible=+20%")  # 204.4
    told = json.loads(recorder("diff", "tag:old", "tag:new", "--json", "--metric", "ttft").stdout)
    assert told["kind"] == "groups"
    assert [each["name"] for each in told["measures"]] == ["ttft"]
    assert told["min_calls"] == 5


def test_groups_that_were_not_recorded_in_turn_are_told(recorder: Recorder) -> None:
    """Old and new were recorded one after the other, session by session; these were not."""
    assert "A, B, A, B" not in recorder("diff", "tag:old", "tag:new").stderr
    assert "A, B, A, B" in recorder("diff", "base later", "tag:new").stderr


def test_too_few_calls_could_not_be_told(recorder: Recorder) -> None:
    """One against five: said plainly; exit 2 only where it gates."""
    found = recorder("diff", "base", "tag:new").stdout
    assert "could not tell whether that is more than chance: 1 and 5 calls" in found
    gate = ("--tolerance", "v2v_audible=+1%")
    assert "could not tell" in recorder("diff", "base", "tag:new", *gate, code=2).stdout


# ---- reruns


def rerun(store: SqlStore, original: str, turn: int | None = None, **given: Any) -> Talk:
    """A session that is a rerun of this one."""
    return asked(store, labels=labels_of(Origin(original, turn)), **given)


def test_a_rerun_is_compared_with_its_original(database: Path) -> None:
    """Without B; A is then the original, whatever was recorded in between."""
    recorder = Recorder(database)

    def made(store: SqlStore) -> None:
        original = asked(store, seed=1).id
        asked(store, "Something else.", seed=2, wall_ns=NOW + SECOND)
        rerun(store, original, late=100, seed=3, wall_ns=NOW + 2 * SECOND)

    recorder.filled(made)
    found = json.loads(recorder("diff", "latest", "--json").stdout)
    assert found["a"]["session"] < found["b"]["session"]
    assert found["differs"] == ["latency"]
    values = {each["name"]: each["difference"] for each in found["turns"][0]["latencies"]}
    assert values["v2v_audible"] == 100


def test_reruns_of_one_turn_and_of_what_is_not_there(database: Path) -> None:
    """Only that turn of the original counts; an original that is gone is told."""
    recorder = Recorder(database)

    def made(store: SqlStore) -> None:
        original = spoken(store, seed=1).id
        rerun(store, original, turn=1, question="What are your opening hours?", seed=2,
              wall_ns=NOW + SECOND)  # fmt: skip
        rerun(store, "01a20000-0000-7000-8000-000000000000", seed=3, wall_ns=NOW + 2 * SECOND)

    recorder.filled(made)
    found = json.loads(recorder("diff", "latest~1", "--json").stdout)
    assert [(turn["a"]["index"], turn["b"]["index"]) for turn in found["turns"]] == [(1, 1)]
    assert "a rerun of turn 1 alone" in recorder("diff", "latest~1").stdout
    assert "is not in this database" in recorder("diff", "latest", code=2).stderr
    error = recorder("diff", "latest latest~1", code=2).stderr
    assert "reruns of several sessions" in error
