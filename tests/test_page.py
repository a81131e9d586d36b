"""The page of a call in a real browser: it draws, it follows keys and links, it plays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.store import EventStore
from tests import talks
from tests.browser_kit import Browser, browser, needs_browser
from tests.export_kit import sources, stored, written
from tests.talks import Talk, silence, tone

pytestmark = needs_browser

HOSTILE = (
    "</script><img src=x onerror='window.hurt=1'><script>window.hurt=1</script>\u2028\u202e&lt;"
)


def cut_off(store: EventStore, **given: Any) -> Talk:
    """An answer of two seconds, of which half was heard."""
    talk = Talk(store, **given).opened().created()
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, "Tell me a story.")
    talk.answers(1800, "a1", "Once upon a time there was a king.", tone(2000))
    talk.client(3600, "conversation.item.truncate", item_id="item_a1", content_index=0,
                audio_end_ms=1000)  # fmt: skip
    return talk.closed(6_000).kept()


def hostile(store: EventStore, **given: Any) -> Talk:
    """Every text in it would like to be markup."""
    talk = Talk(store, model=HOSTILE, **given).opened().created()
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, HOSTILE)
    talk.answers(1800, "a1", HOSTILE, tone(500))
    talk.server(3000, "error", error={"type": HOSTILE, "code": HOSTILE, "message": HOSTILE})
    talk.server(3100, HOSTILE, text="x" * 1_000_000)
    return talk.closed(4_000).kept()


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """One browser for all."""
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages."""
    folder, made = tmp_path_factory.mktemp("pages"), {}
    for name, fill, share in (
        ("spoken", talks.spoken, "full"), ("bare", talks.spoken, "metadata"),
        ("cut", cut_off, "full"), ("hostile", hostile, "full"), ("text", talks.texted, "full"),
        ("refused", talks.refused, "full"), ("unended", talks.unended, "full"),
    ):  # fmt: skip
        made[name] = folder / f"{name}.html"
        made[name].write_bytes(written("html", *sources(stored(fill), share=share)))
    return made


def pixel(page: Browser, time: float, lane_y: int) -> list[int]:
    """The colour on the timeline at this time."""
    width = page.run("document.querySelector('#lanes').clientWidth")
    end = page.run("Number(document.querySelector('#lanes').getAttribute('aria-valuemax'))")
    x = 92 + (width - 92) * time / end
    found: list[int] = page.run(
        "[...document.querySelector('#lanes canvas').getContext('2d')"
        f".getImageData({round(x)}, {lane_y}, 1, 1).data]"
    )
    return found


