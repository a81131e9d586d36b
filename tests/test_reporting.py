"""Reports: figures, groups, differences and gates over columns of turns written down by hand."""

from __future__ import annotations

import csv
import io
import math
from contextlib import suppress
from datetime import UTC
from typing import NamedTuple
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.dialects.sessions import session_config
from recorder.errors import UsageError
from recorder.projections import analyse
from recorder.projections.metrics import JOINED
from recorder.reporting.configuration import configuration, configurations
from recorder.reporting.differences import Side, _weighted, differences
from recorder.reporting.earlier import previous
from recorder.reporting.figures import NAMES, Figures, check_metric, figures, percentile
from recorder.reporting.formats import (
    as_json,
    interval_of,
    legend,
    name_of,
    render_csv,
    render_junit,
    render_md,
)
from recorder.reporting.gates import BROKEN, HELD, UNTOLD, judged, parse_gate
from recorder.reporting.groups import Group, grouped, parse_by
from recorder.reporting.report import Question, make_report
from recorder.reporting.turns import Sources, Told, Turns
from recorder.selecting.conditions import InState, Need, Opened, Selection
from tests.building import Talk

HOUR_NS = 3600 * 10**9
MIDNIGHT = 1_795_046_400 * 10**9  # 19 November 2026, 00:00 UTC


class Source(NamedTuple):
    """One session."""

    id: str
    wall_ns: int
    model: str
    asked: str
    call: str
    tags: tuple[str, ...]


def source(name: str, **fields: object) -> Source:
    """A session, opened an hour before midnight UTC."""
    usual = {"wall_ns": MIDNIGHT - HOUR_NS, "model": "m", "asked": "m", "call": "", "tags": ()}
    return Source(id=name, **(usual | fields))  # type: ignore[arg-type]


def made(
    *rows: tuple[Source, dict[str, float | str]], configurations: dict[str, str] | None = None
) -> Turns:
    """Columns: of each turn its session and its metrics, a number or the reason why there is none.

    `status`, `configuration`, `start_ns` and `label` may stand among the metrics.
    """
    sources = list(dict.fromkeys(one for one, _ in rows))
    kinds, values = [], {name: np.full(len(rows), np.nan) for name in NAMES}
    starts, counts = [], dict.fromkeys(sources, 0)
    turns = []
    for place, (one, facts) in enumerate(rows):
        said = dict.fromkeys(NAMES, "no_user_input")
        for name in set(NAMES) & set(facts):
            what = facts[name]
            if isinstance(what, str):
                said[name] = what
            else:
                said[name], values[name][place] = str(facts.get("label", "measured")), what
        kinds.append(
            Told(str(facts.get("status", "answered")), str(facts.get("configuration", "")), said)
        )
        starts.append(float(facts.get("start_ns", 0)))
        counts[one] += 1
        turns.append(float(counts[one]))
    return Turns(
        sources=Sources(*([list(each) for each in zip(*sources, strict=True)] or [[]] * 6)),
        source=np.array([sources.index(one) for one, _ in rows], dtype=np.intp),
        turn=np.array(turns),
        start_ns=np.array(starts),
        values=values,
        told=np.arange(len(rows), dtype=np.intp),
        kinds=kinds,
        configurations=configurations or {},
    )


def calls(*values: list[float]) -> Turns:
    """Sessions with these `v2v_audible` each."""
    return made(
        *(
            (source(f"s{number}"), {"v2v_audible": value})
            for number, each in enumerate(values)
            for value in each
        )
    )


def whole(turns: Turns) -> Group:
    """All of them as one group."""
    return grouped(turns, ())[0]


def one_of(group: Group, metric: str) -> Figures:
    """The row of one metric."""
    return figures(group, [metric])[0]


