"""The page of a session, served, as people see it in Chromium: opened, heard, growing, hostile."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from recorder.events import Session
from recorder.sql.afterwards import append_fact

from .benchmarks.long_call import TURN_MS, call
from .browser_kit import Browser, browser, needs_browser
from .golden import formats, interruptions, tools, trouble, turns
from .golden.kit import SESSIONS, played
from .log_kit import session as log_session
from .talks import NOW, Talk, process, refused, silence, spoken, texted, tone, unended
from .ui_kit import FOREVER, Served, served

pytestmark = [needs_browser, pytest.mark.slow]

GOLDEN = (formats, interruptions, tools, trouble, turns)
"""Each enters its calls in `SESSIONS` when it is imported."""
HOSTILE = "<img src=x onerror=alert(1)>\u202e</td><script>alert(2)</script>"
OVER = "document.querySelector('#live').textContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("ui") / "calls.db") as found:
        yield found


@pytest.fixture(scope="module")
def window(server: Served) -> Iterator[Browser]:
    """A browser that was let in by the link."""
    with browser() as found:
        found.open(server.link, ready="document.readyState === 'complete'")
        yield found


def address(server: Served, talk: Talk) -> str:
    return f"{server.base}/session/{talk.id}"


def clean(window: Browser, server: Served) -> None:
    """Nothing went wrong in the page, and it asked nobody else."""
    assert window.troubles() == [], window.requests()
    ours = (server.base, "about:")
    assert [each for each in window.requests() if not each.startswith(ours)] == []


def test_a_call_is_opened(window: Browser, server: Served) -> None:
    """Transcript, turns and findings stand there; axe finds nothing serious; no token in sight."""
    talk = spoken(server.store, seed=1)
    window.open(address(server, talk))
    assert "What are your opening hours?" in window.text("#transcript")
    assert window.run("document.querySelectorAll('#turn-list .turn').length") == 2
    assert "token" not in window.page.url
    assert window.barriers() == []
    clean(window, server)


def test_the_waveform_is_where_the_tone_is(window: Browser, server: Served) -> None:
    """The user's lane is drawn at 0.7 s, where the tone is, and not at 1.5 s."""
    talk = spoken(server.store, seed=2)
    window.open(address(server, talk))
    loaded = "recorderPage.outlines.user[0].high[Math.floor(0.7 * 24000 / 256)]"
    assert window.until(loaded) == 38
    window.settle()
    painted = """(time => {
      const canvas = document.querySelector('#lanes canvas');
      const ratio = canvas.width / canvas.clientWidth;
      const lane = recorderPage.lanes.find(each => each.name === 'User'), view = recorderPage.view;
      const room = canvas.clientWidth - 92;
      const x = 92 + (time - view.from) / (view.to - view.from) * room;
      const y = offset => Math.round((lane.top + lane.height / 2 + offset) * ratio);
      const at = offset => Array.from(canvas.getContext('2d').getImageData(
        Math.round(x * ratio), y(offset), 1, 1).data).join();
      return at(5) !== at(28);
    })"""
    assert window.run(f"{painted}(0.7)")
    assert not window.run(f"{painted}(1.5)")


def test_the_sound_is_sought_by_ranges(window: Browser, server: Served) -> None:
    """A key moves the cursor, and the audio element is there; what it plays comes by 206."""
    talk = spoken(server.store, seed=3)
    window.open(address(server, talk) + "#t=2")
    window.until("recorderPage.player.readyState >= 1")
    assert window.run("recorderPage.player.duration") == pytest.approx(11.0, abs=0.01)
    assert window.run("recorderPage.player.currentTime") == pytest.approx(2, abs=0.01)
    window.run("document.querySelector('#lanes').focus()")
    window.press("n")  # to the second turn
    turn = window.run("recorderPage.call.turns[1].start_ns / 1e9")
    assert turn == pytest.approx(5.0, abs=0.1)
    window.until(f"Math.abs(recorderPage.player.currentTime - {turn}) < 0.02")
    window.press("Space")
    window.until(f"recorderPage.player.currentTime > {turn} + 0.2")
    assert window.run("Math.abs(recorderPage.player.currentTime - recorderPage.view.time) < 0.15")
    window.press("Space")
    clean(window, server)


def test_events_messages_and_states_are_loaded_when_they_are_looked_at(
    window: Browser, server: Served
) -> None:
    """The log, the message of an event and the state at the cursor; a filter finds text."""
    talk = texted(server.store, "a needle in it", seed=4)
    window.open(address(server, talk) + "#seq=4")
    assert not any("/states/" in each for each in window.requests())
    window.run("document.querySelector('#tab-events').click()")
    window.until("document.querySelector('#message').textContent.includes('needle')")
    window.run("document.querySelector('#filter').focus()")
    window.type("needle")
    window.until("document.querySelector('#count').textContent.startsWith('2 of')")
    window.run("document.querySelector('#tab-state').click()")
    window.until("document.querySelector('#state').textContent.includes('after event 4')")
    assert any("/states/0" in each for each in window.requests())
    clean(window, server)


