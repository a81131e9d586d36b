"""Laws that hold for every session: over calls with the sandbox that nobody wrote down.

Hypothesis makes up what the caller and the application do, when, and what goes wrong on the way.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.events import Event
from recorder.projections import PROJECTIONS, analyse, fold, scan
from recorder.projections.metrics import METRICS, PARTS, QUALITIES
from recorder.sandbox.dialect import DIALECTS
from recorder.sandbox.script import Call, Failure, Fault, McpCall, Script, When
from tests.golden.kit import Line, answer, heard, says

TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
DETECTIONS: tuple[dict[str, Any] | None, ...] = (
    {"type": "server_vad", "silence_duration_ms": 200},
    {"type": "server_vad", "silence_duration_ms": 300, "create_response": False},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "semantic_vad", "eagerness": "high"},
    None,
)

Act = tuple[Any, ...]

ACTS = st.one_of(
    st.tuples(st.just("talk"), st.sampled_from([80, 260, 700])),
    st.tuples(st.just("hush"), st.sampled_from([60, 240, 500])),
    st.tuples(st.just("wait"), st.sampled_from([7, 150, 900])),
    st.tuples(st.just("burst"), st.sampled_from([100, 400])),
    st.tuples(st.just("commit")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("ask"), st.booleans()),
    st.tuples(st.just("write")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("truncate"), st.sampled_from([0, 150, 9000])),
    st.tuples(st.just("output")),
    st.tuples(st.just("mark"), st.sampled_from(["started", "stopped", ""])),
    st.tuples(st.just("ping"), st.sampled_from([4, 30])),
)
ITEMS = st.one_of(
    st.builds(
        says,
        st.sampled_from(["Yes.", "one two three four five"]),
        st.sampled_from([100, 900]),
        lead=st.sampled_from([0, 70]),
        first=st.sampled_from([30, 200, 700]),
        speed=st.sampled_from([0.7, 4.0]),
    ),
    st.just(Call("look_up", {"a": 1}, first_delta_ms=50)),
    st.just(McpCall("find", "stock", {}, output="7", first_delta_ms=40, run_ms=90)),
)
ANSWERS = st.builds(
    lambda items, fail, wait: answer(*items, fail=fail, done_ms=wait),
    st.lists(ITEMS, min_size=0, max_size=2),
    st.sampled_from([None, None, None, Failure()]),
    st.sampled_from([0, 120]),
)
FAULTS = st.lists(
    st.builds(
        Fault,
        do=st.sampled_from(["drop", "duplicate", "delay", "without"]),
        on=st.sampled_from(
            [
                "response.created",
                "response.done",
                "input_audio_buffer.committed",
                "input_audio_buffer.speech_*",
                "conversation.item.*",
                "response.output_audio.delta",
                "*",
            ]
        ),
        nth=st.integers(1, 3),
        ms=st.sampled_from([20, 600]),
        keys=st.just(("id", "item_id", "response_id", "event_id")),
    ),
    max_size=2,
)


class Player:
    """Does what was made up, on a line."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def play(self, acts: list[Act]) -> list[Event]:
        """The log of it."""
        for name, *how in acts:
            getattr(self, f"_{name}")(*how)
        self.line.wait(1500)
        return self.line.hang_up().log

    def _talk(self, ms: int) -> None:
        self.line.talk(ms)

    def _hush(self, ms: int) -> None:
        self.line.hush(ms)

    def _wait(self, ms: int) -> None:
        self.line.wait(ms)

    def _burst(self, ms: int) -> None:
        self.line.append(bytes(48 * ms))

    def _commit(self) -> None:
        self.line.send("input_audio_buffer.commit", event_id="commit")

    def _clear(self) -> None:
        self.line.send("input_audio_buffer.clear")

    def _ask(self, apart: bool) -> None:
        self.line.send("response.create", response={"conversation": "none"} if apart else {})

    def _write(self) -> None:
        self.line.say("And now?")

    def _cancel(self) -> None:
        self.line.send("response.cancel")

    def _truncate(self, played: int) -> None:
        if item := self._spoken():
            self.line.send(
                "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=played
            )

    def _spoken(self) -> str:
        items = [e.get("item", {}) for e in self.line.events]
        names = [i["id"] for i in items if i.get("role") == "assistant" and "id" in i]
        return str(names[-1]) if names else ""

    def _output(self) -> None:
        calls = [e.get("call_id") for e in self.line.events if e["type"].endswith("arguments.done")]
        if calls and calls[-1]:
            item = {"type": "function_call_output", "call_id": calls[-1], "output": "42"}
            self.line.send("conversation.item.create", item=item)
            self.line.send("response.create")

    def _mark(self, state: str) -> None:
        if item := self._spoken():
            self.line.mark("playback", item_id=item, played_ms=40, state=state)

    def _ping(self, ms: int) -> None:
        self.line.ping(ms)