def told(turns: Turns, text: str, by: str = "", min_n: int = 1) -> list[tuple[str, str]]:
    """What becomes of a gate: (group, verdict)."""
    groups = grouped(turns, parse_by(by), UTC)
    return [(each.group, each.verdict) for each in judged([parse_gate(text)], groups, min_n)]


# ---- figures


def test_percentiles_lie_between_the_closest_ranks() -> None:
    """Of 100 to 500 in steps of 100, p90 is at rank 3.6 from 0: 460."""
    found = one_of(whole(calls([100, 300, 500], [200, 400])), "v2v_audible")
    assert (found.n, found.mean, found.max) == (5, 300, 500)
    assert (found.p50, found.p90) == (300, pytest.approx(460))
    assert (found.p95, found.p99) == (pytest.approx(480), pytest.approx(496))
    assert (found.turns, found.calls) == (5, 2)


def test_one_value_is_every_percentile() -> None:
    """There is nothing to interpolate."""
    found = one_of(whole(calls([700.5])), "v2v_audible")
    assert (found.p50, found.p90, found.p95, found.p99, found.max) == (700.5,) * 5


@given(st.lists(st.floats(-100, 1e7), min_size=1, max_size=40), st.sampled_from(range(101)))
def test_percentiles_are_those_of_numpy(values: list[float], rank: int) -> None:
    """To the last bit."""
    assert percentile(np.sort(values), rank) == np.percentile(values, rank)


def test_turns_are_what_counts_and_what_was_left_out_by_reason() -> None:
    """Each turn stands somewhere; a value under 50 ms is left out where it joins two things."""
    one = source("a")
    turns = made(
        (one, {"v2v_audible": 800.0}),
        (one, {"v2v_audible": 49.9}),
        (one, {"v2v_audible": 50.0, "label": "estimated"}),
        (one, {"v2v_audible": "greeting"}),
        (one, {"v2v_audible": "unanswered", "status": "unanswered"}),
        (one, {"v2v_audible": "unanswered", "status": "unanswered"}),
        (one, {"v2v_audible": "failed", "status": "failed"}),
    )
    found = one_of(whole(turns), "v2v_audible")
    assert (found.n, found.turns) == (2, 7)
    assert found.left_out == {"unanswered": 2, "greeting": 1, "failed": 1, "under_50_ms": 1}
    assert found.labels == {"measured": 1, "estimated": 1}
    assert (found.unanswered, found.failed) == (2, 1)


def test_short_lengths_that_join_nothing_count() -> None:
    """An endpointing of 20 ms or an overlap of 0 is no mistake."""
    turns = made((source("a"), {"endpointing": 20.0, "overlap": 0.0}))
    assert "endpointing" not in JOINED
    assert one_of(whole(turns), "endpointing").p50 == 20
    assert one_of(whole(turns), "overlap").max == 0


def test_nothing_measured_is_no_zero() -> None:
    """Every figure of no value is None."""
    turns = made((source("a"), {"v2v_audible": "greeting"}))
    found = one_of(whole(turns), "v2v_audible")
    assert (found.n, found.mean, found.p50, found.max, found.worst) == (0, None, None, None, None)


def test_the_largest_value_names_its_turn() -> None:
    """The second turn of the second session is the one to look at."""
    found = one_of(whole(calls([500.0, 600.0], [400.0, 900.0])), "v2v_audible")
    assert found.worst is not None
    assert (found.worst.session, found.worst.turn, found.worst.ms) == ("s1", 2, 900)


def test_an_unknown_metric_is_said_with_the_nearest() -> None:
    """Of all that can be asked for."""
    assert check_metric("ttft") == "ttft"
    with pytest.raises(UsageError, match="'v2v_audibel' is no metric; did you mean v2v_audible"):
        check_metric("v2v_audibel")


# ---- groups


