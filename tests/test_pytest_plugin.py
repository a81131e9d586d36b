"""The pytest plugin, as its users meet it: projects of their own, run by pytest."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from recorder.pinning import read
from recorder.sandbox.script import Answer, Call, Say, Script, When
from recorder.sandbox.server import Options as SandboxOptions
from recorder.sandbox.server import serve_sandbox
from tests.test_mock_openai import serving
from tests.wheel_kit import ROOT

pytest_plugins = ["pytester"]

EXAMPLE = ROOT / "tests" / "example_cassette"
QUESTION, ANSWER = "Where is my order 427?", "Here is what I found: shipped, arrives on Thursday"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An application with a cassette, and no test yet."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(EXAMPLE / "hotline.py", pytester.path)
    shutil.copytree(EXAMPLE / "cassettes", pytester.path / "cassettes")
    pytester.syspathinsert()
    return pytester


HEAD = """
import os
import pytest
from hotline import ask

mark = pytest.mark.realtime_cassette("late_order")
QUESTION = "Where is my order 427?"
"""


def run(project: pytest.Pytester, tests: str, *words: str) -> pytest.RunResult:
    """What becomes of these tests."""
    project.makepyfile(test_it=HEAD + tests)
    return project.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", *words)


def shown(result: pytest.RunResult) -> str:
    """All that it printed, without colours."""
    return "\n".join([*result.outlines, *result.errlines])


# ---- the documentation


def commands() -> list[str]:
    """The commands that the example's README shows, in order."""
    return re.findall(r"^\$ (.+)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)


def free_port() -> int:
    """A port that nobody listens on now, and that nobody is given for a connection."""
    for port in range(20_000 + os.getpid() % 5000, 32_000):
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no free port")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in a copy of the example, with an environment like a user's."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("cassettes", "__pycache__"))
    environ = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ |= {"RECORDER_DB": str(tmp_path / "calls.db"), "OPENAI_API_KEY": "k"}
    with subprocess.Popen(
        ["bash", "-e"], cwd=folder, env=environ, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


WAIT = "until (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do kill -0 $!; sleep 0.05; done"


@pytest.mark.slow
def test_the_worked_example_runs_as_it_is_shown(shell: subprocess.Popen[str]) -> None:
    """Every command of its README, as it stands there but for the ports; from nothing but the
    application to a test of it, which then records itself anew."""
    port = free_port()
    ports = {"8765": str(port), "8766": str(port + 5000)}
    script = []
    for command in commands():
        command = re.sub("876[56]", lambda found: ports[found[0]], command)
        script.append(f"echo {shlex.quote('$ ' + command)}\n{command}")
        if command.endswith("&"):
            script.append("jobs+=($!)")
            (port,) = re.findall(r"--listen 127.0.0.1:(\d+)", command)
            script.append(WAIT.format(port=port))
    script.append("kill -INT ${jobs[@]}; wait || true; jobs=(); echo all done")
    begin = "jobs=()\ntrap 'kill ${jobs[@]} 2>/dev/null' EXIT\n"
    told, _ = shell.communicate(begin + "\n".join(script) + "\n", timeout=120)

    assert told.rstrip().endswith("all done"), told
    assert ANSWER in told
    assert re.findall(r"^=+ (\d+ \w+) in", told, re.MULTILINE) == ["2 passed", "1 passed"], told
    assert "recorded cassettes/late_order.jsonl: one session" in told


def test_the_examples_cassette_is_the_one_of_its_test(project: pytest.Pytester) -> None:
    """The files in the repository: the test passes with the cassette that lies beside it."""
    shutil.copy(EXAMPLE / "test_hotline.py", project.path / "test_copied.py")
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=1)


# ---- what fails, and how


