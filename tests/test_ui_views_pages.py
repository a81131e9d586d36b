"""The list, the reports and two sessions side by side, as people see them in Chromium."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trio

from recorder.sql.locating import locate
from recorder.sql.store import SqlStore
from recorder.ui.guarding import Guard
from recorder.ui.serving import serve

from .browser_kit import Browser, browser, needs_browser
from .talks import NOW, SECOND, Talk, process, refused, spoken, texted

pytestmark = [needs_browser, pytest.mark.slow]

HOUR = 3600 * SECOND
FOREVER = 4_000_000_000 * SECOND
HOSTILE = "<img src=x onerror=alert(1)>\u202e</td><script>alert(2)</script>"
READY = "document.body.dataset.ready"
TOKEN = "token-of-the-tests"


def fill(store: SqlStore) -> None:
    """Four spoken calls of two models, a text of many, a refused one, one that lies in wait."""
    spoken(store, seed=1, tags=("new",), call="support-1")
    spoken(store, seed=2, wall_ns=NOW + HOUR, tags=("new", "slow"), call="support-2")
    spoken(store, seed=3, wall_ns=NOW + 30 * HOUR)
    refused(store, seed=4, wall_ns=NOW + 31 * HOUR)
    texted(store, HOSTILE, seed=5, wall_ns=NOW + 32 * HOUR, call=HOSTILE, tags=("<b>",))
    for seed in range(16, 140):
        texted(store, f"number {seed}", seed=seed, wall_ns=NOW - seed * SECOND, model="old")


@contextmanager
def served(path: Path) -> Iterator[str]:
    """A server of this database in a thread of its own: its address."""
    store = SqlStore.open(locate(str(path), {}), create=False)
    there: list[str] = []
    ready, tokens = threading.Event(), []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            tokens.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            there.append(str(await nursery.start(serve, store, Guard(token=TOKEN))))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(20)
    try:
        yield f"http://{there[0]}"
    finally:
        token, scope = tokens[0]
        token.run_sync_soon(scope.cancel)
        thread.join(20)
        store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, SqlStore]]:
    """The address of a server of these sessions, and the store behind it."""
    path = tmp_path_factory.mktemp("pages") / "recorder.db"
    store = SqlStore.open(locate(str(path), {}))
    fill(store)
    with served(path) as address:
        yield address, store
    store.close()


@pytest.fixture(scope="module")
def window(site: tuple[str, SqlStore]) -> Iterator[Browser]:
    """A browser that was let in."""
    with browser() as made:
        made.open(f"{site[0]}/?token={TOKEN}", ready=READY)
        yield made


@pytest.fixture
def at(site: tuple[str, SqlStore], window: Browser) -> Callable[..., Browser]:
    """Opens a page; nothing may have gone wrong on it in the end."""

    def opened(path: str, **how: Any) -> Browser:
        window.open(site[0] + path, ready=READY, **how)
        return window

    return opened


def sound(window: Browser, address: str) -> None:
    """No error on the console, no request to anywhere else, no barrier, nothing beyond the edge."""
    assert window.troubles() == []
    assert {urlsplit(each).netloc for each in window.requests()} == {urlsplit(address).netloc}
    assert window.barriers() == []
    assert window.run("document.documentElement.scrollWidth <= innerWidth")


def listed(window: Browser) -> list[str]:
    """The names of the sessions that stand in the list."""
    found: list[str] = window.run(
        "[...document.querySelectorAll('#list td.c-session')].map(each => each.textContent)"
    )
    return found


def asked_for(window: Browser) -> dict[str, str]:
    """The query of the address."""
    found = parse_qs(urlsplit(window.run("location.href")).query, keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


@pytest.mark.parametrize(
    "path", ["/?q=text:nine", "/?q=nonsense", "/reports", "/reports?q=nonsense", "/compare"]
)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_every_view_is_sound(
    site: tuple[str, SqlStore], at: Callable[..., Browser], path: str, width: int, dark: bool
) -> None:
    """Wide and narrow, light and dark: for everybody, from this server, within the window."""
    sound(at(path, width=width, dark=dark), site[0])


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (400, False)])
def test_the_comparison_is_sound(
    site: tuple[str, SqlStore], at: Callable[..., Browser], width: int, dark: bool
) -> None:
    """With its lanes drawn, and a table of latencies open."""
    window = at("/compare?a=support-1&b=support-2", width=width, dark=dark)
    window.until("document.querySelector('#lanes').dataset.drawn")
    window.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    sound(window, site[0])


def test_a_search_filters_as_one_types_and_the_link_carries_it(at: Callable[..., Browser]) -> None:
    """`/` leads to the box; what stands there is in the address, and opens the same list again."""
    window = at("/")
    window.press("/")
    window.type("text:nine")
    window.until("document.querySelectorAll('#list mark').length === 3")
    assert listed(window) == ["000003", "000002", "000001"]
    assert window.text("#list .found") == "we are open from nine to five"
    assert asked_for(window) == {"q": "text:nine"}
    again = at("/?q=text:nine&sort=time")
    assert listed(again) == ["000001", "000002", "000003"]


def test_what_is_wrong_with_a_query_stands_where_it_was_typed(at: Callable[..., Browser]) -> None:
    """The parser's words, and the place underlined; the list before stays."""
    window = at("/?q=tag:new")
    window.press("/")
    window.type("tag:new since:soon")
    window.until("document.querySelector('#trouble mark')")
    assert "'soon' is no time" in window.text("#trouble")
    assert window.text("#trouble mark") == "soon"
    assert window.run("document.querySelector('#query').getAttribute('aria-invalid')") == "true"
    assert listed(window) == ["000002", "000001"]


