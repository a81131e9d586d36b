"""Looking at what was recorded: `ls`, `show`, `transcript`, `latency`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import struct
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pytest
from click.testing import CliRunner

from recorder.cli import cli
from recorder.projections.metrics import METRICS
from recorder.sql.store import SqlStore

from .cli_kit import Recorder, plain, process
from .talks import NOW, SECOND, Talk, refused, spoken, texted, tone, unended
from .talks import process as recording_process

HOSTILE = "\x1b[31mred\x1b]0;x\x07 [bold]b[/bold] \u202egnp"


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def on_a_pty(recorder: Recorder, *words: str) -> str:
    """The same from a process of its own, on a real terminal of 90 columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 90, 0, 0))
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    running = process(
        words, recorder.db, {**environ, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    pieces = []
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    os.close(ours)
    assert running.wait(20) == 0
    return b"".join(pieces).decode()


# ---- ls


def several(recorder: Recorder) -> list[Talk]:
    """Five sessions of different kinds on five days."""
    day = 86_400 * SECOND
    made = recorder.filled(
        lambda s: spoken(s, seed=1, wall_ns=NOW - 4 * day, call="support-17", tags=("slow", "a")),
        lambda s: texted(s, seed=2, wall_ns=NOW - 3 * day, model="grok-voice"),
        lambda s: refused(s, seed=3, wall_ns=NOW - 2 * day),
        lambda s: unended(s, seed=4, wall_ns=NOW - day, call="support-18"),
        lambda s: unended(s, seed=5, wall_ns=NOW, vantage="imported", tags=("slow",)),
    )
    return list(made)


def test_ls_into_a_pipe_has_whole_ids_and_every_column(recorder: Recorder) -> None:
    """Newest first; the first word of a line names the session to every other command."""
    talks = several(recorder)
    title, *lines = recorder("ls").stdout.splitlines()

    assert title.split() == ["id", "when", "status", "length", "model", "call", "tags", "turns",
                             "wrong", "errors", "lost"]  # fmt: skip
    assert [line.split()[0] for line in lines] == [talk.id for talk in reversed(talks)]
    assert [line.split()[3] for line in lines] == [
        "imported", "interrupted", "refused", "ended", "ended",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--tag", "slow"], [5, 1]),
        (["--tag", "slow", "--tag", "a"], [1]),
        (["--call", "support-*"], [4, 1]),
        (["--model", "GROK*"], [2]),
        (["--model", "grok*", "--model", "gpt-realtime-2025"], [5, 4, 2, 1]),
        (["--status", "refused", "--status", "interrupted"], [4, 3]),
        (["--since", "2026-11-17"], [5, 4]),
        (["--until", "2026-11-15"], [2, 1]),
        (["--sort", "time", "--limit", "2"], [1, 2]),
        (["--sort", "-duration", "--limit", "1"], [1]),
        (["--sort", "call", "--limit", "3", "--call", "*1*"], [1, 4]),
    ],
)
def test_ls_chooses_sorts_and_limits(
    recorder: Recorder, words: list[str], meant: list[int]
) -> None:
    """The filters of the selection table, every sort key, `--limit`."""
    talks = several(recorder)
    found = json.loads(recorder("ls", "--json", *words).stdout)

    assert [row["id"] for row in found] == [talks[n - 1].id for n in meant]


def test_ls_says_when_nothing_is_meant(recorder: Recorder) -> None:
    """On stderr; the answer itself stays empty."""
    recorder.filled()
    assert "nothing was recorded yet" in recorder("ls").stderr
    several(recorder)
    result = recorder("ls", "--tag", "nothing")
    assert (result.stdout, result.stderr) == ("", "none of 5 sessions is meant\n")
    assert recorder("ls", "--tag", "nothing", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "last week"], "--since: 'last week' is no time"),
        (["--until", "-1d"], "--until: '-1d' is no time"),
        (["--status", "open"], "--status: 'open' is no status"),
        (["--tag", ""], "--tag: an empty word"),
    ],
)
def test_ls_names_the_word_that_it_does_not_understand(
    recorder: Recorder, words: list[str], told: str
) -> None:
    """With the option that it stood at."""
    recorder.filled(texted)
    assert told in recorder("ls", *words, code=2).stderr