def test_all_that_can_differ_fails_the_test_itself(project: pytest.Pytester) -> None:
    """Even where the application swallowed it; what was expected, what came, what was left."""
    result = run(
        project,
        """
@mark
def test_same(realtime_mock):
    assert ask(QUESTION) == "Here is what I found: shipped, arrives on Thursday"

@mark
def test_other_words(realtime_mock):
    try:
        ask("Where is my order 428?")
    except Exception:
        pass

@mark
def test_nobody(realtime_mock):
    pass

@mark
def test_left(realtime_mock):
    from openai import OpenAI
    with OpenAI() as client, client.realtime.connect(model="m") as call:
        call.recv()

@mark
def test_something_more(realtime_mock):
    ask(QUESTION)
    from openai import OpenAI
    with OpenAI() as client, client.realtime.connect(model="m") as call:
        call.response.create()
        call.recv()
""",
    )
    result.assert_outcomes(passed=1, failed=4)
    told = shown(result)
    assert (
        'differs   item.content[0].text: expected "Where is my order 427?", came "Where is my '
        in told
    )
    assert "no client connected, so nothing of cassettes/late_order.jsonl was played" in told
    assert "left: the recorded client also sent" in told
    assert "response.create (event 6)" in told
    assert "  11 response.output_text.delta" in told
    assert "connection 2:" in told
    assert "Traceback" not in told
    assert "recorder/testing" not in told


def test_a_test_that_failed_keeps_its_error(project: pytest.Pytester) -> None:
    """And gets the report as a section; skips and expected failures stay what they are."""
    result = run(
        project,
        """
@mark
def test_own(realtime_mock):
    try:
        ask("Where?")
    except Exception:
        assert "mine" == "its own error"

@mark
def test_skipped(realtime_mock):
    pytest.skip("not today")

@pytest.mark.xfail(strict=True)
@mark
def test_expected(realtime_mock):
    pass
""",
    )
    result.assert_outcomes(failed=1, skipped=1, xfailed=1)
    told = shown(result)
    assert "assert 'mine' == 'its own error'" in told
    assert "Captured realtime cassette call" in told
    assert 'came "Where?"' in told


def test_every_kind_of_test_uses_it(project: pytest.Pytester) -> None:
    """Synchronous, asyncio, trio, unittest; with the marker alone, in classes, parametrised."""
    result = run(
        project,
        """
import asyncio
import unittest
import trio

async def ask_async():
    from openai import AsyncOpenAI
    from hotline import TOOLS
    async with AsyncOpenAI() as client, client.realtime.connect(model="m") as call:
        session = {"type": "realtime", "output_modalities": ["text"], "tools": TOOLS}
        await call.session.update(session=session)
        content = [{"type": "input_text", "text": QUESTION}]
        await call.conversation.item.create(
            item={"type": "message", "role": "user", "content": content})
        await call.response.create()
        async for event in call:
            if event.type == "response.done":
                output = event.response.output[-1]
                if output.type != "function_call":
                    return output.content[0].text
                await call.conversation.item.create(item={"type": "function_call_output",
                    "call_id": output.call_id, "output": "shipped, arrives on Thursday"})
                await call.response.create()

@mark
def test_asyncio():
    assert asyncio.run(ask_async()).endswith("Thursday")

@mark
@pytest.mark.trio
async def test_trio(realtime_mock):
    await trio.to_thread.run_sync(ask, QUESTION)
    assert len(realtime_mock.run.turns) == 1

@mark
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(realtime_mock, anyio_backend):
    assert (await ask_async()).endswith("Thursday")

@mark
class TestMany:
    @pytest.mark.parametrize("number", [1, 2])
    def test_each(self, number):
        ask(QUESTION)

class TestOld(unittest.TestCase):
    @mark
    def test_old(self):
        self.assertIn("127.0.0.1", os.environ["OPENAI_BASE_URL"])
        ask(QUESTION)

def test_without():
    assert "OPENAI_BASE_URL" not in os.environ
""",
        "--strict-markers",
    )
    result.assert_outcomes(passed=7)


def test_what_the_fixture_gives(project: pytest.Pytester) -> None:
    """Where to connect, the recorded caller, and the new run as projections."""
    result = run(
        project,
        """
@mark
def test_run(realtime_mock):
    assert realtime_mock.http_url == os.environ["OPENAI_BASE_URL"]
    assert realtime_mock.url == realtime_mock.http_url.replace("http", "ws", 1)
    assert realtime_mock.api_key == os.environ["OPENAI_API_KEY"]
    assert realtime_mock.history == [] and realtime_mock.utterances == []
    with pytest.raises(Exception, match="no client has connected"):
        realtime_mock.run
    ask(QUESTION)
    run = realtime_mock.run
    (turn,) = run.turns
    assert turn.user == QUESTION
    assert turn.assistant == "One moment. Here is what I found: shipped, arrives on Thursday"
    (call,) = turn.tool_calls
    assert call == ("order_status", {"order_id": "427"}, "shipped, arrives on Thursday",
                    call.call_id)
    assert turn.status == "answered" and not turn.interrupted
    assert run.transcript == [
        "user: " + QUESTION,
        "assistant: One moment.",
        'tool: order_status({"order_id":"427"}) -> shipped, arrives on Thursday',
        "assistant: Here is what I found: shipped, arrives on Thursday",
    ]
    assert run.overlap_ms == 0.0
    assert run.client_types == ["session.update", "conversation.item.create", "response.create",
                                "conversation.item.create", "response.create"]
    assert turn.latency_ms["response_duration"] >= 0
""",
    )
    result.assert_outcomes(passed=1)


