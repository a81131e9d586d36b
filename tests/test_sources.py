"""What every source file keeps to: names, sizes, docstrings, and what the core may not know."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.test_layers import HEAVY, core_modules
from tests.wheel_kit import ROOT

PACKAGES = ("recorder", "cli", "migrations")
LONGEST_FILE, LONGEST_FUNCTION = 500, 50


def sources(*folders: str) -> list[Path]:
    """The Python files under these folders."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def told(path: Path) -> str:
    """The file's place in the tree."""
    return str(path.relative_to(ROOT))


ALL = sources(*PACKAGES, "tests")
OURS = sources(*PACKAGES)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax of the file."""
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of the file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_module_says_what_it_is() -> None:
    """In a docstring, but for files without a line."""
    trees = [(path, parsed(path)) for path in ALL]
    silent = [told(path) for path, tree in trees if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_sizes() -> None:
    """A file and a function can be read in one go."""
    long = []
    for path in OURS:
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            long.append(f"{told(path)}: {lines} lines")
        for node in functions(path):
            spoken = ast.get_docstring(node) and len(node.body) > 1
            first = node.body[1] if spoken else node.body[0]
            if (node.end_lineno or 0) - first.lineno >= LONGEST_FUNCTION:
                long.append(f"{told(path)}: {node.name}")
    assert long == []


def test_public_things_have_docstrings() -> None:
    """Every function and class that others can import, but for the rows of the dialects' tables."""
    silent = []
    for path in OURS:
        for node in parsed(path).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            row = "dialects" in path.parts  # each says in its name what it is
            overload = any("overload" in ast.dump(each) for each in node.decorator_list)
            if not (node.name.startswith("_") or row or overload or ast.get_docstring(node)):
                silent.append(f"{told(path)}: {node.name}")
    assert silent == []


def test_every_test_says_what_it_holds() -> None:
    """One sentence a test."""
    silent = [
        f"{told(path)}: {node.name}"
        for path in sources("tests")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_the_core_knows_no_clock_and_no_chance() -> None:
    """Time is a value that is passed in; so is whatever is random."""
    for module in core_modules():
        path = ROOT / Path(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        banned = {*HEAVY, "time", "random", "asyncio", "socket", "threading"}
        assert not imported(path) & banned, module
        assert not re.search(r"\.(?:utc)?now\(|\.today\(|urandom", path.read_text()), module


def test_no_mocks() -> None:
    """Tests use real things."""
    for path in sources("tests"):
        assert "mock" not in imported(path)
        assert not re.search(r"unittest.{1,3}mock", path.read_text()), told(path)


def test_nothing_is_left_to_do() -> None:
    """No markers of unfinished work, and no paths of the machine it was written on."""
    words = re.compile(
        r"\b(?:TO"
        r"DO|FIX"
        r"ME|X"
        r"XX)\b"
        r"|/wo"
        r"rk/"
    )
    for path in [*ALL, ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "pyproject.toml"]:
        found = words.search(path.read_text())
        assert not found, f"{told(path)}: {found}"


def test_file_names() -> None:
    """Lower case, so that they are the same on every system, and tests are found."""
    for path in ALL:
        assert re.fullmatch(r"[a-z0-9_]+\.py", path.name), told(path)
    for path in sources("tests"):
        tests = any(node.name.startswith("test_") for node in functions(path))
        assert tests == path.name.startswith("test_"), told(path)


def test_the_readme_and_ci_run_the_same_tests() -> None:
    """One line sets up and runs all tests; it stands in the README, and .ci/run runs it."""
    line = (
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' "
        "&& .venv/bin/python -m pytest"
    )
    assert line in (ROOT / ".ci" / "run").read_text()
    assert line in (ROOT / "README.md").read_text()


def test_ci_is_a_script_that_runs() -> None:
    """Executable, and stops at the first command that fails."""
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_the_changelog_knows_this_version() -> None:
    """What is released is told to those who use it."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{version[1]}]" in changes or "## [Unreleased]" in changes
