"""Two sessions beside each other: pairs of turns, words, tools, numbers, events, configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.comparing import Comparison, Side, SideTurn, TurnPair, compare, side_of
from recorder.comparing.aligning import aligned
from recorder.comparing.formats import as_json
from recorder.comparing.nouns import (
    CHANGED,
    KINDS,
    ONLY_A,
    ONLY_B,
    SAME,
    Change,
    Measure,
    Shift,
    Stretch,
    Wording,
)
from recorder.comparing.structure import changes
from recorder.events import Origin
from recorder.projections import analyse
from tests.golden.kit import SESSIONS, Line, answer, heard, says
from tests.golden.shelf import Shelf, open_shelf
from tests.golden.turns import one_turn

from .building import Talk
from .comparing_kit import call, golden_side, side, sides

OPEN = ("When do you open?", "At nine.")
WHERE = ("Where are you?", "In Bath.")
COST = ("What does it cost?", "Ten pounds.")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with open_shelf("memory", Path(tmp_path_factory.mktemp("golden"))) as opened:
        yield opened


def paired(comparison: Comparison) -> list[tuple[int | None, int | None]]:
    """Which turn belongs to which."""
    return [(p.a.index if p.a else None, p.b.index if p.b else None) for p in comparison.turns]


def number(pair: TurnPair, name: str) -> Measure:
    """One latency of the pair."""
    return next(each for each in pair.latencies if each.name == name)


# ---- pairs


def test_a_turn_more_is_left_out_and_the_others_stay_together() -> None:
    """B asks something in between: its turn 2 is alone, and what follows is not shifted."""
    found = compare(side(call(OPEN, COST)), side(call(OPEN, WHERE, COST)))
    assert paired(found) == [(1, 1), (None, 2), (2, 3)]
    assert found.turns[1].differs == ("turns",)
    assert found.turns[2].differs == ()


def test_reworded_turns_stay_together_by_order() -> None:
    """The user says the same thing in other words: still the same turn."""
    found = compare(side(call(OPEN, WHERE)), side(call(OPEN, ("Your address, please", "Bath."))))
    assert paired(found) == [(1, 1), (2, 2)]
    assert found.turns[1].user.same is False


def test_turns_in_another_order_are_not_crossed() -> None:
    """Of two turns that changed places one is kept, the other is missing here and extra there."""
    found = compare(side(call(OPEN, WHERE)), side(call(WHERE, OPEN)))
    pairs = paired(found)
    assert sum(None not in pair for pair in pairs) == 1
    assert len(pairs) == 3


def test_untranscribed_turns_are_paired_by_order() -> None:
    """Nothing tells what was said: first with first, and the one too many is alone."""
    found = compare(side(call(("", "One."), ("", "Two."))), side(call(("", "One."))))
    assert paired(found) == [(1, 1), (2, None)]
    assert found.turns[0].user == Wording(None, None, None, (), 0, 0, 0, 0)
    assert found.turns[0].differs == ()


def test_a_greeting_is_never_paired_with_a_question() -> None:
    """One call begins with a greeting: it is a turn that the other does not have."""
    greeted = Talk().open(0).client(100, "response.create")
    greeted.answer(200, "R0", "A0", [(300, 400)], text="Hello!").close(3000)
    found = compare(side(greeted), side(call(OPEN)))
    assert paired(found) == [(1, None), (None, 1)]
    assert found.turns[0].a is not None
    assert found.turns[0].a.kind == "greeting"


# ---- what was said and done


def test_words_that_differ_are_marked_one_by_one() -> None:
    """Case and punctuation make no other word; a word more and another word do."""
    one = side(call(("When do you open", "We open at nine o'clock.")))
    two = side(call(("when do you open?", "We open at ten o\u2019clock sharp.")))
    pair = compare(one, two).turns[0]
    assert pair.user.same is True
    assert pair.heard.stretches == (
        Stretch(SAME, "We open at", "We open at"),
        Stretch(ONLY_A, "nine", ""),
        Stretch(ONLY_B, "", "ten"),
        Stretch(SAME, "o'clock.", "o\u2019clock"),
        Stretch(ONLY_B, "", "sharp."),
    )
    assert (pair.heard.words_a, pair.heard.words_b) == (5, 6)
    assert (pair.heard.only_a, pair.heard.only_b) == (1, 2)
    assert pair.differs == ("words",)


def test_what_was_heard_is_compared_with_what_was_heard() -> None:
    """The same answer, cut off after half of it in B: other words were heard, the same made."""
    whole = call(("Hi", "one two three four five six seven eight"))
    cut = Talk().open(0).mic(0, 4000, speech=[(500, 2000), (2900, 3400)])
    cut.heard(2250, "U0", start=200, end=2200).transcript(2400, "U0", "Hi")
    cut.answer(2300, "R0", "A0", [(2600, 1000)], text="one two three four five six seven eight")
    cut.client(3100, "conversation.item.truncate", item_id="A0", content_index=0, audio_end_ms=500)
    cut.close(4000)
    pair = compare(side(whole), side(cut)).turns[0]
    assert pair.generated.same is True
    assert pair.heard.b == "one two three four"
    assert pair.heard.only_a == 4
    assert [(each.path, each.a, each.b) for each in pair.status] == [("interrupted", False, True)]
    assert {"words", "status"} <= set(pair.differs)


def tooled(*calls: tuple[str, str], output: str = '{"ok": true}') -> Talk:
    """A written question and these tool calls, each answered."""
    talk = Talk().open(0).write(100, "Book it")
    talk.created(200, "R1")
    for n, (name, arguments) in enumerate(calls):
        body = {"id": f"C{n}", "type": "function_call", "call_id": f"c{n}", "name": name}
        whole = {**body, "status": "completed", "arguments": arguments}
        ids = {"response_id": "R1", "output_index": n}
        done = "response.function_call_arguments.done"
        talk.server(300 + n, "response.output_item.added", **ids, item={**body, "arguments": ""})
        talk.server(300 + n, done, **ids, item_id=f"C{n}", call_id=f"c{n}", arguments=arguments)
        talk.server(300 + n, "response.output_item.done", **ids, item=whole)
    talk.done(400, "R1")
    for n in range(len(calls)):
        item = {"type": "function_call_output", "call_id": f"c{n}", "output": output}
        talk.client(500 + n, "conversation.item.create", item=item)
    talk.client(520, "response.create")
    return talk.answer(600, "R2", "A2", [(700, 500)], text="Done.").close(3000)


def test_tools_are_compared_by_canonical_arguments() -> None:
    """Order of members and 2.0 for 2 are the same call; another value differs at its path."""
    one = side(tooled(("book", '{"seats": 2, "day": "Monday"}')))
    same = side(tooled(("book", '{"day":"Monday","seats":2.0}')))
    other = side(tooled(("book", '{"day":"Tuesday","seats":2,"window":true}')))
    assert compare(one, same).differs == ()
    (pair,) = compare(one, other).turns[0].tools
    assert pair.kind == CHANGED
    assert pair.changes == (
        Change("arguments.day", CHANGED, "Monday", "Tuesday"),
        Change("arguments.window", ONLY_B, None, True),
    )
    assert pair.a is not None
    assert pair.a.arguments == '{"day":"Monday","seats":2}'


def test_a_tool_call_more_and_another_output() -> None:
    """A call that only B made, and outputs compared as JSON where they are."""
    one, two = side(tooled(("find", "{}"))), side(tooled(("find", "{}"), ("book", "{}")))
    pairs = compare(one, two).turns[0].tools
    assert [(each.kind, (each.a or each.b).name) for each in pairs] == [
        (SAME, "find"),
        (ONLY_B, "book"),
    ]
    no = side(tooled(("find", "{}"), output='{"ok":false}'))
    (pair,) = compare(one, no).turns[0].tools
    assert pair.changes == (Change("output.ok", CHANGED, True, False),)


def test_tools_in_another_order_are_the_same_calls() -> None:
    """Nothing but the order differs, and that is said."""
    one = side(tooled(("find", "{}"), ("book", "{}")))
    two = side(tooled(("book", "{}"), ("find", "{}")))
    pair = compare(one, two).turns[0]
    assert [each.kind for each in pair.tools] == [SAME, SAME]
    assert pair.reordered
    assert pair.differs == ("tools",)


def test_arguments_that_are_no_json_are_text() -> None:
    """A model that writes half an object: compared as it came."""
    one, two = side(tooled(("book", '{"day": '))), side(tooled(("book", '{"day": "M')))
    (pair,) = compare(one, two).turns[0].tools
    assert pair.changes == (Change("arguments", CHANGED, '{"day":', '{"day": "M'),)
    assert compare(one, one).differs == ()


# ---- numbers


def test_latencies_and_their_parts_with_the_difference() -> None:
    """The answer of B begins 150 ms later: so does each figure that ends there, and one part."""
    found = compare(side(call(OPEN)), side(call(OPEN, late=150)))
    pair = found.turns[0]
    assert (number(pair, "v2v_audible").a.value, number(pair, "v2v_audible").b.value) == (600, 750)
    assert number(pair, "v2v_audible").difference == 150
    assert number(pair, "endpointing").difference == 0
    parts = {each.name: each.difference for each in pair.parts}
    assert parts["model_first_audio"] == 150
    assert sum(each or 0 for each in parts.values()) == 150
    assert found.differs == ("latency",)


def test_what_has_no_value_is_not_subtracted(shelf: Shelf) -> None:
    """An unanswered turn has no latency: there is no difference, and the reason is said."""
    a, b = golden_side(shelf, "ga_vad_turn"), golden_side(shelf, "unanswered_turn")
    pair = compare(a, b).turns[0]
    found = number(pair, "v2v_audible")
    assert (found.a.value, found.b.value, found.difference) == (550, None, None)
    assert found.b.reason == "unanswered"
    assert {each.difference for each in pair.parts} == {None}
    assert {"status", "latency"} <= set(pair.differs)


def test_parts_of_different_measures_are_not_subtracted() -> None:
    """One question was spoken, the other written: their parts begin at different moments."""
    written = Talk().open(0).write(100, OPEN[0])
    written.answer(200, "R0", "A0", [(500, 1000)], text=OPEN[1]).close(4000)
    pair = compare(side(call(OPEN)), side(written)).turns[0]
    both = [each for each in pair.parts if each.a.value is not None and each.b.value is not None]
    assert {each.name for each in both} >= {"response_start", "model_first_audio"}
    assert {(each.difference, each.why) for each in both} == {(None, "parts_of_another_measure")}


def test_a_session_without_times_has_words_and_no_differences_of_time() -> None:
    """The same call without its times: nothing is subtracted, and the words are the same."""
    untimed = call(OPEN).note(0, "opened", times="none")
    pair = compare(side(call(OPEN)), side(untimed)).turns[0]
    assert (pair.user.same, pair.heard.same) == (True, True)
    assert number(pair, "v2v_audible").b.reason == "no_times"
    assert {each.difference for each in (*pair.latencies, *pair.parts)} == {None}
    assert compare(side(untimed), side(untimed)).differs == ()


def test_a_session_without_audio_is_compared_by_what_the_server_said() -> None:
    """Nothing can be found in audio that is not there; the server's offsets are."""
    talk = call(OPEN)
    bare = [event._replace(audio=None) for event in talk.events]
    mute = side_of("b", analyse(lambda audio: bare), bare)
    pair = compare(side(talk), mute).turns[0]
    assert (pair.user.same, pair.heard.same) == (True, True)
    assert compare(mute, mute).differs == ()


