"""`recorder proxy`, `tail` and `metrics` as people run them: processes, signals, wrong input."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from recorder.sandbox.script import Answer, Say, Script
from recorder.wire import join
from tests import cli_kit
from tests.test_sandbox_openai import KEY, sandbox

SCRIPT = Script(otherwise=(Answer(items=(Say("Yes."),), times=None),))


@pytest.fixture(name="recorder")
def made(tmp_path: Path) -> cli_kit.Recorder:
    """The command line on a database that is not there yet."""
    return cli_kit.Recorder(tmp_path / "calls.db")


class Process:
    """A command that serves, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line.decode())

    def line(self, pattern: str) -> str:
        """The first group of the next line on stdout that has this."""
        seen = []
        try:
            while True:
                seen.append(self._lines.get(timeout=15))
                if found := re.search(pattern, seen[-1]):
                    return found.group(1)
        except queue.Empty:
            self.process.kill()
            told = self.process.stderr.read().decode()
            raise AssertionError(f"no {pattern!r} in {seen}; {told}") from None

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code after a signal, and what it said on stderr."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20), self.process.stderr.read().decode()


@contextmanager
def running(db: Path, *words: str, **environ: str) -> Iterator[Process]:
    """The command as a process."""
    process = cli_kit.process(words, db, {**os.environ, **environ})
    told = Process(process)
    try:
        yield told
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        told.reading.join()


@contextmanager
def proxy(db: Path, upstream: str, *words: str, **environ: str) -> Iterator[tuple[Process, str]]:
    """A proxy before this upstream; the process and its `host:port`."""
    options = ["--upstream", upstream.replace("ws:", "http:"), "--listen", "127.0.0.1:0", *words]
    with running(db, "proxy", *options, **environ) as process:
        yield process, process.line(r"^listening on https?://(\S+)")


def dial(address: str, path: str = "/v1/realtime?model=m", key: str = KEY):
    """A client that we did not write."""
    return connect(f"ws://{address}{path}", additional_headers={"Authorization": f"Bearer {key}"})


def get(url: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_sigterm_turns_ready_red_and_lets_open_sessions_end(recorder):
    """No new ones; the exit code is 0, and everything is in the log."""
    with (
        sandbox(SCRIPT) as base,
        proxy(recorder.db, base, "--metrics-listen", "127.0.0.1:0") as (process, address),
    ):
        probes = process.line(r"metrics at http://(\S+)/metrics")
        assert get(f"http://{probes}/readyz")[0] == 200
        with dial(address) as client:
            client.recv()
            assert "recorder_proxy_sessions_open 1.0" in get(f"http://{probes}/metrics")[1]
            process.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 5
            while get(f"http://{probes}/readyz")[0] != 503 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert get(f"http://{probes}/readyz")[0] == 503
            assert get(f"http://{probes}/healthz")[0] == 200
            client.send('{"type":"no.such.event"}')
            assert json.loads(client.recv())["type"] == "error"
        code, told = process.process.wait(timeout=20), process.process.stderr.read().decode()
        assert code == 0, told
        assert "1 session may go on" in told
    (row,) = json.loads(recorder("ls", "--json").stdout)
    assert row["status"] == "ended"


def test_when_the_grace_is_over_both_ends_get_1001(recorder):
    """And the log says that it was the recorder."""
    with sandbox(SCRIPT) as base, proxy(recorder.db, base, "--grace", "0.2s") as (process, address):
        with dial(address) as client:
            client.recv()
            code, _ = process.end()
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=5)
    assert code == 0
    assert caught.value.rcvd.code == 1001
    shown = recorder("show").stdout
    assert re.search(r"closed +1001.*by the recorder", shown), shown


def test_a_killed_proxy_loses_nothing_that_passed_a_flush_interval_ago(recorder):
    """What it had carried is in the database; another proxy on the same one is not hurt."""
    with (
        sandbox(SCRIPT) as base,
        proxy(recorder.db, base) as (victim, first),
        proxy(recorder.db, base) as (other, second),
        dial(first) as client,
        dial(second, "/v1/realtime?model=m&recorder.call=other") as survivor,
    ):
        created = client.recv()
        survivor.recv()
        client.send('{"type":"no.such.event"}')
        client.recv()
        time.sleep(0.3)
        victim.end(signal.SIGKILL)
        survivor.send('{"type":"no.such.event"}')
        assert json.loads(survivor.recv())["type"] == "error"
        survivor.close()
        time.sleep(0.2)
        assert other.end()[0] == 0
    rows = {row["call"]: row for row in json.loads(recorder("ls", "--json").stdout)}
    assert rows["other"]["status"] == "ended"
    store = recorder.filled(lambda store: [
        [join(e) for e in store.read(rows[""]["id"]) if e.type == "session.created"],
        store.verify(rows[""]["id"]),
    ])[0]  # fmt: skip
    assert store[0] == [created.encode()]
    assert store[1] == rows[""]["last_seq"] >= 5


