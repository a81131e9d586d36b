"""`recorder import`: files as people have them, and what they are told about them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import orjson
import pytest

from recorder.cli.table import ROWS, Row
from recorder.exporters import EXPORTERS, Source
from recorder.importers import IMPORTERS
from recorder.sql.store import SqlStore
from tests.cli_kit import Recorder
from tests.importing import json_lines
from tests.log_kit import call_messages, events, session

EVENTS = json_lines(
    {"at_ms": 0, "direction": "received", "data": {"type": "session.created"}},
    {"at_ms": 20, "direction": "sent", "data": {"type": "session.update"}},
    {"at_ms": 1500, "direction": "received", "data": {"type": "session.updated"}},
)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "log.db")


def written(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def exported(store: SqlStore) -> bytes:
    """Our own JSONL of everything in the store."""
    out = io.BytesIO()
    sources = [
        Source(each, lambda audio, each=each: store.read(each.id, audio=audio))  # type: ignore[misc]
        for each in store.sessions()
    ]
    EXPORTERS["jsonl"].write(sources, out)
    return out.getvalue()


def call(store: SqlStore) -> bytes:
    """A recorded call, and its export."""
    store.begin(session(1, model="m"))
    store.append([(session(1).id, events(call_messages(300)))])
    return exported(store)


def test_a_file_becomes_a_session(recorder: Recorder, tmp_path: Path) -> None:
    """It is named, and listed as imported with its tags and its call."""
    file = written(tmp_path, EVENTS)
    result = recorder("import", file, "--tag", "x", "--tag", "y", "--call", "4711", "--model", "m")
    assert f"imported from {file}, 4 events" in result.stdout
    assert "milliseconds under 'at_ms'" in result.stderr
    (row,) = orjson.loads(recorder("ls", "--json").stdout)
    assert (row["status"], row["call"], row["model_asked"]) == ("imported", "4711", "m")
    assert (row["tags"], row["duration_ns"]) == (["x", "y"], 1_500_000_000)
    assert row["id"] in result.stdout


def test_several_files_at_once(recorder: Recorder, tmp_path: Path) -> None:
    """One that is refused does not stop the others; the worst exit code counts."""
    good, packed = written(tmp_path, EVENTS), written(tmp_path, gzip.compress(EVENTS), "b.gz")
    result = recorder("import", good, str(tmp_path / "nosuch"), packed, code=2)
    assert result.stdout.count("imported from") == 2
    assert "nosuch: it cannot be read: No such file" in result.stderr


def test_stdin(recorder: Recorder) -> None:
    """As `-`, packed or not; a HAR too, which is read twice."""
    har = b'{"log":{"entries":[{"_webSocketMessages":[{"type":"send","time":1760000000.5,"opcode":1'
    har += b',"data":"{\\"type\\":\\"session.update\\"}"}],"request":{"url":"wss://h/"}}]}}'
    for data in (EVENTS, gzip.compress(EVENTS), har, gzip.compress(har)):
        assert "imported from stdin" in recorder("import", "-", input=data).stdout
    assert len(orjson.loads(recorder("ls", "--json").stdout)) == 4


def test_our_own_export_there_and_back(tmp_path: Path) -> None:
    """Byte for byte, into another database; and once more is not twice."""
    one, two = Recorder(tmp_path / "one.db"), Recorder(tmp_path / "two.db")
    (export,) = one.filled(call)
    file = written(tmp_path, export)
    assert "300 events" in two("import", file).stdout
    assert two.filled(exported) == [export]
    assert "is there already, the same" in two("import", file).stdout
    assert two.filled(exported) == [export]


def test_another_session_of_the_same_id(tmp_path: Path) -> None:
    """Is refused, and `--as-new` is proposed and works."""
    recorder = Recorder(tmp_path / "log.db")
    (export,) = recorder.filled(call)
    other = written(
        tmp_path, b"".join(export.splitlines(keepends=True)[:-1]).replace(b'"m"', b'"n"')
    )
    assert "--as-new" in recorder("import", other, code=2).stderr
    assert "299 events" in recorder("import", other, "--as-new").stdout
    assert len(orjson.loads(recorder("ls", "--json").stdout)) == 2


def test_damage(recorder: Recorder, tmp_path: Path) -> None:
    """What stood before it is there; exit code 1, line and byte, on stderr and in JSON."""
    file = written(tmp_path, EVENTS + b'{"at_ms":')
    result = recorder("import", file, code=1)
    where = f"damaged at line 4, byte {len(EVENTS) + 9}"
    assert where in result.stderr
    assert "5 events" in result.stdout
    (told,) = orjson.loads(recorder("import", file, "--json", code=1).stdout)
    assert told["damage"]["line"] == 4
    assert told["damage"]["byte"] == len(EVENTS) + 9
    assert [each["events"] for each in told["sessions"]] == [5]


def _tar(path: Path) -> bytes:
    with tarfile.open(path / "t.tar", "w") as archive:
        archive.add(__file__, "x")
    return (path / "t.tar").read_bytes()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "nothing in it"),
        (b"\n\n", "nothing in it"),
        (b"\x00" * 5000, "binary"),
        (b"\x07\x00\xff" * 3000, "binary"),
        ('{"type":"session.update"}'.encode("utf-16"), "UTF-16"),
        (b'{"type":"\xe9"}', "UTF-8"),
        (b'{"a":' + b"[" * 100_000, "damaged at line 1"),
        (b"[" * 100_000, "damaged at byte"),
        (b'{"level":"info"}\n', "no event in it"),
        (b"hello\n", "begins with"),
        (b'{"log":{"entries":[]}}', "no WebSocket messages"),
        (gzip.compress(b"", mtime=0), "nothing in it"),
        (gzip.compress(EVENTS, mtime=0)[:11], "breaks off"),
        (b'{"realtime_recorder":"jsonl","version":9}', "damaged at line 1"),
    ],
)
def test_files_that_cannot_be_imported(
    recorder: Recorder, tmp_path: Path, data: bytes, told: str
) -> None:
    """A clear word and exit code 2; not even a database is made."""
    assert told in recorder("import", written(tmp_path, data), code=2).stderr
    assert not recorder.db.exists()


def test_places_that_are_no_files(recorder: Recorder, tmp_path: Path) -> None:
    """A folder, a name that is not there, an archive."""
    assert "it is a folder" in recorder("import", str(tmp_path), code=2).stderr
    assert "No such file" in recorder("import", str(tmp_path / "x"), code=2).stderr
    recorder("import", written(tmp_path, _tar(tmp_path), "t"), code=2)
    assert "Missing argument" in recorder("import", code=2).stderr
    assert "one word" in recorder("import", "-", "--tag", "a b", code=2).stderr


def test_names_of_files_are_hostile_too(recorder: Recorder, tmp_path: Path) -> None:
    """Nothing that a terminal obeys comes out."""
    file = written(tmp_path, b"x", "a\x1b[31m.jsonl")
    assert "\x1b" not in recorder("import", file, code=2).stderr
    file = written(tmp_path, EVENTS, "b\x1b[31m.jsonl")
    assert "\x1b" not in recorder("import", file).stdout


def test_secrets_of_the_environment(recorder: Recorder, tmp_path: Path) -> None:
    """Keys that stand there are replaced by their letters."""
    file = written(tmp_path, json_lines({"type": "session.update", "x": "open-sesame-42"}))
    recorder("import", file, env={"MY_API_KEY": "open-sesame-42"})
    assert "open-sesame" not in recorder("events", "latest", "--raw").stdout


def test_how_times_are_read_can_be_said(recorder: Recorder, tmp_path: Path) -> None:
    """And which format it is."""
    file = written(tmp_path, EVENTS.replace(b"at_ms", b"t"))
    recorder("import", file, "--times", "s", "--format", "events")
    (row,) = orjson.loads(recorder("ls", "--json").stdout)
    assert row["duration_ns"] == 1500 * 10**9
    assert "damaged at line 1" in recorder("import", file, "--format", "jsonl", code=2).stderr


def test_without_times(recorder: Recorder, tmp_path: Path) -> None:
    """It is said, and what needs them is a dash."""
    file = written(tmp_path, EVENTS)
    assert "no times" in recorder("import", file, "--times", "none").stderr
    assert orjson.loads(recorder("ls", "--json").stdout)[0]["duration_ns"] is None
    assert "without times, imported" in recorder("show").stdout


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """90 MB of messages pass through; a process that held them would need 150 MB at least."""
    message = b'{"dir":"in","data":{"type":"vendor.x","x":"%s"}}\n' % (b"a" * 60_000)
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        for _ in range(1500):
            file.write(message)
    code = (
        "import re, sys\n"
        "from recorder.cli import cli\n"
        "try:\n"
        "    cli.main(args=sys.argv[1:])\n"
        "finally:\n"
        # Not ru_maxrss: that begins with the size of the process that forked.
        "    told = open('/proc/self/status').read()\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', told)[1], file=sys.stderr)\n"
    )
    words = ["--db", str(tmp_path / "log.db"), "import", str(path)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=True)
    assert b"1,501 events" in done.stdout
    assert int(done.stderr.split()[-1]) < 140_000, done.stderr  # KiB


def test_the_formats_are_those_of_the_table() -> None:
    """The option names each of them, and the help of the command can be asked for at once."""
    from recorder.cli.import_ import FORMATS, TIMES
    from recorder.importers.times import NONE, UNITS

    assert set(FORMATS) == set(IMPORTERS)
    assert ("auto", *UNITS, NONE) == TIMES


def test_the_module_of_a_command_that_is_a_word_of_python() -> None:
    """`import` is in `import_`; the others are called as they are."""
    assert {row.module for row in ROWS if row.name == "import"} == {"import_"}
    assert Row("a-b", "", "", "").module == "a_b"
