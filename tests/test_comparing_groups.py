"""Groups of sessions beside each other, tolerances and gates."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.comparing import Side, compare
from recorder.comparing.formats import groups_as_json, render_junit
from recorder.comparing.groups import compare_groups, judged_groups
from recorder.comparing.nouns import Change, GroupComparison, GroupMeasure
from recorder.comparing.tolerances import GATES, NAMES, judged, parse_gate, parse_tolerance
from recorder.errors import UsageError

from .building import Talk
from .comparing_kit import call, renamed, side

OPEN = ("When do you open?", "At nine.")
WHERE = ("Where are you?", "In Bath.")


def group(name: str, *lates: int, **more: str) -> list[Side]:
    """A session for each of these, of two turns; v2v_audible is 600 + `late` in both."""
    return [
        renamed(side(call(OPEN, WHERE, late=late)), f"{name}{n}", **more)
        for n, late in enumerate(lates)
    ]


def found(comparison: GroupComparison, name: str) -> GroupMeasure:
    """One number of it."""
    measures = (*comparison.measures, *comparison.counts)
    return next(each for each in measures if each.name == name)


A = group("a", 0, 10, 20, 30, 40)
SLOW = group("b", 200, 210, 220, 230, 240)
ALIKE = group("b", 40, 0, 30, 10, 21)


# ---- groups


def test_a_difference_that_is_more_than_chance() -> None:
    """Medians of 620 and 820 over ten turns each; the least of B is far beyond the most of A."""
    each = found(compare_groups(A, SLOW), "v2v_audible")
    assert (each.a, each.b, each.difference) == (620, 820, 200)
    assert (each.n_a, each.n_b, each.calls_a, each.calls_b) == (10, 10, 5, 5)
    assert each.low is not None
    assert each.high is not None
    assert 160 <= each.low < each.high <= 240
    assert each.verdict == "more than chance"
    assert each.sentence.startswith("v2v_audible: 200 ms longer in B by turn: this is more than")


def test_a_difference_that_chance_may_have_made() -> None:
    """The same lengths but for one millisecond: the interval is on both sides of nothing."""
    each = found(compare_groups(A, ALIKE), "v2v_audible")
    assert each.verdict == "no more than chance"
    assert each.low is not None
    assert each.high is not None
    assert each.low <= 0 <= each.high
    assert "chance alone may have made this" in each.sentence


def test_from_few_calls_it_could_not_be_told() -> None:
    """Four calls against five: medians and difference, no interval, and that is said."""
    each = found(compare_groups(A[:4], SLOW), "v2v_audible")
    assert (each.low, each.high, each.verdict) == (None, None, "could not tell")
    assert "4 and 5 calls, at least 5 on each side are needed" in each.sentence


def test_sessions_of_one_call_are_one() -> None:
    """Five connections of one call are not five independent calls."""
    one_call = group("b", 200, 210, 220, 230, 240, call="4711")
    each = found(compare_groups(A, one_call), "v2v_audible")
    assert (each.calls_b, each.verdict) == (1, "could not tell")


def test_turns_are_paired_so_that_a_slow_turn_weighs_in_neither() -> None:
    """Turn 2 takes two seconds in both groups, B lost it in three of five calls, and is 100 ms
    slower in turn 1: by median alone B would look far faster."""

    def slow(name: str, more: int, *, whole: bool) -> Side:
        talk = call(OPEN, late=more)
        if whole:
            talk = Talk().open(0).mic(0, 8000, speech=[(500, 2000), (4500, 6000)])
            for n, (question, text) in enumerate((OPEN, WHERE)):
                at = 4000 * n
                talk.heard(at + 2250, f"U{n}", start=at + 200, end=at + 2200)
                talk.transcript(at + 2400, f"U{n}", question)
                late = more + 2000 * n
                talk.answer(at + 2300, f"R{n}", f"A{n}", [(at + 2600 + late, 100)], text=text)
            talk.close(12_000)
        return renamed(side(talk), name)

    a = [slow(f"a{n}", 0, whole=True) for n in range(5)]
    b = [slow(f"b{n}", 100, whole=n < 2) for n in range(5)]
    each = found(compare_groups(a, b), "v2v_audible")
    assert each.a == 1600  # between 600 and 2600
    assert each.b == 700
    assert each.difference == 100
    assert each.verdict == "more than chance"


def test_the_same_seed_gives_the_same_interval() -> None:
    """And another may give another; the medians are the same."""
    one, two = (compare_groups(A, ALIKE, seed=3) for _ in range(2))
    assert orjson.dumps(groups_as_json(one)) == orjson.dumps(groups_as_json(two))
    other = found(compare_groups(A, ALIKE, seed=4), "v2v_audible")
    assert other.difference == found(one, "v2v_audible").difference


def test_a_group_beside_itself_has_no_difference() -> None:
    """Every difference is nothing, and nothing is new."""
    again = [renamed(each, f"b{n}") for n, each in enumerate(A)]
    same = compare_groups(A, again)
    assert {each.difference for each in (*same.measures, *same.counts)} == {0}
    assert same.new == ()
    assert {each.verdict for each in same.measures} == {"no more than chance"}


def test_turns_say_what_is_new_in_b() -> None:
    """One call of B answers otherwise in turn 2, and one does not answer turn 1."""
    other = renamed(side(call(OPEN, (WHERE[0], "In York."))), "x")
    talk = Talk().open(0).mic(0, 9000, speech=[(500, 2000), (4500, 6000)])
    talk.heard(2250, "U0", start=200, end=2200).transcript(2400, "U0", OPEN[0])
    talk.heard(6250, "U1", start=4200, end=6200).transcript(6400, "U1", WHERE[0])
    talk.answer(6300, "R1", "A1", [(6600, 1000)], text=WHERE[1]).close(9000)
    told = compare_groups(A, [*SLOW, other, renamed(side(talk), "y")])
    first, second = told.turns
    assert first.statuses_b == {"answered": 6, "unanswered": 1}
    assert "status" in first.new
    assert (second.answers_a, second.answers_b) == (1, 2)
    assert second.new == ("words",)
    assert "words" in told.new


def test_the_configuration_of_groups_is_told_by_path() -> None:
    """Another window in all of B; in one of six of A another one again."""
    b = [renamed(side(call(OPEN, silence_duration_ms=500)), f"b{n}") for n in range(2)]
    a = [*group("a", 0), renamed(side(call(OPEN, silence_duration_ms=300)), "x")]
    told = compare_groups(a, b)
    path = "audio.input.turn_detection.silence_duration_ms"
    assert told.settings == (Change(path, "changed", [200, 300], 500),)
    assert "configuration" in told.new
    assert compare_groups(a, [renamed(each, f"c{n}") for n, each in enumerate(a)]).settings == ()


def test_reruns_of_single_turns_are_laid_beside_their_turn() -> None:
    """Six reruns of turn 2 alone, three a side: all values are of the original's turn 2."""
    original = renamed(side(call(OPEN, WHERE)), "o")
    a, b = (
        [renamed(side(call(WHERE, late=late + n)), f"{late}-{n}", turn_of=2) for n in range(3)]
        for late in (0, 50)
    )
    told = compare_groups(a, b, reference=original)
    assert [(turn.number, turn.n_a, turn.n_b) for turn in told.turns] == [(1, 0, 0), (2, 3, 3)]
    assert told.turns[0].measure is None
    assert found(told, "v2v_audible").difference == 50
    assert told.extra_a == told.extra_b == 0
    assert told.new == ()
    mixed = compare_groups([original], a)
    assert mixed.counts == ()  # two turns beside one would be no difference
    assert mixed.new == ()


