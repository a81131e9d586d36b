"""A call that grows on a page: what stands there after any growths is what one fold gives.

`Page` does what `recorder/ui/static/data.js` does with what it is sent.
"""

from __future__ import annotations

import base64
import gzip
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import Event, Session
from recorder.page import growing, log
from recorder.page.growing import Growing
from recorder.page.sound import COARSER
from recorder.projections import analyse
from recorder.store import MemoryStore
from tests.golden import formats, interruptions, tools, trouble, turns
from tests.golden.kit import SESSIONS, played
from tests.log_kit import session
from tests.talks import RATE, Talk, silence, tone
from tests.test_projection_laws import LAW, calls

GOLDEN = (formats, interruptions, tools, trouble, turns)
"""Each enters its calls in `SESSIONS` when it is imported."""
CALL: Session = session(1)
Told = dict[str, Any]


def unpacked(data: bytes | None) -> Any:
    assert data is not None
    return orjson.loads(gzip.decompress(data))


def of(events: list[Event], call: Session = CALL) -> Growing:
    """One fold of all of it."""
    found = Growing(call)
    found.feed(events)
    found.grow()
    return found


class Page:
    """What a page knows of a call."""

    def __init__(self, first: Growing, events: list[Event]) -> None:
        facts = unpacked(first.tile("facts", 0))
        self.last_seq = facts["last_seq"]
        self.parts: Told = dict(facts["parts"])
        self.log: Told = {name: facts["log"][name] for name in ("at_us", "client", "server")}
        self.interrupted = facts["interrupted"]
        self.waves = waves(first, facts)
        self.states = rows_of(first, facts)
        self.columns = columns(events)
        self.messages = messages(events)

    def take(self, told: Told) -> None:
        """What is another than we know."""
        self.last_seq, self.interrupted = told["last_seq"], told["interrupted"]
        self.parts |= {name: told[name] for name in ("about", "sound")}
        for name, part in told["parts"].items():
            rows = self.parts[name][: part["count"]]
            for row, value in part["rows"]:
                rows[row : row + 1] = [value]
            self.parts[name] = rows
        begin = told["log"]["from"]
        self.log = {name: [*known[:begin], *told["log"][name]] for name, known in self.log.items()}
        self._draw(told["outlines"])
        self.states += told["states"]["rows"]
        for piece in told["events"]:
            self._read(piece)

    def _draw(self, told: Told) -> None:
        drawn: dict[tuple[int, str, str], np.ndarray[Any, Any]] = {}
        for level, each in enumerate(told["levels"]):
            begin = told["from"] // COARSER**level
            for name in ("user", "assistant", "unheard"):
                for side in ("low", "high"):
                    values = np.zeros(each["bins"], np.int8)
                    if (known := self.waves.get((level, name, side))) is not None:
                        values[:begin] = known[:begin]
                    if name in told["tail"][level]:
                        values[begin:] = decoded(told["tail"][level][name][side])
                    drawn[level, name, side] = values
        self.waves = drawn

    def _read(self, piece: Told) -> None:
        at = 0
        texts = self.messages.setdefault(piece["tile"], [])
        assert len(texts) == piece["known"]
        texts += piece["messages"]
        for row, step in enumerate(piece["at"]):
            at += step
            shown = [piece[name][row] for name in ("origin", "opcode", "head", "bytes", "us")]
            self.columns.append([at, piece["types"][piece["type"][row]], *shown])


def decoded(text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), np.int8)


def waves(found: Growing, facts: Told) -> dict[tuple[int, str, str], np.ndarray[Any, Any]]:
    """The outlines, out of their tiles."""
    drawn = {}
    for level, each in enumerate(facts["outlines"]["levels"]):
        for name in ("user", "assistant", "unheard"):
            for side in ("low", "high"):
                values = np.zeros(each["bins"], np.int8)
                for tile in range(-(-each["bins"] // growing.BINS)):
                    sides = unpacked(found.tile(f"peaks-{level}", tile)).get(name)
                    if sides:
                        part = decoded(sides[side])
                        values[tile * growing.BINS :][: len(part)] = part
                drawn[level, name, side] = values
    return drawn


def rows_of(found: Growing, facts: Told) -> list[Any]:
    return [row for tile in range(facts["states"]) for row in unpacked(found.tile("states", tile))]


def columns(events: list[Event]) -> list[list[Any]]:
    """The log, row by row."""
    found, formats_known = [], log.Formats()
    for begin in range(0, len(events), log.BLOCK):
        block = orjson.loads(
            orjson.dumps(log.block(events[begin : begin + log.BLOCK], formats_known).columns)
        )
        at = 0
        for row, step in enumerate(block["at"]):
            at += step
            shown = [block[name][row] for name in ("origin", "opcode", "head", "bytes", "us")]
            found.append([at, block["types"][block["type"][row]], *shown])
    return found


def messages(events: list[Event]) -> dict[int, list[Any]]:
    tiles = range(0, len(events), log.BLOCK)
    return {
        begin // log.BLOCK: log.block(events[begin : begin + log.BLOCK], log.Formats()).messages
        for begin in tiles
    }


def same(page: Page, events: list[Event], call: Session = CALL) -> None:
    """What stands on the page is what one fold of these events gives."""
    fresh = Page(of(events, call), events)
    for name, value in vars(fresh).items():
        if name == "waves":
            assert page.waves.keys() == value.keys()
            for key, drawn in value.items():
                assert np.array_equal(page.waves[key], drawn), key
        else:
            assert getattr(page, name) == value, name


def grown(events: list[Event], cuts: list[int], call: Session = CALL) -> None:
    """Grow by these stretches; after each the page is as if it had just been opened."""
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(events)}), len(events)]
    whole, page = Growing(call), None
    for begin, end in pairwise(bounds):
        whole.feed(events[begin:end])
        whole.grow()
        if page is None:
            page = Page(whole, events[:end])
        else:
            page.take(orjson.loads(whole.since(page.last_seq)))
        same(page, events[:end], call)
    assert page is not None
    last = Page(whole, events)
    for name, value in vars(last).items():
        if name != "waves":
            assert getattr(page, name) == value, name