class Log(list[Event]):
    """What was recorded; shown in short where a law is broken."""

    def __repr__(self) -> str:
        shown = [e for e in self if e.type != "input_audio_buffer.append"]
        return "\n".join(
            f"{e.seq:4} {e.at_ns / 1e6:8.1f} {e.origin.name[0]} {e.type} {e.head[:300]!r}"
            for e in shown
        )


@st.composite
def calls(draw: st.DrawFn) -> Log:
    """A call of a few seconds: some turns, some trouble."""
    line = Line(script=Script(), name="law", number=11, faults=tuple(draw(FAULTS)))
    given_answers = draw(st.lists(ANSWERS, max_size=4))
    line.answers(*given_answers, answer(says("After."), when=When(after_tool="*")))
    line.hears(heard("one two", 40), heard("", 300), heard("one two three four five", 900))
    dialect = DIALECTS[draw(st.sampled_from(sorted(DIALECTS)))]
    detection = draw(st.sampled_from(DETECTIONS))
    line.dial(dialect, tools=[TOOL], audio={"input": {"turn_detection": detection}})
    acts: list[Act] = draw(st.lists(ACTS, min_size=1, max_size=14))
    usual: list[Act] = [("hush", 60), ("talk", 700), ("hush", 500), ("wait", 900)]
    return Log(Player(line).play(usual + acts if draw(st.booleans()) else acts))


LAW = partial(
    settings,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@LAW(max_examples=40)
@given(calls())
def test_the_waterfall_adds_up_and_every_figure_has_evidence_or_a_reason(log: Log) -> None:
    """To the nanosecond; all names of the tables are there; evidence is in the log."""
    found = analyse(lambda audio: log)
    last = log[-1].seq

    for timing in found.latency.turns:
        assert list(timing.values) == list(METRICS)
        if (fall := timing.waterfall) is not None:
            total = timing.values[fall.of].ns
            assert sum(part.ns for part in fall.parts) == fall.total_ns == total
            assert all(part.name in PARTS for part in fall.parts)
            assert all(part.value_ms == part.ns / 1e6 for part in fall.parts)
    for good in found.quality.turns:
        assert set(good.values) == set(QUALITIES)
    for row in (*found.latency.turns, *found.quality.turns):
        for name, value in row.values.items():
            assert (value.ns is None) == bool(value.reason), name
            assert value.ns is None or value.evidence, name
            assert all(1 <= seq <= last for seq in value.evidence), name


@LAW(max_examples=40)
@given(calls())
def test_what_was_played_was_received_and_in_order(log: Log) -> None:
    """No more was heard than came; nothing plays before it came, or over anything else."""
    found = analyse(lambda audio: log)
    runs = []
    for item in found.playback.items:
        assert 0 <= item.heard_samples <= item.received_samples
        assert sum(run.samples for run in item.runs) == item.heard_samples
        assert not item.runs or item.runs[0].start_ns >= item.arrived_ns
        runs += [(r.start_ns, r.start_ns + item.format.ns(r.samples)) for r in item.runs]
    runs.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(runs))
    heard_ns = sum(item.heard_ns for item in found.playback.items)
    assert found.playback.heard_ns == heard_ns
    assert found.quality.unheard_ns >= 0


@LAW(max_examples=40)
@given(calls())
def test_every_response_is_in_one_turn_or_beside_them(log: Log) -> None:
    """Turns stand in order, none overlaps another, and none leaves a response out."""
    found = analyse(lambda audio: log)
    inside = [name for turn in found.turns for name in turn.responses]
    assert sorted(inside) == sorted(r.id for r in found.conversation.responses if not r.out_of_band)
    assert [turn.index for turn in found.turns] == list(range(1, len(found.turns) + 1))
    committed = {commit.item for commit in found.inputs.commits}
    assert committed - {name for name, _ in found.inputs.timeouts} == {
        item for turn in found.turns for item in turn.user_items if item in committed
    }
    assert all(turn.end_ns >= turn.start_ns for turn in found.turns)


@pytest.mark.parametrize("name", PROJECTIONS)
@LAW(max_examples=10)
@given(log=calls(), step=st.integers(11, 37))
def test_asking_on_the_way_is_folding_the_prefix(name: str, log: Log, step: int) -> None:
    """One by one, asked now and then, gives what a fold of the first n gives; and is JSON."""
    projection = PROJECTIONS[name]()
    for count, event in enumerate(log, 1):
        projection.feed(event)
        if count % step == 0 or count == len(log):
            assert projection.result() == fold(PROJECTIONS[name](), log[:count])
    assert orjson.loads(orjson.dumps(projection.result())) is not None


def test_a_scan_asks_after_every_event() -> None:
    """`scan` is that, for each n."""
    log = Player(Line(script=Script(), name="law", number=11).dial()).play([("write",)])
    prefixes = [fold(PROJECTIONS["summary"](), log[:n]) for n in range(1, len(log) + 1)]
    assert [result for _, result in scan(PROJECTIONS["summary"](), log)] == prefixes