def test_an_empty_group_is_an_error() -> None:
    """Nothing is compared with nothing."""
    with pytest.raises(UsageError, match="one of the groups has no session"):
        compare_groups(A, [])


def test_sessions_without_any_turn() -> None:
    """Groups of nothing but openings: no turns, no values, no error."""
    empty = [renamed(side(Talk().open(0)), f"e{n}") for n in range(5)]
    told = compare_groups(empty, [renamed(each, f"f{n}") for n, each in enumerate(empty)])
    assert told.turns == ()
    (judgement,) = judged_groups(told, [parse_tolerance("v2v_audible=+1%")])
    assert judgement.verdict == "could not tell"


# ---- tolerances of groups


@pytest.mark.parametrize(
    ("words", "b", "verdict"),
    [
        ("v2v_audible=+20%", SLOW, "broken"),  # 200 more on 620
        ("v2v_audible=+199ms", SLOW, "broken"),
        ("v2v_audible=+200ms", SLOW, "held"),
        ("v2v_audible=+33%", SLOW, "held"),  # 204.6
        ("v2v_audible=-10%", SLOW, "held"),  # it rose
        ("v2v_audible=10%", SLOW, "broken"),
        ("v2v_audible=+5ms", ALIKE, "held"),  # 1 ms
        ("v2v_audible=+0ms", ALIKE, "could not tell"),
        ("waterfall.model_first_audio=+100ms", SLOW, "broken"),
        ("turns=+0", SLOW, "held"),
        ("tool_exec=+1ms", SLOW, "could not tell"),
        ("v2v_audible=+1000ms", SLOW[:4], "could not tell"),
    ],
)
def test_tolerances_of_groups(words: str, b: list[Side], verdict: str) -> None:
    """Broken only by what is more than chance; from four calls nothing can be told."""
    tolerance = parse_tolerance(words)
    told = compare_groups(A, b, needed=[tolerance.name])
    (judgement,) = judged_groups(told, [tolerance])
    assert judgement.verdict == verdict, judgement.why


