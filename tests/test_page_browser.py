"""The page of a call in a real browser: sound, pointer, links, print, hostile and damaged data."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from recorder import wire
from recorder.events import NO_FRAME, TEXT, Event, Origin
from recorder.exporters import Source
from recorder.page import blocks
from recorder.store import EventStore
from tests import talks
from tests.browser_kit import Browser, browser, needs_browser
from tests.export_kit import of_events, sources, stored, written
from tests.golden import formats, interruptions, tools, trouble, turns
from tests.golden.kit import SESSIONS, Line, played
from tests.talks import RATE, Talk, silence, tone

pytestmark = [needs_browser, pytest.mark.slow]

GOLDEN = (formats, interruptions, tools, trouble, turns)
"""Each enters its calls in `SESSIONS` when it is imported."""

LEFT, AXIS = 92, 22
"""Pixels of the timeline's names and of its axis."""

HOSTILE = "</script><img src=x onerror='window.hurt=1'>\u2028\u202e\u0007\u200f<b>"
VIEW = "recorderPage.view"


def cut_off(store: EventStore, **given: Any) -> Talk:
    """An answer of two seconds, of which one was heard."""
    talk = Talk(store, **given).opened().created()
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, "Tell me a story.")
    talk.answers(1800, "a1", "Once upon a time there was a king.", tone(2000))
    talk.client(3600, "conversation.item.truncate", item_id="item_a1", content_index=0,
                audio_end_ms=1000)  # fmt: skip
    return talk.closed(6_000).kept()


def of_line(line: Line) -> Source:
    """A golden call as it was recorded."""
    return of_events(line.log, url=line.recorder.session.url)


class Fouling:
    """Makes every text of a session hostile, and the first under each name a megabyte long."""

    plain = ("type", "audio", "role", "encoding")
    """What the session would not be itself without; types get their own hostile event."""

    def __init__(self, huge: int) -> None:
        self.huge, self.seen = huge, set(self.plain)

    def value(self, value: Any, key: str = "") -> Any:
        """The same with hostile texts."""
        if isinstance(value, dict):
            return {name: self.value(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, key) for each in value]
        if not isinstance(value, str) or key in self.plain:
            return value
        if key.endswith("id") or key in ("status", "format"):
            return HOSTILE + value
        size = 0 if key in self.seen else self.huge
        self.seen.add(key)
        return HOSTILE + value + "\u05d0" * size

    def events(self, log: Sequence[Event]) -> Iterator[Event]:
        """The log with hostile texts, sound and types as they were; hostile ones at its end."""
        for event in log:
            if event.opcode not in (NO_FRAME, TEXT):
                yield event
                continue
            body = orjson.loads(wire.join(event))
            spoken = "audio.delta" in event.type
            fouled = {name: each if spoken and name == "delta" else self.value(each, name)
                      for name, each in body.items()}  # fmt: skip
            yield remade(event, orjson.dumps(fouled))
        last = log[-1]
        for seq, kind in enumerate((HOSTILE, "error", "\u202e" * 200, "x" * self.huge), 1):
            more = {"type": kind, "error": {"type": HOSTILE, "code": HOSTILE, "message": HOSTILE}}
            changed = last._replace(seq=last.seq + seq, origin=Origin.SERVER, opcode=1)
            yield remade(changed, orjson.dumps(more))


def remade(event: Event, message: bytes) -> Event:
    """The event with another message."""
    part = wire.split(message)
    return event._replace(type=part.type, head=part.head, meta=part.meta, audio=part.audio)


def fouled(name: str, huge: int) -> Source:
    """A golden call in which everything is hostile."""
    log = list(Fouling(huge).events(played(name)[0].log))
    facts = {"url": f"wss://{HOSTILE}", "model": HOSTILE, "call": HOSTILE,
             "labels": {HOSTILE: HOSTILE}, "headers": ((HOSTILE, HOSTILE),)}  # fmt: skip
    return of_events(log, **facts)


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
        ("cut", cut_off, "full"), ("refused", talks.refused, "full"),
    ):  # fmt: skip
        made[name] = folder / f"{name}.html"
        made[name].write_bytes(written("html", *sources(stored(fill), share=share)))
    return made