def test_a_live_call_grows(window: Browser, server: Served) -> None:
    """What comes is on the page without loading it again; at the end it says that it is over."""
    server.store.register(process("alive", FOREVER))
    talk = Talk(server.store, seed=5, recorder="alive").opened().created().kept()
    window.open(address(server, talk))
    assert window.text("#live") == "Being recorded now"
    window.run("globalThis.before = true")
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, "Does it grow?").kept()
    window.until("document.querySelector('#transcript').textContent.includes('Does it grow?')")
    window.until("recorderPage.outlines.user[0]?.high[Math.floor(0.7 * 24000 / 256)] === 38")
    assert window.run("recorderPage.view.to") == pytest.approx(2.0, abs=0.1)
    talk.answers(2000, "a1", "It does.", tone(500)).closed(4000).kept()
    window.until(f"{OVER}.startsWith('The session is over')")
    assert "It does." in window.text("#transcript")
    window.run("document.querySelector('#tab-events').click()")
    count = talk.recorder.last_seq
    window.until(f"document.querySelector('#count').textContent === '{count} events'")
    assert window.run("before")
    clean(window, server)


def test_a_call_that_is_long_already_grows(window: Browser, server: Served) -> None:
    """Half an hour of it: turn after turn comes, is heard, said and listed, and nothing is loaded
    again; somebody who reads further up stays there."""
    server.store.register(process("alive", FOREVER))
    session = replace(log_session(50), recorder="alive")
    events = [event for event in call(153) if event.type != "recorder.closed"]
    bounds = [0] + [
        next(row for row, event in enumerate(events) if event.at_ns > turn * TURN_MS * 1_000_000)
        for turn in (150, 151, 152)
    ]
    server.store.begin(session)
    for begin in range(0, bounds[1], 512):
        server.store.append([(session.id, events[begin : min(begin + 512, bounds[1])])])
    window.open(f"{server.base}/session/{session.id}")
    window.run("document.querySelector('#tab-events').click()")
    window.until("document.querySelector('#count').textContent.endsWith(' events')")
    lines = "document.querySelectorAll('#transcript li').length"
    known = window.run(lines)
    window.run("globalThis.before = document.querySelectorAll('#transcript li')[3]")
    window.run("document.querySelector('#transcript ol').scrollTop = 40")
    asked = len(window.requests())
    for row, turn in enumerate((151, 152), 1):
        server.store.append([(session.id, events[bounds[row] : bounds[row + 1]])])
        window.until(f"{lines} >= {known + 2 * row}", 10)
        count = f"{bounds[row + 1]:,} events"
        window.until(f"document.querySelector('#count').textContent === '{count}'", 10)
        spoken = f"Math.floor({(turn - 1) * TURN_MS / 1000 + 2} * 24000 / 256)"
        window.until(f"recorderPage.outlines.user[0].high[{spoken}] > 20", 10)
        assert window.run("recorderPage.call.turns.length") == turn
    assert window.run("document.querySelectorAll('#transcript li')[3] === before")
    assert window.run("document.querySelector('#transcript ol').scrollTop") == 40
    later = [each.partition("/api/v1/sessions/")[2] for each in window.requests()[asked:]]
    assert any("/growth?" in each for each in later)
    assert not [each for each in later if each in (session.id, f"{session.id}/states/0")]
    clean(window, server)


def test_a_call_that_is_removed_says_so(window: Browser, server: Served) -> None:
    """What was read of it stays on the page."""
    server.store.register(process("alive", FOREVER))
    talk = Talk(server.store, seed=6, recorder="alive").opened().created().kept()
    window.open(address(server, talk))
    server.store.remove(talk.id)
    window.until(f"{OVER}.includes('has just been removed')")
    assert window.text("#about")


def test_a_call_that_is_over_is_looked_after(window: Browser, server: Served) -> None:
    """A tag that came later is seen by a page that is open already; a removal too."""
    talk = texted(server.store, "Hello", seed=8)
    window.open(address(server, talk))
    count = talk.recorder.last_seq
    append_fact(server.store, talk.session, "note", {"text": "said later", "at_ns": 0})
    window.run("document.dispatchEvent(new Event('visibilitychange'))")
    window.until("document.querySelector('#transcript').textContent.includes('said later')")
    window.until(f"document.querySelector('#about').textContent.includes('{count + 1} events')")
    server.store.remove(talk.id)
    window.run("document.dispatchEvent(new Event('visibilitychange'))")
    window.until(f"{OVER}.includes('has just been removed')")


def test_text_of_a_session_stays_text(window: Browser, server: Served) -> None:
    """Markup, scripts and turned writing in every field are shown, and nothing runs."""
    talk = texted(server.store, HOSTILE, seed=7, call=HOSTILE, model=HOSTILE, tags=("<b>",))
    window.open(address(server, talk) + "#seq=5")
    window.until("document.querySelector('#message').textContent.includes('onerror')")
    assert "<img src=x onerror=alert(1)>" in window.text("#transcript")
    assert "\u202e" not in window.text("body")
    assert window.run("document.querySelectorAll('img, #transcript script').length") == 0
    clean(window, server)