def test_tokens_are_counted_and_unknown_ones_are_not_zero() -> None:
    """10 and 14 tokens are 4 more; a response that says nothing of its tokens is N/A."""

    def costing(output: int | None) -> Talk:
        talk = Talk().open(0).write(100, "Hi").created(200, "R1").part_of(201, "R1", "A1")
        usage = {"input_tokens": 5, "output_tokens": output} if output else None
        body = {"id": "R1", "status": "completed", "output": [], "usage": usage}
        return talk.server(300, "response.done", response=body).close(1000)

    more = compare(side(costing(10)), side(costing(14)))
    tokens = {each.name: each.difference for each in more.counts}
    assert (tokens["output_tokens"], tokens["input_tokens"]) == (4, 0)
    assert {each.name: each.difference for each in more.turns[0].usage}["output_tokens"] == 4
    none = compare(side(costing(10)), side(costing(None)))
    found = {each.name: each for each in none.counts}["output_tokens"]
    assert (found.b.value, found.difference, found.b.reason) == (None, None, "not_reported")


# ---- events and configuration


def test_the_grammar_folds_deltas_and_shows_what_came_in_another_order() -> None:
    """Twice as many deltas are the same run; a cancel is an event that only B's client sent."""
    one = call(OPEN)
    two = Talk().open(0).mic(0, 4000, speech=[(500, 2000)])
    two.heard(2250, "U0", start=200, end=2200).transcript(2400, "U0", OPEN[0])
    two.answer(2300, "R0", "A0", [(2600, 500), (2700, 500)], text=OPEN[1]).close(4000)
    assert "events" not in compare(side(one), side(two)).differs
    two.client(2650, "response.cancel")
    lanes = {each.lane: each for each in compare(side(one), side(two)).turns[0].grammar}
    assert lanes["output"].same
    (shift,) = lanes["client"].shifts
    assert (shift.kind, [run.types for run in shift.runs]) == (ONLY_B, [("response.cancel",)])