def test_bare_words_become_a_search_for_what_was_said(at: Callable[..., Browser]) -> None:
    """Enter tells that no session is called so; Enter again searches the transcripts."""
    window = at("/")
    window.press("/")
    window.type("sundays")
    window.press("Enter")
    window.until("document.querySelector('#trouble button')")
    window.press("Enter")
    window.until("document.querySelectorAll('#list mark').length === 3")
    assert asked_for(window)["q"] == 'text:"sundays"'


def test_the_search_box_proposes_terms_and_values(at: Callable[..., Browser]) -> None:
    """With down and Enter: `st` becomes `status:`, then one of what there is."""
    window = at("/")
    window.press("/")
    window.type("stat")
    window.until("!document.querySelector('#proposals').hidden")
    window.press("ArrowDown")
    window.press("Enter")
    assert window.run("document.querySelector('#query').value") == "status:"
    window.type("ref")
    window.until("document.querySelectorAll('#proposals li').length === 1")
    window.press("ArrowDown")
    window.press("Tab")
    window.until("document.querySelectorAll('#list tr').length === 1")
    assert listed(window) == ["000004"]


def test_columns_are_sorted_chosen_and_remembered(at: Callable[..., Browser]) -> None:
    """In the link, and on the next visit without one."""
    window = at("/?q=tag:new")
    window.page.click("#head button:has-text('When')")
    window.until("document.querySelector('[aria-sort=ascending]')")
    assert listed(window) == ["000001", "000002"]
    assert asked_for(window) == {"q": "tag:new", "sort": "time"}
    window.page.click("summary:has-text('Columns')")
    window.page.check("#column-vantage")
    window.page.uncheck("#column-errors")
    heads = "[...document.querySelectorAll('#head th')].map(each => each.textContent.trim())"
    assert "Vantage" in window.run(heads)
    assert "vantage" in asked_for(window)["cols"]
    found = at("/").run(heads)
    assert "Vantage" in found
    assert "Errors" not in found
    window.run("localStorage.clear()")


def test_pages_and_rows_are_gone_through_by_keys(at: Callable[..., Browser]) -> None:
    """`j` and `k` go from row to row, `]` to the next page, Enter opens."""
    window = at("/")
    assert window.text("#count") == "1\u2013100 of 129 sessions"
    window.press("j")
    window.press("j")
    window.press("k")
    here = "document.activeElement.closest('tr').id.slice(-6)"
    assert window.run(here) == "000005"
    window.press("]")
    window.until("document.querySelector('#count').textContent.startsWith('101')")
    assert window.text("#count") == "101\u2013129 of 129 sessions"
    assert asked_for(window) == {"offset": "100"}
    window.until("document.activeElement.closest('#list tr')")
    window.press("Enter")
    window.page.wait_for_url("**/session/*")


