"""`recorder replay`: lines without a terminal; on one, a player with keys."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from recorder.cli.replay_player import Axis
from recorder.cli.replay_score import Choice, Score, choice, read
from recorder.cli.shared import Shared
from recorder.projections.state import state_at
from recorder.sql.store import SqlStore
from tests.cli_kit import Recorder
from tests.talks import MS, SECOND, Talk, refused, silence, spoken, texted, tone, unended


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "recorder.db")


def printed(recorder: Recorder, *words: str) -> list[str]:
    """The lines, their columns parted by one space."""
    return [" ".join(line.split()) for line in recorder("replay", *words).stdout.splitlines()]


def cut_in(store: SqlStore) -> Talk:
    """An answer of 2 s that is cut after 800 ms, then a tool call, then an error."""
    talk = Talk(store).opened().created()
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, "What are your opening hours?")
    talk.answers(1800, "a1", "We are open from nine to five.", tone(2000))
    talk.client(3100, "conversation.item.truncate", item_id="item_a1", content_index=0,
                audio_end_ms=800)  # fmt: skip
    call = {"id": "item_f", "type": "function_call", "call_id": "call_1", "name": "look_up",
            "arguments": '{"a":1}', "status": "completed"}  # fmt: skip
    body = {"id": "resp_f", "status": "in_progress", "output": []}
    talk.server(4000, "response.created", response=body)
    talk.server(4100, "response.output_item.done", response_id="resp_f", output_index=0, item=call)
    talk.server(4110, "response.done", response=body | {"status": "completed", "output": [call]})
    output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    talk.client(4350, "conversation.item.create", item=output)
    error = {"type": "invalid_request_error", "code": "bad", "message": "no \x1b[2Jsuch thing"}
    talk.server(5000, "error", error=error)
    return talk.closed(6000).kept()


# Lines.


def test_events_and_the_conversation_as_lines(recorder: Recorder) -> None:
    """Both, in order of time; the answer's audio begins to play at 2.22 s, 720 ms after 1.5 s."""
    recorder.filled(spoken)
    lines = printed(recorder)
    assert (
        lines[0]
        == "1 00:00.000 \u2022 recorder.opened wss://api.example/v1/realtime?model=m gpt-realtime"
    )
    assert "00:00.200 \u00bb user What are your opening hours?" in lines[3].partition(" ")[2]
    created = next(n for n, line in enumerate(lines) if " response.created " in line)
    answer = next(n for n, line in enumerate(lines) if " \u00bb assistant " in line)
    assert created < answer
    assert lines[-1].endswith(" 00:11.000 \u2022 recorder.closed 1000, by the client")


def test_the_conversation_alone(recorder: Recorder) -> None:
    """What was heard and not, the interruption, the tool and what it gave, latency, findings."""
    recorder.filled(cut_in)
    lines = [line.partition(" \u00bb ")[2] for line in printed(recorder, "--only", "conversation")]
    told = [line for line in lines if not line.startswith(("latency", "finding"))]
    assert told == [
        "user What are your opening hours?",
        "assistant We are open [cut here; not heard: from nine to five.]",
        "interruption playback cut after 800 ms of 2.0 s: the client truncated it",
        'tool look_up({"a":1})',
        'result look_up gave "42" after 250 ms',
        "error no [2Jsuch thing (the session went on)",
    ]
    assert any(line.startswith("latency turn 1: v2v_audible ") for line in lines)
    assert "finding warning: bad: no \\x1b[2Jsuch thing (the session went on)" in lines


def test_only_and_without_by_type_and_origin(recorder: Recorder) -> None:
    """Any of several; both together."""
    recorder.filled(cut_in)

    def kinds(*words: str) -> list[str]:
        return [line.split()[3] for line in printed(recorder, *words)]

    assert set(kinds("--only", "client")) == {
        "input_audio_buffer.append", "conversation.item.truncate", "conversation.item.create",
    }  # fmt: skip
    assert kinds("--only", "response.done", "--only", "recorder:*closed") == [
        "response.done", "response.done", "recorder.closed",
    ]  # fmt: skip
    assert kinds("--only", "recorder", "--without", "*.closed") == [
        "recorder.opened", "recorder.handshake",
    ]  # fmt: skip
    assert "finding" not in kinds("--without", "conversation")


def test_it_ends_where_it_is_to_break(recorder: Recorder) -> None:
    """`error` is whatever failed; a type; what is told of events, too."""
    recorder.filled(cut_in)
    result = recorder("replay", "--break-on", "error")
    assert result.stdout.splitlines()[-1].split()[3] == "error"
    assert result.stderr.startswith("stopped at 00:05.000, error: event ")
    assert recorder("replay", "--break-on", "interruption", "--only", "client").stderr == (
        "stopped at 00:03.100, interruption: playback cut after 800 ms of 2.0 s: "
        "the client truncated it\n"
    )


