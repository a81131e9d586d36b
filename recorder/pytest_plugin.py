"""The pytest plugin: recorded Realtime calls as tests.

    @pytest.mark.realtime_cassette("greeting")
    def test_greeting(realtime_mock):
        my_application(base_url=realtime_mock.http_url)
        assert realtime_mock.run.turns[0].assistant == "Good morning."

Laws:

1. Importing it loads nothing but pytest: whoever has it installed and does not use it pays nothing.
2. What the application did otherwise, or left, fails the test itself, even where the application
   swallowed it; a test that failed by itself keeps its error, and gets that as a section.
3. It never records unless it is asked to, and writes a cassette only of a test that passed.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.testing.mocking import Mocked, Staging, Taking

MARK: Final = "realtime_cassette"
FIXTURE: Final = "realtime_mock"
MODES: Final = ("none", "once", "all")
ENDPOINT: Final = "https://api.openai.com/v1"
_RECORDED: Final = "realtime_recorded"
_SECTION: Final = "realtime cassette"

_MARK_HELP: Final = (
    f"{MARK}(name, match='strict', speed=None, patience='10s', faults=()): play this cassette to "
    f"the test; the fixture {FIXTURE} says where, and OPENAI_BASE_URL points there"
)


class _Active(NamedTuple):
    """The cassette of the test that runs."""

    stage: Staging | Taking
    taking: Taking | None
    """Where it is being recorded."""


_ACTIVE: Final = pytest.StashKey[_Active]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and settings."""
    group = parser.getgroup("realtime-recorder", "recorded Realtime calls")
    group.addoption(
        "--realtime-record",
        choices=MODES,
        help="none: play cassettes (the default); once: record those that are missing; all: "
        "record every one anew, from the real endpoint.",
    )
    group.addoption(
        "--realtime-endpoint",
        metavar="URL",
        help=f"The endpoint that is recorded; else OPENAI_BASE_URL, else {ENDPOINT}.",
    )
    parser.addini("realtime_record", "as --realtime-record", default="none")
    parser.addini("realtime_endpoint", "as --realtime-endpoint", default="")
    parser.addini("realtime_cassettes", "folder of cassettes, beside the test", default="cassettes")


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known."""
    config.addinivalue_line("markers", _MARK_HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The marker alone is enough: who reads OPENAI_BASE_URL needs no fixture."""
    names = getattr(item, "fixturenames", None)
    if names is not None and FIXTURE not in names and item.get_closest_marker(MARK) is not None:
        names.insert(_before_functions(item, names), FIXTURE)


def _before_functions(item: pytest.Item, names: list[str]) -> int:
    """Where a fixture is set up before others of a test's own, which may make clients, and after
    those that outlive it."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for row, name in enumerate(names):
        if name in known and known[name][-1].scope == "function":
            return row
    return len(names)


@pytest.fixture
def realtime_mock(request: pytest.FixtureRequest) -> Iterator[Mocked]:
    """An endpoint that plays the cassette of the marker: `http_url`, `url`, `api_key`, `run` …

    OPENAI_BASE_URL and OPENAI_API_KEY point there while the test runs.
    """
    from recorder.errors import RecorderError

    item = request.node
    try:
        active = _opened(item)
    except RecorderError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    item.stash[_ACTIVE] = active
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in active.stage.mocked.environ.items():
                patch.setenv(name, value)
            yield active.stage.mocked
    finally:
        del item.stash[_ACTIVE]
        active.stage.finish()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """What came of the cassette belongs to the test, not to its teardown."""
    outcome: Any = yield
    active = item.stash.get(_ACTIVE, None)
    if active is None:
        return
    try:
        told = _finished(item, active, passed=outcome.excinfo is None)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    if not told:
        return
    if outcome.excinfo is None:
        outcome.force_exception(pytest.fail.Exception(told, pytrace=False))
    elif not issubclass(outcome.excinfo[0], pytest.skip.Exception):
        item.add_report_section("call", _SECTION, told)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which cassettes were recorded."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, *values in getattr(report, "user_properties", ())
        if name == _RECORDED
        for value in values
    ]
    if told:
        terminalreporter.section("Realtime cassettes")
        for line in told:
            terminalreporter.line(line)


def _finished(item: pytest.Item, active: _Active, *, passed: bool) -> str:
    """End what is open: what is to be said against the test, or nothing."""
    told = active.stage.finish()
    if active.taking is None:
        return told
    if not passed:
        return f"{active.taking.name} was not written: the test failed while it was recorded"
    if not told:
        item.user_properties.append((_RECORDED, active.taking.keep()))
    return told


def _opened(item: pytest.Item) -> _Active:
    """What the marker asks for. Raises `RecorderError`."""
    from recorder.errors import UsageError
    from recorder.testing.mocking import Playing, Staging, Taking

    marker = item.get_closest_marker(MARK)
    if marker is None:
        raise UsageError(f"say which cassette: @pytest.mark.{MARK}('greeting')")
    path = _path(item, marker)
    mode = _setting(item.config, "realtime_record")
    if mode not in MODES:
        raise UsageError(f"realtime_record = {mode}: expected one of {', '.join(MODES)}")
    known = {field.name for field in fields(Playing)}
    if unknown := [name for name in marker.kwargs if name not in known]:
        raise UsageError(
            f"@pytest.mark.{MARK}: there is no option {unknown[0]!r}; there are: "
            f"{', '.join(sorted(known))}"
        )
    playing = Playing(**marker.kwargs)
    if mode == "all" or (mode == "once" and not path.exists()):
        taking = Taking(path, _endpoint(item.config), _shown(path))
        return _Active(taking, taking)
    if not path.exists():
        raise UsageError(
            f"there is no cassette {_shown(path)}; make it from a recorded call with `recorder pin "
            f"SESSION {_shown(path.with_suffix(''))}`, or record this test: --realtime-record=once"
        )
    return _Active(Staging(path, playing, _shown(path)), None)


def _setting(config: pytest.Config, name: str) -> str:
    """From the command line, else from the project's settings."""
    return str(config.getoption(f"--{name.replace('_', '-')}") or config.getini(name))


def _endpoint(config: pytest.Config) -> str:
    """Where the project's own key is meant to go."""
    chosen = _setting(config, "realtime_endpoint")
    return chosen or os.environ.get("OPENAI_BASE_URL", "") or ENDPOINT


def _path(item: pytest.Item, marker: pytest.Mark) -> Path:
    """Where the cassette lies: in the folder of cassettes, or where its path leads from the test.

    Raises `UsageError`.
    """
    from recorder.errors import UsageError

    if len(marker.args) != 1 or not isinstance(marker.args[0], str | os.PathLike):
        raise UsageError(f"@pytest.mark.{MARK} takes one name, as in {MARK}('greeting')")
    given = os.fspath(marker.args[0])
    folder = item.path.parent
    name = given if given.endswith((".jsonl", ".jsonl.gz")) else f"{given}.jsonl"
    if "/" in given or os.sep in given or name == given:
        return folder / name
    return folder / str(item.config.getini("realtime_cassettes")) / name


def _shown(path: Path) -> str:
    """The path from where pytest runs, if that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