def test_ls_on_a_terminal_fits_and_shows_the_shortest_names(recorder: Recorder) -> None:
    """80 columns are enough; what it shows can be typed."""
    several(recorder)
    title, *lines = plain(recorder.on_a_terminal("ls"))

    assert max(map(len, [title, *lines])) <= 80
    assert [line.split()[0] for line in lines] == [f"00000{n}" for n in (5, 4, 3, 2, 1)]
    assert "gpt-realtim\u2026" in lines[0]
    assert "support-18" in "".join(plain(recorder.on_a_terminal("ls", width=140)))
    assert lines[0].split()[0] in recorder("show", lines[0].split()[0]).stdout


@pytest.mark.parametrize("how", [["--no-color"], []])
def test_colour_is_for_terminals_that_want_it(recorder: Recorder, how: list[str]) -> None:
    """`--no-color` takes it away there; into a pipe none ever goes."""
    recorder.filled(refused)
    seen = recorder.on_a_terminal("ls", *how)

    assert bool(re.search(r"\x1b\[[0-9;]*31m", seen)) is not bool(how)
    assert "\x1b" not in recorder("ls").stdout


def test_a_real_terminal_is_recognised(recorder: Recorder) -> None:
    """Its width is used, and stderr says which session is meant."""
    recorder.filled(lambda s: texted(s, "word " * 100))
    first, *lines = plain(on_a_pty(recorder, "events"))

    assert first == "session 000001 (the latest)"
    assert max(map(len, lines)) == 90


# ---- show


def test_show_tells_what_it_was_what_happened_and_what_went_wrong(recorder: Recorder) -> None:
    """And what to type next, with the session's name in it."""
    (talk,) = recorder.filled(lambda s: spoken(s, call="support-17", tags=("slow",)))
    told = recorder("show").stdout

    for words in (
        f"session 000001  {talk.id}",
        "11.0 s, ended",
        "gpt-realtime-2025, asked for gpt-realtime, voice marin, ga names",
        "server_vad",
        "request req_000001",
        "support-17",
        "slow",
        "1000, by the client",
        "2 turns, responses: 2 completed",
        "user 3.3 s, assistant 2.7 s",
        "180 in (60 text, 120 audio, 20 cached); 80 out (20 text, 60 audio)",
        "What went wrong",
        "turn 2: 3.5 s =",
        "recorder latency 000001 --turn 2",
        "recorder transcript 000001",
    ):
        assert words in told
    assert "not as it passed" not in told


def test_show_of_a_refused_upgrade(recorder: Recorder) -> None:
    """The answer, and no talk of turns or sound."""
    recorder.filled(refused)
    told = recorder("show").stdout

    assert "refused" in told
    assert "upgrade answered with 401 Unauthorized" in told
    assert "recorder audio" not in told


def test_show_of_an_interrupted_session_says_how_far_it_is_good(recorder: Recorder) -> None:
    """By the number of its last event."""
    (talk,) = recorder.filled(unended)
    told = recorder("show").stdout

    assert f"interrupted: the last good event is {talk.recorder.last_seq}" in told
    assert "no close was recorded" in told


def test_show_says_what_is_not_as_it_passed(recorder: Recorder) -> None:
    """Gaps, audio that was not kept, secrets that were replaced."""

    def poor(store: object) -> None:
        talk = Talk(store, capture="no-audio").opened().created()  # type: ignore[arg-type]
        talk.says(200, tone(300))
        talk.client(600, "session.update", session={"api_key": "sk-" + "x1" * 20})
        talk.own("gap", 700, count=3, bytes=4000, origins={}, why="the disk was full")
        talk.closed(900).kept()

    recorder.filled(poor)
    told = recorder("show").stdout

    assert "What is not as it passed" in told
    assert "no-audio" in told
    assert "3 events (4.0 kB)" in told
    assert "the disk was full" in told
    assert "redacted" in told
    assert "x1x1" not in told


