"""`recorder record`, `token` and `sandbox` as a person uses them, wrong input included.

Each test runs the command line on a real database; most talk to the sandbox over loopback.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import orjson
import pytest
import soundfile
from click.testing import CliRunner

from recorder.cli import cli
from recorder.cli.record import SCRIPT_STEPS
from recorder.events import Event
from recorder.live.caller import TurnKind, script_turns
from recorder.sandbox.voices import load
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore

from .cli_kit import Recorder

KEYLESS = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")} | {"NO_COLOR": "1"}
KEY = "sk-proj-0123456789abcdefPLANTED"


class Done:
    """What a command did."""

    def __init__(self, process: subprocess.CompletedProcess[str], db: Path) -> None:
        self.code, self.out, self.err, self.db = (
            process.returncode,
            process.stdout,
            process.stderr,
            db,
        )

    def events(self) -> list[Event]:
        """The events of the only session in the database."""
        store = SqlStore.open(locate(str(self.db), {}), create=False)
        try:
            (session,) = store.sessions()
            return list(store.read(session.id))
        finally:
            store.close()

    def sent(self) -> list[str]:
        """Types of client events, appends folded."""
        types: list[str] = []
        for event in self.events():
            if event.origin == 0 and event.opcode == 1 and types[-1:] != [event.type]:
                types.append(event.type)
        return types

    def body(self, kind: str) -> dict:
        """The first event of this type, as JSON."""
        return next(orjson.loads(e.head) for e in self.events() if e.type == kind)


def run(tmp_path: Path, *words: str, **environ: str) -> Done:
    """Run `recorder` with a database of its own."""
    db = tmp_path / "calls.db"
    process = subprocess.run(
        [sys.executable, "-m", "recorder.cli", *words, "--db", str(db)],
        capture_output=True,
        text=True,
        env=KEYLESS | environ,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return Done(process, db)


def record(tmp_path: Path, *words: str, **environ: str) -> Done:
    """`recorder record` against a sandbox of its own."""
    return run(tmp_path, "record", "--url", "sandbox:", *words, **environ)


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """A short spoken question, as a 16 kHz stereo WAV."""
    clip = load("caller_hours")
    mono = clip.samples[::3].repeat(2)[: len(clip.samples) * 2 // 3]
    path = tmp_path / "question.wav"
    soundfile.write(path, np.stack([mono, mono], axis=1), 16000)
    return path


def test_text_turns_are_done_in_order_and_shown_as_they_unfold(tmp_path: Path) -> None:
    """Each turn waits for the answer to the one before; the end names the session."""
    done = record(tmp_path, "--text", "hello there", "--text=when do you open", "--tag", "x")
    assert done.code == 0, done.err
    assert done.sent() == ["conversation.item.create", "response.create"] * 2
    assert done.out.index("hello there") < done.out.index("when do you open")
    assert "assistant" in done.out
    assert "recorded as" in done.err
    assert done.body("recorder.opened")["tags"] == ["x"]
    assert done.body("recorder.closed")["code"] == 1000


def test_a_spoken_turn_is_converted_streamed_committed_and_answered(
    tmp_path: Path, question: Path
) -> None:
    """A stereo 16 kHz WAV arrives as mono PCM16 at 24 kHz in 20 ms chunks, in real time."""
    done = record(tmp_path, "--audio", str(question))
    assert done.code == 0, done.err
    assert done.sent() == [
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "response.create",
    ]
    appends = [e for e in done.events() if e.type == "input_audio_buffer.append"]
    assert {len(e.audio) for e in appends[:-1]} == {960}
    seconds = sum(len(e.audio) for e in appends) / 48000
    assert seconds == pytest.approx(soundfile.info(question).duration, abs=0.001)
    took = (appends[-1].at_ns - appends[0].at_ns) / 1e9
    assert took == pytest.approx(seconds - 0.02, abs=0.1)
    update = done.body("session.update")["session"]
    assert update["audio"]["input"]["turn_detection"] is None
    assert update["audio"]["input"]["transcription"]["model"]


def test_text_and_speech_keep_the_order_in_which_they_were_typed(
    tmp_path: Path, question: Path
) -> None:
    """--audio before --text is spoken first, although they are different options."""
    done = record(tmp_path, "--audio", str(question), "--text", "thanks", "--quiet")
    assert done.code == 0, done.err
    sent = done.sent()
    assert sent.index("input_audio_buffer.commit") < sent.index("conversation.item.create")
    assert done.out == ""


def test_a_servers_voice_detection_commits_for_us(tmp_path: Path, question: Path) -> None:
    """With --vad server silence follows until the commit; nothing is committed from here."""
    done = record(tmp_path, "--audio", str(question), "--vad", "server")
    assert done.code == 0, done.err
    assert "input_audio_buffer.commit" not in done.sent()
    types = [e.type for e in done.events()]
    assert types.index("input_audio_buffer.speech_started") < types.index("response.done")


def test_g711_goes_out_and_comes_back_as_g711(tmp_path: Path, question: Path) -> None:
    """One byte a sample, 8 kHz, 160 bytes in 20 ms."""
    done = record(tmp_path, "--audio", str(question), "--format", "ulaw")
    assert done.code == 0, done.err
    appends = [e for e in done.events() if e.type == "input_audio_buffer.append"]
    assert {len(e.audio) for e in appends[:-1]} == {160}
    assert (
        done.body("session.updated")["session"]["audio"]["output"]["format"]["type"] == "audio/pcmu"
    )


def test_the_beta_dialect_is_spoken_where_it_is_asked_for(tmp_path: Path, question: Path) -> None:
    """Flat session.update, beta names in the answer."""
    done = record(tmp_path, "--dialect", "beta", "--audio", str(question))
    assert done.code == 0, done.err
    assert done.body("session.update")["session"]["turn_detection"] is None
    assert "response.audio.delta" in {e.type for e in done.events()}


def test_tools_are_declared_and_answered_with_the_outputs_of_the_file(tmp_path: Path) -> None:
    """The output in the file is not sent as part of the tool; it answers its calls."""
    tools = [
        {
            "type": "function",
            "name": "order_status",
            "parameters": {"type": "object", "properties": {}},
            "output": {"state": "shipped"},
        }
    ]
    (tmp_path / "tools.json").write_bytes(orjson.dumps(tools))
    done = record(tmp_path, "--tools", str(tmp_path / "tools.json"), "--text", "where is my order")
    assert done.code == 0, done.err
    assert "output" not in done.body("session.update")["session"]["tools"][0]
    outputs = [
        orjson.loads(e.head)["item"]
        for e in done.events()
        if e.type == "conversation.item.create" and b"function_call_output" in e.head
    ]
    assert [orjson.loads(item["output"]) for item in outputs] == [{"state": "shipped"}]


def test_a_script_sends_waits_and_marks(tmp_path: Path) -> None:
    """Events as they stand, waits for types and times, marks and notes."""
    script = tmp_path / "steps.jsonl"
    script.write_text(
        '{"wait_for": "session.created", "timeout": 5}\n'
        '{"type": "session.update", "session": {"type": "realtime", "instructions": "be brief"}}\n'
        '{"wait": 0.05}\n\n'
        '{"text": "hello"}\n'
        '{"mark": {"kind": "playback", "item_id": "item_x", "played_ms": 10}}\n'
        '{"mark": {"text": "a note"}}\n'
    )
    done = record(tmp_path, "--script", str(script))
    assert done.code == 0, done.err
    assert done.sent()[0] == "session.update"
    assert done.body("recorder.playback")["played_ms"] == 10
    assert done.body("recorder.note")["text"] == "a note"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--text", "x"], "where to?"),
        (["--url", "wss://api.openai.com", "--text", "x"], "--model"),
        (["--url", "sandbox:"], "nothing to say"),
        (["--url", "nonsense", "--model", "m", "--text", "x"], "no WebSocket URL"),
        (["--url", "sandbox:", "--audio", "missing.wav"], "there is no file missing.wav"),
        (["--url", "sandbox:", "--script", "missing.jsonl"], "cannot be read"),
        (["--url", "sandbox:", "--text", "x", "--modalities", "video"], "text,audio"),
        (["--url", "sandbox:", "--text", "x", "--tools", "missing.json"], "missing.json"),
        (["--url", "sandbox:", "--text", "x", "--header", "nonsense"], "NAME=VALUE"),
        (["--url", "sandbox:", "--text", "x", "--header", f"X-A={KEY}"], "command line"),
        (["--url", "sandbox:", "--text", "x", "--header", "api-key=abc"], "command line"),
        (["--url", "sandbox:", "--text", "x", "--header", "X-A=env:NOT_SET"], "NOT_SET"),
        (["--url", "wss://x.test/v1", "--model", "m", "--text", "x", "--api-key-env", "NO"], "NO"),
        (["--url", "sandbox:", "--text", "x", "--chunk-ms", "0"], "chunk-ms"),
        (["--url", "sandbox:", "--text", "x", "--max-duration", "-1"], "max-duration"),
        (["--url", "sandbox:", "--text", "x", "--speaker"], "--mic"),
    ],
)
def test_wrong_input_is_said_clearly(tmp_path: Path, words: list[str], expected: str) -> None:
    """Exit 2, what was wrong and what to do, no traceback, no secret, nothing recorded."""
    done = run(tmp_path, "record", *words)
    assert done.code == 2, done.err
    assert expected in done.err
    assert "Traceback" not in done.err
    assert KEY not in done.err + done.out
    assert not done.db.exists()


def refused(tmp_path: Path, *words: str) -> str:
    """What `recorder record` says, in this process, before it dials; nothing is recorded."""
    recorder = Recorder(tmp_path / "calls.db")
    told = recorder("record", "--url", "sandbox:", *words, code=2).stderr
    assert not recorder.db.exists()
    return told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--text", "hello", "--text", ""], "--text '' is empty"),
        (["--text= "], "--text ' ' is empty"),
        (["--text", "x", "--call", ""], "--call '' is empty"),
        (["--text", "x", "--tag", "a", "--tag", ""], "--tag '' is empty"),
        (["--text", "x", "--tag", "two words"], "one word without spaces"),
        (["--audio", "missing.pcm", "--rate", "8000"], "missing.pcm cannot be read: No such file"),
        (["--audio", "missing.pcm"], "say its sample rate with --rate"),
    ],
)
def test_what_a_variable_that_is_not_set_leaves_is_refused(
    tmp_path: Path, words: list[str], expected: str
) -> None:
    """An empty turn, call or tag is a mistake, not a wish; so is a file that is not there."""
    assert expected in refused(tmp_path, *words)


def test_a_key_is_not_sent_to_a_host_that_is_not_its_own(tmp_path: Path) -> None:
    """The refusal comes before anything is dialled, and does not show the key."""
    words = ("record", "--url", "wss://gateway.example/v1", "--model", "m", "--text", "x")
    done = run(tmp_path, *words, OPENAI_API_KEY=KEY)
    assert done.code == 2
    assert "--api-key-env OPENAI_API_KEY" in done.err
    assert KEY not in done.err


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("broken.wav", b"RIFF\x00\x00\x00\x00WAVEnothing", "cannot be read as sound"),
        ("empty.pcm", b"", "holds no sound"),
        ("text.wav", b"this is no sound", "cannot be read as sound"),
    ],
)
def test_a_sound_file_that_cannot_be_read_is_said(
    tmp_path: Path, name: str, data: bytes, expected: str
) -> None:
    """Before anything is dialled: nothing is recorded, whichever turn it is."""
    (tmp_path / name).write_bytes(data)
    (tmp_path / "steps.jsonl").write_text(f'{{"text": "hello"}}\n{{"audio": "{name}"}}\n')
    for words in (["--audio", str(tmp_path / name)], ["--script", str(tmp_path / "steps.jsonl")]):
        told = refused(tmp_path, "--text", "hello", *words, "--rate", "24000")
        assert expected in told
        assert name in told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": " "}', "expected a client event"),
        ('{"say": "hello"}', "expected a client event"),
        ('{"wait_for": "response.done", "timeout": 0}', '"timeout" must be a number'),
        ('{"mark": {"kind": "playback", "item_id": "i", "playedms": 9}}', "mean 'played_ms'?"),
        ('{"mark": {"kind": "closed"}}', "a mark cannot be called 'closed'"),
        ('{"mark": {"at_ns": 5, "text": "x"}}', "the recorder sets it"),
        ("{", "this is no JSON"),
    ],
)  # fmt: skip
def test_a_script_is_checked_before_it_is_begun(tmp_path: Path, line: str, expected: str) -> None:
    """The line is named, and nothing is dialled or recorded."""
    script = tmp_path / "steps.jsonl"
    script.write_text(f'{{"text": "hello"}}\n\n{line}\n')
    told = refused(tmp_path, "--script", str(script))
    assert f"{script}, line 3: " in told
    assert expected in told


def test_the_help_names_every_step_of_a_script(tmp_path: Path) -> None:
    """Each example is a step, and there is one of every kind that a script can hold."""
    script = tmp_path / "steps.jsonl"
    script.write_text("\n".join(example for example, _ in SCRIPT_STEPS))
    assert {turn.kind for turn in script_turns(script)} == set(get_args(TurnKind))
    told = CliRunner().invoke(cli, ["record", "--help"]).stdout
    for example, meaning in SCRIPT_STEPS:
        assert re.search(f"^  {re.escape(example)}  +{re.escape(meaning)}$", told, re.MULTILINE)


def test_a_wav_whose_sizes_say_too_much_is_read_as_far_as_it_goes(
    tmp_path: Path, question: Path
) -> None:
    """A stream's header with 0xFFFFFFFF as data size, and a header that lies about the rate."""
    data = bytearray(question.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    data[4:8] = b"\xff\xff\xff\xff"
    broken = tmp_path / "streamed.wav"
    broken.write_bytes(data)
    done = record(tmp_path, "--audio", str(broken), "--rate", "32000")
    assert done.code == 0, done.err
    sizes = [len(e.audio) for e in done.events() if e.type == "input_audio_buffer.append"]
    assert sum(sizes) / 48000 == pytest.approx(soundfile.info(question).duration / 2, abs=0.01)


def test_an_endpoint_that_refuses_ends_with_3_and_is_recorded(tmp_path: Path) -> None:
    """Nobody listens on that port: exit 3, what and where, and the session in the log."""
    done = run(tmp_path, "record", "--url", "ws://127.0.0.1:9/v1", "--model", "m", "--text", "x")
    assert done.code == 3
    assert "127.0.0.1:9" in done.err
    assert "Traceback" not in done.err
    assert [e.type for e in done.events()] == [
        "recorder.opened",
        "recorder.handshake",
        "recorder.closed",
    ]


def test_capture_call_and_tags_are_in_the_session(tmp_path: Path, question: Path) -> None:
    """Without audio no audio is in the file, and its length is."""
    words = ("--audio", str(question), "--capture", "no-audio", "--call", "demo-call")
    done = record(tmp_path, *words)
    assert done.code == 0, done.err
    appends = [e for e in done.events() if e.type == "input_audio_buffer.append"]
    assert {e.audio for e in appends} == {None}
    assert '"cuts":[[' in str(appends[0].meta)
    assert done.body("recorder.opened")["call"] == "demo-call"


def test_max_duration_ends_the_session_in_order(tmp_path: Path) -> None:
    """A wait of an hour is cut short; the close is in the log."""
    script = tmp_path / "wait.jsonl"
    script.write_text('{"wait": 3600}\n')
    done = record(tmp_path, "--script", str(script), "--max-duration", "0.3")
    assert done.code == 0, done.err
    assert done.body("recorder.closed")["initiator"] == "client"


@contextmanager
def started(*words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is stopped."""
    with subprocess.Popen(
        [sys.executable, "-m", "recorder.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=KEYLESS | environ,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_session_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Close frame, flush, exit 130; what was recorded is complete and closed."""
    script = tmp_path / "wait.jsonl"
    script.write_text('{"text": "hello"}\n{"wait": 3600}\n')
    db = tmp_path / "calls.db"
    words = ("record", "--url", "sandbox:", "--script", str(script), "--db", str(db))
    with started(*words) as process:
        for line in process.stdout:
            if "assistant" in line:
                break
        process.send_signal(number)
        assert process.wait(10) == 130
        error = process.stderr.read()
    assert "recorded as" in error
    assert "Traceback" not in error
    done = Done(subprocess.CompletedProcess([], 130, "", error), db)
    assert done.events()[-1].type == "recorder.closed"


def test_a_terminal_that_goes_away_ends_the_session_in_order(tmp_path: Path) -> None:
    """The window is closed: nothing can be shown any more, and the recording is complete."""
    (tmp_path / "wait.jsonl").write_text('{"text": "hello"}\n{"wait": 3600}\n')
    db = tmp_path / "calls.db"
    words = ["record", "--url", "sandbox:", "--script", str(tmp_path / "wait.jsonl")]
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another program
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
        os.execve(sys.executable, [sys.executable, "-m", "recorder.cli", *words, "--db", str(db)],
                  KEYLESS)  # fmt: skip
    seen = b""
    while b"assistant" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    done = Done(subprocess.CompletedProcess([], 130, "", ""), db)
    assert done.body("recorder.closed")["initiator"] == "client"
    assert done.events()[-1].type == "recorder.closed"


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup: the recording goes on, and ends by itself."""
    script = tmp_path / "wait.jsonl"
    script.write_text('{"text": "hello"}\n{"wait": 0.5}\n{"mark": {"text": "still here"}}\n')
    db = tmp_path / "calls.db"
    words = ("record", "--url", "sandbox:", "--script", str(script), "--db", str(db))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started(*words) as process:
            for line in process.stdout:
                if "assistant" in line:
                    break
            process.send_signal(signal.SIGHUP)
            assert process.wait(10) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    done = Done(subprocess.CompletedProcess([], 0, "", ""), db)
    assert done.body("recorder.note")["text"] == "still here"


def test_a_sandbox_gives_tokens_and_says_what_its_entry_point_is(tmp_path: Path) -> None:
    """`token` prints the token alone on stdout; `GET /v1/realtime` mints none, and that is said."""
    with started("sandbox", "--key-env", "K", K=KEY) as process:
        url = process.stdout.readline().split()[-1]
        words = ("token", "--url", url, "--model", "m", "--api-key-env", "K")
        done = run(tmp_path, *words, K=KEY)
        assert done.code == 0, done.err
        assert done.out.startswith("ek_")
        assert len(done.out.split()) == 1
        beta = run(tmp_path, *words, "--form", "sessions", "--json", K=KEY)
        assert orjson.loads(beta.out)["value"].startswith("ek_")
        entry = run(tmp_path, *words, "--form", "realtime", K=KEY)
        assert entry.code == 3
        assert "mints no token" in entry.err
        for command in (words[:5], ("record", *words[1:5], "--text", "hello")):
            refused = run(tmp_path, *command, K=KEY)
            assert refused.code == 3
            assert "401" in refused.err
            assert "no key was sent: name the variable" in refused.err
            assert "--api-key-env NAME" in refused.err
        spoken = run(tmp_path, "record", *words[1:], "--text", "hello", K=KEY)
        assert spoken.code == 0, spoken.err
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--script", "missing.json"], "missing.json"),
        (["--key-env", "NOT_SET"], "NOT_SET"),
        (["--cert", "x.pem"], "--key"),
        (["--cert", "x.pem", "--key", "y.pem"], "x.pem"),
    ],
)
def test_a_sandbox_that_cannot_start_says_why(words: list[str], expected: str) -> None:
    """Exit 2 and the word that was wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "recorder.cli", "sandbox", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