def test_what_names_no_turn_belongs_to_the_one_that_began_last() -> None:
    """A cancel 50 ms after `speech_started` of turn 2, before its commit: it is of turn 2."""
    cut = call(OPEN, WHERE).client(6200, "response.cancel")
    pairs = compare(side(call(OPEN, WHERE)), side(cut)).turns
    assert [pair.differs for pair in pairs] == [(), ("events",)]


def test_values_are_compared_as_json() -> None:
    """1 is 1.0, and true is no 1; null is as good as absent, an empty list is not."""
    assert changes({"a": 1, "b": [1.0, {"c": None}]}, {"a": 1.0, "b": [1, {}]}) == ()
    assert changes({"a": True}, {"a": 1}) == (Change("a", CHANGED, True, 1),)
    assert changes({"a": None}, {"a": []}) == (Change("a", ONLY_B, None, []),)
    assert changes({"a": [1, 2]}, {"a": [2, 1]}) == (
        Change("a[0]", CHANGED, 1, 2),
        Change("a[1]", CHANGED, 2, 1),
    )


def test_beta_and_ga_names_are_the_same_events() -> None:
    """A recording of the beta beside one of GA: the names do not differ, the dialect does."""
    found = compare(side(call(OPEN)), side(_beta()))
    assert "events" not in found.turns[0].differs
    assert Change("dialect", CHANGED, "ga", "beta") in found.facts