def test_groups_by_model_show_what_was_asked_for() -> None:
    """The effective model is the group, the requested ones stand beside it."""
    turns = made(
        (source("a", model="gpt-2026-01", asked="gpt"), {"v2v_audible": 500.0}),
        (source("b", model="gpt-2026-01", asked="gpt"), {"v2v_audible": 600.0}),
        (source("c", model="azure", asked="azure"), {"v2v_audible": 700.0}),
    )
    groups = grouped(turns, ("model",))
    names = [[name_of(label) for label in group.labels] for group in groups]
    assert names == [["azure"], ["gpt-2026-01 (asked for gpt)"]]
    assert [len(group.index) for group in groups] == [1, 2]


def test_days_are_those_of_the_zone_and_of_the_turn() -> None:
    """A call that begins at 23:00 UTC reaches the next day; in Berlin it began on it."""
    late = source("a")
    turns = made((late, {"start_ns": 0.0}), (late, {"start_ns": 2.0 * HOUR_NS}))
    assert [group.key for group in grouped(turns, ("day",), UTC)] == [
        ("2026-11-18",),
        ("2026-11-19",),
    ]
    berlin = ZoneInfo("Europe/Berlin")
    assert [group.key for group in grouped(turns, ("day",), berlin)] == [("2026-11-19",)]


def test_a_session_is_in_the_group_of_each_of_its_tags() -> None:
    """And those without are in one of their own; the order of dimensions makes no difference."""
    turns = made(
        (source("a", tags=("x", "y"), call="c1"), {"v2v_audible": 500.0}),
        (source("b", tags=("y",), call="c1"), {"v2v_audible": 600.0}),
        (source("c"), {"v2v_audible": 700.0}),
    )
    found = {group.key: group.index.tolist() for group in grouped(turns, ("tag",))}
    assert found == {("",): [2], ("x",): [0], ("y",): [0, 1]}
    both = {group.key: group.index.tolist() for group in grouped(turns, ("call", "tag"))}
    assert both == {("", ""): [2], ("c1", "x"): [0], ("c1", "y"): [0, 1]}
    back = {group.key: group.index.tolist() for group in grouped(turns, ("tag", "call"))}
    assert back == {("", ""): [2], ("x", "c1"): [0], ("y", "c1"): [0, 1]}


def test_groups_of_no_turns_are_none() -> None:
    """Whatever is asked."""
    assert grouped(made(), ("model", "day", "tag")) == []


def test_an_unknown_dimension_is_named() -> None:
    """With what there is."""
    assert parse_by(" model , day,model") == ("model", "day")
    with pytest.raises(UsageError, match="'week' is nothing to group by; one of model, day"):
        parse_by("model,week")


# ---- configurations


BASE = {
    "instructions": "Be brief.",
    "voice": "marin",
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
}


def test_a_fingerprint_is_of_instructions_tools_detection_and_voice() -> None:
    """A change in any of these makes another; what else stands there makes none, nor does null."""
    same = [
        {**BASE, "model": "other", "temperature": 0.3},
        {**BASE, "turn_detection": {**BASE["turn_detection"], "idle_timeout_ms": None}},
    ]
    other = [
        {**BASE, "instructions": "Be long."},
        {**BASE, "voice": "cedar"},
        {**BASE, "turn_detection": {"type": "server_vad", "silence_duration_ms": 501}},
        {**BASE, "turn_detection": None},
        {**BASE, "tools": []},
        {**BASE, "tools": [{"type": "function", "name": "find"}]},
    ]
    first = configuration(session_config(BASE)).fingerprint
    prints = [configuration(session_config(each)).fingerprint for each in other]
    assert {configuration(session_config(each)).fingerprint for each in same} == {first}
    assert len({first, *prints}) == 7


def test_a_fingerprint_is_told_in_words() -> None:
    """What can be known of it without the session."""
    says = configuration(session_config(BASE)).says
    assert says.startswith("voice marin, server_vad 500 ms, tools ")
    assert "(find), instructions " in says
    assert says.endswith("(9 characters)")
    silent = configuration(session_config({"turn_detection": None}))
    assert silent.says == "no voice stated, no turn detection, no tools, no instructions"