def test_what_makes_clients_of_its_own_finds_the_mock(project: pytest.Pytester) -> None:
    """With the marker alone it is set up before the test's other fixtures, and after those that
    outlive the test."""
    result = run(
        project,
        """
from openai import OpenAI

@pytest.fixture(scope="session")
def shared():
    return os.environ.get("OPENAI_BASE_URL", "nowhere")

@pytest.fixture
def client():
    return OpenAI()

@mark
def test_it(client, shared):
    assert shared == "nowhere"
    assert str(client.base_url).startswith(os.environ["OPENAI_BASE_URL"])
    ask(QUESTION)
""",
    )
    result.assert_outcomes(passed=1)


def test_the_recorded_caller_of_several_sessions(project: pytest.Pytester) -> None:
    """Each is repeated in turn."""
    data = (project.path / "cassettes" / "late_order.jsonl").read_bytes()
    session_id = re.search(rb'"id":"([0-9a-f-]{36})"', data)
    assert session_id
    other = data.replace(session_id[1], session_id[1][:-1] + b"0")
    (project.path / "cassettes" / "late_order.jsonl").write_bytes(data + other)
    result = run(
        project,
        """
@mark
def test_it(realtime_mock):
    realtime_mock.repeat_caller()
    assert len(realtime_mock.runs) == 2
    assert realtime_mock.runs is realtime_mock.runs
""",
    )
    result.assert_outcomes(passed=1)


def test_what_was_said_does_not_reach_the_terminal_raw(project: pytest.Pytester) -> None:
    """Control characters of a client or a cassette are shown, not obeyed."""
    result = run(
        project,
        """
@mark
def test_it():
    try:
        ask("\\x9b2J\\u202e?")
    except Exception:
        pass
""",
    )
    result.assert_outcomes(failed=1)
    assert "\\x9b2J\\u202e?" in shown(result)
    assert not {"\x9b", "\u202e"} & set(shown(result))


def test_how_it_is_played_is_said_in_the_marker(project: pytest.Pytester) -> None:
    """Lenient, free, with faults, and with patience that runs out."""
    result = run(
        project,
        """
def marked(**how):
    return pytest.mark.realtime_cassette("late_order", **how)

@marked(match="free")
def test_free():
    ask("Where?")

@marked(match="lenient")
def test_lenient():
    ask("Where?")

@marked(faults=["close=1011@response.created"])
def test_fault():
    with pytest.raises(Exception, match="1011"):
        ask(QUESTION)

@marked(patience="100ms")
def test_patience():
    from openai import OpenAI
    with OpenAI() as client, client.realtime.connect(model="m") as call:
        for event in call:
            pass
""",
    )
    result.assert_outcomes(passed=3, failed=1)
    assert "came      nothing for 0.1 s" in shown(result)


def test_what_is_wrong_is_said(project: pytest.Pytester) -> None:
    """As the test's error, in a line or two, without a traceback."""
    (project.path / "cassettes" / "bad.jsonl").write_text("no\n")
    result = run(
        project,
        """
@pytest.mark.realtime_cassette("nosuch")
def test_missing(): pass

@pytest.mark.realtime_cassette("bad")
def test_bad(): pass

def test_unmarked(realtime_mock): pass

@pytest.mark.realtime_cassette("late_order", mood="good")
def test_option(): pass

@pytest.mark.realtime_cassette("late_order", patience="long")
def test_value(): pass

@pytest.mark.realtime_cassette("late_order", match="loose")
def test_match(): pass

@pytest.mark.realtime_cassette()
def test_nameless(): pass

@pytest.mark.realtime_cassette("late_order", faults=["explode"])
def test_fault(): pass
""",
    )
    result.assert_outcomes(errors=8)
    told = shown(result)
    for says in (
        "there is no cassette cassettes/nosuch.jsonl; make it from a recorded call with "
        "`recorder pin SESSION cassettes/nosuch`, or record this test: --realtime-record=once",
        "cassettes/bad.jsonl: damaged at line 1",
        "say which cassette: @pytest.mark.realtime_cassette('greeting')",
        "there is no option 'mood'; there are: faults, match, patience, seed, speed",
        "patience='long': expected a time",
        "match is one of strict, lenient, free, not 'loose'",
        "takes one name",
        "explode",
    ):
        assert says in told, says
    assert "Traceback" not in told
    assert "During handling" not in told