def _beta() -> Talk:
    talk = Talk(beta=True).open(0).mic(0, 4000, speech=[(500, 2000)])
    talk.heard(2250, "U0", start=200, end=2200).transcript(2400, "U0", OPEN[0])
    return talk.answer(2300, "R0", "A0", [(2600, 1000)], text=OPEN[1]).close(4000)


def test_the_configuration_is_compared_by_path_and_tools_by_name() -> None:
    """Another window, a tool more and one with another parameter; ids of sessions never differ."""

    def tools(kind: str) -> list[dict[str, object]]:
        return [{"type": "function", "name": "find", "parameters": {"type": kind}}]

    one = call(OPEN).server(
        50, "session.updated", session={"id": "sess_1", "tools": tools("object")}
    )
    more = [*tools("string"), {"type": "function", "name": "book"}]
    two = call(OPEN, silence_duration_ms=500).server(
        50, "session.updated", session={"id": "sess_2", "tools": more}
    )
    found = compare(side(one), side(two))
    assert found.settings == (
        Change("audio.input.turn_detection.silence_duration_ms", CHANGED, 200, 500),
        Change("tools[book].name", ONLY_B, None, "book"),
        Change("tools[book].type", ONLY_B, None, "function"),
        Change("tools[find].parameters.type", CHANGED, "object", "string"),
    )
    assert found.turns[0].settings == found.settings