def test_the_key_in_custody_is_the_proxys_business(recorder, tmp_path):
    """Applications show a token of the proxy; the key is in no file and on no terminal."""
    tokens = tmp_path / "tokens"
    tokens.write_text("an-applications-own-token\n")
    tokens.chmod(0o600)
    words = ("--api-key-env", "UPSTREAM_KEY", "--client-auth", str(tokens))
    with sandbox(SCRIPT) as base, proxy(recorder.db, base, *words, UPSTREAM_KEY=KEY) as (
        process, address,
    ):  # fmt: skip
        with dial(address, key="an-applications-own-token") as client:
            assert json.loads(client.recv())["type"] == "session.created"
        with pytest.raises(Exception, match="401"), dial(address, key="wrong"):
            pass
        code, told = process.end()
    assert code == 0
    written = b"".join(path.read_bytes() for path in tmp_path.glob("calls.db*"))
    for secret in (KEY, "an-applications-own-token"):
        assert secret.encode() not in written
        assert secret not in told


def test_tail_shows_a_session_while_it_is_recorded_by_another_process(recorder):
    """What has passed, then what comes, then it ends with the session."""
    with sandbox(SCRIPT) as base, proxy(recorder.db, base) as (_, address), dial(address) as client:
        client.recv()
        time.sleep(0.3)
        with running(recorder.db, "tail", "--no-fold") as watching:
            watching.line(r"(session\.created)")
            client.send('{"type":"no.such.event"}')
            watching.line(r"(no\.such\.event)")
            watching.line(r"← (error)")
            client.close()
            assert watching.process.wait(timeout=10) == 0


def test_tail_knows_that_a_session_was_closed(recorder):
    """Also where its close is not among the events that are shown."""
    from tests.talks import spoken

    recorder.filled(spoken)
    assert "without a close" not in recorder("tail", "-n", "0").stderr


def test_metrics_follow_the_store(recorder):
    """Histograms by model, and the probe."""
    from tests.talks import spoken

    recorder.filled(spoken)
    with running(recorder.db, "metrics", "--listen", "127.0.0.1:0") as process:
        address = process.line(r"metrics at http://(\S+)/metrics")
        assert get(f"http://{address}/healthz")[0] == 200
        text = get(f"http://{address}/metrics")[1]
        assert get(f"http://{address}/nothing")[0] == 404
        assert process.end()[0] == 0
    assert 'recorder_turns_total{model="gpt-realtime-2025"} 2.0' in text
    # v2v of the two turns: audio begins 400 ms and 2,900 ms after the response was created.
    found = dict(
        re.findall(r'recorder_v2v_audible_seconds_bucket{le="([0-9.+Inf]+)",.*} (\S+)', text)
    )
    assert (found["0.4"], found["1.5"], found["4.0"], found["+Inf"]) == ("0.0", "1.0", "2.0", "2.0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--upstream URL is missing"),
        (["--upstream", "nonsense"], "expected something like"),
        (["--upstream", "http://h", "--listen", "nowhere"], "HOST:PORT"),
        (["--upstream", "http://h", "--listen", "0.0.0.0:0"], "--client-auth"),
        (["--upstream", "http://h", "--sample", "200%"], "share"),
        (["--upstream", "http://h", "--keep", "long"], "30d"),
        (["--upstream", "http://h", "--max-db-size", "big"], "50GB"),
        (["--upstream", "http://h", "--client-auth", "/nowhere"], "cannot be read"),
        (["--upstream", "https://h", "--api-key-env", "NOT_SET_ANYWHERE"], "not set"),
        (["--upstream", "http://h.example", "--api-key-env", "HOME"], "plain http"),
        (["--upstream", "http://h", "--cert", "x"], "go together"),
        (["--upstream", "http://h", "--cert", "/nowhere", "--key", "/nowhere"], "cannot be loaded"),
        (["--upstream", "http://h", "--api-key-header", "X"], "--api-key-env"),
        (["--howto", "nobody"], "openai-python"),
    ],
)
def test_wrong_input_is_told_before_anything_begins(recorder, words, said):
    """Exit 2, one message, no database made."""
    result = recorder("proxy", *words, code=2)
    assert said in result.stderr
    assert not recorder.db.exists()


def test_howto_has_the_lines_for_every_client(recorder):
    """With the address that is asked for, and its trap."""
    names = [line.split()[0] for line in recorder("proxy", "--howto", "list").stdout.splitlines()]
    assert len(names) >= 10
    for name in names:
        text = recorder("proxy", "--listen", "127.0.0.1:9999", "--howto", name).stdout
        assert "127.0.0.1:9999" in text
        assert "{" not in text.replace("{ ", "").replace("({", "").replace("={", "")