def test_beta_and_ga_shapes_of_one_configuration_have_one_fingerprint() -> None:
    """Where things stand makes no difference."""
    nested = {
        "instructions": "Be brief.",
        "audio": {
            "input": {"turn_detection": BASE["turn_detection"]},
            "output": {"voice": "marin"},
        },
        "tools": BASE["tools"],
    }
    found = {configuration(session_config(each)).fingerprint for each in (BASE, nested)}
    assert len(found) == 1


def test_a_turn_is_answered_under_what_was_stated_before_its_response() -> None:
    """An update that was stated between two answers divides them."""
    talk = Talk()
    talk.open(0, vad=None)
    for number, ms in enumerate((100, 2000)):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?"}]}
        talk.client(ms, "conversation.item.create", item={**item, "id": f"U{number}"})
        talk.client(ms + 1, "response.create")
        talk.answer(ms + 100, f"R{number}", f"A{number}", [(ms + 200, 100)], text="Fine.")
    talk.client(1500, "session.update", session={"instructions": "Now be brief."})
    talk.server(1600, "session.updated", session={**BASE, "instructions": "Now be brief."})
    result = analyse(talk.source)
    first, second = configurations(result.conversation, result.turns)
    assert first.says.endswith("no instructions")
    assert second.says.endswith("(13 characters)")
    assert first.fingerprint != second.fingerprint


# ---- differences


@given(
    st.lists(st.floats(50, 5000), min_size=1, max_size=12),
    st.data(),
    st.sampled_from([50.0, 95.0, 99.0]),
)
def test_weights_are_repetitions(values: list[float], data: st.DataObject, rank: float) -> None:
    """A value that weighs 3 counts as three of them in numpy's own percentile."""
    weights = data.draw(
        st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)).filter(any)
    )
    ordered = np.sort(np.array(values))
    found = _weighted(ordered, np.cumsum([weights], axis=1), rank)
    assert found[0] == pytest.approx(np.percentile(np.repeat(ordered, weights), rank))


def test_a_difference_is_here_minus_there_and_its_interval_repeats() -> None:
    """The same seed gives the same interval, another gives another; what is clear is said so."""
    fast = calls(*([400.0 + n, 410.0 + n, 420.0 + 3 * n] for n in range(8)))
    slow = calls(*([600.0 + n, 610.0 + n, 620.0 + 3 * n] for n in range(8)))
    once, again, other = (
        differences(whole(slow), whole(fast), "v2v_audible", seed) for seed in (1, 1, 2)
    )
    assert once == again
    assert [(each.low, each.high) for each in once] != [(each.low, each.high) for each in other]
    assert [each.stat for each in once] == ["p50", "p95"]
    assert once[0].difference == 200
    assert once[0].low is not None
    assert once[0].high is not None
    assert once[0].low < 200 < once[0].high
    assert once[0].clear
    same = differences(whole(fast), whole(fast), "v2v_audible", 1)[0]
    assert (same.difference, same.clear) == (0, False)


def test_calls_are_resampled_and_not_turns() -> None:
    """A hundred equal turns of a call are one observation: the interval stays as wide as without
    them, where resampling turns would make it a tenth."""
    values = [400.0, 500.0, 600.0, 700.0, 800.0, 900.0]
    few = calls(*([value] for value in values))
    many = calls(*([value] * 100 for value in values))
    there = calls(*([500.0] for _ in values))
    one = differences(whole(few), whole(there), "v2v_audible", 3)[0]
    other = differences(whole(many), whole(there), "v2v_audible", 3)[0]
    assert one.high is not None
    assert one.low is not None
    assert other.high is not None
    assert other.low is not None
    assert other.high - other.low >= (one.high - one.low) * 0.75


