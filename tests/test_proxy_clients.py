"""Clients that we did not write, through the proxy: the log is what an independent tap saw.

The conversations are those of `test_sandbox_openai`, with all that they assert, now with a
proxy in between; `websockets` and a browser's page come on top.
"""

from __future__ import annotations

import functools
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from websockets.sync.client import connect as dial

import recorder
from recorder.events import Origin
from recorder.proxy.guarding import Doors
from recorder.proxy.running import proxied
from recorder.sandbox.script import Answer, Say, Script
from recorder.store import EventStore, MemoryStore
from recorder.wire import join
from tests import test_sandbox_openai as conversations
from tests.wire_tap import Overheard, tapped

SANDBOX = conversations.sandbox
SIDES = (("client", Origin.CLIENT), ("server", Origin.SERVER))


@contextmanager
def through(
    script: Script, store: EventStore, taps: list[list[Overheard]], **options
) -> Iterator[str]:
    """A sandbox, a tap before it, a proxy before that; the URL for the client."""
    with SANDBOX(script) as base:
        place = urlsplit(base)
        with (
            tapped(place.hostname, place.port) as (port, heard),
            proxied(f"http://127.0.0.1:{port}", store=store, **options) as url,
        ):
            taps.append(heard)
            yield url.replace("http:", "ws:")


def compare(store: EventStore, heard: list[Overheard]) -> int:
    """Assert that the log of every session is what the tap saw, in order; how much it was."""
    sessions = list(store.sessions())
    upgraded = [one for one in heard if one.messages("server")]
    assert len(sessions) == len(upgraded) > 0
    count = 0
    for session, one in zip(sessions, upgraded, strict=True):
        events = list(store.read(session.id))
        for side, origin in SIDES:
            logged = [(e.opcode, join(e)) for e in events if e.origin == origin]
            assert logged == one.messages(side)
            count += len(logged)
        assert events[-1].type == "recorder.closed"
    return count


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize(
    "conversation",
    [
        conversations.test_a_text_turn,
        conversations.test_a_spoken_turn_with_server_vad,
        conversations.test_a_function_call_and_its_continuation,
        conversations.test_a_barge_in,
    ],
    ids=["text", "spoken", "function", "barge-in"],
)
def test_the_openai_package_notices_nothing(conversation, dialect, monkeypatch):
    """GA and beta: every conversation goes as without a proxy, and is in the log byte for byte."""
    store, taps = MemoryStore(), []
    monkeypatch.setattr(
        conversations, "sandbox", functools.partial(through, store=store, taps=taps)
    )
    conversation(dialect=dialect)
    assert compare(store, taps[0]) > 5


def test_websockets_with_pings_and_a_reason():
    """Its keep-alive is answered by the upstream, and its close code and reason are in the log."""
    store, taps = MemoryStore(), []
    script = Script(otherwise=(Answer(items=(Say("Yes.", both=True),), times=None),))
    with through(script, store, taps) as url:
        headers = {"Authorization": f"Bearer {conversations.KEY}"}
        with dial(f"{url}/realtime?model=m", additional_headers=headers) as client:
            assert orjson.loads(client.recv())["type"] == "session.created"
            assert client.ping(b"are you there").wait(3)
            client.send('{"type":"no.such.event"}')
            assert orjson.loads(client.recv())["type"] == "error"
            client.close(4321, "enough")
    compare(store, taps[0])
    (session,) = store.sessions()
    last = orjson.loads(list(store.read(session.id))[-1].head)
    assert (last["code"], last["reason"], last["initiator"]) == (4321, "enough", "client")


def test_clients_that_offer_compression_are_served_without():
    """`websockets` offers permessage-deflate: it is not offered upstream, and all is readable."""
    store, taps = MemoryStore(), []
    with through(Script(), store, taps) as url:
        headers = {"Authorization": f"Bearer {conversations.KEY}"}
        with dial(
            f"{url}/realtime?model=m", additional_headers=headers, compression="deflate"
        ) as client:
            assert orjson.loads(client.recv())["type"] == "session.created"
            assert client.protocol.extensions == []
    assert b"deflate" not in taps[0][0].client
    compare(store, taps[0])


PAGE = """<!doctype html><title>waiting</title><pre id=out></pre><script>
const out = document.getElementById("out");
const ws = new WebSocket("URL/realtime?model=m&recorder.call=page",
                         ["realtime", "openai-insecure-api-key.KEY"]);
ws.onmessage = (m) => {
  const e = JSON.parse(m.data);
  out.textContent += e.type + "\\n";
  if (e.type === "session.created") {
    ws.send(JSON.stringify({type: "session.update",
                            session: {type: "realtime", output_modalities: ["text"]}}));
    ws.send(JSON.stringify({type: "conversation.item.create", item: {type: "message",
      role: "user", content: [{type: "input_text", text: "hello"}]}}));
    ws.send(JSON.stringify({type: "response.create"}));
  }
  if (e.type === "response.done") ws.close(1000, "done");
};
ws.onclose = (c) => {
  out.textContent += "closed " + c.code + " " + c.wasClean + "\\n";
  fetch("/told", {method: "POST", body: out.textContent});
};
ws.onerror = () => { out.textContent += "error\\n"; };
</script>"""


def browser() -> str | None:
    """A Chromium on this machine."""
    named = os.environ.get("RECORDER_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


class Site(ThreadingHTTPServer):
    """Gives one page, and takes what the page tells."""

    page = b""

    def __init__(self) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        super().__init__(("127.0.0.1", 0), Visit)


class Visit(BaseHTTPRequestHandler):
    """One request to the site."""

    server: Site

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        self.server.told.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Nothing on stderr."""


@contextmanager
def site() -> Iterator[Site]:
    """A web site on loopback."""
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def visiting(url: str, folder: Path) -> Iterator[None]:
    """A headless browser at this page."""
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu",
               f"--user-data-dir={folder}", url]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(browser() is None, reason="no Chromium on this machine")
def test_a_page_in_a_browser_with_the_subprotocol_form(tmp_path: Path):
    """The key as a subprotocol, wishes in the query, an origin that was allowed."""
    store, taps = MemoryStore(), []
    script = Script(otherwise=(Answer(items=(Say("Hello page."),), times=None),))
    with site() as pages:
        home = f"http://127.0.0.1:{pages.server_port}"
        doors = Doors(loopback=True, origins=frozenset({home}))
        with through(script, store, taps, doors=doors) as url:
            page = PAGE.replace("URL", url).replace("KEY", conversations.KEY)
            pages.page = page.encode()
            with visiting(home, tmp_path):
                told = pages.told.get(timeout=60)
    assert "response.done" in told
    assert told.endswith("closed 1000 true\n")
    compare(store, taps[0])
    (session,) = store.sessions()
    assert session.call == "page"
    assert conversations.KEY not in repr(session)


def test_the_whole_way_into_a_database_file(tmp_path):
    """Not only in memory: the same comparison with SQLite."""
    path = tmp_path / "calls.db"
    store = recorder.SqlStore.open(recorder.locate(str(path), {}))
    taps: list[list[Overheard]] = []
    script = Script(otherwise=(Answer(items=(Say("Yes."),), times=None),))
    try:
        with through(script, store, taps) as url, conversations.connection(url, "ga") as client:
            assert client.recv().type == "session.created"
            client.response.create()
            conversations.until(client, "response.done")
        assert compare(store, taps[0]) > 5
        (session,) = store.sessions()
        store.verify(session.id)
    finally:
        store.close()
