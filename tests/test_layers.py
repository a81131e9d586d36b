"""Imports only go down: held on the installed wheel, where the command line is seen too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wheel_kit import ROOT, run

EDGES = (
    "cli", "library", "live", "migrations", "mocking", "proxy", "pytest_plugin", "sandbox", "sql",
    "testing", "transport", "ui",
)  # fmt: skip
"""What may know of tasks, databases, commands and clocks; all else may not."""

HEAVY = ("trio", "sqlalchemy", "click", "alembic", "httpx", "rich", "wsproto", "psycopg")


def core_modules() -> list[str]:
    """The modules above which the line is drawn, by their names."""
    found = []
    for path in sorted((ROOT / "recorder").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if len(parts) > 1 and parts[1] in EDGES:
            continue
        found.append(".".join(parts).removesuffix(".__init__"))
    return found


@pytest.fixture(scope="module")
def site(environment: Path) -> Path:
    """Where the wheel is installed."""
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def test_the_layers_hold(site: Path, tmp_path: Path) -> None:
    """The contracts of pyproject.toml; a module that is in no layer breaks them too."""
    told = run(
        Path(sys.executable).parent / "lint-imports",
        "--config", ROOT / "pyproject.toml", "--no-cache",
        cwd=tmp_path, PYTHONPATH=str(site), PYTHONDONTWRITEBYTECODE="1",
    ).stdout  # fmt: skip
    assert "0 broken" in told
    assert f"Analyzed {len(list((site / 'recorder').rglob('*.py')))} files" in told


NO_CYCLES = """
import grimp
graph = grimp.build_graph("recorder", cache_dir=None, exclude_type_checking_imports=True)
assert graph.find_children("recorder.cli")
for package in sorted(graph.modules):
    if graph.find_children(package):
        for cycle in sorted(graph.nominate_cycle_breakers(package)):
            print(*cycle, sep=" -> ")
"""


def test_there_are_no_cycles(site: Path, tmp_path: Path) -> None:
    """Inside the packages either; types of annotations apart."""
    told = run(sys.executable, "-c", NO_CYCLES, cwd=tmp_path, PYTHONPATH=str(site)).stdout
    assert told == ""


def loaded(*modules: str) -> set[str]:
    """The top-level modules that a new process has after importing these."""
    code = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_core_is_light() -> None:
    """Importing all of it loads no task library, no database and no command line."""
    found = loaded(*core_modules())
    assert "orjson" in found
    assert not found & {*HEAVY}


def test_the_public_names_load_when_they_are_used() -> None:
    """`import recorder` alone costs next to nothing."""
    import recorder

    found = loaded("recorder")
    assert not found & {*HEAVY, "orjson", "numpy", "asyncio"}
    for name in recorder.__all__:
        assert getattr(recorder, name) is not None
    assert set(recorder.__all__) <= set(dir(recorder))
    with pytest.raises(AttributeError, match="nosuch"):
        _ = recorder.nosuch