def test_what_is_over_but_may_be_chance_could_not_be_told() -> None:
    """Two of five calls are slow: over the tolerance, and chance may have made it."""
    mixed = group("b", 25, 26, 26, 200, 210)
    told = compare_groups(A, mixed)
    each = found(told, "v2v_audible")
    assert each.verdict == "no more than chance"
    (judgement,) = judged_groups(told, [parse_tolerance("v2v_audible=+1ms")])
    assert judgement.verdict == "could not tell"
    assert "More calls would tell" in judgement.why


def test_gates_of_groups_look_for_what_never_was_in_a() -> None:
    """Another wording in one of six calls of B."""
    other = renamed(side(call(OPEN, (WHERE[0], "In York."))), "x")
    told = compare_groups(A, [*SLOW, other])
    words, tools = judged_groups(told, [], ["words", "tools"])
    assert (words.verdict, words.turns) == ("broken", (2,))
    assert tools.verdict == "held"


# ---- tolerances of two sessions


def verdict(words: str, a: Side, b: Side) -> tuple[str, tuple[int, ...]]:
    """What becomes of the tolerance, and in which turns."""
    (judgement,) = judged(compare(a, b), [parse_tolerance(words)])
    return judgement.verdict, judgement.turns


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("v2v_audible=+20%", ("broken", (1, 2))),  # 600 to 730: 21.7 %
        ("v2v_audible=+130ms", ("held", ())),
        ("v2v_audible=+0.12s", ("broken", (1, 2))),
        ("v2v_audible=-1%", ("held", ())),
        ("v2v_audible = 22%", ("held", ())),
        ("waterfall.model_first_audio=+130ms", ("held", ())),
        ("waterfall.model_first_audio=+129.999ms", ("broken", (1, 2))),
        ("endpointing=+0ms", ("held", ())),
        ("v2v_heard=+1s", ("could not tell", ())),
        ("turns=+0", ("held", ())),
        ("assistant_words=-0", ("held", ())),
        ("output_tokens=+5", ("could not tell", ())),  # nobody reported any
    ],
)
def test_tolerances_of_two_sessions(words: str, expected: tuple[str, tuple[int, ...]]) -> None:
    """Every turn is held against its own: 600 and 730 ms."""
    assert verdict(words, A[0], side(call(OPEN, WHERE, late=130))) == expected


def test_a_turn_without_a_value_is_left_out_and_counted() -> None:
    """B has one turn of two: the other is left out, not 0, and that is said."""
    a, b = A[0], side(call(OPEN, late=10))
    (judgement,) = judged(compare(a, b), [parse_tolerance("v2v_audible=+20ms")])
    assert (judgement.verdict, judgement.n, judgement.left_out) == ("held", 1, 1)
    assert "1 left out" in judgement.why
    assert verdict("turns=-0", a, b)[0] == "broken"
    assert verdict("turns=+0", a, b)[0] == "held"
    assert verdict("turns=-50%", a, b)[0] == "held"