@LAW(max_examples=40)
@given(log=calls(), cuts=st.lists(st.integers(1, 400), max_size=6))
def test_what_is_shown_after_any_growths_is_what_one_fold_gives(
    log: list[Event], cuts: list[int]
) -> None:
    """Facts, outlines, states, the log; after each growth, of calls that nobody wrote down."""
    grown(list(log), cuts)


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_golden_calls_grow_to_what_they_are(name: str) -> None:
    """Every second of every golden call, and the same by half a second with another beginning."""
    for line in played(name):
        events = list(line.log)
        for step in (1000, 430):
            ends = [event.at_ns // (step * 1_000_000) for event in events]
            cuts = [row for row in range(1, len(events)) if ends[row] != ends[row - 1]]
            grown(events, cuts[:: max(1, len(cuts) // 12)], line.recorder.session)


def noise(ms: int, dbfs: float, seed: int) -> bytes:
    """The noise of a room."""
    dice = np.random.default_rng(seed)
    room = dice.normal(0, 32768 * 10 ** (dbfs / 20), RATE * ms // 1000)
    return np.clip(np.rint(room), -32768, 32767).astype("<i2").tobytes()


def test_what_the_noise_of_later_says_of_speech_of_before() -> None:
    """Somebody mutters over the first answer in a quiet room; the room becomes loud for a minute,
    and what was muttered is no louder than that: it was no speech, three turns ago."""
    store = MemoryStore()
    talk = Talk(store, seed=3).opened().created()
    talk.says(100, noise(100, -60, 1) + tone(300) + noise(100, -60, 2))
    talk.heard(610, "item_1", 0, 500, "One.")
    talk.answers(612, "a1", "First.", tone(900), first_ms=80)
    muttered = tone(300, level=0.0141)
    talk.says(800, noise(200, -60, 3) + muttered + noise(400, -60, 4) + tone(300))
    talk.heard(2020, "item_2", 1400, 1700, "Two.")
    talk.answers(2022, "a2", "Second.", tone(200), first_ms=80)
    talk.says(2400, tone(300))
    talk.heard(2720, "item_3", 1700, 2000, "Three.")
    talk.answers(2722, "a3", "Third.", tone(200), first_ms=80)
    middle = len(talk.events)
    talk.says(3300, noise(70_000, -50, 5), chunk_ms=1000)
    events = talk.events
    early, late = (
        analyse(lambda audio, some=some: some) for some in (events[: middle + 1], events)
    )
    assert "backchannel" in early.quality.turns[0].flags
    assert "backchannel" not in late.quality.turns[0].flags
    grown(events, [middle - 20, middle, middle + 1, middle + 30, middle + 50])


def test_a_truncation_comes_after_the_next_turn() -> None:
    """What was played of an answer is known late: outlines, lines and turns before the last."""
    store = MemoryStore()
    talk = Talk(store, seed=4).opened().created()
    talk.says(100, tone(500) + silence(500))
    talk.heard(1110, "item_1", 0, 500, "One.")
    talk.answers(1112, "a1", "First, and much more.", tone(4000), first_ms=80)
    talk.says(2000, tone(400) + silence(400))
    talk.heard(2820, "item_2", 1000, 1400, "Two.")
    talk.answers(2822, "a2", "Second.", tone(900), first_ms=80)
    cuts = [len(talk.events) - 5, len(talk.events)]
    talk.client(6000, "conversation.item.truncate", item_id="item_a1", content_index=0,
                audio_end_ms=500)  # fmt: skip
    talk.client(6001, "conversation.item.truncate", item_id="item_a2", content_index=0,
                audio_end_ms=700)  # fmt: skip
    talk.own("playback", 6100, item_id="item_a1", played_ms=300, state="stopped")
    cuts.append(len(talk.events))
    talk.says(7000, tone(400) + silence(400))
    grown(talk.events, cuts)