def test_sessions_of_one_call_are_one_call() -> None:
    """Eight sessions under two labels are too few for an interval."""
    turns = made(
        *((source(f"s{n}", call=f"c{n % 2}"), {"v2v_audible": 500.0 + n}) for n in range(8))
    )
    found = differences(whole(turns), whole(calls(*([500.0] for _ in range(8)))), "v2v_audible", 0)
    assert (found[0].difference, found[0].low, found[0].high) == (3.5, None, None)
    assert interval_of(found[0]) == "\u2013"
    assert not found[0].clear


def test_a_group_that_is_only_on_one_side_has_no_difference() -> None:
    """It is shown with a dash in the other column."""
    here = made((source("a", model="new"), {"v2v_audible": 500.0}))
    there = made((source("b", model="old"), {"v2v_audible": 600.0}))
    asked = Question(by=("model",), metrics=("v2v_audible",))
    report = make_report(here, asked, there, "tag:old")
    found = [
        (change.labels[0].name, each.stat, each.here, each.there, each.difference)
        for change in report.changes
        for each in [change.difference]
        if each.stat == "p50"
    ]
    assert found == [("new", "p50", 500, None, None), ("old", "p50", None, 600, None)]


def test_nothing_to_resample() -> None:
    """No turn on either side is no crash and no zero."""
    nobody = Side(np.empty(0), np.empty(0, dtype=np.intp), 0)
    assert len(nobody.values) == 0
    empty = made((source("a"), {"v2v_audible": "greeting"}))
    found = differences(whole(empty), whole(empty), "v2v_audible", 0)[0]
    assert (found.here, found.there, found.difference, found.low) == (None, None, None, None)


# ---- the span before


def test_the_span_before_is_as_long_and_ends_where_this_one_begins() -> None:
    """Everything else that was selected stays."""
    state = Need((InState("ended"),))
    chosen = Selection((Need((Opened(since_ns=700),)), state))
    assert previous(chosen, 1000).needs == (state, Need((Opened(400, 700),)))
    until = Selection((Need((Opened(since_ns=700),)), Need((Opened(until_ns=800),))))
    assert previous(until, 1000).needs == (Need((Opened(600, 700),)),)


@pytest.mark.parametrize("needs", [(), (Need((Opened(until_ns=5),)),)])
def test_without_a_beginning_there_is_no_span_before(needs: tuple[Need, ...]) -> None:
    """The error says what is missing."""
    with pytest.raises(UsageError, match="needs a since:, as in since:7d"):
        previous(Selection(needs), 1000)


def test_a_span_that_ends_before_it_begins_has_none_before() -> None:
    """A since: after the until: chooses nothing."""
    upside_down = Selection((Need((Opened(since_ns=700),)), Need((Opened(until_ns=600),))))
    with pytest.raises(UsageError, match="begins after it ends"):
        previous(upside_down, 1000)


# ---- gates


@pytest.mark.parametrize(
    ("text", "metric", "stat", "limit"),
    [
        ("v2v_audible.p95 > 1200ms", "v2v_audible", "p95", 1200),
        ("v2v_audible.p95>1.2s", "v2v_audible", "p95", 1200),
        ("ttft.p99.9 >= 1200 ms", "ttft", "p99.9", 1200),
        ("overlap.mean > .5s", "overlap", "mean", 500),
        ("overlap.rate > 5%", "overlap", "overlap", 0.05),
        ("unanswered.rate>0", "v2v_audible", "unanswered", 0),
        ("tool_exec.excluded.rate > 50 %", "tool_exec", "excluded", 0.5),
        ("n < 100", "v2v_audible", "n", 100),
        ("ttft.n <= 3", "ttft", "n", 3),
    ],
)
def test_gates_are_read(text: str, metric: str, stat: str, limit: float) -> None:
    """Metric, figure, and the limit in its own unit."""
    gate = parse_gate(text)
    assert (gate.metric, gate.stat) == (metric, stat)
    assert math.isclose(gate.limit, limit)


