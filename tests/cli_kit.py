"""Running commands in tests: in this process, or as a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from recorder.cli import cli

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore


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

    def filled(self, *fill: Callable[[SqlStore], Any]) -> list[Any]:
        """Open the database, fill it, close it."""
        store = SqlStore.open(locate(str(self.db), {}))
        try:
            return [one(store) for one in fill]
        finally:
            store.close()


def process(
    words: Sequence[str], db: Path, environ: dict[str, str] | None = None, **how: Any
) -> subprocess.Popen[bytes]:
    """The command line as a process, its output in pipes."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "recorder.cli", "--db", str(db), *words]
    return subprocess.Popen(command, env=os.environ | (environ or {}), **{**pipes, **how})