def seen(page: Browser) -> tuple[float, float]:
    """From when to when the timeline shows the call."""
    page.settle()
    begin, end = page.run(f"[{VIEW}.from, {VIEW}.to]")
    return begin, end


def place(page: Browser, time: float, y: float) -> tuple[float, float]:
    """Where on the window this time stands, so far down the timeline."""
    box = page.page.locator("#lanes").bounding_box()
    assert box is not None
    begin, end = seen(page)
    return box["x"] + LEFT + (box["width"] - LEFT) * (time - begin) / (end - begin), box["y"] + y


def asked_for_nothing(page: Browser, file: Path) -> bool:
    """Whether it asked for nothing but itself and its own sound."""
    first, *more = [each for each in page.requests() if each != "about:blank"]
    return first.partition("#")[0] == file.as_uri() and all(x.startswith("blob:") for x in more)


# ---- the kit itself


def test_troubles_and_barriers_are_seen(page: Browser, tmp_path: Path) -> None:
    """A page with an error, a refused image and a nameless field is not called clean."""
    file = tmp_path / "bad.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"img-src 'none'\">"
    script = "<script>setTimeout(() => { throw new Error('broken'); })</script>"
    file.write_text(f"<html><head>{policy}</head><img src=x.png><input>{script}")
    page.open(file, ready="document.readyState === 'complete'")
    page.page.wait_for_timeout(50)
    told = " ".join(page.troubles())
    assert "broken" in told
    assert "Content Security Policy" in told
    found = " ".join(page.barriers())
    assert "image-alt" in found
    assert "label" in found


# ---- for everybody


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out(page: Browser, files: dict[str, Path], width: int, dark: bool) -> None:
    """Axe finds nothing serious: in any panel, with events lit and chosen, in the help."""
    page.open(files["cut"], "#t=2.5", width=width, dark=dark)
    page.press("f")
    for key in ("t", "i", "e"):
        page.press(key)
        page.settle()
        assert page.barriers() == []
    page.press("?")
    assert page.run("document.querySelector('#help').open")
    assert page.barriers() == []


def test_golden_calls_open(page: Browser, tmp_path: Path) -> None:
    """Each line of each: no complaint, no request, all its events listed."""
    assert len(SESSIONS) > 30
    for name in SESSIONS:
        for row, line in enumerate(played(name)):
            file = tmp_path / f"{name}-{row}.html"
            file.write_bytes(written("html", of_line(line)))
            page.open(file)
            page.run("recorderPage.loadSound()")
            assert page.troubles() == [], name
            assert asked_for_nothing(page, file), name
            assert page.text("#count") == f"{len(line.log):,} events", name


# ---- sound


def test_a_selection_is_looped(page: Browser, files: dict[str, Path]) -> None:
    """A drag on the axis selects; while it is looped the sound goes back to its beginning."""
    page.open(files["spoken"])
    page.drag(place(page, 2, 10), place(page, 2.4, 10))
    assert page.run(f"{VIEW}.selection") == pytest.approx([2, 2.4], abs=0.02)
    begin, end = page.run(f"{VIEW}.selection")
    page.run("(window.times = [], document.querySelector('#loop').click(), 0)")
    page.run("recorderPage.player.ontimeupdate = () => times.push(recorderPage.player.currentTime)")
    page.press(" ")
    page.until("times.some((time, row) => row && time < times[row - 1])")
    page.press(" ")
    times = page.run("times")
    assert min(times) >= begin - 0.01
    assert max(times) < end + 0.3
    page.press("Escape")
    assert page.run(f"[{VIEW}.selection, {VIEW}.looping]") == [None, False]