@pytest.mark.parametrize(
    ("text", "word", "told"),
    [
        ("v2v_audble.p95 > 12ms", "v2v_audble", "did you mean v2v_audible"),
        ("v2v_audible.p950 > 3ms", "p950", "needs p50, p95"),
        ("v2v_audible > 3s", "v2v_audible", "needs p50, p95"),
        ("v2v_audible.p95 >> 1200ms", ">>", "is none of"),
        ("v2v_audible.p95 = 1200ms", "=", "is none of"),
        ("v2v_audible.p95 > 1200", "1200", "1200ms or 1200s"),
        ("v2v_audible.p95 > 5%", "5%", "5ms or 5s"),
        ("v2v_audible.p95 > fast", "fast", "is no limit"),
        ("unanswered.rate > 5", "5", "is more than all of them; expected something like 5%"),
        ("unanswered > 5%", "unanswered", "did you mean unanswered.rate"),
        ("n < 3ms", "3ms", "something like 3"),
        ("v2v_audible.p95 > 1s or", "or", "each gate has a --fail-if"),
        ("v2v_audible.p95 >", "", "a limit is missing here"),
        ("", "", "what to look at is missing"),
    ],
)
def test_an_error_points_at_the_word(text: str, word: str, told: str) -> None:
    """Below the gate, under the word that was not understood, or where one is missing."""
    with pytest.raises(UsageError) as caught:
        parse_gate(text)
    message, shown, arrows = str(caught.value).split("\n")
    assert told in message
    at = arrows.index("^")
    assert (shown[at : at + arrows.count("^")], shown[2:]) == (word, text)


@given(st.text(max_size=40))
def test_every_other_text_is_refused_politely(text: str) -> None:
    """Whatever is typed, it is a gate or a `UsageError`."""
    with suppress(UsageError):
        assert parse_gate(text).text == text.strip()


def test_a_gate_is_broken_by_its_figure() -> None:
    """p50 of 100 to 500 is 300: over 299 but not over 300."""
    turns = calls([100, 200, 300], [400, 500])
    for text, verdict in [
        ("v2v_audible.p50 > 299ms", BROKEN),
        ("v2v_audible.p50 > 300ms", HELD),
        ("v2v_audible.p50 >= 300ms", BROKEN),
        ("v2v_audible.p50 < 300ms", HELD),
        ("v2v_audible.p50 <= .3s", BROKEN),
        ("v2v_audible.mean > 299ms", BROKEN),
        ("v2v_audible.max > 500ms", HELD),
        ("n < 6", BROKEN),
        ("n < 5", HELD),
    ]:
        assert told(turns, text) == [("all turns", verdict)], text


def test_rates_are_shares_of_turns() -> None:
    """Of four turns one has no answer, one failed, two have no value; of two that the user spoke
    in, one overlaps."""
    one = source("a")
    turns = made(
        (one, {"v2v_audible": 500.0, "overlap": 0.0}),
        (one, {"v2v_audible": 500.0, "overlap": 120.0}),
        (one, {"v2v_audible": "unanswered", "status": "unanswered"}),
        (one, {"v2v_audible": "failed", "status": "failed"}),
    )
    for text, verdict in [
        ("unanswered.rate >= 25%", BROKEN),
        ("unanswered.rate > 25%", HELD),
        ("failed.rate >= 0.25", BROKEN),
        ("failed.rate > 25%", HELD),
        ("excluded.rate >= 50%", BROKEN),
        ("excluded.rate > 50%", HELD),
        ("overlap.rate >= 50%", BROKEN),
        ("overlap.rate > 50%", HELD),
    ]:
        assert told(turns, text) == [("all turns", verdict)], text