def test_suspect_values_judge_nothing() -> None:
    """Under 50 ms a join is nearly always wrong: it is neither too long nor too short."""

    def written(late: float) -> Side:
        talk = Talk().open(0).write(100, OPEN[0])
        return side(talk.answer(110, "R", "A", [(140 + late, 500)], text=OPEN[1]).close(2000))

    told = compare(written(0), written(300))
    (judgement,) = judged(told, [parse_tolerance("create_to_audio=+1ms")])
    assert judgement.verdict == "could not tell"
    assert "under 50 ms" in judgement.why


def test_wording_gates_only_if_asked() -> None:
    """Another answer: nothing is broken by it but the gate of words."""
    a, b = side(call(OPEN)), side(call((OPEN[0], "At ten.")))
    told = compare(a, b)
    assert told.differs == ("words",)
    every = [parse_tolerance(f"{name}=+0%") for name in NAMES]
    assert "broken" not in {each.verdict for each in judged(told, every)}
    verdicts = {each.text: each.verdict for each in judged(told, [], GATES)}
    assert [name for name, each in verdicts.items() if each == "broken"] == ["words"]


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 100))
def test_a_tolerance_is_arithmetic(a: int, change: int, percent: int) -> None:
    """b may be at most a and its share; of 0 there is no share."""
    rise = parse_tolerance(f"v2v_audible=+{percent}%")
    assert rise.allows(a, change) == (100 * change <= percent * a)
    assert rise.allows(a, -change)
    fall = parse_tolerance(f"v2v_audible=-{percent}%")
    assert fall.allows(a, -change) == (100 * change <= percent * a)
    either = parse_tolerance(f"v2v_audible={percent}%")
    assert either.allows(a, change) == either.allows(a, -change) == rise.allows(a, change)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("v2v_audable=+20%", "did you mean v2v_audible"),
        ("tool=+20ms", "waterfall.tool"),
        ("=+20%", "one of v2v_audible"),
        ("v2v_audible", "expected a name, =, and how far"),
        ("v2v_audible=", "expected a name, =, and how far"),
        ("v2v_audible=+fast", "expected a name, =, and how far"),
        ("v2v_audible=+20", r"one of \+20%, \+20ms, \+20s"),
        ("v2v_audible=+20min", r"one of \+20%, \+20ms, \+20s"),
        ("turns=+1ms", r"one of \+1%, \+1"),
        ("v2v_audible=+-20%", "expected a name, =, and how far"),
    ],
)
def test_a_tolerance_that_is_none_says_what_would_be(words: str, told: str) -> None:
    """The nearest names, or the form."""
    with pytest.raises(UsageError, match=told):
        parse_tolerance(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("word", "did you mean words"),
        ("latency", "--tolerance, as in v2v_audible"),
        ("usage", "--tolerance, as in output_tokens"),
        ("ttft", "--tolerance, as in ttft"),
        ("zzz", "one of turns, words, tools, status, events, configuration"),
    ],
)
def test_a_gate_that_is_none_says_what_would_be(words: str, told: str) -> None:
    """The nearest kind, or that a number has a tolerance."""
    with pytest.raises(UsageError, match=told):
        parse_gate(words)


def test_junit_tells_broken_from_could_not_tell() -> None:
    """Broken is a failure, could not tell an error; no control character gets into the XML."""
    told = judged(
        compare(A[0], SLOW[0]),
        [parse_tolerance(t) for t in ("v2v_audible=+1%", "ttft=+900ms", "tool_exec=+1%")],
    )
    assert [each.verdict for each in told] == ["broken", "held", "could not tell"]
    suites = ET.fromstring(render_junit(told, "a\x1b against <b>"))
    assert (suites.get("failures"), suites.get("errors"), suites.get("tests")) == ("1", "1", "3")
    cases = list(suites.iter("testcase"))
    assert [case.get("name") for case in cases] == [each.text for each in told]
    assert [[child.tag for child in case] for case in cases] == [["failure"], [], ["error"]]
    assert "turn 1: 600 ms, 800 ms: +200 ms" in (cases[0][0].text or "")