def test_where_cassettes_lie(project: pytest.Pytester) -> None:
    """In the folder that the settings name, or where a path leads from the test."""
    project.makeini("[pytest]\nrealtime_cassettes = tapes\n")
    (project.path / "tapes").mkdir()
    shutil.copy(EXAMPLE / "cassettes" / "late_order.jsonl", project.path / "tapes" / "one.jsonl")
    result = run(
        project,
        """
@pytest.mark.realtime_cassette("one")
def test_name():
    ask(QUESTION)

@pytest.mark.realtime_cassette("./cassettes/late_order.jsonl")
def test_path():
    ask(QUESTION)

@pytest.mark.realtime_cassette("cassettes/late_order")
def test_short_path():
    ask(QUESTION)
""",
    )
    result.assert_outcomes(passed=3)


def test_in_several_processes_and_without_other_plugins(project: pytest.Pytester) -> None:
    """With xdist, without trio's plugin, without anyio's; the report crosses over."""
    project.makepyfile(
        test_it="""
import pytest

mark = pytest.mark.realtime_cassette("late_order")

@mark
@pytest.mark.parametrize("number", range(3))
def test_same(number, realtime_mock):
    realtime_mock.repeat_caller()
    assert len(realtime_mock.run.tool_calls) == 1

@mark
def test_other():
    pass
"""
    )
    words = ("-n", "2", "-p", "no:trio", "-p", "no:anyio", "-p", "no:cacheprovider", "-W", "error")
    result = project.runpytest_subprocess(*words)
    result.assert_outcomes(passed=3, failed=1)
    assert "no client connected, so nothing of cassettes/late_order.jsonl" in shown(result)


# ---- recording


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A real endpoint, on this machine."""
    quick = {"first_delta_ms": 5, "first_audio_ms": 5}
    found = Say("Here is what I found: {output}", **quick)
    script = Script(
        answers=(
            Answer(items=(found,), when=When(after_tool="*"), times=None),
            Answer(items=(Call("order_status", {"order_id": "427"}),), when=When(contains="order"),
                   times=None),
        ),
        otherwise=(Answer(items=(Say("You said: {user}", **quick),), times=None),),
    )  # fmt: skip
    with serving(partial(serve_sandbox, SandboxOptions(script=script))) as base:
        yield base


RECORDED = """
@pytest.mark.realtime_cassette("fresh")
def test_fresh(realtime_mock):
    assert ask(QUESTION).endswith("Thursday")
    assert realtime_mock.run.tool_calls[0].name == "order_status"
"""


def test_a_cassette_is_recorded_once_and_then_played(
    project: pytest.Pytester, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real endpoint with the real key, which is in no file; then without either."""
    key = "sk-proj-Recorded0Key1Never2Kept3"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    told = run(project, RECORDED, "--realtime-record=once", f"--realtime-endpoint={endpoint}")
    told.assert_outcomes(passed=1)
    assert "recorded cassettes/fresh.jsonl: one session" in shown(told)
    path = project.path / "cassettes" / "fresh.jsonl"
    written = path.read_bytes()
    assert key.encode() not in written

    again = run(
        project, RECORDED, "--realtime-record=once", "--realtime-endpoint=http://127.0.0.1:9/v1"
    )
    again.assert_outcomes(passed=1)
    assert path.read_bytes() == written
    run(project, RECORDED).assert_outcomes(passed=1)