def test_a_turn_has_the_configuration_that_it_was_answered_under() -> None:
    """B changes its voice after the first turn: only the second is answered under the other."""

    def voiced(voice: str) -> Talk:
        given = {"audio": {"output": {"voice": voice}}}
        return call(OPEN, WHERE).server(4100, "session.updated", session=given)

    found = compare(side(voiced("marin")), side(voiced("cedar")))
    assert found.turns[0].settings == ()
    change = Change("audio.output.voice", CHANGED, "marin", "cedar")
    assert found.turns[1].settings == (change,)
    assert found.settings == (change,)


def test_how_sessions_ended_and_their_errors_are_status() -> None:
    """One was closed by the network after an error."""
    bad = call(OPEN).server(3000, "error", error={"type": "server_error", "code": "boom"})
    bad.close(16_000, 1006, "network")
    found = compare(side(call(OPEN)), side(bad))
    assert Change("errors", ONLY_B, None, ["boom"]) in found.facts
    assert "status" in found.differs


# ---- what is odd


def test_empty_and_interrupted_sessions() -> None:
    """Nothing at all, an opened session, and one that just stops: compared, never an error."""
    nothing, opened = side(Talk()), side(Talk().open(0))
    stopped = Talk().open(0).mic(0, 3000, speech=[(500, 2000)])
    stopped.heard(2250, "U0", start=200, end=2200).created(2300, "R0")
    for one in (nothing, opened, side(stopped)):
        assert compare(one, one).differs == ()
    assert compare(nothing, nothing).turns == ()
    assert compare(nothing, side(call(OPEN))).differs[0] == "turns"
    assert paired(compare(side(call(OPEN)), side(stopped))) == [(1, 1)]


def test_hostile_text_is_data() -> None:
    """Escape sequences, markup, lone brackets and giant words: kept as they are, and JSON."""
    evil = "\x1b]0;pwned\x07 [bold]x[/bold] [-gone-] \u202e </script>"
    found = compare(side(call((evil, evil))), side(call((evil, evil + " more"))))
    pair = found.turns[0]
    assert pair.user.same is True
    assert pair.heard.stretches[-1] == Stretch(ONLY_B, "", "more")
    assert orjson.loads(orjson.dumps(as_json(found)))["turns"][0]["user"]["a"] == evil


def test_huge_texts_are_told_without_being_laid_beside_each_other() -> None:
    """Two texts of 5,000 words each, nothing in common but the ends: one difference."""
    one = " ".join(["Hello", *(f"a{n}" for n in range(5000)), "bye"])
    two = " ".join(["Hello", *(f"b{n}" for n in range(5000)), "bye"])
    found = compare(side(call(("Hi", one))), side(call(("Hi", two)))).turns[0].heard
    kinds = [each.kind for each in found.stretches]
    assert kinds == [SAME, ONLY_A, ONLY_B, SAME]
    assert (found.only_a, found.only_b) == (5000, 5000)


