"""The command line as a whole: its table, its help, its exit codes, its manners."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from recorder.cli import cli, shared, table, tables
from recorder.cli.table import COMMANDS, ROWS
from recorder.errors import EndpointTimeout, RecorderError, SequenceConflict, UsageError
from recorder.secrets import redact_text
from recorder.sql.store import SqlStore

from .cli_kit import Recorder, process
from .talks import NOW, Talk, spoken, texted, unended
from .talks import process as recording_process


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def subcommands(command: click.Command) -> dict[str, click.Command]:
    """Of a group; none of others."""
    return dict(command.commands) if isinstance(command, click.Group) else {}


# ---- the table


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_has_a_module_a_line_of_help_and_an_example(row: table.Row) -> None:
    """What the table promises is there, and the example names the command."""
    command = importlib.import_module(f"recorder.cli.{row.module}").command

    assert isinstance(command, click.Command)
    assert (command.name, command.short_help) == (row.name, row.help)
    assert row.help.endswith(".")
    assert "\n" not in row.help
    assert row.example.startswith(f"recorder {row.name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    """`--help` and `-h` of it and of what is below it, on 80 columns, with the global options."""
    command = importlib.import_module(f"recorder.cli.{COMMANDS[name].module}").command

    for words in ([name], *([name, below] for below in subcommands(command))):
        result = CliRunner().invoke(cli, [*words, "--help"])
        assert result.exit_code == 0
        assert result.stdout == CliRunner().invoke(cli, [*words, "-h"]).stdout
        assert "For example:" in result.stdout
        assert f"recorder {words[0]}" in result.stdout.partition("For example:")[2]
        for option in ("--db", "--no-color", "--debug", "--durability"):
            assert option in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80


def test_every_option_says_what_it_does() -> None:
    """No option without a line of help, anywhere."""
    for row in ROWS:
        command = importlib.import_module(f"recorder.cli.{row.module}").command
        for each in (command, *subcommands(command).values()):
            for option in each.params:
                if isinstance(option, click.Option):
                    assert option.help, f"{row.name} {option.name}"


def test_the_help_names_every_command_under_its_heading() -> None:
    """In the order of the table; `recorder` alone is the same."""
    result = CliRunner().invoke(cli, ["--help"])

    assert result.exit_code == 0
    found = re.findall(r"^  ([a-z]+)  ", result.stdout, re.MULTILINE)
    assert found == list(COMMANDS)
    assert [row.section for row in ROWS if f"{row.section}:" not in result.stdout] == []


def test_the_readme_s_table_is_made_from_the_same_rows() -> None:
    """One line a command."""
    lines = tables.commands_table().splitlines()

    assert lines[0].startswith("| command |")
    assert [line.split("`")[1] for line in lines[2:]] == [f"recorder {name}" for name in COMMANDS]


def test_the_version_is_that_of_the_distribution() -> None:
    """Not of one of the names that sit on the package index."""
    from importlib import metadata

    result = CliRunner().invoke(cli, ["--version"])
    assert result.stdout == f"recorder {metadata.version('realtime-recorder')}\n"


def test_asking_for_help_imports_nothing_heavy() -> None:
    """The command line answers at once: no database, no numbers, no sockets, no colours."""
    code = (
        "import sys\nfrom recorder.cli import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'alembic', 'numpy', 'soundfile', 'soxr', 'trio', 'httpx', 'rich',"
        " 'orjson.x', 'platformdirs'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_looking_at_events_imports_no_alembic(recorder: Recorder) -> None:
    """Migrations are loaded where there is something to migrate."""
    recorder.filled(texted)
    code = (
        "import sys\nfrom recorder.cli import cli\n"
        f"try: cli.main(['--db', {str(recorder.db)!r}, 'events'])\nexcept SystemExit: pass\n"
        "heavy = {'alembic', 'soundfile', 'trio', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


# ---- exit codes and messages


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "there is no command 'nothing'"),
        (["transcrip"], "did you mean 'transcript'?"),
        (["ls", "--colour"], "--colour"),
        (["ls", "--limit", "0"], "0 is not in the range"),
        (["ls", "--sort", "colour"], "is not one of"),
        (["note"], "Missing argument"),
        (["--durability", "none", "ls"], "is not one of"),
        (["events", "--origin", "nobody"], "is not one of"),
    ],
)
def test_what_cannot_be_understood_ends_with_2_and_where_to_look(
    recorder: Recorder, words: list[str], told: str
) -> None:
    """One line that says what is wrong, and one that says where to look."""
    result = recorder(*words, code=2)

    first, *rest = result.stderr.splitlines()
    assert first.startswith("recorder: ")
    assert told in first
    assert rest[-1].startswith("`")
    assert rest[-1].endswith(" --help` shows what there is.")


READING = ["ls", "show", "events", "transcript", "audio", "latency", "db verify", "db info"]


@pytest.mark.parametrize("command", READING)
def test_without_a_database_a_reading_command_says_how_to_begin(
    recorder: Recorder, command: str
) -> None:
    """And makes none."""
    result = recorder(*command.split(), code=2)

    assert "there is no database at" in result.stderr
    assert "recorder demo" in result.stderr
    assert not recorder.db.exists()


@pytest.mark.parametrize("command", ["show", "events", "transcript", "audio", "latency"])
def test_what_names_no_session_is_said(recorder: Recorder, command: str) -> None:
    """An empty database, an unknown name, an ambiguous one."""
    recorder.filled()
    assert "nothing was recorded" in recorder(command, code=2).stderr
    recorder.filled(lambda s: texted(s, seed=1), lambda s: texted(s, seed=2))
    assert "'nobody'" in recorder(command, "nobody", code=2).stderr
    ambiguous = recorder(command, "00000000", code=2).stderr
    assert "fits several sessions" in ambiguous
    assert "  000001  " in ambiguous


@pytest.mark.parametrize("command", ["show", "events", "transcript", "latency"])
def test_a_session_without_events_is_no_mistake(recorder: Recorder, command: str) -> None:
    """Its recorder was killed before anything passed."""
    recorder.filled(Talk)
    told = recorder(command)
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", READING)
def test_a_foreign_file_is_left_alone(recorder: Recorder, command: str) -> None:
    """No command touches what is not ours."""
    recorder.db.write_bytes(b"a letter to my aunt" * 100)
    before = recorder.db.read_bytes()

    assert str(recorder.db) in recorder(*command.split(), code=2).stderr
    assert recorder.db.read_bytes() == before


def test_a_database_url_that_cannot_be_read_is_not_shown() -> None:
    """It may hold a password."""
    result = CliRunner().invoke(cli, ["--db", "nonsense://u:PASSWORD@h/x", "ls"])
    assert result.exit_code == 2
    assert "PASSWORD" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("no such thing"), 2, "recorder: no such thing\n"),
        (EndpointTimeout("it took too long"), 3, "recorder: it took too long\n"),
        (SequenceConflict("s", 1, 2), 2, "recorder: session s: the next event must have"),
        (
            OSError(28, "No space left on device", "/x"),
            2,
            "recorder: /x: No space left on device\n",
        ),
        (OSError("odd"), 2, "recorder: odd\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (ZeroDivisionError("oh"), 2, "mistake in recorder itself: ZeroDivisionError: oh"),
        (RecorderError("two\nlines \x1b[31m"), 2, "recorder: two\nlines \\x1b[31m\n"),
    ],
)
def test_every_kind_of_error_has_its_exit_code_and_its_line(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    """In one place, whatever command it comes from."""

    def fail(_self: object, **_how: object) -> None:
        raise error

    monkeypatch.setattr(shared.Shared, "open_store", fail)
    result = CliRunner().invoke(cli, ["ls"])

    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert bool(result.stderr) is bool(told)


@pytest.mark.parametrize("how", [["--debug"], []])
def test_a_traceback_is_shown_only_to_those_who_asked(
    monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    """Before or after the command, or by RECORDER_DEBUG; and without keys and escapes in it."""
    key = "sk-" + "a1B2c3D4" * 4
    assert redact_text(key)[0] != key

    def fail(_self: object, **_how: object) -> None:
        raise ZeroDivisionError(f"{key} \x1b[2J")

    monkeypatch.setattr(shared.Shared, "open_store", fail)
    environ = {} if how else {"RECORDER_DEBUG": "1"}
    for words in (["ls", *how], [*how, "ls"]):
        result = CliRunner().invoke(cli, words, env=environ)
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert key not in result.stderr
        assert "\x1b" not in result.stderr


def test_the_global_options_stand_before_or_after_the_command(database: Path) -> None:
    """The last one wins."""
    Recorder(database).filled(texted)
    other = ["--db", str(database.with_name("other.db"))]

    for words in (["--db", str(database), "ls"], ["ls", "--db", str(database)],
                  [*other, "ls", "--db", str(database)]):  # fmt: skip
        assert CliRunner().invoke(cli, words).exit_code == 0
    assert CliRunner().invoke(cli, ["--db", str(database), "ls", *other]).exit_code == 2


def test_a_database_from_the_environment_is_named(recorder: Recorder) -> None:
    """On stderr, once, so that nobody looks at the wrong one; a named one is not."""
    recorder.filled(texted)
    environ = {"RECORDER_DB": str(recorder.db)}

    result = CliRunner().invoke(cli, ["show"], env=environ)
    assert result.stderr == f"database: {recorder.db} (from RECORDER_DB)\n"
    assert recorder("show", env=environ).stderr == ""


# ---- as a process


def test_a_pipe_whose_reader_goes_away_ends_it_quietly(recorder: Recorder) -> None:
    """`recorder events | head`: no traceback, no complaint, the exit code of a closed pipe."""

    def long(store: SqlStore) -> None:
        talk = Talk(store)
        for n in range(1500):
            talk.server(n, "response.output_text.delta", delta="word " * 20)
        talk.kept()

    recorder.filled(long)  # far more than a pipe holds
    running = process(["events", "--no-fold", "--json"], recorder.db)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.read(10)
    running.stdout.close()

    told = running.stderr.read()
    running.stderr.close()
    assert (running.wait(10), told) == (141, b"")


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_were_closed_are_no_mistake(
    recorder: Recorder, closed: tuple[int, ...]
) -> None:
    """`recorder show >&-`: nothing is said there, and it ends as it does otherwise."""
    recorder.filled(texted)

    def shut() -> None:
        for number in closed:
            os.close(number)

    for words, code in ((["show"], 0), (["show", "nobody"], 2), (["nothing"], 2)):
        running = process(words, recorder.db, preexec_fn=shut)
        out, told = running.communicate(timeout=20)
        assert running.returncode == code
        assert bool(out) is (code == 0 and 1 not in closed)
        assert bool(told) is (code == 2 and 2 not in closed)
        assert b"mistake in recorder itself" not in told
        assert b"Traceback" not in told


def test_the_database_gets_no_stream_s_number(recorder: Recorder) -> None:
    """What is written to a closed stdout must not end in the next file that is opened."""
    code = (
        "import os\nfor n in (0, 1, 2): os.close(n)\n"
        "from recorder.cli.output import open_missing_streams\nopen_missing_streams()\n"
        "opened = os.open('/dev/null', os.O_RDONLY)\nprint('nowhere')\n"
        "os._exit(0 if opened > 2 else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ctrl_c_ends_it_with_130(recorder: Recorder) -> None:
    """While it reads, without a traceback."""
    recorder.filled(texted)
    code = (
        "import recorder.cli.shared as s, time, sys\n"
        "def wait(self, **how):\n print('ready', flush=True); time.sleep(30)\n"
        "s.Shared.open_store = wait\nfrom recorder.cli import main\n"
        "sys.argv = ['recorder', 'ls']\nmain()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)

    _, told = running.communicate(timeout=10)
    assert running.returncode == 130
    assert b"Traceback" not in told


def test_a_full_disk_under_stdout_is_said(recorder: Recorder) -> None:
    """/dev/full takes nothing."""
    recorder.filled(spoken)
    with open("/dev/full", "wb") as full:
        running = process(["events", "--json"], recorder.db, stdout=full)
        _, told = running.communicate(timeout=20)
    assert running.returncode == 2
    assert told.startswith(b"recorder: ")
    assert b"No space left" in told


def test_a_live_session_is_refused_by_what_would_write_to_it(recorder: Recorder) -> None:
    """It belongs to its recorder; the message says what to do instead."""
    lease = time.time_ns() + 60_000_000_000

    def live(store: object) -> None:
        store.register(recording_process("me", lease))  # type: ignore[attr-defined]
        unended(store, seed=7, recorder="me", wall_ns=NOW)  # type: ignore[arg-type]

    recorder.filled(live)
    assert "session.mark" in recorder("note", "latest", "hello", code=2).stderr
    assert "being recorded" in recorder("tag", "latest", "x", code=2).stderr
    assert "being recorded" in recorder("rm", "latest", "--yes", code=2).stderr
    assert "live" in recorder("ls").stdout


def test_a_database_that_nobody_may_read_is_said(recorder: Recorder) -> None:
    """By its path, with exit code 2."""
    recorder.filled(texted)
    recorder.db.chmod(0)
    if os.geteuid() != 0:
        assert str(recorder.db) in recorder("ls", code=2).stderr
    recorder.db.unlink()
    recorder.db.mkdir()
    assert str(recorder.db) in recorder("ls", code=2).stderr


def test_a_password_in_the_databases_url_is_not_repeated() -> None:
    """Proposed commands show the database, and not the password that opens it."""
    from recorder.cli.shared import Shared

    shared = Shared({})
    shared.db = "postgresql://me:planted-password@db.example/calls"
    assert "planted-password" not in shared.db_option
    assert "db.example/calls" in shared.db_option
    shared.db = "/tmp/my calls.db"
    assert shared.db_option == " --db '/tmp/my calls.db'"