def test_two_marked_sessions_are_compared(at: Callable[..., Browser]) -> None:
    """`x` marks, `c` leads to both side by side."""
    window = at("/?q=tag:new")
    for key in ("j", "x", "j", "x"):
        window.press(key)
    window.until("document.querySelector('#compare').href")
    window.press("c")
    window.page.wait_for_url("**/compare?*")
    assert {value[-6:] for value in asked_for(window).values()} == {"000001", "000002"}


def test_tags_are_changed_in_the_list(
    site: tuple[str, SqlStore], at: Callable[..., Browser]
) -> None:
    """`t` opens a box with those there are; what is written there is in the log."""
    window = at("/?q=000003")
    window.press("j")
    window.press("t")
    window.until("document.querySelector('.tag-form input')")
    window.type("checked by-me")
    window.press("Enter")
    window.until("document.querySelectorAll('#list .tag').length === 2")
    [tag] = [event for session in site[1].sessions() if session.id.endswith("000003")
             for event in site[1].read(session.id, types={"recorder.tag"})]  # fmt: skip
    assert json.loads(tag.head)["add"] == ["checked", "by-me"]


def test_a_live_session_comes_and_grows_by_itself(
    site: tuple[str, SqlStore], at: Callable[..., Browser]
) -> None:
    """Nobody reloads: it appears on top, its length grows, and then it has ended."""
    store = site[1]
    window = at("/?q=call:live-one&cols=session,status,length,events")
    assert listed(window) == []
    store.register(process("rec", FOREVER))
    talk = Talk(store, seed=200, wall_ns=NOW + 40 * HOUR, recorder="rec", call="live-one")
    talk.opened().created().kept()
    window.until("document.querySelector('#list .status.live')")
    talk.server(7500, "rate_limits.updated").kept()
    window.until("document.querySelector('#list .c-length')?.textContent === '7.5 s'")
    talk.closed(9000).kept()
    window.until("document.querySelector('#list .status.ended')")
    assert window.troubles() == []


def test_nothing_of_a_session_becomes_markup(
    site: tuple[str, SqlStore], at: Callable[..., Browser]
) -> None:
    """Markup and marks that reorder text stand there as text, in every view."""
    window = at("/?q=text:onerror")
    assert listed(window) == ["000005"]
    assert "<img src=x onerror=alert(1)>\\u202e</td>" in window.text("#list .c-call")
    assert window.text("#list .tag") == "<b>"
    assert window.run("document.querySelectorAll('#list img, #list script, #list b').length") == 0
    window = at("/compare?a=000005&b=support-1")
    assert "<img src=x onerror=alert(1)>\\u202e" in window.text("#turns")
    assert window.run("document.querySelectorAll('main img, main script').length") == 0
    window = at("/reports?by=call")
    assert window.run("document.querySelectorAll('main img, main script').length") == 0
    assert window.troubles() == []


def test_every_bar_and_point_of_a_report_leads_to_its_calls(at: Callable[..., Browser]) -> None:
    """The list behind each has as many sessions as the mark says."""
    window = at("/reports?by=")
    marks = window.run(
        "[...document.querySelectorAll('#charts svg a')].map(each => "
        "[each.getAttribute('href'), each.getAttribute('aria-label')])"
    )
    assert len(marks) == 8, marks
    bars = [(href, label) for href, label in marks if "ge=" in href]
    assert [label.split(": ")[1] for _, label in bars] == ["3 turns of 3 sessions"] * 2
    for href, _ in bars:
        assert listed(at(href)) == ["000003", "000002", "000001"]
    points = [(href, label) for href, label in marks if "at=" in href and "p50" in label]
    assert [len(listed(at(href))) for href, _ in points] == [1, 1, 1]
    assert window.text("#point").startswith("Calls with a turn whose v2v_audible is measured")
    window.page.click("#point button")
    window.until("document.querySelectorAll('#list tr').length === 100")


