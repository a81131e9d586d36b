"""Running commands in tests: in this process, or as a process of their own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recorder.cli import cli
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore


@cache
def _empty_database() -> bytes:
    """A fresh database, made once: its migration takes longer than most commands."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "recorder.db")
        SqlStore.open(locate(str(file), {})).close()
        return file.read_bytes()


class _Screen(io.TextIOWrapper):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """The environment with these and without colour switches, for a while."""
    before = dict(os.environ)
    os.environ.pop("NO_COLOR", None)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class Recorder:
    """The command line on one database."""

    db: Path

    def __call__(self, *words: str, code: int = 0, **how: Any) -> Result:
        """Run a command that must end with this exit code, and never with a traceback."""
        result = CliRunner().invoke(cli, ["--db", str(self.db), *words], **how)
        told = f"{result.exit_code}: {result.stdout}\n{result.stderr}"
        assert result.exit_code == code, told
        assert "Traceback" not in result.stderr, told
        assert "mistake in recorder itself" not in result.stderr, told
        return result

    def on_a_terminal(self, *words: str, width: int = 80, code: int = 0) -> str:
        """What a person sees on a terminal of this width, escapes and all."""
        screen = _Screen(io.BytesIO(), encoding="utf-8", write_through=True)
        environ = {"COLUMNS": str(width), "LINES": "50", "TERM": "xterm"}
        with environment(environ), contextlib.redirect_stdout(screen):
            with pytest.raises(SystemExit) as end:
                cli.main(["--db", str(self.db), *words])
        assert end.value.code == code
        return screen.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]

    def filled(self, *fill: Callable[[SqlStore], Any]) -> list[Any]:
        """Open the database, fill it, close it."""
        if not self.db.exists():
            self.db.touch(0o600)
            self.db.write_bytes(_empty_database())
        store = SqlStore.open(locate(str(self.db), {}))
        try:
            return [one(store) for one in fill]
        finally:
            store.close()


def process(
    words: Sequence[str], db: Path, environ: dict[str, str] | None = None, **how: Any
) -> subprocess.Popen[bytes]:
    """The command line as a process, its output in pipes; with this environment instead of ours."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "recorder.cli", "--db", str(db), *words]
    return subprocess.Popen(command, env=environ, **{**pipes, **how})


def plain(text: str) -> list[str]:
    """The lines of a terminal without their colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()
