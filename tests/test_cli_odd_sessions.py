"""Sessions as nobody would make them, through every command: no traceback, no flood."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.events import Origin
from recorder.exporters import EXPORTERS
from recorder.sql.store import SqlStore

from .cli_kit import Recorder
from .talks import Talk, silence, spoken, tone

YEAR_MS = 365 * 24 * 3600 * 1000
EVIL = "../../e\x00vil\x1b[2J"


def sound(ms: int) -> str:
    """Base64 of a tone."""
    return base64.b64encode(tone(ms)).decode()


def empty(store: SqlStore) -> Talk:
    """Entered, and then nothing."""
    return Talk(store)


def two_messages(store: SqlStore) -> Talk:
    """Without anything of the recorder's own."""
    talk = Talk(store).client(0, "response.create")
    return talk.server(5, "error", error={"message": "no\x1b]0;x\x07"}).kept()


def broken_off(store: SqlStore) -> Talk:
    """In the middle of an answer and of the user's speech."""
    talk = Talk(store).opened().created().says(200, tone(400))
    talk.server(700, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
    talk.server(750, "response.created", response={"id": "R"})
    talk.server(760, "response.output_audio.delta", response_id="R", item_id="A", delta=sound(500))
    return talk.kept()


def hostile(store: SqlStore) -> Talk:
    """Ids, words and numbers that want to be something else."""
    talk = Talk(store, call="x" * 3000, tags=("a\nb", "\x1b[1m")).opened().created()
    talk.server(300, "response.created", response={"id": EVIL, "status": "in_progress"})
    talk.server(310, "response.output_audio.delta", response_id=EVIL, item_id=EVIL,
                delta=sound(300))  # fmt: skip
    words = "<script>alert(1)</script>\x1b[2J\u202e=cmd|' /c calc'!A1"
    talk.server(320, "response.output_audio_transcript.done", response_id=EVIL, item_id=EVIL,
                transcript=words)  # fmt: skip
    usage = {"total_tokens": "many", "input_tokens": -5, "output_tokens": 1e308}
    talk.server(900, "response.done", response={"id": EVIL, "status": "\x1b[31m", "usage": usage})
    return talk.kept()


def garbage(store: SqlStore) -> Talk:
    """Nothing has the type that it should have."""
    talk = Talk(store).opened().created()
    for number, text in enumerate((
        b"\xff\xfe", b"[1,2]", b"null", b'{"type":null}',
        b'{"type":"response.created","response":"x"}',
        b'{"type":"conversation.item.added","item":{"id":5,"content":"no","role":7,"type":[]}}',
        b'{"type":"session.updated","session":{"audio":{"input":{"format":{"rate":0}}}}}',
        b'{"type":"session.updated","session":{"audio":{"output":{"format":{"rate":1e30}}}}}',
        b'{"type":"input_audio_buffer.speech_started","audio_start_ms":-1e300,"item_id":"q"}',
        b'{"type":"input_audio_buffer.speech_stopped","audio_end_ms":1e300,"item_id":"q"}',
        b'{"type":"input_audio_buffer.committed","item_id":"q"}',
        b'{"type":"rate_limits.updated","rate_limits":[{"name":[],"limit":{},"remaining":null}]}',
    )):  # fmt: skip
        talk.raw(Origin.SERVER, 300 + number, text)
        talk.client(300 + number, "input_audio_buffer.append", audio=sound(20))
    talk.client(400, "input_audio_buffer.append", audio=5)
    talk.client(401, "input_audio_buffer.append", audio="!!!")
    return talk.kept()


def years(store: SqlStore) -> Talk:
    """Two sounds, a year apart."""
    talk = Talk(store).opened().created().says(200, tone(300) + silence(200))
    return talk.says(YEAR_MS, tone(300)).kept()


ODD: list[Callable[[SqlStore], Talk]] = [
    empty, two_messages, broken_off, hostile, garbage, years,
]  # fmt: skip
WAYS = (
    ["show"], ["show", "--json"], ["transcript"], ["transcript", "--format", "srt"],
    ["latency", "--evidence"], ["latency", "--csv"], ["state"], ["state", "--at", "300ms"],
    ["events"], ["audio"], ["audio", "--track", "items"], ["audio", "--timeline", "generated"],
    *(["export", form] for form in EXPORTERS),
)  # fmt: skip


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


@pytest.mark.parametrize("made", ODD)
def test_every_command_copes(recorder: Recorder, tmp_path: Path, made: Callable) -> None:
    """It does what it can or says why not; nothing drives the terminal or leaves its folder."""
    (talk,) = recorder.filled(made)
    folder = tmp_path / "out" / "deep"
    for command, *words in WAYS:
        where = []
        if command == "audio":
            where = ["-d", str(folder), "--force"]
        elif command == "export":
            where = ["-o", str(tmp_path / "file"), "--force"]
        order = [command, *words, talk.id] if command == "export" else [command, talk.id, *words]
        result = run(recorder, *order, *where)
        if "--json" not in words:
            assert not {"\x1b", "\x07"} & set(result), (order, result)
    allowed = {"recorder.db", "file", "out"}
    assert {
        file.name.removesuffix("-wal").removesuffix("-shm") for file in tmp_path.iterdir()
    } <= allowed
    assert all(file.stat().st_size < 2_000_000 for file in tmp_path.rglob("*") if file.is_file())


def run(recorder: Recorder, *words: str) -> str:
    """What it says on both sides; it may succeed or refuse, and nothing else."""
    from click.testing import CliRunner

    from recorder.cli import cli

    result = CliRunner().invoke(cli, ["--db", str(recorder.db), *words])
    assert result.exit_code in (0, 2), (words, result.exit_code, result.stderr)
    assert "mistake in recorder itself" not in result.stderr, (words, result.stderr)
    return result.stdout + result.stderr


def test_times_that_span_a_year_make_no_year_of_silence(recorder: Recorder, tmp_path: Path) -> None:
    """Said, with what can be had instead; a bundle of it goes without its sound."""
    recorder.filled(years, lambda store: spoken(store, seed=9, call="c-1"))
    (name,) = [row["id"] for row in json.loads(recorder("ls", "--json").stdout) if not row["call"]]
    for words in (["--track", "stereo"], ["--timeline", "generated"]):
        told = recorder("audio", name, *words, "-d", str(tmp_path / "a"), code=2).stderr
        assert "silence without end" in told
    told = recorder("export", "flac", name, "-o", str(tmp_path / "a.flac"), code=2).stderr
    assert "8760 hours" in told
    assert not (tmp_path / "a.flac").exists()
    recorder("export", "bundle", name, "-o", str(tmp_path / "b.zip"))
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        names = {Path(each).name for each in archive.namelist()}
    assert "call.flac" not in names
    assert {"events.jsonl", "trace.json"} <= names


def test_a_limit_of_which_little_was_said(recorder: Recorder) -> None:
    """What was not said is n/a, not `None`."""
    recorder.filled(garbage)
    assert "None" not in recorder("state").stdout