def test_a_chart_is_gone_through_by_keys(at: Callable[..., Browser]) -> None:
    """One of its marks is reached by tab, the arrows lead to the others, and say what they are."""
    window = at("/reports?by=")
    reached = "document.querySelectorAll('#distribution svg a[tabindex=\"0\"]').length"
    assert window.run(reached) == 1
    window.run("document.querySelector('#distribution svg a').focus()")
    window.press("ArrowRight")
    assert window.run(reached) == 1
    assert "3 turns of 3 sessions" in window.text("#distribution-note")
    assert window.text("#distribution-note") == window.run(
        "document.activeElement.getAttribute('aria-label')"
    )


def test_a_report_says_n_and_what_was_left_out(at: Callable[..., Browser]) -> None:
    """In words beside the charts, and in the table, whose worst turn is a link."""
    window = at("/reports?q=support-1")
    assert window.text("#facts").startswith("n = 2 of 2 turns. Nothing left out.")
    assert window.text("#figures tr") == "gpt-realtime-2025v2v_audible22,2702,2703,270" + (
        "3,3953,4953,520000000001, turn 2"
    )
    window = at("/reports?q=text:number")
    assert "Left out: 124 text input" in window.text("#facts")
    assert window.text("#nothing") == "None of these turns has a v2v_audible."


def test_words_that_differ_are_marked_in_a_comparison(
    site: tuple[str, SqlStore], at: Callable[..., Browser]
) -> None:
    """Struck through on one side, underlined on the other; what is the same is neither."""
    talk = Talk(site[1], seed=201, wall_ns=NOW - 20 * HOUR, call="other").opened().created()
    talk.client(200, "conversation.item.create", item=spoken_text("number 16 please"))
    talk.client(230, "response.create").closed(500).kept()
    window = at("/compare?a=000010&b=other")
    assert window.run("[...document.querySelectorAll('ins')].map(each => each.textContent)") == [
        "please"
    ]
    assert "number 16" in window.text("#turn-1 .side-a")
    assert window.text("#turn-1 .turn-head h3") == "Turn 1"


def test_a_session_beside_itself_is_the_same(at: Callable[..., Browser]) -> None:
    """And says so; what differs is chosen by a filter that then shows nothing."""
    window = at("/compare?a=support-1&b=support-1")
    assert window.text("#count") == "Nothing differs."
    window.page.check("#only")
    assert window.run("document.querySelectorAll('#turns li:not([hidden])').length") == 0


def test_the_lanes_of_both_move_and_zoom_as_one(at: Callable[..., Browser]) -> None:
    """By key and wheel; the turns below go along."""
    window = at("/compare?a=support-1&b=support-2")
    view = "(({from, to, pair}) => [from, to, pair])(recorderCompare.lanes.view)"
    start, end, pair = window.run(view)
    assert (start, pair) == (0, 0)
    window.press("+")
    nearer = window.run(view)
    assert nearer[1] - nearer[0] == pytest.approx((end - start) / 2)
    window.press("d")
    window.press("j")
    assert window.run(view)[2] >= 1
    assert window.run("document.querySelectorAll('#turns li.now').length") == 1
    window.press("0")
    assert window.run(view)[:2] == [0, end]


def test_the_lanes_of_both_have_their_waveforms(at: Callable[..., Browser]) -> None:
    """Where somebody speaks the wave is drawn in full colour; beside it, and in a pause, not."""
    window = at("/compare?a=support-1&b=support-2")
    window.until("document.querySelector('#lanes').dataset.drawn")
    dark = """((side, lane, ms) => {
        const canvas = document.querySelector('#lanes canvas'), ratio = devicePixelRatio || 1;
        const { from, to } = recorderCompare.lanes.view, left = 86;
        const x = left + ((ms - from) / (to - from)) * (canvas.clientWidth - left);
        const top = 26 + side * (18 + 163 + 14) + 18 + lane, [r, g, b] =
            canvas.getContext('2d').getImageData(x * ratio, top * ratio, 1, 1).data;
        return r + g + b < 400;
    })"""
    user, assistant = 23 + 22, 93 + 22  # the middles of the lanes, from the first one's top
    for side in (0, 1):
        # 200 to 1,200 ms: the caller speaks. Until its waveform has come a bar is dark all over.
        spoken, beside = f"{dark}({side}, {user}, 700)", f"{dark}({side}, {user} - 16, 700)"
        window.until(f"{spoken} && !{beside}")
        assert not window.run(f"{dark}({side}, {user}, 1500)")
        window.until(f"{dark}({side}, {assistant}, 2800)")  # from 2,220 ms on: the answer
        assert not window.run(f"{dark}({side}, {assistant}, 4500)")


