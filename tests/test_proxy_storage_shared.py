"""Several proxies on one database, and a disk that is full in earnest: processes, from outside."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest
from websockets.sync.client import connect

import recorder
from recorder.events import Origin, Session, new_session_id
from recorder.proxy.keeping import Keeping, sweep
from recorder.recording import Recorder
from recorder.sql.store import SqlStore
from recorder.store import RecorderProcess
from recorder.wire import join
from tests.test_cli_proxy import SCRIPT, Process, dial, proxy
from tests.test_sandbox_openai import KEY, sandbox

SECOND = 1_000_000_000
SIZE = 300_000
"""Bytes of a session that was made for a test, about."""


def opened(path: Path) -> SqlStore:
    """Another process's view of the database."""
    return SqlStore.open(recorder.locate(str(path), {}))


def entered(store: SqlStore, at_ns: int, *, by: str = "", over: bool = True) -> str:
    """The id of a session of about `SIZE` bytes that was opened then."""
    name = new_session_id(at_ns, os.urandom(10))
    session = Session(id=name, wall_ns=at_ns, mono_ns=0, recorder=by)
    store.begin(session)
    one = Recorder(session)
    events = [one.admit(Origin.SERVER, n, bytes(SIZE // 3), 2, room=1 << 30) for n in range(3)]
    store.append([(name, events + ([one.note("closed", 9, {"code": 1000})] if over else []))])
    return name


def swept_by_two(path: Path, keeping: Keeping, now_ns: int) -> tuple[list[str], list[str]]:
    """What each of two proxies removed that began at the same moment."""
    found: list[list[str]] = [[], []]
    start = threading.Barrier(2)

    def one(place: list[str]) -> None:
        with closing(opened(path)) as store:
            start.wait()
            place += sweep(store, keeping, now_ns)

    threads = [threading.Thread(target=one, args=(place,)) for place in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found[0], found[1]


@pytest.mark.parametrize("bound", ["age", "size"])
def test_two_that_clean_up_at_once_remove_what_one_would_and_tell_it_once(tmp_path, caplog, bound):
    """None goes twice, and none because both had seen that there was too much."""
    caplog.set_level(logging.WARNING)
    path, alone = tmp_path / "calls.db", tmp_path / "alone.db"
    with closing(opened(path)) as store:
        names = [entered(store, number * SECOND) for number in range(12)]
        size = store.used_bytes()
    shutil.copy(path, alone)
    now, keeping = 20 * SECOND, Keeping(seconds=13.5)
    if bound == "size":
        keeping = Keeping(size_bytes=size - 6 * SIZE)
    with closing(opened(alone)) as store:
        expected = sweep(store, keeping, now)
    assert expected == names[: len(expected)]
    assert 6 <= len(expected) < 9
    caplog.clear()
    first, second = swept_by_two(path, keeping, now)
    assert sorted(first + second) == sorted(expected)
    assert caplog.text.count("removed session") == len(expected)
    with closing(opened(path)) as store:
        assert [session.id for session in store.sessions()] == names[len(expected) :]
        for name in names[len(expected) :]:
            store.verify(name)


def test_a_recorder_that_was_only_held_up_keeps_its_session(tmp_path):
    """Its lease ran out while the database was locked: within a minute nothing is taken from it."""
    with closing(opened(tmp_path / "calls.db")) as store:
        process = {"host": "host", "pid": 1, "boot_id": "boot", "started_ns": 0}
        store.register(RecorderProcess(id="r1", lease_ns=100 * SECOND, **process))
        going = entered(store, 0, by="r1", over=False)
        done = entered(store, SECOND, by="r1")
        assert sweep(store, Keeping(size_bytes=1), 159 * SECOND) == [done]
        assert sweep(store, Keeping(size_bytes=1), 160 * SECOND) == [going]


def test_a_proxy_that_cleans_up_and_is_killed_does_not_hurt_the_others_call(tmp_path):
    """The other's open session is the oldest by far and stays; it goes once it is over."""
    db, big = tmp_path / "calls.db", "x" * 60_000
    with closing(opened(db)) as store:
        empty = store.used_bytes()
    bound = ("--max-db-size", f"{(empty + 4 * SIZE) / 1e6:.2f}MB")
    with sandbox(SCRIPT) as base, proxy(db, base) as (steady, address):
        with dial(address) as client:
            client.recv()
            talked(client, big, 20)
            with closing(opened(db)) as store:
                (going,) = [session.id for session in store.sessions()]
                closed = [entered(store, time.time_ns() + n) for n in range(3)]
            with proxy(db, base, *bound) as (victim, _):
                removed = told_of_removals(victim, len(closed))
                victim.process.send_signal(signal.SIGKILL)
            assert sorted(removed) == sorted(closed)
            talked(client, big, 5)
        assert steady.end()[0] == 0
        with closing(opened(db)) as store:
            assert [session.id for session in store.sessions()] == [going]
            assert store.verify(going) == store.last_seq(going)
            sent = [join(e) for e in store.read(going) if e.origin == Origin.CLIENT and e.type]
            assert len(sent) == 25
        with proxy(db, base, *bound) as (heir, _):
            assert told_of_removals(heir, 1) == [going]
            assert heir.end()[0] == 0


def talked(client, text: str, count: int) -> None:
    """So many long messages, each answered by the sandbox's error."""
    for number in range(count):
        client.send(json.dumps({"type": "no.such.event", "n": number, "pad": text}))
        assert json.loads(client.recv())["type"] == "error"


def told_of_removals(process: Process, count: int) -> list[str]:
    """The sessions that it says it removed, once they are so many."""
    return [told(process, r"removed session ([0-9a-f-]+)") for _ in range(count)]


def told(process: Process, pattern: str, seconds: float = 15.0) -> str:
    """The first group of the next line on stderr that has this."""
    pipe, seen = process.process.stderr, b""
    while select.select([pipe], [], [], seconds)[0] and (byte := os.read(pipe.fileno(), 1)):
        seen += byte
        if byte == b"\n" and (found := re.search(pattern, seen.splitlines()[-1].decode())):
            return found.group(1)
    raise AssertionError(f"no {pattern!r} in {seen!r}")


# ---- a disk that is full


IN_NAMESPACE = """set -e
mount -t tmpfs -o size=1m tmpfs {folder}/disk
{python} -m recorder.cli --db {folder}/disk/calls.db proxy \
    --upstream {upstream} --listen 127.0.0.1:0 &
child=$!
trap 'kill -KILL $child' EXIT
while [ ! -e {folder}/grow ]; do kill -0 $child; sleep 0.05; done
mount -o remount,size=64m {folder}/disk
while [ ! -e {folder}/stop ]; do kill -0 $child; sleep 0.05; done
kill -TERM $child
wait $child
cp {folder}/disk/calls.db {folder}/copy.db
trap - EXIT
"""


@contextmanager
def on_a_small_disk(folder: Path, upstream: str) -> Iterator[tuple[Process, str]]:
    """A proxy whose database is on a file system of one megabyte, and its `host:port`.

    The disk grows when `folder/grow` is there; the proxy ends in order when `folder/stop` is.
    """
    (folder / "disk").mkdir()
    script = folder / "in_namespace.sh"
    script.write_text(IN_NAMESPACE.format(folder=folder, python=sys.executable, upstream=upstream))
    root = ["--map-root-user", "--user"] if os.geteuid() else []
    unshare = ["unshare", *root, "--mount", "sh"]
    if subprocess.run([*unshare, "-c", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespaces")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = Process(subprocess.Popen([*unshare, str(script)], **pipes))
    try:
        yield process, process.line(r"^listening on http://(\S+)")
    finally:
        (folder / "grow").touch()
        (folder / "stop").touch()
        process.process.wait(20)
        process.process.stderr.close()
        process.reading.join()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (util-linux)")
def test_a_disk_that_is_full_does_not_touch_the_call(tmp_path):
    """A real file system without room: the client sees nothing; when it grew, all is written."""
    big = "x" * 60_000
    with (
        sandbox(SCRIPT) as base,
        on_a_small_disk(tmp_path, base.replace("ws:", "http:")) as (process, address),
    ):
        url = f"ws://{address}/v1/realtime?model=m"
        with connect(url, additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
            name = client.response.headers["X-Recorder-Session"]
            client.recv()
            talked(client, big, 30)
            assert told(process, r"calls.db: (.*)") == "database or disk is full"
            assert client.ping().wait(3)
            talked(client, big, 5)
            client.close(4001, "done")
            assert (client.close_code, client.close_reason) == (4001, "done")
        (tmp_path / "grow").touch()
        told(process, r"(takes events again)")
        (tmp_path / "stop").touch()
        assert process.process.wait(20) == 0
    with closing(opened(tmp_path / "copy.db")) as store:
        assert store.verify(name) == store.last_seq(name)
        events = list(store.read(name))
    sent = [orjson.loads(join(e))["n"] for e in events if e.type == "no.such.event"]
    assert sent == [*range(30), *range(5)]
    assert orjson.loads(events[-1].head)["code"] == 4001
    assert not [e for e in events if e.type == "recorder.gap"]