def test_too_few_turns_cannot_tell() -> None:
    """Neither that it is broken nor that it holds; a rate counts all turns, `n` needs none."""
    turns = made(
        (source("a"), {"v2v_audible": 500.0}),
        (source("b"), {"v2v_audible": "unanswered", "status": "unanswered"}),
    )
    for limit in ("1ms", "9s"):
        assert told(turns, f"v2v_audible.p95 > {limit}", min_n=2)[0][1] == UNTOLD
    assert told(turns, "unanswered.rate > 40%", min_n=2)[0][1] == BROKEN
    assert told(turns, "unanswered.rate > 40%", min_n=3)[0][1] == UNTOLD
    assert told(turns, "n < 2", min_n=30)[0][1] == BROKEN
    assert told(turns, "n < 1", min_n=30)[0][1] == HELD
    assert told(turns, "ttft.p95 > 1s", min_n=1)[0][1] == UNTOLD


def test_a_grouped_gate_is_judged_in_each_group() -> None:
    """All that break it are named; one that does is enough, and more than not knowing."""
    turns = made(
        (source("a", model="fast"), {"v2v_audible": 400.0}),
        (source("b", model="slow"), {"v2v_audible": 900.0}),
        (source("c", model="new"), {"v2v_audible": "greeting"}),
    )
    found = told(turns, "v2v_audible.p50 > 500ms", by="model")
    assert found == [("model fast", HELD), ("model new", UNTOLD), ("model slow", BROKEN)]
    gates = (parse_gate("v2v_audible.p50 > 500ms"),)
    report = make_report(turns, Question(by=("model",), gates=gates, min_n=1))
    assert report.verdict == BROKEN
    patient = make_report(turns, Question(by=("model",), gates=gates, min_n=2))
    assert patient.verdict == UNTOLD


def test_gates_on_nothing_cannot_tell() -> None:
    """A selection without a turn is no success."""
    report = make_report(made(), Question(gates=(parse_gate("n < 1"),)))
    assert report.verdict == UNTOLD
    assert [each.verdict for each in report.judgements] == [UNTOLD]


# ---- the report, and its formats


def test_without_names_the_usual_metrics_that_there_are() -> None:
    """The headline always, even without a value."""
    turns = made((source("a"), {"commit_to_audio": 700.0, "leak": 5.0}))
    report = make_report(turns, Question())
    assert [row.figures.metric for row in report.rows] == ["v2v_audible", "commit_to_audio"]


HOSTILE = '=cmd|" /C"!A1\x1b[31m|<b>&`x`\x00\ud83d'


def hostile_report() -> Question:
    """Grouped by a model that wants to be everything but a name."""
    gates = (parse_gate("v2v_audible.p50 > 1ms"),)
    return Question(by=("model",), metrics=("v2v_audible",), gates=gates, min_n=1)