@pytest.mark.parametrize("depth", [20, 200, 900])
def test_what_is_nested_deep_is_compared_as_one(depth: int) -> None:
    """Arguments and settings as deep as a parser takes them: told, and JSON all the same."""

    def nested(end: str) -> str:
        return '{"a":' * depth + end + "}" * depth

    one, two = side(tooled(("book", nested("1")))), side(tooled(("book", nested("2"))))
    assert compare(one, one).differs == ()
    assert compare(one, two).turns[0].tools[0].kind == CHANGED
    deep = side(call(OPEN).raw(Origin.SERVER, 50, _stated(nested("1"))))
    told = compare(side(call(OPEN)), deep)
    assert "configuration" in told.differs
    orjson.dumps(as_json(told))
    orjson.dumps(as_json(compare(one, two)))


def _stated(tracing: str) -> bytes:
    return f'{{"type":"session.updated","session":{{"tracing":{tracing}}}}}'.encode()


# ---- golden calls


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_a_golden_call_does_not_differ_from_itself(shelf: Shelf, name: str) -> None:
    """Tools, errors, barge-ins, reconnects, dialects: nothing is found, on any of its lines."""
    for row in range(SESSIONS[name][1]):
        found = golden_side(shelf, name, row)
        assert compare(found, found).differs == ()


def test_two_recordings_of_one_script_differ_by_what_was_changed() -> None:
    """The sandbox with the same script, its first audio 100 ms later in B: that and nothing else.

    v2v_audible is 550 in the first (`test_golden_turns`).
    """

    def played(first: int) -> Side:
        from recorder.sandbox.script import Script

        line = Line(script=Script(), name="diff", number=900)
        line.answers(answer(says("Nine in the morning.", lead=100, first=first)))
        line.hears(heard("When do you open?")).dial()
        one_turn(line)
        return side_of("x", analyse(lambda audio: line.log), line.log)

    found = compare(played(200), played(300))
    pair = found.turns[0]
    value = number(pair, "v2v_audible")
    assert (value.a.value, value.b.value, value.difference) == (550, 650, 100)
    changed = {each.name: each.difference for each in pair.parts if each.difference}
    assert changed == {"model_first_audio": 100}
    assert found.differs == ("latency",)


# ---- laws

LIKE = st.lists(st.sampled_from(["x", "y", "x y", None]), max_size=5)
"""What users said in a few turns that are much alike."""


@settings(max_examples=50, deadline=None)
@given(sides())
def test_a_session_never_differs_from_itself(a: Side) -> None:
    """Whatever it is."""
    found = compare(a, a)
    assert found.differs == ()
    assert paired(found) == [(turn.index, turn.index) for turn in a.turns]


@settings(max_examples=100, deadline=None)
@given(sides(), sides())
def test_seen_from_the_other_side_everything_is_turned_round(a: Side, b: Side) -> None:
    """The same pairs, the same kinds of differences, every difference negated."""
    there, back = compare(a, b), compare(b, a)
    assert there.differs == back.differs
    assert sorted(map(str, paired(there))) == sorted(str((two, one)) for one, two in paired(back))
    both = {(p.a.index, p.b.index): p for p in there.turns if p.a and p.b}
    for pair in back.turns:
        if pair.a is None or pair.b is None:
            continue
        other = both[pair.b.index, pair.a.index]
        assert pair.differs == other.differs
        for mine, theirs in zip(
            (*pair.latencies, *pair.parts, *pair.usage),
            (*other.latencies, *other.parts, *other.usage),
            strict=True,
        ):
            assert (mine.a, mine.b) == (theirs.b, theirs.a)
            assert (mine.difference is None) == (theirs.difference is None)
            assert mine.difference is None or mine.difference == -theirs.difference
        assert (pair.heard.only_a, pair.heard.only_b) == (other.heard.only_b, other.heard.only_a)
        assert [_turned(each) for each in pair.settings] == list(other.settings)
        for mine, theirs in zip(pair.grammar, other.grammar, strict=True):
            assert mine.same == theirs.same
            assert _runs(mine.shifts, ONLY_A) == _runs(theirs.shifts, ONLY_B)


