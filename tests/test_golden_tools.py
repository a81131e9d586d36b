"""Golden calls, by hand: tools, MCP, failures, and what goes on beside the conversation.

The question sounds from 1320 to 2600; `speech_stopped` and `committed` at 2840, the response is
created at 2850 (see `test_golden_turns`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.golden.tools
from tests.golden.reading import figures, findings, parts, qualities, said, turns
from tests.golden.shelf import KEPT, Shelf, open_shelf

USER = ("user", 1320, 2600, tests.golden.tools.ASKED)
HEARD = {  # the same in all of these
    "endpointing": 240,
    "input_backlog": 0,
    "onset_difference": 12,
    "end_difference": 24,
    "transcription_delay": 840,
    "transcription_commit": 600,
    "first_words": 1920,
    "response_start": 10,
}
HEARD_PARTS = {"input_backlog": 0, "endpointing_window": 200, "endpointing_rest": 40}


@pytest.fixture(scope="module", params=KEPT)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with open_shelf(request.param, tmp_path_factory.mktemp("golden")) as opened:
        yield opened


def test_a_tool_call_and_its_continuation(shelf: Shelf) -> None:
    """Arguments from 3000 in two pieces, complete at 3020; output and request at 3720; created
    3730, its audio 300 after that, with 40 ms of silence: 4030, 4070. One turn, two responses."""
    found = shelf.analysis("tool_call")

    assert said(found) == [
        USER,
        ("tool", 3020, 3720, 'look_up({"id":427})'),
        ("assistant", 4030, 4570, "In bay seven."),
    ]
    assert turns(found) == [("vad_commit", "answered", 2, ("tools",))]
    assert figures(found) == HEARD | {
        "v2v_audible": 1470,  # 4070 - 2600
        "v2v_wire": 1430,
        "time_to_answer": 1470,
        "dead_air": 1470,
        "ttfa_stop": 1190,  # 4030 - 2840
        "ttfa_created": 300,  # 4030 - 3730
        "ttfa_trigger": 1190,
        "ttft": 250,  # the first words, of the second response: 3980 - 3730
        "response_duration": 170,  # of the first: 2850 to 3020
        "tool_exec": 700,
        "tool_resume": 310,
    }
    assert parts(found) == HEARD_PARTS | {
        "response_start": 10,
        "tool_call": 170,
        "tool": 700,
        "app_wait": 0,
        "tool_resume": 310,
        "queue": 0,
        "leading_silence": 40,
    }
    (line,) = [line for line in found.transcript.lines if line.kind == "tool"]
    assert line.detail is not None
    assert (line.detail["output"], line.detail["exec_ms"]) == ('{"bay":7}', 700)


def test_a_filler_is_not_the_answer(shelf: Shelf) -> None:
    """`Let me see.` from 3000 to 3400. Its last delta comes at 3075, the call begins 100 later and
    takes two pieces: 3195. Output at 4695, created 4705, audio 4905."""
    found = shelf.analysis("filler_before_the_answer")

    assert said(found) == [
        USER,
        ("assistant", 3000, 3400, "Let me see."),
        ("tool", 3195, 4695, 'look_up({"id":427})'),
        ("assistant", 4905, 5405, "In bay seven."),
    ]
    assert turns(found) == [("vad_commit", "answered", 2, ("tools",))]
    numbers = figures(found)
    assert (numbers["v2v_audible"], numbers["time_to_answer"]) == (400, 2305)
    assert numbers["dead_air"] == 1505  # 3400 to 4905
    assert (numbers["tool_exec"], numbers["tool_resume"]) == (1500, 210)
    # The waterfall is that of the first sound.
    assert parts(found) == HEARD_PARTS | {
        "response_start": 10,
        "model_first_audio": 150,
        "queue": 0,
        "leading_silence": 0,
    }


def test_a_tool_that_the_server_calls(shelf: Shelf) -> None:
    """MCP within one response: called at 2950, run until 3200, and spoken of 200 ms later."""
    found = shelf.analysis("mcp_call")

    assert said(found) == [
        USER,
        ("tool", 2950, 3200, 'find({"id":427})'),
        ("assistant", 3400, 3900, "In bay seven."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    (call,) = found.conversation.calls
    assert (call.kind, call.name, call.output) == ("mcp", "find", "bay 7")
    numbers = figures(found)
    assert (numbers["v2v_audible"], numbers["tool_exec"], numbers["tool_resume"]) == (800, 250, 200)
    assert parts(found) == HEARD_PARTS | {
        "response_start": 10,
        "tool_call": 100,
        "tool": 250,
        "tool_resume": 200,
        "queue": 0,
        "leading_silence": 0,
    }


def test_a_response_beside_the_conversation(shelf: Shelf) -> None:
    """Asked for at 2900, in no conversation: it is in no turn and in no figure of one."""
    found = shelf.analysis("out_of_band")

    mine = [line for line in found.transcript.lines if not line.out_of_band]
    assert [(x.speaker, x.text) for x in mine] == [
        ("user", "When do you open?"),
        ("assistant", "Nine in the morning."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    assert figures(found)["v2v_audible"] == 650  # 2850 + 400 - 2600
    (aside,) = [r for r in found.conversation.responses if r.out_of_band]
    assert aside.id not in found.turns[0].responses
    assert (aside.metadata, aside.asked_ns) == ({"what": "topic"}, 2_900_000_000)
    assert [item.text for item in found.conversation.out_of_band] == ["topic: opening hours"]
    assert qualities(found) == {"overlap": 0, "unheard": 0}


def test_a_failure_and_another_try(shelf: Shelf) -> None:
    """Created 2850, failed 2900. Asked for again at 3100: created 3110, audio 3310. The user waited
    for both: one turn, and the failure is a part of the wait."""
    found = shelf.analysis("failed_response")

    assert said(found) == [USER, ("assistant", 3310, 3810, "Here I am.")]
    assert turns(found) == [("vad_commit", "answered", 2, ())]
    numbers = figures(found)
    assert (numbers["v2v_audible"], numbers["ttfa_trigger"]) == (710, 470)
    assert parts(found) == HEARD_PARTS | {
        "response_start": 20,  # 10 of each
        "failed_response": 50,
        "app_wait": 200,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 0,
    }
    assert findings(found) == {"bad_response"}
    failed = found.conversation.responses[0]
    assert (failed.status, failed.error) == ("failed", "rate_limit_exceeded")