def test_junit_is_valid_xml_with_a_testcase_a_gate_a_group() -> None:
    """Broken is a failure, could not tell an error; names are escaped, bad characters gone."""
    turns = made(
        (source("a", model=HOSTILE.replace("\ud83d", "")), {"v2v_audible": 400.0}),
        (source("b", model="quiet"), {"v2v_audible": "greeting"}),
    )
    text = render_junit(make_report(turns, hostile_report()))
    suites = ET.fromstring(text)
    suite = suites[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")
    kinds = [[child.tag for child in case] for case in suite]
    assert kinds == [["failure"], ["error"]]
    assert "<b>&" in str(suite[0].get("name"))
    assert "model quiet" in str(suite[1].get("name"))
    assert "\x1b" not in text
    assert "\x00" not in text


def test_a_gate_that_holds_is_a_testcase_without_children() -> None:
    """As CI systems know success."""
    asked = Question(gates=(parse_gate("v2v_audible.max > 9s"),), min_n=1)
    case = ET.fromstring(render_junit(make_report(calls([500.0]), asked)))[0][0]
    assert (case.tag, len(case), case.get("name")) == ("testcase", 0, "v2v_audible.max > 9s")


def test_csv_has_a_record_a_row_and_no_formula() -> None:
    """What there is none of is empty; figures are not rounded."""
    turns = made(
        (source("a", model=HOSTILE), {"v2v_audible": 400.25}),
        (source("b", model="quiet"), {"v2v_audible": "greeting"}),
    )
    text = "".join(render_csv(make_report(turns, hostile_report())))
    first, second = csv.DictReader(io.StringIO(text))
    assert first["model"].startswith("'=cmd")
    assert (first["p50"], first["n"], first["worst_turn"]) == ("400.25", "1", "1")
    assert (second["p50"], second["n"], second["why"]) == ("", "0", "greeting 1")


def test_csv_of_a_comparison_has_its_columns() -> None:
    """Difference and interval of each percentile, beside the row."""
    here, there = calls(*([500.0] for _ in range(6))), calls(*([400.0] for _ in range(6)))
    report = make_report(here, Question(metrics=("v2v_audible",)), there, "tag:old")
    row = next(csv.DictReader(io.StringIO("".join(render_csv(report)))))
    assert (row["p50_there"], row["p50_difference"]) == ("400.0", "100.0")
    assert (row["p95_low"], row["p95_high"], row["p95_n_there"]) == ("100.0", "100.0", "6")


def test_markdown_is_a_table_whose_cells_stay_in_it() -> None:
    """Every line of the table has as many cells as its head; nothing in a name is markup."""
    turns = made((source("a", model=HOSTILE), {"v2v_audible": 400.4}))
    text = "".join(render_md(make_report(turns, hostile_report())))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    counts = {line.replace("\\|", "").count("|") for line in lines}
    assert (len(lines), len(counts)) == (3, 1)
    assert "| 400 | 400 | 400 | 400 | 400 |" in lines[2]
    assert "\\<b\\>" in lines[2]
    assert "broken: v2v\\_audible.p50" in text


def test_json_says_everything_and_null_for_nothing() -> None:
    """Groups by name, reasons by count, what was asked for beside the effective model."""
    turns = made(
        (source("a", model="m-2026", asked="m"), {"v2v_audible": 400.0, "configuration": "c1"}),
        (source("b", call="x"), {"v2v_audible": "greeting"}),
        configurations={"c1": "voice marin"},
    )
    asked = Question(
        by=("model", "call", "configuration"),
        metrics=("v2v_audible",),
        gates=(parse_gate("v2v_audible.p50 > 1ms"),),
    )
    found = orjson.loads(orjson.dumps(as_json(make_report(turns, asked))))
    rows = {row["group"]["model"]: row for row in found["rows"]}
    assert rows["m-2026"]["group"] == {
        "model": "m-2026", "model_asked": ["m"], "call": None,
        "configuration": "c1", "configuration_says": "voice marin",
    }  # fmt: skip
    assert rows["m-2026"]["worst"] == {"session": "a", "turn": 1, "ms": 400.0}
    assert (rows["m"]["p50"], rows["m"]["left_out"]) == (None, {"greeting": 1})
    assert {gate["verdict"] for gate in found["gates"]} == {UNTOLD}
    assert found["verdict"] == UNTOLD
    assert found["against"] is None


def test_the_legend_says_what_was_modelled() -> None:
    """How percentiles are made, which values are estimates, what a fingerprint stands for."""
    one = source("a")
    turns = made(
        (one, {"v2v_audible": 400.0, "label": "estimated", "configuration": "c1"}),
        (one, {"v2v_audible": 500.0, "configuration": "c1"}),
        configurations={"c1": "voice marin"},
    )
    asked = Question(by=("configuration",), metrics=("v2v_audible",))
    assert list(legend(make_report(turns, asked))) == [
        "Milliseconds. Percentiles by linear interpolation between closest ranks.",
        "v2v_audible: of 2 values 1 estimated",
        "c1: voice marin",
    ]
