"""Which answer a script gives when."""

from __future__ import annotations

import pytest

from recorder.sandbox.answers import Repertoire, Situation, fits
from recorder.sandbox.builtin import DEMO, SMALL_TALK
from recorder.sandbox.config import Config
from recorder.sandbox.script import Answer, Call, Say, Script, When

VOICE, TEXT = Config(), Config(output_modalities=("text",))
TOOL = {"type": "function", "name": "get_weather"}


def named(text, **more):
    """An answer that says that."""
    return Answer(items=(Say(text),), **more)


def chosen(script, *situations):
    """What is said, or called, in these situations one after the other."""
    repertoire = Repertoire(script)
    items = [repertoire.choose(each).items[-1] for each in situations]
    return [item.say if isinstance(item, Say) else item.call for item in items]


def test_answers_come_in_order_and_then_the_others_take_turns():
    """Each is used once unless it says otherwise."""
    script = Script(
        answers=(named("a", times=2), named("b")),
        otherwise=(named("x"), named("y")),
    )

    assert chosen(script, *[Situation(config=VOICE)] * 7) == ["a", "a", "b", "x", "y", "x", "y"]


@pytest.mark.parametrize(
    ("when", "more", "holds"),
    [
        (When(), {}, True),
        (When(contains="ORDER"), {"user_words": "where is my order"}, True),
        (When(contains="order"), {"user_words": "hello"}, False),
        (When(contains="order"), {"user_words": "my order", "after_tool": "f"}, False),
        (When(turn=2), {"turn": 2}, True),
        (When(turn=2), {"turn": 3}, False),
        (When(after_tool="f"), {"after_tool": "f"}, True),
        (When(after_tool="f"), {"after_tool": "g"}, False),
        (When(after_tool="*"), {"after_tool": ""}, True),
        (When(after_tool="*"), {}, False),
        (When(modality="audio"), {}, True),
        (When(modality="text"), {}, False),
        (When(modality="text"), {"config": TEXT}, True),
        (When(out_of_band=True), {"out_of_band": True}, True),
        (When(out_of_band=False), {"out_of_band": True}, False),
        (When(tool="get_weather"), {"config": Config(tools=(TOOL,))}, True),
        (When(tool="get_weather"), {"config": Config(tools=(TOOL,)), "after_tool": "f"}, False),
        (When(tool="get_weather"), {"config": Config(tools=(TOOL,), tool_choice="none")}, False),
        (When(tool="get_weather"), {}, False),
        (When(turn=1, contains="x"), {"user_words": "y"}, False),
    ],
)
def test_every_condition_counts(when, more, holds):
    """An answer fits where all that it asks for is so."""
    assert fits(when, Situation(**{"config": VOICE, **more})) == holds


def test_small_talk_knows_some_words_and_echoes_the_rest():
    """In text it repeats what it does not know; with a function it calls it, and goes on."""
    with_tool = Config(output_modalities=("text",), tools=(TOOL,))

    assert chosen(
        SMALL_TALK,
        Situation(config=TEXT, user_words="Hello!"),
        Situation(config=TEXT, user_words="blue"),
        Situation(config=with_tool, user_words="the weather?"),
        Situation(config=with_tool, user_words="the weather?", after_tool="get_weather"),
    ) == [
        "Hello how can I help you today?",
        "You said: {user}",
        "get_weather",
        "Here is what I found: {output}",
    ]


def test_small_talk_never_runs_dry_in_voice():
    """It talks on, in several ways, and calls a function in the second turn."""
    tools = Config(tools=(TOOL,))
    turns = [Situation(config=tools, turn=turn) for turn in (1, 2, 3, 4)]

    said = chosen(SMALL_TALK, *turns, Situation(config=tools, after_tool="get_weather"))

    assert said[1] == "get_weather"
    assert len({said[0], *said[2:]}) == 4


def test_the_demo_follows_its_caller():
    """Question, call, continuation, slow answer, long answer, farewell."""
    tool = {"after_tool": "order_status"}
    steps = [{}, {}, tool, {}, {}, {}]

    said = chosen(DEMO, *[Situation(config=VOICE, **each) for each in steps])

    assert said[1] == "order_status"
    assert [each.split()[0] for each in said] == ["We", "order_status", "It", "Yes", "Put", "You"]
    calls = [item for answer in DEMO.answers for item in answer.items if isinstance(item, Call)]
    assert len(calls) == 1