def test_show_takes_what_a_person_has_in_hand(recorder: Recorder) -> None:
    """An id of the server, of the handshake, the call label, a part of the id."""
    talks = several(recorder)
    for word in ("resp_a1", "item_q2", "req_000001", "sess_000001", "support-17", "latest~4",
                 talks[0].id, talks[0].id[-8:]):  # fmt: skip
        assert f"  {talks[0].id}" in recorder("show", word).stdout, word


def test_show_for_machines(recorder: Recorder) -> None:
    """Everything, typed; no value is no 0."""
    (talk,) = recorder.filled(spoken)
    told = json.loads(recorder("show", "--json").stdout)

    assert told["session"]["id"] == talk.id
    assert told["status"] == "ended"
    assert told["summary"]["responses"] == {"completed": 2}
    assert [turn["index"] for turn in told["turns"]] == [1, 2]
    assert all(finding["sentence"] for finding in told["findings"])


def test_every_command_that_a_finding_names_can_be_typed(recorder: Recorder) -> None:
    """A finding that sends people to an option that is not there helps nobody."""
    import recorder.projections as projections

    folder = Path(str(projections.__file__)).parent
    found = {
        command
        for file in folder.glob("rules*.py")
        for command in re.findall(r'f?"((?:latency|events|audio|transcript)(?: --[^"]*)?)"',
                                  file.read_text())
    }  # fmt: skip
    found |= {"latency --turn {turn}", "events"}
    assert len(found) > 4
    recorder.filled(spoken)
    for command in found:
        words = re.sub(r"\{[^}]*\}", "1", command).split()
        extra = ["-d", str(recorder.db.parent), "--force"] if words[0] == "audio" else []
        recorder(*words, *extra)


# ---- transcript


def test_the_transcript_in_a_pipe(recorder: Recorder) -> None:
    """A line each: time, speaker, words."""
    recorder.filled(spoken)

    assert [line.partition("  ")[2] for line in recorder("transcript").stdout.splitlines()] == [
        "user: What are your opening hours?",
        "assistant: We are open from nine to five.",
        "user: And on Sundays?",
        "assistant: On Sundays we are closed.",
    ]
    assert recorder("transcript", "--turn", "2").stdout.count("\n") == 2
    assert "has 2 turns" in recorder("transcript", "--turn", "9", code=2).stderr


def test_the_transcript_on_a_terminal_wraps_beside_the_speaker(recorder: Recorder) -> None:
    """Long answers stay readable."""
    recorder.filled(lambda s: texted(s, "word " * 40))
    lines = plain(recorder.on_a_terminal("transcript"))

    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("00:00.2")
    assert lines[1].startswith(" " * 22 + "word")


def test_the_transcript_for_machines(recorder: Recorder) -> None:
    """The lines as they are, with the session's id."""
    (talk,) = recorder.filled(spoken)
    told = json.loads(recorder("transcript", "--json").stdout)

    assert told["id"] == talk.id
    assert [line["speaker"] for line in told["lines"]] == ["user", "assistant"] * 2


# ---- latency


def test_latency_in_a_pipe_has_every_metric(recorder: Recorder) -> None:
    """A row a turn; a dash where there is no value; then where the time went."""
    recorder.filled(spoken)
    lines = recorder("latency").stdout.splitlines()

    assert lines[0].split() == ["turn", "at", "trigger", *METRICS]
    assert lines[1].split()[0] == "1"
    assert "\u2013" in lines[1]
    falls = [line for line in lines if "v2v_audible" in line and "=" in line]
    assert [line.split()[1] for line in falls] == ["1", "2"]


