"""Scripts as files: what they may hold, and what is said of a bad one."""

from __future__ import annotations

import json

import pytest

from recorder.errors import UsageError
from recorder.sandbox.builtin import DEMO_CALLER, SCRIPTS
from recorder.sandbox.script import Answer, Call, Fault, Heard, Say, Script, When
from recorder.sandbox.script_file import load_script, parse_script
from recorder.sandbox.signals import Chirp, Tone


def test_a_file_is_the_script_it_describes(tmp_path):
    """Every kind of member arrives as the class it stands for."""
    path = tmp_path / "script.json"
    path.write_text(
        json.dumps(
            {
                "name": "mine",
                "answers": [
                    {
                        "when": {"contains": "weather", "tool": "get_weather"},
                        "times": None,
                        "items": [
                            {"say": "One moment.", "sound": [{"tone": 440, "ms": 5}]},
                            {"say": "", "sound": [{"chirp": [100, 900.5]}], "speed": 0.5},
                            {"call": "get_weather", "arguments": {"city": "Rome"}},
                        ],
                    }
                ],
                "heard": [{"text": "what is the weather", "delay_ms": 900}],
                "faults": [{"do": "close", "on": "response.*", "nth": None, "code": 4321}],
                "max_duration_ms": 5000,
            }
        )
    )

    script = load_script(path)

    assert script == Script(
        name="mine",
        answers=(
            Answer(
                when=When(contains="weather", tool="get_weather"),
                times=None,
                items=(
                    Say("One moment.", (Tone(440.0, 5),)),
                    Say("", (Chirp((100.0, 900.5)),), speed=0.5),
                    Call("get_weather", {"city": "Rome"}),
                ),
            ),
        ),
        heard=(Heard(text="what is the weather", delay_ms=900),),
        faults=(Fault(do="close", on="response.*", nth=None, code=4321),),
        max_duration_ms=5000,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "script is not JSON"),
        ("[]", "script: expected an object, found []"),
        ('{"answer": []}', "script: unknown member 'answer'; there are: name, answers"),
        ('{"answers": {}}', "script.answers: expected a list, found {}"),
        ('{"answers": [{"times": "x"}]}', "script.answers[0].times: expected a whole number"),
        ('{"answers": [{"times": true}]}', "script.answers[0].times: expected a whole number"),
        (
            '{"answers": [{"items": [{"sya": "x"}]}]}',
            "script.answers[0].items[0]: expected an object with one of say, call, mcp",
        ),
        (
            '{"answers": [{"items": [{"say": 1}]}]}',
            "script.answers[0].items[0].say: expected a string, found 1",
        ),
        (
            '{"answers": [{"items": [{"mcp": "x"}]}]}',
            "script.answers[0].items[0]: the member 'server' is missing",
        ),
        (
            '{"answers": [{"items": [{"call": "f", "arguments": 3}]}]}',
            "script.answers[0].items[0].arguments: expected an object or a string, found 3",
        ),
        (
            '{"answers": [{"items": [{"say": "", "sound": [{"clip": "x"}]}]}]}',
            "script.answers[0].items[0].sound[0]: no clip 'x'; there are: caller_",
        ),
        (
            '{"answers": [{"items": [{"say": "", "speed": 0}]}]}',
            "script.answers[0].items[0]: speed must be above 0",
        ),
        (
            '{"answers": [{"when": {"modality": "smell"}}]}',
            "script.answers[0].when.modality: expected 'text' or 'audio', found \"smell\"",
        ),
        ('{"faults": [{"do": "panic", "at_ms": 1}]}', "script.faults[0]: do must be one of event"),
        ('{"faults": [{"do": "abort"}]}', "script.faults[0]: give either on or at_ms"),
        ('{"faults": [{"do": "drop", "at_ms": 1}]}', "script.faults[0]: give either|drop needs on"),
        ('{"faults": [{"do": "delay", "on": "x"}]}', "script.faults[0]: delay needs ms"),
        (
            '{"faults": [{"do": "close", "at_ms": 1, "code": 70000}]}',
            "script.faults[0]: code must be 1000 to 4999",
        ),
        ('{"otherwise": []}', "script: otherwise must hold at least one answer"),
        (
            '{"max_duration_ms": null}',
            "script.max_duration_ms: expected a whole number, found null",
        ),
    ],
)
def test_a_bad_script_says_where_and_what(text, message):
    """The path to the member, what was expected, and what was found."""
    with pytest.raises(UsageError) as caught:
        parse_script(text)

    assert any(part in str(caught.value) for part in message.split("|"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    """The path is in the message."""
    with pytest.raises(UsageError, match=r"nowhere\.json: No such file"):
        load_script(tmp_path / "nowhere.json")


def test_the_shipped_scripts_fit_what_they_are_for():
    """The demo hears each of its caller's lines, in order."""
    demo = SCRIPTS["demo"]

    assert len(demo.heard) == len(DEMO_CALLER)
    assert all(heard.text for heard in demo.heard)