def test_a_refused_session_breaks_at_its_handshake(recorder: Recorder) -> None:
    """That is an error too."""
    recorder.filled(refused)
    assert recorder("replay", "--break-on", "error").stderr == (
        "stopped at 00:00.090, recorder.handshake: event 2\n"
    )


def test_from_a_moment_to_another_and_one_turn(recorder: Recorder) -> None:
    """Both ends included; the second turn begins with the user's words."""
    recorder.filled(spoken)
    lines = printed(recorder, "--start", "90ms", "--until", "0.1s")
    assert [line.split()[1:4:2] for line in lines] == [
        ["00:00.090", "recorder.handshake"],
        ["00:00.100", "session.created"],
    ]
    turn = printed(recorder, "--turn", "2", "--only", "conversation")
    words = [line.partition(" \u00bb ")[2] for line in turn]
    assert words[0] == "user And on Sundays?"
    assert "assistant On Sundays we are closed." in words


def test_the_recorded_timing_without_a_terminal(recorder: Recorder) -> None:
    """With `--speed` the same lines come, each in its time."""
    recorder.filled(texted)
    at_once = recorder("replay").stdout
    begun = time.monotonic()
    in_time = recorder("replay", "--speed", "2").stdout
    assert in_time == at_once
    assert time.monotonic() - begun >= 0.25  # of 500 ms


@pytest.fixture
def score(recorder: Recorder) -> Iterator[Callable[..., Score]]:
    """What is played of the session in the database."""
    shared = Shared({})
    shared.db = str(recorder.db)

    def made(chosen: Choice = Choice()) -> Score:  # noqa: B008 # it never changes
        session = shared.session("latest")
        return Score(shared, session, read(shared, session), chosen)

    yield made
    shared.close()


def test_idle_time_is_squeezed_but_never_what_is_heard(
    recorder: Recorder, score: Callable[..., Score]
) -> None:
    """The user speaks from 0.2 to 1.2 s, the answer plays from 2.22 to 3.72 s; then the microphone
    is silent until 5 s. With only the conversation chosen, too."""
    recorder.filled(spoken)
    for chosen in (Choice(), choice(["conversation"], [], [])):
        axis = score(chosen).axis(100 * MS)

        def length(start: float, end: float, axis: Axis = axis) -> float:
            return round((axis.due_of(end * SECOND) - axis.due_of(start * SECOND)) / SECOND, 3)

        assert length(0.2, 1.2) == 1.0
        assert length(2.22, 3.72) == 1.5
        assert length(3.72, 5.0) == 0.1


def test_going_back_gives_the_state_that_was(
    recorder: Recorder, score: Callable[..., Score]
) -> None:
    """Forwards and backwards, the same as folded from the beginning."""
    (talk,) = recorder.filled(cut_in)
    made = score()
    events = list(made.events())
    assert len(events) == made.last_seq == talk.recorder.last_seq
    for seq in (3, 40, 47, 46, 5, 51):
        at_ns = events[seq - 1].at_ns
        assert made.state(seq, at_ns) == state_at(events, seq=seq)


def test_lines_of_a_place_are_those_up_to_it(
    recorder: Recorder, score: Callable[..., Score]
) -> None:
    """Runs as one line, as far as they have come; as many lines as are asked for."""
    recorder.filled(spoken)
    made = score(choice([], ["conversation"], []))
    for place in range(len(made)):  # gone on with, it is as begun anew
        anew = score(choice([], ["conversation"], [])) if place % 10 == 0 else made
        assert made.told(place, 6) == anew.told(place, 6)
    appended = made.told(8, 10)[-1]
    assert (appended.event.type, appended.count) == ("input_audio_buffer.append", 5)
    assert appended.words == "500 ms of audio"
    assert [told.event.seq for told in made.told(79, 2)] == [78, 79]
    alone = score(choice(["client"], [], []))  # the format is told by an event that is not shown
    assert alone.told(3, 1)[0].words == "300 ms of audio"
    assert made.told(0, 5) == made.told(79, 0) == []


def test_an_hour_of_nothing_is_skipped(recorder: Recorder) -> None:
    """A second of it is left, and the speed takes that down to 10 ms."""
    recorder.filled(lambda store: Talk(store).opened().own("note", 3_600_000, text="x")
                    .closed(7_200_000).kept())  # fmt: skip
    assert "note" in recorder("replay", "--speed", "100", "--idle-limit", "1s").stdout