@pytest.mark.parametrize("make", [refused, unended, Talk])
def test_a_call_of_which_there_is_little(window: Browser, server: Served, make: type[Talk]) -> None:
    """Refused, cut off, empty: the page stands, and says what there is."""
    talk = make(server.store, seed=10 + [refused, unended, Talk].index(make))
    window.open(address(server, talk))
    if make is Talk:
        assert window.text("#live") == "Nothing was recorded in this session."
    if make is unended:
        assert "the recording stops" in window.text("#findings")
    clean(window, server)


def test_a_session_that_is_not_there(window: Browser, server: Served) -> None:
    """Its address says so, with the way back to the list."""
    window.open(f"{server.base}/session/nobody", ready="document.readyState === 'complete'")
    assert "no session answers to 'nobody'" in window.text("main")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off(window: Browser, server: Served, width: int, dark: bool) -> None:
    """At either width, light and dark, the page is no wider than the window."""
    talk = spoken(server.store, seed=20 + width + dark)
    window.open(address(server, talk), width=width, dark=dark)
    assert window.run("document.documentElement.scrollWidth") <= width
    assert window.barriers() == []


def test_the_modules_of_the_file_find_here_what_they_take() -> None:
    """Every name that the exported page's `data.js` gives is given by the one that loads."""

    def names(text: str) -> set[str]:
        found = r"^export (?:async )?(?:const|let|function\*?|class) (\w+)"
        return set(re.findall(found, text, re.MULTILINE))

    file = resources.files("recorder.page").joinpath("data.js").read_text("utf-8")
    ours = (resources.files("recorder.ui") / "static" / "data.js").read_text("utf-8")
    assert names(file) <= names(ours)


def test_the_list_leads_to_the_page(window: Browser, server: Served, tmp_path: Path) -> None:
    """A person clicks their way from the link to a call."""
    spoken(server.store, seed=30)
    window.open(server.base + "/", ready="document.querySelector('#list a')")
    window.page.click("#list a")
    window.page.wait_for_url("**/session/*")
    window.until("globalThis.recorderPage && document.querySelector('#lanes')?.dataset.drawn")
    assert "/session/" in window.page.url


def test_golden_calls_open_from_the_server(window: Browser, server: Served) -> None:
    """Each line of each: no complaint, no request elsewhere, as many events as its log has."""
    assert len(SESSIONS) > 30
    for number, name in enumerate(SESSIONS):
        for line in played(name):
            session = replace(line.recorder.session, id=f"{number:08x}-golden-{line.number}")
            server.store.begin(session)
            server.store.append([(session.id, line.log)])
            window.open(f"{server.base}/session/{session.id}")
            window.run("document.querySelector('#tab-events').click()")
            window.until(
                f"document.querySelector('#count').textContent === '{len(line.log):,} events'"
            )
            clean(window, server)


def test_a_megabyte_of_text_is_bearable(window: Browser, server: Served) -> None:
    """In a message and in the name of the model: cut on the page, whole in the log."""
    huge = "wide " * 200_000
    talk = texted(server.store, huge, seed=31, model=huge)
    window.open(address(server, talk))
    window.until("document.querySelector('#transcript').textContent.includes('wide')")
    assert len(window.text("#about")) < 2000
    clean(window, server)


def test_a_call_without_times(window: Browser, server: Served) -> None:
    """It says that only the order is known."""
    session = Session(id="00000000-untimed", wall_ns=NOW, mono_ns=0, vantage="imported")
    talk = texted(server.store, seed=32)
    server.store.begin(session)
    opened, *events = (event._replace(at_ns=0) for event in server.store.read(talk.id))
    opened = opened._replace(head=opened.head[:-1] + b',"times":"none"}')
    server.store.append([(session.id, [opened, *events])])
    window.open(f"{server.base}/session/{session.id}")
    assert "only the order of events is known" in window.text("#about")
    clean(window, server)


def test_a_damaged_call_says_so(server: Served) -> None:
    """An event that is none any more: a clear error, and other calls are as they were."""
    lost, whole = texted(server.store, seed=33), texted(server.store, seed=34)
    with sqlite3.connect(server.store.path) as connection:
        (number,) = connection.execute(
            "SELECT number FROM sessions WHERE id = ?", (lost.id,)
        ).fetchone()
        key = (number << 32) + 4
        spoilt = connection.execute("UPDATE events SET origin = 9 WHERE key = ?", (key,))
        assert spoilt.rowcount == 1
    connection.close()
    with server.client() as client:
        told = client.get(f"/api/v1/sessions/{lost.id}")
        assert told.status_code in (500, 503)
        assert "of a page is none" in told.json()["error"]["message"]
        assert client.get(f"/api/v1/sessions/{whole.id}").status_code == 200