def test_one_side_is_heard_alone(page: Browser, files: dict[str, Path]) -> None:
    """At 0.7 s only the user speaks: hearing the assistant alone there is silence."""
    page.open(files["spoken"], "#t=0.3")
    levels = {}
    page.run("recorderPage.loadSound()")
    for side in ("user", "assistant"):
        page.page.select_option("#solo", side)
        page.run("recorderPage.moveTo(0.3)")
        page.run("document.querySelector('#play').click()")
        page.until(f"{VIEW}.time > 0.5")
        levels[side] = loudness(page)
        page.run("document.querySelector('#play').click()")
    assert levels["user"] > 0.05
    assert levels["assistant"] == 0


def test_speed_leaves_the_pitch(page: Browser, files: dict[str, Path]) -> None:
    """Twice as fast, and the tone of 220 Hz is still heard at 220 Hz."""
    page.open(files["spoken"], "#t=0.25")
    page.page.select_option("#speed", "2")
    page.page.select_option("#solo", "user")
    page.press("Escape")
    page.run("recorderPage.loadSound()")
    page.press(" ")
    page.until(f"{VIEW}.time > 0.3")
    heard = page.run(
        "new Promise(done => { const look = () => recorderPage.view.time < 0.8"
        " ? requestAnimationFrame(look) : done(recorderPage.heardNow()); look(); })"
    )
    page.press(" ")
    assert page.run("[recorderPage.player.playbackRate, recorderPage.player.preservesPitch]") == [
        2,
        True,
    ]
    assert pitch_of(heard) == pytest.approx(220, abs=30)


def test_whatever_leads_to_a_time_takes_the_sound_there(
    page: Browser, files: dict[str, Path]
) -> None:
    """A click on the timeline, a word, a turn, an event, a finding, a key: the audio element is
    where the cursor is, and that is where it should be."""
    page.open(files["spoken"])
    page.run("recorderPage.loadSound()")

    def at() -> float:
        cursor, sound = page.run(f"[{VIEW}.time, recorderPage.player.currentTime]")
        assert sound == pytest.approx(cursor, abs=0.001)
        return float(cursor)

    page.click(*place(page, 5.5, AXIS + 50))
    assert at() == pytest.approx(5.5, abs=0.02)
    page.page.locator("#transcript .word").nth(2).click()  # "your", of "What are your opening …"
    assert 0.2 < at() < 1.2
    page.page.locator(".turn > button").nth(1).click()
    assert at() == pytest.approx(5.0, abs=0.05)
    page.press("0")
    page.press("e")
    page.press("Home")
    assert at() == 0
    page.page.locator("#findings button").first.click()
    found = page.run("recorderPage.call.findings[0].at_ns") / 1e9
    assert at() == pytest.approx(found, abs=0.001)
    page.run("document.activeElement.blur()")
    page.press("End")
    assert at() == pytest.approx(11, abs=0.001)


def loudness(page: Browser) -> float:
    """The highest sample of what was heard last."""
    return max(map(abs, page.run("recorderPage.heardNow()")["samples"]))


def pitch_of(heard: dict[str, Any]) -> float:
    """Hz of what was heard, by where it rises through zero."""
    pairs = enumerate(pairwise(heard["samples"]))
    rises = [row for row, (one, other) in pairs if one < 0 <= other]
    return float(heard["rate"]) * (len(rises) - 1) / (rises[-1] - rises[0])


# ---- the timeline under the pointer


def test_a_drag_moves_what_is_seen(page: Browser, files: dict[str, Path]) -> None:
    """A second to the left shows what is a second later; the cursor stays."""
    page.open(files["spoken"], "#t=5&z=4")
    assert seen(page) == pytest.approx((3, 7))
    page.drag(place(page, 5, 60), place(page, 4, 60))
    assert seen(page) == pytest.approx((4, 8), abs=0.02)
    assert page.run(f"{VIEW}.time") == 5


