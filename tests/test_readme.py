"""The README says nothing that is not so: its tables, its example, its commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from recorder.capturing import CAPTURES
from recorder.cli.table import COMMANDS
from recorder.cli.tables import TABLES, filled
from recorder.live.endpoints import KEY_HOSTS
from recorder.live.writer import BUFFER_BYTES, FLUSH_SECONDS, LONGEST_FLUSH_SECONDS
from recorder.sandbox.server import serve_sandbox

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_tables_are_those_of_the_code() -> None:
    """Written by `python -m recorder.cli.tables README.md`; do that when this fails."""
    for name in TABLES:
        assert f"<!-- {name}: python -m recorder.cli.tables README.md -->" in README
    assert filled(README) == README


def test_every_command_in_the_readme_exists_with_its_options() -> None:
    """Each `recorder …` line of a shell block names a command and options that it has."""
    import click

    from recorder.cli import cli

    lines = [
        line.partition("#")[0].strip()
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("recorder ")
    ]
    assert len(lines) > 6
    lines += [row.example for row in COMMANDS.values()]
    for line in lines:
        _, name, *words = shlex.split(line)
        assert name in COMMANDS, line
        command = cli.get_command(click.Context(cli), name)
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, line


async def test_the_python_example_runs(tmp_path: Path) -> None:
    """As it stands, but for the address and the database's place."""
    example = next(block for block in blocks("python") if "trio.run" in block)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_sandbox)
        code = example.replace("127.0.0.1:8765", f"{address.host}:{address.port}")
        assert code != example
        done = await trio.run_process(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        nursery.cancel_scope.cancel()
    assert done.returncode == 0, done.stderr.decode()
    assert b"completed" in done.stdout
    assert (tmp_path / "calls.db").stat().st_mode & 0o777 == 0o600
    assert len([line for line in example.splitlines() if line.strip()]) <= 12


def test_what_it_promises_in_numbers_is_in_the_code() -> None:
    """Flush interval, buffer, captures, keys' hosts."""
    assert f"every {FLUSH_SECONDS * 1000:.0f} ms" in README
    assert f"by a proxy under heavy load every {LONGEST_FLUSH_SECONDS * 1000:.0f} ms" in README
    assert f"buffer of {BUFFER_BYTES // 2**20} MiB" in README
    for capture in CAPTURES:
        assert f"| `{capture}` |" in README
    assert "goes to dgrid.ai" in README
    assert KEY_HOSTS["DGRID_API_KEY"] == "dgrid.ai"


@pytest.mark.parametrize("part", ["recorder demo", "python -m pytest"])
def test_the_two_commands_are_one_line_each(part: str) -> None:
    """They can be pasted: one makes the environment and runs the demo, one runs the tests."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines()
               if line.startswith("python3 -m venv") and line.endswith(part)]  # fmt: skip
    assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0