def test_the_names_of_the_lanes_lie_beside_them(
    site: tuple[str, SqlStore], window: Browser
) -> None:
    """On a narrow page, too: the lanes begin where their names end."""
    name = next(site[1].sessions()).id
    window.open(f"{site[0]}/session/{name}", width=400)
    inked = """((from, to, top, bottom) => {
        const context = document.querySelector('#lanes canvas').getContext('2d');
        const ratio = devicePixelRatio || 1, { data } = context.getImageData(
            from * ratio, top * ratio, (to - from) * ratio, (bottom - top) * ratio);
        return data.filter((value, place) => place % 4 === 3 && value).length;
    })"""
    top = 276  # of the lane "Interrupted", which has the longest name and nothing in it
    assert window.run(f"{inked}(2, 60, {top + 4}, {top + 14})") > 20  # its letters
    assert window.run(f"{inked}(0, 61, {top}, {top + 2})") == 0  # and nothing behind them
    assert window.run(f"{inked}(63, 101, {top}, {top + 18})") == 38 * 18  # the lane itself


def test_a_report_is_compared_and_judged(at: Callable[..., Browser]) -> None:
    """What is typed below the search is in the link; differences and gates are shown."""
    window = at("/reports")
    window.run("""(() => {
        document.getElementById('vs').value = 'tag:slow';
        document.getElementById('fail-if').value =
            'v2v_audible.p95 > 1200ms; unanswered.rate > 90%';
        document.getElementById('min-n').value = '2';
        document.getElementById('judge').requestSubmit();
    })()""")
    window.until("!document.getElementById('changes').hidden")
    gates = "v2v_audible.p95 > 1200ms; unanswered.rate > 90%"
    assert asked_for(window) == {"vs": "tag:slow", "min-n": "2", "fail-if": gates}
    assert window.text("#gates-head") == "Gates: broken"
    assert "v2v_audible.p95 > 1200ms" in window.text("#gate-list li:first-child")
    assert window.text("#changes-head") == "Against tag:slow (1 session)"
    assert "Here minus there" in window.text("#changes-note")
    assert window.run("document.querySelectorAll('#change-rows tr').length") > 2

    again = at("/reports?vs=previous")
    again.until("!document.getElementById('vs-trouble').hidden")
    assert "since:7d" in again.text("#vs-trouble")
    assert again.run("document.getElementById('trouble').hidden")


def test_a_session_that_is_not_there_is_said_in_words(at: Callable[..., Browser]) -> None:
    """Where two are compared, too."""
    window = at("/compare?a=ffffffff&b=latest")
    assert "no session answers to 'ffffffff'" in window.text("#trouble")
    assert window.run("document.querySelector('#found').hidden")


def test_the_api_answers_as_it_says(site: tuple[str, SqlStore]) -> None:
    """To who shows the token, and to nobody else; what is wrong is said as JSON."""
    address, seen = site[0], {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"{address}/api/v1", headers=seen) as client:
        assert client.get("/sessions", params={"q": "tag:slow"}).json()["total"] == 1
        refused_sort = client.get("/sessions", params={"sort": "size"})
        assert refused_sort.status_code == 400
        assert "sort='size'" in refused_sort.json()["error"]["message"]
        assert client.get("/report", params={"by": "moon"}).status_code == 400
        told = client.get("/report", params={"q": "tag:x since:soon"}).json()
        assert (told["report"], told["error"]["from"], told["error"]["to"]) == (None, 12, 16)
        assert client.get("/compare", params={"a": "ffffffff", "b": "latest"}).status_code == 404
        assert client.get("/compare", params={"a": "latest"}).status_code == 400
        assert client.get("/language").json()["sorts"][0] == "time"
    for path in ("sessions", "language", "report", "compare"):
        assert httpx.get(f"{address}/api/v1/{path}").status_code == 401


def spoken_text(words: str) -> dict[str, Any]:
    """An item that the user wrote."""
    content = [{"type": "input_text", "text": words}]
    return {"id": "item_mine", "type": "message", "role": "user", "content": content}
