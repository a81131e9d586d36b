"""`recorder export`: files that are private, whole, checked, and overwrite nothing unasked."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import soundfile

from recorder.events import Event, Origin, Session
from recorder.exporters import EXPORTERS, jsonl
from recorder.store import EventStore

from . import talks
from .cli_kit import Recorder
from .talks import Talk, spoken, texted

FIRST = "000001"


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command is called."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def second(store: EventStore, **how: Any) -> Talk:
    """Another session of the same call, a minute later."""
    return texted(store, seed=2, wall_ns=talks.NOW + 60 * talks.SECOND, call="support-17", **how)


def first(store: EventStore) -> Talk:
    """The first session of a call."""
    return spoken(store, call="support-17")


def test_help_tells_all_formats(recorder: Recorder) -> None:
    """Each with what it is."""
    told = " ".join(recorder("export", "--help").stdout.split())
    for name, row in EXPORTERS.items():
        assert f"{name} {row.help}" in told


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_every_format_to_a_file_of_its_own_name(recorder: Recorder, here: Path, form: str) -> None:
    """Named after the session, in the current folder; private; and that is said on stderr."""
    recorder.filled(spoken)
    before = os.umask(0)
    try:
        result = recorder("export", form)
    finally:
        os.umask(before)

    (file,) = here.iterdir()
    assert file.name == FIRST + EXPORTERS[form].suffix
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name in result.stderr
    assert result.stdout == ""


def test_jsonl_on_stdout_is_what_a_file_holds(recorder: Recorder, here: Path) -> None:
    """And nothing else is on stdout."""
    recorder.filled(spoken)
    recorder("export", "jsonl", "-o", "call.jsonl")
    result = recorder("export", "jsonl", "-o", "-")

    assert result.stdout_bytes == (here / "call.jsonl").read_bytes()
    found = list(jsonl.read(result.stdout_bytes.splitlines()))
    assert isinstance(found[0], Session)
    assert len(found) == 80


def test_export_import_export_is_byte_identical(recorder: Recorder, here: Path) -> None:
    """Through another database."""
    recorder.filled(first, second)
    recorder("export", "jsonl", "call:support-17", "-o", "one.jsonl")
    other = Recorder(here / "other.db")
    other("import", "one.jsonl")
    other("export", "jsonl", "call:support-17", "-o", "two.jsonl")

    assert (here / "one.jsonl").read_bytes() == (here / "two.jsonl").read_bytes()


def test_nothing_is_overwritten_unasked(recorder: Recorder, here: Path) -> None:
    """Not the named file, not one of several; `--force` overwrites."""
    recorder.filled(first, second)
    (here / "a.har").write_text("mine")
    folder = here / "out"
    folder.mkdir()
    (folder / "000002.txt").write_text("mine")

    told = recorder("export", "har", "-o", "a.har", code=2).stderr
    assert "a.har is there already; --force overwrites it" in told
    recorder("export", "txt", "call:support-17", "-o", "out", code=2)
    assert [file.name for file in folder.iterdir()] == ["000002.txt"]
    recorder("export", "har", "-o", "a.har", "--force")
    assert orjson.loads((here / "a.har").read_bytes())["log"]["version"] == "1.2"


@pytest.mark.parametrize("form", [name for name, row in EXPORTERS.items() if row.many])
def test_several_sessions_in_one_file(recorder: Recorder, here: Path, form: str) -> None:
    """Where the format allows it: named after their call, where they are one."""
    recorder.filled(first, second)
    recorder("export", form, "call:support-17")

    (file,) = here.iterdir()
    stem = "2-sessions" if form == "bundle" else "call-support-17"
    assert file.name == stem + EXPORTERS[form].suffix


def test_several_sessions_in_a_folder(recorder: Recorder, here: Path) -> None:
    """Where a file holds one: a file each, and nowhere else."""
    recorder.filled(first, second)
    for output in ([], ["-o", "a.txt"], ["-o", "-"]):
        told = recorder("export", "txt", "call:support-17", *output, code=2).stderr
        assert "txt holds one session a file, and 2 are meant; name a folder" in told
    assert list(here.iterdir()) == []
    recorder("export", "txt", "call:support-17", "-o", "calls/")

    assert sorted(file.name for file in (here / "calls").iterdir()) == ["000001.txt", "000002.txt"]
    assert stat.S_IMODE((here / "calls").stat().st_mode) == 0o700


def test_sessions_without_sound(recorder: Recorder, here: Path) -> None:
    """Are told; the others are written. Where there are none, nothing is."""
    recorder.filled(first, second)
    result = recorder("export", "flac", "call:support-17", "-o", "calls/")
    assert "there is no sound in session" in result.stderr
    assert [file.name for file in (here / "calls").iterdir()] == ["000001.flac"]
    assert "there is no sound" in recorder("export", "wav", "000002", code=2).stderr
    assert [file.name for file in here.iterdir()] == ["calls"]


def test_sound_on_stdout_is_a_whole_file(recorder: Recorder) -> None:
    """And not written to a terminal."""
    recorder.filled(spoken)
    result = recorder("export", "flac", "-o", "-")
    samples, _ = soundfile.read(io.BytesIO(result.stdout_bytes))
    assert samples.shape[1] == 2
    assert recorder.on_a_terminal("export", "flac", "-o", "-", code=2) == ""


def test_a_bundle_holds_no_content(recorder: Recorder, here: Path) -> None:
    """Unless it is asked for; what it holds is said."""
    recorder.filled(spoken)
    result = recorder("export", "bundle", "-o", "call.zip")
    assert "no content" in result.stderr
    with zipfile.ZipFile(here / "call.zip") as archive:
        assert not any(b"opening hours" in archive.read(name) for name in archive.namelist())


def test_everything_is_asked_for_once(recorder: Recorder, here: Path) -> None:
    """With `--yes`; where nobody is there to ask, nothing is written."""
    recorder.filled(spoken)
    told = recorder("export", "bundle", "--full", code=2).stderr
    assert "nobody is there to ask; add --yes" in told
    assert list(here.iterdir()) == []
    result = recorder("export", "bundle", "--full", "--yes")
    assert "every event, byte for byte" in result.stderr
    with zipfile.ZipFile(here / f"{FIRST}.zip") as archive:
        assert any(b"opening hours" in archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize("form", ["jsonl", "har", "txt", "wav"])
def test_any_format_without_content(recorder: Recorder, form: str) -> None:
    """Checked before a byte of it is on stdout."""
    recorder.filled(spoken)
    result = recorder("export", form, "--share", "metadata", "-o", "-")
    assert result.stdout_bytes
    for word in (b"opening", b"nine to five", b"Sundays"):
        assert word not in result.stdout_bytes


def leaking(store: EventStore) -> Talk:
    """A session whose application makes ids of what people say."""
    talk = Talk(store).opened().created()
    name = "refund-for-john-smith"
    item = {"id": name, "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": name}]}  # fmt: skip
    return talk.client(200, "conversation.item.create", item=item).closed(300).kept()


def test_what_fails_the_check_is_deleted(recorder: Recorder, here: Path) -> None:
    """Exit 1, no file, nothing on stdout, and what was found is told without its words."""
    recorder.filled(leaking)
    for output in ("call.zip", "-"):
        result = recorder("export", "bundle", "-o", output, code=1)
        assert result.stdout == ""
        assert "a text of 21 characters stands in it" in result.stderr
        assert "nothing was kept" in result.stderr
        assert "john" not in result.stderr
    assert list(here.iterdir()) == []


def test_a_secret_in_the_log_does_not_leave(recorder: Recorder, here: Path) -> None:
    """Not even with `--full`: it came in before it was known to be one."""

    def careless(store: EventStore) -> None:
        talk = texted(store)
        head = b'{"type":"x","text":"my key is sk-proj-%s"}' % (b"a1B2c3D4" * 4)
        last = store.last_seq(talk.id)
        store.append([(talk.id, [Event(last + 1, 10**10, Origin.CLIENT, "x", 1, head)])])

    recorder.filled(careless)
    result = recorder("export", "bundle", "--full", "--yes", code=1)
    assert "a secret stands in it" in result.stderr
    assert "sk-proj" not in result.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nosuch"], "nosuch"),
        (["jsonl", "no-such-session"], "no-such-session"),
        (["jsonl", "call:nobody"], "no session is meant by 'call:nobody'"),
        (["jsonl", "-o", "missing/deep/a.jsonl/"], ""),
        (["jsonl", "-o", "/proc/nothing/a.jsonl"], "/proc/nothing"),
        (["bundle", "--full", "--share", "metadata"], "exclude each other"),
        (["jsonl", "--share", "some"], "some"),
    ],
)
def test_bad_input(recorder: Recorder, here: Path, words: list[str], told: str) -> None:
    """Is told in a line, and nothing is left behind."""
    recorder.filled(spoken)
    code = 0 if not told else 2
    assert told in recorder("export", *words, code=code).stderr
    if code:
        assert list(here.iterdir()) == []


def test_a_disk_that_is_full(recorder: Recorder, here: Path) -> None:
    """No half file stays."""
    recorder.filled(spoken)
    (here / "full").symlink_to("/dev/full")
    told = recorder("export", "jsonl", "-o", "full", code=2).stderr
    assert "is there already" in told
    folder = here / "locked"
    folder.mkdir(mode=0o500)
    if os.geteuid() != 0:
        assert "cannot be written" in recorder("export", "jsonl", "-o", "locked/", code=2).stderr


def test_a_session_that_is_being_recorded(recorder: Recorder, here: Path) -> None:
    """As far as it is."""
    recorder.filled(talks.unended)
    recorder("export", "bundle", "-o", "call.zip")
    recorder("export", "har", "-o", "call.har")
    (entry,) = orjson.loads((here / "call.har").read_bytes())["log"]["entries"]
    assert "_closed" not in entry