def test_the_wheel_zooms_to_single_samples(page: Browser, files: dict[str, Path]) -> None:
    """About the pointer, until 16 samples fill the timeline: a wave of 220 Hz is then a slope."""
    page.open(files["spoken"])
    page.run("recorderPage.loadSound()")
    page.page.mouse.move(*place(page, 0.7, 70))
    for _ in range(24):
        page.page.mouse.wheel(0, -240)
        page.settle()
    begin, end = seen(page)
    assert end - begin == pytest.approx(16 / RATE, rel=0.001)
    assert begin <= 0.7 + 0.01
    assert end >= 0.7 - 0.01
    for _ in range(24):
        page.page.mouse.wheel(0, 240)
    assert seen(page) == pytest.approx((0, 11))


def test_shift_and_the_wheel_move(page: Browser, files: dict[str, Path]) -> None:
    """A wheel that goes sideways does too."""
    page.open(files["spoken"], "#t=5&z=4")
    page.page.mouse.move(*place(page, 5, 60))
    page.page.mouse.wheel(200, 0)
    assert seen(page) == pytest.approx((4, 8), abs=0.01)


def test_the_minimap_moves_what_is_seen(page: Browser, files: dict[str, Path]) -> None:
    """A click in its middle shows the middle of the call."""
    page.open(files["spoken"], "#t=1&z=2")
    box = page.page.locator("#minimap").bounding_box()
    assert box is not None
    page.click(box["x"] + LEFT + (box["width"] - LEFT) / 2, box["y"] + 15)
    assert seen(page) == pytest.approx((4.5, 6.5), abs=0.02)


def test_a_part_of_the_latency_stands_on_the_clock(page: Browser, files: dict[str, Path]) -> None:
    """Under the pointer it says its name, its length and who took it."""
    page.open(files["spoken"])
    lanes = page.run("recorderPage.lanes.map(lane => [lane.name, lane.top, lane.bars?.length])")
    top = next(top for name, top, _ in lanes if name == "Latency")
    waterfall = page.run("recorderPage.call.latency[1].waterfall")
    last = (waterfall["start_ns"] + waterfall["total_ns"]) / 1e9
    page.page.mouse.move(*place(page, last - 0.3, top + 9))
    told = page.text("#tip")
    assert "turn 2, model_first_audio" in told
    assert "provider" in told


# ---- events, links, findings


def test_pointing_at_a_part_lights_its_events(page: Browser, files: dict[str, Path]) -> None:
    """While the pointer is on it, what it means is told; a click keeps the light."""
    page.open(files["spoken"])
    part = page.page.locator(".turn").nth(1).locator(".fall button").last
    part.hover()
    assert "from response.created to the first audio" in page.text("#part")
    lit = page.run(f"[...{VIEW}.lit]")
    assert lit
    page.page.mouse.move(5, 5)
    assert page.run(f"{VIEW}.lit.size") == 0
    part.click()
    page.press("e")
    page.page.mouse.move(5, 5)
    page.settle()
    rows = page.run("[...document.querySelectorAll('.event.lit .nr')].map(x => +x.textContent)")
    assert set(rows) & set(lit)


def test_a_run_unfolds(page: Browser, files: dict[str, Path]) -> None:
    """Enter on a run of 18 appends shows each; once more folds them; so does the switch for all."""
    page.open(files["spoken"])
    page.press("e")
    count = "document.querySelector('#event-list [aria-setsize]').getAttribute('aria-setsize')"
    folded = int(page.run(count))
    page.page.locator(".event", has_text="18 events").first.click()
    page.press("Enter")
    page.until(f"Number({count}) === {folded + 17}")
    page.press("Enter")
    page.until(f"Number({count}) === {folded}")
    page.page.uncheck("#fold")
    page.until(f"Number({count}) === 79")


def test_the_filter_goes_by_side(page: Browser, files: dict[str, Path]) -> None:
    """Those of the recorder are three: opened, handshake, closed."""
    page.open(files["spoken"])
    page.press("e")
    page.page.select_option("#origin", "2")
    kinds = page.run("[...document.querySelectorAll('.event .kind')].map(x => x.textContent)")
    assert [kind[2:] for kind in kinds] == [
        "recorder.opened", "recorder.handshake", "recorder.closed",
    ]  # fmt: skip