def test_all_cassettes_are_recorded_anew_if_their_tests_pass(
    project: pytest.Pytester, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failing test recorded is not kept, and neither is nothing."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    path = project.path / "cassettes" / "late_order.jsonl"
    before = path.read_bytes()
    words = ("--realtime-record=all", f"--realtime-endpoint={endpoint}")

    failed = run(project, "@mark\ndef test_it():\n    ask(QUESTION)\n    assert 0", *words)
    failed.assert_outcomes(failed=1)
    assert "late_order.jsonl was not written: the test failed" in shown(failed)
    idle = run(project, "@mark\ndef test_it():\n    pass", *words)
    idle.assert_outcomes(failed=1)
    assert "nothing was recorded for cassettes/late_order.jsonl" in shown(idle)
    assert path.read_bytes() == before

    run(project, "@mark\ndef test_it():\n    ask(QUESTION)", *words).assert_outcomes(passed=1)
    assert path.read_bytes() != before
    assert sum(1 for _ in read(path)) > 20
    run(project, "@mark\ndef test_it():\n    ask(QUESTION)").assert_outcomes(passed=1)


def test_two_connections_are_two_sessions_of_one_cassette(
    project: pytest.Pytester, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded in turn, and played in turn."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    tests = """
@pytest.mark.realtime_cassette("two")
def test_two(realtime_mock):
    ask(QUESTION)
    ask("What else is there?")
    assert [run.turns[0].user for run in realtime_mock.runs] == [QUESTION, "What else is there?"]
"""
    recorded = run(project, tests, "--realtime-record=once", f"--realtime-endpoint={endpoint}")
    recorded.assert_outcomes(passed=1)
    assert "2 sessions" in shown(recorded)
    run(project, tests).assert_outcomes(passed=1)
    half = run(
        project,
        tests.replace('    ask("What else is there?")\n', "").replace("[run.", "1 or [run."),
    )
    half.assert_outcomes(failed=1)
    assert "1 of 2 recorded sessions: nobody connected" in shown(half)


def test_a_key_goes_where_the_project_sends_it(
    project: pytest.Pytester, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an endpoint of its own, recording goes to OPENAI_BASE_URL, and nowhere else."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint)
    run(project, RECORDED, "--realtime-record=all").assert_outcomes(passed=1)


def test_an_endpoint_that_is_not_there(project: pytest.Pytester) -> None:
    """A mode or address that makes no sense is said."""
    wrong = run(project, "@mark\ndef test_it(): pass", "--realtime-record=all",
                "--realtime-endpoint=ftp://x")  # fmt: skip
    wrong.assert_outcomes(errors=1)
    assert "ftp://x" in shown(wrong)
    project.makeini("[pytest]\nrealtime_record = sometimes\n")
    unset = run(project, "@mark\ndef test_it(): pass")
    unset.assert_outcomes(errors=1)
    assert "realtime_record = sometimes: expected one of none, once, all" in shown(unset)


# ---- those who do not use it


def test_importing_it_loads_nothing_heavy() -> None:
    """Not the task library, not the database, not a client, and next to nothing of our own."""
    code = (
        "import sys, pytest; before = set(sys.modules); import recorder.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["recorder", "recorder.pytest_plugin"]


def test_a_project_that_does_not_use_it_notices_nothing(pytester: pytest.Pytester) -> None:
    """Under the strictest settings; and nothing of ours is loaded in it."""
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"
    )
    pytester.makepyfile(
        """
import sys

def test_it(request):
    assert not {"trio", "sqlalchemy", "openai", "orjson"} & set(sys.modules)
    assert sorted(name for name in sys.modules if name.split(".")[0] == "recorder") == [
        "recorder", "recorder.pytest_plugin"]
    assert request.fixturenames == ["request"]
"""
    )
    result = pytester.runpytest_subprocess(
        "-p", "no:trio", "-p", "no:anyio", "-p", "no:hypothesispytest"
    )
    result.assert_outcomes(passed=1)
    assert "realtime" not in shown(result).replace("realtime-recorder", "")


def test_its_help_is_there(pytester: pytest.Pytester) -> None:
    """Options, settings and the marker are listed."""
    told = shown(pytester.runpytest_inprocess("--help"))
    for word in (
        "--realtime-record={none,once,all}",
        "--realtime-endpoint=URL",
        "realtime_cassettes",
    ):
        assert word in told
    assert "@pytest.mark.realtime_cassette(name" in shown(pytester.runpytest_inprocess("--markers"))