@pytest.mark.parametrize("name", ["spoken", "bare", "cut", "hostile", "text", "refused", "unended"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_without_a_complaint(
    page: Browser, files: dict[str, Path], name: str, width: int
) -> None:
    """No error, no request but for itself and its own sound, nothing wider than the window."""
    page.open(files[name], width=width)
    page.run("recorderPage.loadSound()")
    assert page.troubles() == []
    asked = [each for each in page.requests() if each != "about:blank"]
    assert asked[0] == files[name].as_uri()
    assert all(each.startswith("blob:") for each in asked[1:])
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_the_waveform_is_where_the_tone_is(page: Browser, files: dict[str, Path]) -> None:
    """The user speaks from 0.2 to 1.2 s, and is silent at 1.6 s; 12 pixels off the middle of a
    lane of 60, which a tone of 0.3 of full scale does not reach, and 5, which it does."""
    page.open(files["spoken"])
    middle = 22 + 20 + 3 + 30
    blue = pixel(page, 0.7, middle - 5)
    assert blue[2] > blue[0] + 80
    assert pixel(page, 1.6, middle - 5) == pixel(page, 0.7, middle - 20)


def test_keys_move_the_cursor_and_the_sound(page: Browser, files: dict[str, Path]) -> None:
    """An arrow goes a fiftieth of what is seen; `n` to the next turn; End to the end."""
    page.open(files["spoken"])
    page.run("recorderPage.loadSound()")
    page.press("ArrowRight")
    assert page.run("recorderPage.view.time") == pytest.approx(11 / 50, abs=1e-6)
    assert page.run("recorderPage.player.currentTime") == pytest.approx(11 / 50, abs=1e-3)
    page.press("n")
    page.press("n")
    assert "now" in page.run("document.querySelectorAll('.turn')[1].className")
    page.press("End")
    assert page.run("recorderPage.view.time") == pytest.approx(11, abs=1e-3)
    assert page.run("document.querySelector('#lanes').getAttribute('aria-valuetext')") == "0:11.000"


def test_zooming_reaches_single_samples(page: Browser, files: dict[str, Path]) -> None:
    """Sixteen of them fill the timeline; 0 shows the whole call again."""
    page.open(files["spoken"], "#t=0.7")
    for _ in range(20):
        page.press("+")
    width = page.run("recorderPage.view.to - recorderPage.view.from")
    assert width == pytest.approx(16 / 24000)
    page.press("0")
    assert page.run("recorderPage.view.to - recorderPage.view.from") == pytest.approx(11, abs=0.01)


def test_a_click_seeks(page: Browser, files: dict[str, Path]) -> None:
    """On the timeline, to that time; on a line of the transcript, to its beginning."""
    page.open(files["spoken"])
    box = page.run("(b => [b.x, b.y, b.width])(document.querySelector('#lanes')"
                   ".getBoundingClientRect())")  # fmt: skip
    page.click(box[0] + 92 + (box[2] - 92) / 2, box[1] + 80)
    assert page.run("recorderPage.view.time") == pytest.approx(5.5, abs=0.05)
    page.run("document.querySelectorAll('#transcript li')[1].click()")
    assert page.run("recorderPage.view.time") == pytest.approx(2.22, abs=0.01)
    assert "now" in page.run("document.querySelectorAll('#transcript li')[1].className")


def test_it_plays_and_pauses(page: Browser, files: dict[str, Path]) -> None:
    """Space plays: the sound goes on and the cursor with it, at twice the speed on demand."""
    page.open(files["spoken"], "#t=2.5")
    page.press(" ")
    page.until("recorderPage.view.time > 2.7")
    assert page.run("!recorderPage.player.paused && recorderPage.player.preservesPitch")
    page.press(">")
    assert page.run("recorderPage.player.playbackRate") == 1.25
    page.press(" ")
    assert page.run("recorderPage.player.paused")
    assert page.text("#play") == "Play"
    assert page.troubles() == []


def test_the_cursor_moves_without_sound(page: Browser, files: dict[str, Path]) -> None:
    """A page without content plays by the clock."""
    page.open(files["bare"], "#t=1")
    page.press(" ")
    page.until("recorderPage.view.time > 1.2")
    assert "opening" not in page.run("document.documentElement.textContent")
    assert "no content" in page.text("#sound-note")


def test_what_was_not_heard_is_told_apart(page: Browser, files: dict[str, Path]) -> None:
    """Half of the answer is struck through, and the interruption stands in its lane."""
    page.open(files["cut"])
    unheard = page.text(".unheard")
    assert unheard.endswith("a king.")
    assert not unheard.startswith("Once")


def test_events_are_folded_filtered_and_chosen(page: Browser, files: dict[str, Path]) -> None:
    """18 appends are one row of 1,800 ms; `/` and a word leave what holds it; a row shows JSON."""
    page.open(files["spoken"])
    page.press("e")
    rows = page.run("[...document.querySelectorAll('.event')].map(x => x.textContent)")
    assert any("input_audio_buffer.append" in row and "1,800 ms of audio, 18 events" in row
               for row in rows)  # fmt: skip
    page.press("/")
    page.type("sundays?")
    rows = page.run("[...document.querySelectorAll('.event')].map(x => x.textContent)")
    assert len(rows) == 1
    assert "input_audio_transcription.completed" in rows[0]
    assert page.text("#count") == "1 of 79 events"
    page.press("Escape")
    page.run("document.querySelector('#event-list').focus()")
    page.press("ArrowDown")
    assert '"transcript": "And on Sundays?"' in page.text("#message")


def test_the_exact_bytes_are_copied(page: Browser, files: dict[str, Path]) -> None:
    """`c` puts the message of the chosen event on the clipboard as it passed."""
    page.open(files["spoken"], "#seq=2")
    page.run("navigator.clipboard.writeText = (text) => { window.taken = text; "
             "return Promise.resolve(); }")  # fmt: skip
    page.press("c")
    page.until("window.taken")
    store = stored(talks.spoken)
    (session,) = store.sessions()
    event = list(store.read(session.id, audio=False))[1]
    assert page.run("window.taken").encode() == event.head
    assert page.text("#copied") == "Event 2 copied, byte for byte."


def test_links_lead_to_a_place(page: Browser, files: dict[str, Path]) -> None:
    """By time and width, by turn, by event; nonsense leads nowhere and breaks nothing."""
    page.open(files["spoken"], "#t=4&z=2")
    assert page.run("[recorderPage.view.time, recorderPage.view.from, recorderPage.view.to]"
                    ".map(x => x.toFixed(3))") == ["4.000", "3.000", "5.000"]  # fmt: skip
    page.open(files["spoken"], "#turn=2")
    assert page.run("recorderPage.view.time") == pytest.approx(5.0, abs=0.1)
    page.open(files["spoken"], "#seq=24")
    assert page.run("recorderPage.view.seq") == 24
    assert page.run("!document.querySelector('#events').hidden")
    page.open(files["spoken"], "#t=abc&turn=99&seq=-4")
    assert page.run("recorderPage.view.time") == 0
    assert page.troubles() == []


def test_a_part_of_a_waterfall_lights_up_its_events(page: Browser, files: dict[str, Path]) -> None:
    """And says what it means, and whose it is."""
    page.open(files["spoken"])
    page.run("document.querySelectorAll('.turn')[1].querySelector('.fall :last-child').click()")
    told = page.text("#part")
    assert "model_first_audio" in told
    assert "provider" in told
    assert page.run("recorderPage.view.lit.size") > 0


def test_the_state_follows_the_cursor(page: Browser, files: dict[str, Path]) -> None:
    """Nothing plays at 1.5 s, the answer does at 3 s; back again, it is as it was."""
    page.open(files["spoken"], "#t=1.5")
    page.press("i")
    before = page.text("#state")
    assert "Items (0)" in before
    page.run("recorderPage.moveTo(3)")
    assert "item_a1plays" in page.text("#state")
    assert "Items (2)" in page.text("#state")
    page.run("recorderPage.moveTo(1.5)")
    assert page.text("#state") == before


def test_hostile_text_stays_text(page: Browser, files: dict[str, Path]) -> None:
    """In every panel: no element is made of it, nothing of it runs."""
    page.open(files["hostile"], "#t=2.3")
    for key in ("e", "i", "t"):
        page.run("document.activeElement.blur()")
        page.press(key)
    page.run("recorderPage.moveTo(3.5)")
    assert page.run("window.hurt") is None
    assert page.run("document.querySelectorAll('img, iframe, object').length") == 0
    assert "</script><img src=x" in page.text("#transcript")
    assert "\\u202e" in page.text("#transcript")
    assert page.troubles() == []


def test_everything_has_a_name(page: Browser, files: dict[str, Path]) -> None:
    """Whatever can be reached says what it is to those who do not see it."""
    page.open(files["spoken"])
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    reached = ("button", "slider", "listbox", "tab", "combobox", "checkbox", "searchbox", "toolbar")
    found = [node for node in nodes if not node["ignored"]
             and node.get("role", {}).get("value") in reached]  # fmt: skip
    assert len(found) > 15
    assert [node for node in found if not node.get("name", {}).get("value")] == []


def test_dark_is_dark(page: Browser, files: dict[str, Path]) -> None:
    """By the system's choice."""
    page.open(files["spoken"], dark=True)
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.open(files["spoken"])
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