def test_a_copy_says_what_it_lacks(page: Browser, files: dict[str, Path]) -> None:
    """The first append: its 4,800 bytes of audio are not in a page, and that is said plainly."""
    page.open(files["spoken"], "#seq=4")
    page.press("c")
    page.until("document.querySelector('#copied').textContent")
    assert "without its 4,800 bytes of audio" in page.text("#copied")
    assert page.run("navigator.clipboard.readText()") == (
        '{"type":"input_audio_buffer.append","audio":""}'
    )


def test_back_leads_back(page: Browser, files: dict[str, Path]) -> None:
    """From a turn to where one was; forward again; the address says where one is."""
    page.open(files["spoken"], "#t=1&z=2")
    page.page.locator(".turn > button").nth(1).click()
    page.until("location.hash.startsWith('#t=5')")
    page.page.go_back()
    page.until(f"{VIEW}.time === 1")
    assert seen(page) == pytest.approx((0, 2), abs=0.001)
    page.page.go_forward()
    page.until(f"{VIEW}.time > 4.9")


def test_a_link_leads_there_in_an_open_page(page: Browser, files: dict[str, Path]) -> None:
    """By event, with how much is to be seen around it."""
    page.open(files["spoken"])
    page.run("location.hash = '#seq=24&z=0.5'")
    page.until(f"{VIEW}.seq === 24")
    begin, end = seen(page)
    assert end - begin == pytest.approx(0.5)
    assert begin < page.run(f"{VIEW}.time") < end


def test_findings_come_worst_first(page: Browser, tmp_path: Path) -> None:
    """In every golden call that has several."""
    ranks, several = {"error": 0, "warning": 1, "notice": 2}, 0
    for name in ("failed_response", "close_4000", "session_expired", "client_that_talks_on"):
        file = tmp_path / f"{name}.html"
        file.write_bytes(written("html", of_line(played(name)[0])))
        page.open(file)
        found = page.run("[...document.querySelectorAll('#findings button')]"
                         ".map(x => x.firstChild.textContent)")  # fmt: skip
        assert found == sorted(found, key=ranks.__getitem__)
        several += len(found) > 1
    assert several


# ---- paper


def test_it_prints_to_a_report(page: Browser, files: dict[str, Path]) -> None:
    """All of the transcript and the turns, none of the controls; a page or two of PDF."""
    page.open(files["cut"], dark=True)
    page.page.emulate_media(media="print", color_scheme="light")
    hidden = ("#transport", "#minimap", "[role=tablist]", "#events", "#state", "#part")
    for selector in hidden:
        assert not page.page.locator(selector).is_visible(), selector
    for selector in ("#findings", "#lanes canvas", "#transcript", "#turns", "#about"):
        assert page.page.locator(selector).is_visible(), selector
    pdf = page.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert page.troubles() == []


# ---- hostile and damaged


@pytest.mark.parametrize(("name", "huge"), [("tool_call", 0), ("cancel_mid_stream", 0),
                                            ("tool_call", 1 << 20)])  # fmt: skip
def test_nothing_of_a_session_is_markup(
    page: Browser, tmp_path: Path, name: str, huge: int
) -> None:
    """Hostile in every text: types, ids, names, arguments, models, addresses, errors."""
    file = tmp_path / "hostile.html"
    file.write_bytes(written("html", fouled(name, huge)))
    page.open(file, "#t=3")
    for key in ("t", "n", "n", "i", "e", "Home", "ArrowDown", "End", "ArrowUp"):
        page.press(key)
        page.settle()
    page.run("recorderPage.loadSound()")
    for each in ("button", "li"):
        page.run(f"document.querySelectorAll('#findings {each}, #transcript {each}')"
                 ".forEach(node => node.click())")  # fmt: skip
    assert page.run("window.hurt") is None
    assert page.run("document.querySelectorAll('img, b, iframe, object, base').length") == 0
    raw = page.run("/[\\u0000-\\u0008\\u000b-\\u001f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/"
                   ".test(document.body.innerText)")  # fmt: skip
    assert not raw
    assert "onerror" in page.text("#transcript")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.troubles() == []
    assert asked_for_nothing(page, file)


