"""The wheel: one package, with everything that the tree has, and it works where it is installed."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest

from tests.wheel_kit import PLACES, run


def origin(name: str) -> str:
    """Where in the tree a file of the wheel comes from."""
    for place, folder in PLACES.items():
        if name.startswith(f"{place}/"):
            return f"{folder}/{name.removeprefix(f'{place}/')}"
    return name


def packed(wheel: Path) -> list[str]:
    """The names of the files that the wheel installs, but for its own records."""
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_exactly_one_import_package_is_installed(wheel: Path) -> None:
    """`cli` and `migrations` would collide with those of others."""
    assert {name.split("/")[0] for name in packed(wheel)} == {"recorder"}


def test_every_file_of_the_tree_is_in_the_wheel(wheel: Path) -> None:
    """Modules, voices, migrations and `py.typed`, byte for byte; and nothing else."""
    tree = wheel.parents[1] / "tree"
    wanted = {
        str(path.relative_to(tree)): path.read_bytes()
        for folder in ("recorder", "cli", "migrations")
        for path in (tree / folder).rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {origin(name): archive.read(name) for name in packed(wheel)}
    assert found == wanted
    for name in ("recorder/py.typed", "recorder/sandbox/voices/README.md", "cli/__init__.py"):
        assert name in found
    for pattern in ("recorder/sandbox/voices/*.flac", "migrations/versions/0*.py"):
        assert list(tree.glob(pattern))


def test_its_metadata(wheel: Path) -> None:
    """What an index shows of it, and the command that it installs."""
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(names["METADATA"]).decode()
        entry = archive.read(names["entry_points.txt"]).decode()
        records = csv.reader(io.StringIO(archive.read(names["RECORD"]).decode()))
        assert {name for name, *_ in records} == set(archive.namelist())
    assert "Name: realtime-recorder\n" in metadata
    assert "License-Expression: MIT\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    assert "recorder = recorder.cli:main" in entry
    assert "LICENSE" in names


def test_it_runs_where_it_is_installed(environment: Path, tmp_path: Path) -> None:
    """Its own files are used, not those of the checkout; and they are typed."""
    told = run(
        environment / "bin" / "python", "-c",
        "import recorder, recorder.cli, recorder.migrations.versions, importlib.resources as r\n"
        "print(recorder.__file__)\n"
        "print(r.files('recorder').joinpath('py.typed').is_file())\n"
        "print(len([v for v in r.files('recorder.sandbox.voices').iterdir() "
        "if v.name.endswith('.flac')]) > 5)",
        cwd=tmp_path,
    ).stdout.split()  # fmt: skip
    assert told[0].startswith(str(environment))
    assert told[1:] == ["True", "True"]


def test_its_command_helps(environment: Path, tmp_path: Path) -> None:
    """`recorder --help` names the commands."""
    told = run(environment / "bin" / "recorder", "--help", cwd=tmp_path).stdout
    assert "Usage: recorder" in told
    assert "demo" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_runs_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    """From the wheel, with no key and no network: transcript, latencies, findings, files."""
    done = run(
        environment / "bin" / "recorder", "demo", "--db", tmp_path / "demo.db",
        cwd=tmp_path, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"),
    )  # fmt: skip
    told = done.stdout + done.stderr
    for word in ("demo.db", ".wav", "recorder transcript", "recorder latency", "ms"):
        assert word in told
    assert "Traceback" not in told
    assert (tmp_path / "demo.db").stat().st_size > 100_000
