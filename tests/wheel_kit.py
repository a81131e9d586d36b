"""Builds the wheel once a test run, and puts it where nothing of the checkout can be imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import fasteners

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "recorder", "cli", "migrations")
PLACES = {"recorder/cli": "cli", "recorder/migrations": "migrations"}
"""Where in the tree a folder of the wheel comes from, if not from the same place."""


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end in a clean environment; its output is in the error if it fails."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | environment, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(
            f"{' '.join(map(str, command))} ended with {done.returncode}\n"
            f"{done.stdout}\n{done.stderr}"
        )
    return done


def built(folder: Path) -> Path:
    """The wheel, built from a copy of the tree by whoever comes first."""
    with fasteners.InterProcessLock(folder / "wheel.lock"):
        dist = folder / "dist"
        if not dist.exists():
            copy = folder / "tree"
            for name in SOURCES:
                if (ROOT / name).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(ROOT / name, copy / name, ignore=ignored)
                else:
                    copy.mkdir(exist_ok=True)
                    shutil.copy(ROOT / name, copy / name)
            build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
            run(*build, "--outdir", folder / "new", copy, cwd=copy)
            (folder / "new").rename(dist)
    (wheel,) = dist.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """A new virtual environment with the wheel; its dependencies are those of this one."""
    home = folder / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    # A path file: our own packages come after the wheel, and the editable install does not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel, cwd=folder)
    return home