def test_a_damaged_page_says_so(page: Browser, files: dict[str, Path], tmp_path: Path) -> None:
    """Data that cannot be read, data that is not there, sound that is none, and a cut-off file."""
    whole = files["spoken"].read_bytes()
    drawn = "document.readyState === 'complete'"
    for name, broken in (
        ("data", whole.replace(b'["about",', b'["about"', 1)),
        ("none", whole.replace(b'id="call-0"', b'id="call-9"', 1)),
    ):
        file = tmp_path / f"{name}.html"
        file.write_bytes(broken)
        page.open(file, ready=drawn)
        assert "is damaged and cannot be drawn" in page.text("#about")
    sound = dict(blocks(whole))["sound-0"]
    assert "sound-1" not in dict(blocks(whole))
    noise = base64.b64encode(b"no sound at all")
    for name, instead in (("text", b"###"), ("noise", noise)):
        file = tmp_path / f"{name}.html"
        file.write_bytes(whole.replace(sound.strip(), instead))
        page.open(file)
        page.until("document.querySelector('#sound-note').textContent.includes('is damaged')")
    file = tmp_path / "cut.html"
    file.write_bytes(whole[: len(whole) // 2])
    page.open(file, ready=drawn)
    assert "the file is cut off" in page.text("#about")


def test_a_damaged_session_has_a_page(page: Browser, tmp_path: Path) -> None:
    """Messages that are no JSON, no text, audio that is no base64, frames of nothing."""
    messages = [b"", b"{", b"[1,2]", b"\xff\xfe\x00", b'{"type":5}', b'{"type":"response.done"}',
                b'{"type":"input_audio_buffer.append","audio":"!!"}',
                b'{"type":"session.created","session":7}']  # fmt: skip
    events = []
    for seq, message in enumerate(messages, 1):
        blank = Event(seq, seq * 10**8, Origin(seq % 2), "", 2 if seq == 4 else 1, b"", None, None)
        events.append(remade(blank, message))
    opened = blank._replace(seq=9, origin=Origin.RECORDER, opcode=NO_FRAME)
    events.append(remade(opened, b'{"type":"recorder.gap","events":3}'))
    for name, log in (("damaged", events), ("empty", [])):
        file = tmp_path / f"{name}.html"
        file.write_bytes(written("html", of_events(log)))
        page.open(file, "#seq=1")
        for key in ("e", "ArrowDown", "ArrowDown", "ArrowDown", "i", "End", "t", "n", " "):
            page.press(key)
            page.settle()
        assert page.troubles() == []
        assert page.text("#count") == f"{len(log)} events"


# ---- without content


def test_without_content_shapes_are_left(page: Browser, files: dict[str, Path]) -> None:
    """Where speech was heard stands in the lane of each side; no level, no word."""
    page.open(files["bare"])
    lanes = page.run("recorderPage.lanes.map(lane => [lane.name, (lane.bars ?? [])"
                     ".map(bar => [bar.from, bar.to])])")  # fmt: skip
    bars = dict(lanes)
    assert bars["User"] == bars["Speech"]
    assert len(bars["User"]) == 2
    assert bars["Assistant"] == bars["Playback"]
    assert len(bars["Assistant"]) == 2
    assert page.run("recorderPage.outlines.user.length") == 0
    data = b" ".join(text for name, text in blocks(files["bare"].read_bytes()) if name).lower()
    for word in (b"what are", b"opening", b"hours", b"sundays", b"nine", b"are closed"):
        assert word not in data