def test_a_session_that_just_stops(recorder: Recorder) -> None:
    """It is played as far as it goes, and said to be interrupted."""
    recorder.filled(unended)
    result = recorder("replay")
    assert "was interrupted: its recording just stops" in result.stderr
    assert "\u00bb finding" in result.stdout


def test_a_session_without_times_is_printed_in_order(
    recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is told stands behind the event that shows it; what needs times is refused."""
    file = tmp_path / "bare.jsonl"
    recorder.filled(texted)
    raw = recorder("events", "--raw", "--origin", "server", "--origin", "client").stdout_bytes
    file.write_bytes(raw)
    recorder("import", str(file))
    kinds = [line.split()[3] for line in printed(recorder)]
    assert kinds.index("conversation.item.create") < kinds.index("user")
    assert kinds.index("user") < kinds.index("response.done")
    for words in (["--speed", "2"], ["--start", "1s"], ["--turn", "1"], ["--idle-limit", "1s"]):
        told = recorder("replay", *words, code=2).stderr
        assert told.startswith(f"recorder: {words[0]}: this session was imported without times")
    recorder.on_a_terminal("replay", code=2)
    assert "there is no pace to play it at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step"], "--step needs a terminal: it waits for keys"),
        (["--audio"], "--audio needs a terminal: `recorder audio` writes sound files"),
        (["--turn", "3"], "there is no turn 3: this session has 2 turns"),
        (["--turn", "1", "--start", "1s"],
         "--turn says from when to when; leave --start and --until out"),
        (["--start", "1:00"], "01:00.000 lies after the end: this session is 00:11.000 long"),
        (["--start", "5s", "--until", "2s"], "--until 2s lies before --start 5s"),
        (["--idle-limit", "0"],
         "--idle-limit 0 leaves no time at all; expected something like 1s"),
        (["--idle-limit", "0.000001"],
         "--idle-limit 0.000001 leaves no time at all; expected something like 1s"),
        (["--speed", "nan"], "--speed nan is no speed; expected something like 2 or 0.5"),
        (["--only", "sever:error"],
         "'sever:error': there is no origin 'sever'; expected client, server, recorder or "
         "conversation"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(words: list[str], message: str, recorder: Recorder) -> None:
    """It is said what was wrong and what there is."""
    recorder.filled(spoken)
    assert recorder("replay", *words, code=2).stderr == f"recorder: {message}\n"


def test_an_empty_session(recorder: Recorder) -> None:
    """There is nothing to play."""
    recorder.filled(lambda store: Talk(store).kept())
    told = recorder("replay", code=2).stderr
    assert told.endswith("this session has no events: there is nothing to play\n")


# On a terminal.


class Screen:
    """A command on a pseudo-terminal, and what it wrote there."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self.fd, self.process, self.raw = fd, process, b""

    @property
    def seen(self) -> str:
        """Everything so far, without escape sequences, white space as one space."""
        text = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", " ", self.raw.decode("utf-8", "replace"))
        return " ".join(text.split())

    def read(self, seconds: float) -> bool:
        """Take what comes; whether anything did, and the terminal is still there."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.raw += data
        return bool(data)

    def shows(self, pattern: str) -> str:
        """Wait until something like it is written; forget everything up to there."""
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen[-3000:]!r}"
            assert self.read(0.5) or self.process.poll() is None, self.seen[-3000:]
        self.raw = b""
        return found.group()

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def ends(self, code: int) -> None:
        """Wait for the end of the command, with this exit code."""
        deadline = time.monotonic() + 20
        while self.read(0.2) or self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen[-3000:]
        assert self.process.returncode == code, self.seen[-3000:]

    @property
    def mode(self) -> list[object]:
        return termios.tcgetattr(self.fd)


@contextmanager
def on_a_terminal(recorder: Recorder, *words: str, columns: int = 100) -> Iterator[Screen]:
    """`recorder replay` on a pseudo-terminal of its own, which is its controlling terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environ = {key: value for key, value in os.environ.items()
               if key not in ("COLUMNS", "LINES", "NO_COLOR")}  # fmt: skip
    command = [sys.executable, "-m", "recorder.cli", "--db", str(recorder.db), "replay", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=environ | {"TERM": "xterm"},
    )  # fmt: skip
    try:
        os.close(theirs)
        yield Screen(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_keys_pause_step_seek_back_speed_state_quit(recorder: Recorder) -> None:
    """All of them; and afterwards the terminal is as it was."""
    recorder.filled(spoken)
    with on_a_terminal(recorder, "--step") as screen:
        before = screen.mode
        screen.shows(r"paused 1\u00d7.* 00:00\.000 / 00:11\.000 event 0/79 turn \u2013/2")
        screen.press(b"...")
        screen.shows(r"session\.created.* 00:00\.100 / 00:11\.000 event 3/79")
        screen.press(b",")
        screen.shows(r" 00:00\.090 / 00:11\.000 event 2/79")
        screen.press(b"\x1b[C")
        screen.shows(
            r"What are your opening hours\?.* 00:05\.090 / 00:11\.000 event \d+/79 turn 2/2"
        )
        screen.press(b"\x1b[D]]")
        screen.shows(r"paused 1\.5\u00d7.* 00:00\.090 / 00:11\.000 event 2/79")
        screen.press(b"[")
        screen.shows(r"paused 1\.25\u00d7")
        screen.press(b" ")
        screen.shows(r"playing 1\.25\u00d7")
        screen.press(b" ")
        screen.shows(r"paused 1\.25\u00d7")
        screen.press(b"\x1b[Hs")
        screen.shows(r"State after event 1 .*at 00:00\.000, after event 1 of 79: dialing")
        screen.press(b"\x1b[F")
        screen.shows(r"State after event 79 .*after event 79 of 79: closed")
        screen.press(b"s")
        screen.shows(r"Conversation.*On Sundays we are closed\.")
        screen.press(b"q")
        screen.ends(0)
        assert screen.seen.endswith("stopped at 00:11.000 of 00:11.000, after event 79 of 79")
        assert screen.raw.count(b"\x1b[?1049l") == 1
        assert screen.mode == before


def test_it_plays_by_itself_stops_at_an_error_and_goes_on_to_the_end(recorder: Recorder) -> None:
    """There it stays until a key ends it. Nothing of a hostile message reaches the terminal."""
    recorder.filled(cut_in)
    with on_a_terminal(recorder, "--speed", "30", "--break-on", "error") as screen:
        screen.shows(r"stopped at error \(event \d+\) 30\u00d7.* 00:05\.000 / 00:06\.000")
        assert b"\x1b[2Jsuch" not in screen.raw
        screen.press(b" ")
        screen.shows(r"end 30\u00d7")
        screen.press(b"q")
        screen.ends(0)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_the_terminal_as_it_was(
    number: signal.Signals, code: int, recorder: Recorder
) -> None:
    """The screen, the cursor and the keys."""
    recorder.filled(texted)
    with on_a_terminal(recorder, "--step") as screen:
        before = screen.mode
        screen.shows("paused")
        assert screen.mode != before
        screen.process.send_signal(number)
        screen.ends(code)
        assert screen.raw.endswith((b"\x1b[?1049l", b"\x1b[?25h"))
        assert screen.mode == before


def test_a_window_that_changes_its_size(recorder: Recorder) -> None:
    """The next picture fits, however small it is."""
    recorder.filled(spoken)
    with on_a_terminal(recorder, "--step", "--start", "3s") as screen:
        before = screen.mode
        screen.shows("Events")
        for rows, columns in ((30, 140), (3, 20), (1, 1), (24, 80)):
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(screen.fd, termios.TIOCSWINSZ, size)
            screen.shows("." if columns < 80 else r"event \d+/79")
        screen.press(b"q")
        screen.ends(0)
        assert screen.mode == before


def test_without_a_keyboard_it_is_said_what_to_do(recorder: Recorder) -> None:
    """A screen alone, as under a pipe without a controlling terminal."""
    recorder.filled(texted)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "recorder.cli", "--db", str(recorder.db), "replay"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
        start_new_session=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert done.stderr == (
        b"recorder: there is no keyboard here, only a screen; `recorder replay --plain` plays "
        b"without\n"
    )


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "--audio needs the extra: pip install 'realtime-recorder[sound]'"),
        (SimpleNamespace(), "there is no sound in this session, or it was not kept; replay it "
                            "without --audio"),
    ],
)  # fmt: skip
def test_sound_that_cannot_be_played(
    module: object,
    message: str,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the extra; of a session of text alone. Nothing is drawn before that is known."""
    recorder.filled(texted)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    assert recorder.on_a_terminal("replay", "--audio", code=2) == ""
    assert capsys.readouterr().err.endswith(f"recorder: {message}\n")


def test_plain_lines_on_a_terminal(recorder: Recorder) -> None:
    """No keys, no screen of its own."""
    recorder.filled(texted)
    shown = recorder.on_a_terminal("replay", "--plain")
    assert "recorder.closed" in shown
    assert "\x1b[?1049h" not in shown