def _turned(change: Change) -> Change:
    kind = {ONLY_A: ONLY_B, ONLY_B: ONLY_A}.get(change.kind, change.kind)
    return Change(change.path, kind, change.b, change.a)


def _runs(shifts: tuple[Shift, ...], kind: str) -> list[tuple[str, ...]]:
    return [run.types for shift in shifts if shift.kind == kind for run in shift.runs]


@given(LIKE, LIKE)
def test_pairs_are_the_same_from_the_other_side(a: list[str | None], b: list[str | None]) -> None:
    """Where many pairs would do as well, the same are taken whichever side is asked."""
    mine, yours = ([_asking(n, words) for n, words in enumerate(each, 1)] for each in (a, b))
    there = {pair for pair in aligned(mine, yours) if None not in pair}
    back = {(two, one) for one, two in aligned(yours, mine) if None not in (one, two)}
    assert there == back


def _asking(index: int, words: str | None) -> SideTurn:
    return SideTurn(
        index=index, kind="user", trigger="vad_commit", start_ns=0, end_ns=0, user=words,
        heard="", generated="", tools=(), status="answered", interrupted=False, flags=(),
        responses=(), latencies={}, waterfall="", parts={}, usage={},
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(sides(), sides())
def test_pairs_keep_the_order_of_both_sides_and_lose_nothing(a: Side, b: Side) -> None:
    """Every turn of both stands in the comparison once, in its order; kinds are never mixed."""
    found = compare(a, b)
    assert [p.a.index for p in found.turns if p.a] == [turn.index for turn in a.turns]
    assert [p.b.index for p in found.turns if p.b] == [turn.index for turn in b.turns]
    assert all(p.a.kind == p.b.kind for p in found.turns if p.a and p.b)
    for pair in found.turns:
        assert set(pair.differs) <= set(KINDS)
        for each in (*pair.latencies, *pair.parts):
            missing = each.a.value is None or each.b.value is None
            assert (each.difference is None) == (missing or bool(each.why))


@settings(max_examples=50, deadline=None)
@given(sides(), sides())
def test_stretches_are_the_texts(a: Side, b: Side) -> None:
    """The words of both stretches, put together again, are those of the texts."""
    for pair in compare(a, b).turns:
        if pair.heard.same is None:
            continue
        left = " ".join(each.a for each in pair.heard.stretches if each.a)
        right = " ".join(each.b for each in pair.heard.stretches if each.b)
        assert _letters(left) == _letters(pair.heard.a or "")
        assert _letters(right) == _letters(pair.heard.b or "")


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


@settings(max_examples=20, deadline=None)
@given(sides(), sides())
def test_the_result_is_json_in_one_order(a: Side, b: Side) -> None:
    """Dataclasses as they are, and the documented form; twice the same bytes."""
    found = compare(a, b)
    assert orjson.dumps(found) == orjson.dumps(compare(a, b))
    assert orjson.dumps(as_json(found)) == orjson.dumps(as_json(compare(a, b)))


def test_a_rerun_of_one_turn_is_compared_with_that_turn_alone() -> None:
    """B is a rerun of turn 2: turn 1 and 3 of the original are not missing, they are not meant."""
    original = side(call(OPEN, WHERE, COST))
    rerun = side(call(WHERE), "b", turn_of=2)
    found = compare(original, rerun)
    assert paired(found) == [(2, 1)]
    assert "turns" not in found.differs
    # In the original the assistant spoke before: only there is a gap to the turn before.
    differing = [each for each in found.turns[0].latencies if each.differs]
    assert [(each.name, each.b.value) for each in differing] == [("turn_gap", None)]
    assert found.differs == ("latency",)
    counts = {each.name: each for each in found.counts}
    assert counts["responses"].difference == 0
    assert counts["errors"].a.reason == counts["errors"].b.reason == "single_turn"
    turned = compare(rerun, original)
    assert paired(turned) == [(1, 2)]