def test_latency_shows_its_evidence(recorder: Recorder) -> None:
    """Every value with its label and the numbers of its events, every N/A with its reason."""
    recorder.filled(spoken)
    told = recorder("latency", "--evidence", "--turn", "1").stdout.partition("Evidence")[2]
    rows = {line.split()[1]: line.split() for line in told.splitlines()[2:]}

    assert set(rows) == set(METRICS)
    assert rows["v2v_wire"][3] == "measured"
    assert all(number.isdigit() for number in rows["v2v_wire"][4:])
    assert rows["tool_exec"][2:] == ["\u2013", "no_tools"]


def test_latency_for_machines_and_for_no_such_turn(recorder: Recorder) -> None:
    """Values in nanoseconds and milliseconds; a turn that is not there is refused, with how many
    there are.
    """
    recorder.filled(spoken)
    told = json.loads(recorder("latency", "--json", "--turn", "2").stdout)

    assert [turn["turn"] for turn in told["turns"]] == [2]
    value = told["turns"][0]["values"]["v2v_wire"]
    assert value["value_ms"] == value["ns"] / 1e6
    for words in (["--turn", "7"], ["--turn", "3", "--json"], ["--turn", "9", "--evidence"]):
        result = recorder("latency", *words, code=2)
        assert f"there is no turn {words[1]}: this session has 2 turns" in result.stderr
        assert result.stdout == ""


def test_latency_on_a_terminal_fits(recorder: Recorder) -> None:
    """The metrics that have values, as many as there is room for."""
    recorder.filled(spoken)
    for width in (80, 140):
        lines = plain(recorder.on_a_terminal("latency", width=width))
        assert max(map(len, lines)) <= width
        assert "v2v_audible" in lines[0]


def test_a_recording_that_stops_is_something_that_went_wrong(recorder: Recorder) -> None:
    """Where its recorder is gone; one that is alive goes on. `ls` counts the same."""
    lease = time.time_ns() + 3600 * SECOND

    def both(store: SqlStore) -> list[str]:
        store.register(recording_process("alive", lease))
        talks = [unended(store, seed=n, recorder=name) for n, name in ((1, "alive"), (2, "gone"))]
        return [talk.id for talk in talks]

    (names,) = recorder.filled(both)
    told = "the recording stops at 500 ms without a close: its recorder ended or was killed"
    live, gone = (json.loads(recorder("show", name, "--json").stdout) for name in names)
    assert [found["rule"] for found in live["findings"]] == []
    assert [found["rule"] for found in gone["findings"]] == ["interrupted"]
    assert gone["findings"][0]["evidence"] == [gone["summary"]["last_seq"]]
    assert told in recorder("show", names[1]).stdout
    assert told not in recorder("show", names[0]).stdout
    rows = json.loads(recorder("ls", "--json").stdout)
    assert {row["status"]: row["findings"] for row in rows} == {"live": 0, "interrupted": 1}


def test_sessions_that_are_not_there_are_counted(recorder: Recorder) -> None:
    """One is not several."""
    recorder.filled(lambda s: texted(s, seed=1))
    told = recorder("show", "latest~3", code=2).stderr
    assert "latest~3: there is only one session; it is latest" in told
    recorder.filled(lambda s: texted(s, seed=2))
    told = recorder("show", "latest~3", code=2).stderr
    assert "there are only 2 sessions; the oldest is latest~1" in told


def test_what_servers_say_ends_with_one_full_stop(recorder: Recorder) -> None:
    """A reason is a sentence of its own, and part of one here."""

    def expired(store: object) -> None:
        talk = Talk(store).opened().created()  # type: ignore[arg-type]
        talk.closed(900, code=1001, clean=True, initiator="server", reason="It is over.").kept()

    recorder.filled(expired)
    assert "1001, It is over, by the server" in recorder("show").stdout
    assert "1001, It is over, by the server" in recorder("events").stdout


def test_help_of_a_command_shows_what_can_be_chosen_by() -> None:
    """The table of terms stands in the help of what takes filters."""
    for command in ("ls", "rm"):
        told = CliRunner().invoke(cli, [command, "--help"]).stdout
        for option in ("--since", "--until", "--model", "--tag", "--call", "--status"):
            assert option in told
