"""What was wrong in a call: each rule on a call that has it, none on a call that is fine."""

from __future__ import annotations

import pytest

from recorder.projections import analyse
from recorder.projections.findings import RULE_MODULES, with_interruption
from recorder.projections.model import Finding
from recorder.projections.rules import RULES, SEVERITIES, rule
from tests.building import Talk, hush


def findings(talk: Talk) -> dict[str, Finding]:
    return {found.rule: found for found in analyse(talk.source).findings}


def voice(first: float = 2600, **more: object) -> Talk:
    talk = Talk().open().mic(0, 9000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200)
    return talk.answer(2300, "R", "A", [(first, 1000)], text="Fine.", **more)  # type: ignore[arg-type]


def text() -> Talk:
    return Talk().open().write(10, "Hi").answer(20, "R", "A", [(30, 500)], text="Hello.")


def limits(left: int) -> Talk:
    limit = {"name": "tokens", "limit": 1000, "remaining": left}
    return text().server(40, "rate_limits.updated", rate_limits=[limit])


def cut(ms: int, claim: int) -> Talk:
    """An answer from 1000 to 4000, interrupted by speech from 2000 on, truncated at `ms`."""
    talk = Talk().open().client(1, "response.create").answer(900, "R", "A", [(1000, 3000)])
    talk.mic(0, 8000, speech=[(2000, 3200)]).heard(3450, "U", start=1700, end=3400, began=2100)
    talk.client(ms, "conversation.item.truncate", item_id="A", audio_end_ms=claim)
    return talk.answer(3500, "R2", "A2", [(3600, 100)])


def burst() -> Talk:
    talk = Talk().open(vad=None)
    for row in range(30):
        talk.append(100 * (row + 1), hush(100))
    return talk


def drifting() -> Talk:
    """A sound card that is a millisecond a second too slow, for six minutes."""
    talk = Talk().open()
    for row in range(720):
        talk.append(500 * (row + 1) * 1.001, bytes(24_000))
    return talk


OVER = Talk().open().client(1, "response.create").answer(900, "R", "A", [(1000, 4000)])
OVER.mic(0, 8000, speech=[(2000, 3200)]).heard(3450, "U", start=1700, end=3400, began=2100)

FAULTY = {
    "talk_over": OVER,
    "slow_turn": voice(5000),
    "unanswered": Talk().open().mic(0, 5000, speech=[(500, 2000)]).heard(
        2250, "U", start=200, end=2200
    ),
    "not_heard": Talk().open().write(1, "Hi").created(2, "R").done(3, "R", "cancelled"),
    "dead_air": Talk().open().mic(0, 9000, speech=[(500, 2000)]).heard(
        2250, "U", start=200, end=2200
    ).answer(2300, "R", "A", [(2600, 500), (6200, 500)]),
    "underruns": text().answer(2000, "R2", "A2", [(2100, 200), (2700, 200)]),
    "bad_response": text().created(50, "X").done(60, "X", "failed", "rate_limit"),
    "error": text().server(60, "error", error={"code": "invalid_value", "message": "No."}),
    "tool_without_output": text().created(50, "X").calls(60, "X", "F", "c1").done(70, "X"),
    "rate_limit": limits(20),
    "gap": text().note(60, "gap", count=7, bytes=900, first_ns=1, last_ns=2, why="disk full"),
    "clipping": Talk().open().append(500, b"\xff\x7f" * 12_000),
    "silent_input": Talk().open().mic(0, 5000),
    "large_chunks": Talk().open().mic(0, 6000, speech=[(500, 900)], chunk=400),
    "inconsistent_truncation": cut(2200, 2900),
    "slow_stop": cut(3100, 2100),
    "vad_disagreement": Talk().open().mic(0, 5000, speech=[(500, 2000)]).heard(
        2450, "U", start=200, end=2400
    ).answer(2500, "R", "A", [(2600, 100)]),
    "bad_end": text().close(900, 1006, "network"),
    "false_barge_in": cut(2200, 1200).transcript(3600, "U", ""),
    "premature_response": Talk().open().mic(0, 9000, speech=[(500, 1500), (2200, 4000)]).heard(
        1750, "U", start=200, end=1700
    ).answer(1800, "R", "A", [(2000, 100)]),
    "outside_vantage": voice().note(9000, "note", text="it took four seconds", at_ns=3_000_000_000),
    "no_capture_clock": Talk().open(vad=None).append(500, bytes(480_000)),
    "clock_drift": drifting(),
    "no_times": Talk().note(0, "opened", times="none").open(),
    "offset_beyond_input": Talk().open().mic(0, 3000, speech=[(500, 2000)]).heard(
        2250, "U", start=200, end=5200
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_every_rule_finds_what_it_is_for(name: str) -> None:
    """With a sentence, an owner, evidence and a command."""
    found = findings(FAULTY[name])[name]

    assert found.severity in SEVERITIES
    assert found.sentence
    assert found.owner
    assert found.command
    assert found.evidence or name in ("clipping", "silent_input")


def test_a_call_that_is_fine_has_no_findings() -> None:
    """Answered within the second, heard to the end, closed by the caller."""
    assert findings(voice().close(9500)) == {}


def test_a_slow_turn_says_where_the_time_went() -> None:
    """As a sum, and its owner is that of the largest part."""
    talk = Talk().open().mic(0, 8000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    talk.created(2300, "R1").calls(2700, "R1", "F", "c").done(2710, "R1").output(5600, "c")
    found = findings(talk.answer(5650, "R2", "A", [(6000, 500)]))["slow_turn"]

    assert found.sentence == (
        "turn 1: 4.0 s = 0.2 silence window + 0.1 endpointing + 0.1 response start + "
        "0.4 model to call + 2.9 tool + 0.4 model after tool"
    )
    assert (found.owner, found.turn, found.command) == ("tool", 1, "latency --turn 1")


def test_talking_over_is_measured_and_named() -> None:
    """1,200 ms of both, and nothing says that playback stopped."""
    found = findings(FAULTY["talk_over"])["talk_over"]
    assert found.sentence.startswith("the assistant talked over the user for 1.2 s")
    assert (found.owner, found.at_ns) == ("application", 2_000_000_000)


def test_what_was_felt_is_held_against_what_the_wire_saw() -> None:
    """A note of four seconds on a turn that was answered after 600 ms; one of a second is near."""
    note = "it took four seconds"
    found = findings(voice().note(9000, "note", text=note, at_ns=3_000_000_000))["outside_vantage"]
    assert found.sentence == (
        "the wire saw 600 ms; the rest lay outside this vantage (noted: 4.0 s)"
    )
    assert (found.turn, found.owner) == (1, "outside this vantage")
    near = voice().note(9000, "note", text="about 1 s", at_ns=3_000_000_000)
    assert "outside_vantage" not in findings(near)


def said(end: float, **turns: object) -> Talk:
    """The user speaks, and the server's turn detection commits that at 2251 ms; then silence."""
    talk = Talk().open(**turns).mic(0, end, speech=[(500, 2000)])  # type: ignore[arg-type]
    return talk.heard(2250, "U", start=200, end=2200)


MINE = {"create_response": False}
"""Of a turn detection that leaves asking to the application."""


@pytest.mark.parametrize(
    ("talk", "owner", "told"),
    [
        (said(9000), "provider", ""),
        (said(3000), "recorder", " in the 749 ms before the recording stops"),
        (said(3000).close(3251, 1001, "server"), "provider",
         ": the server closed the session 1.0 s later"),
        (said(9000).close(9251, 1001, "server"), "provider",
         ": the server closed the session 7.0 s later"),
        (said(3000).close(3251, 1006, "network"), "network and server",
         ": the connection broke 1.0 s later"),
        (said(3000).close(3251), "application", ": the application closed the session 1.0 s later"),
        (said(9000).close(9251), "provider", ": the application closed the session 7.0 s later"),
        (said(9000, **MINE), "application", ""),
        (said(3000, **MINE).close(3251, 1001, "server"), "provider",
         ": the server closed the session 1.0 s later"),
        (said(9000, **MINE).close(9251, 1001, "server"), "application",
         ": the server closed the session 7.0 s later"),
        (Talk().open().write(10, "Hi").client(8000, "input_audio_buffer.clear"), "provider", ""),
    ],
)  # fmt: skip
def test_a_user_without_an_answer_was_left_by_whoever_had_to_act(
    talk: Talk, owner: str, told: str
) -> None:
    """The server where it was asked or answers by itself; or who ended the session before."""
    found = findings(talk)["unanswered"]

    expected = f"turn 1: no response answered the user{told}"
    assert (found.owner, found.sentence) == (owner, expected)
    assert found.severity == ("notice" if owner == "recorder" else "error")
    closed = {event.seq for event in talk.events if event.type == "recorder.closed"}
    assert closed <= set(found.evidence)


def test_a_request_that_was_refused_was_the_applications() -> None:
    """The error names the event; the turn got no answer because of it."""
    talk = Talk().open().write(10, "Hi", ask=False)
    talk.client(20, "response.create", event_id="mine", response={"modalities": ["smell"]})
    talk.server(30, "error", error={"code": "invalid_value", "event_id": "mine", "message": "No."})
    found = findings(talk.close(9000, 1001, "server"))["unanswered"]
    assert found.owner == "application"
    assert found.sentence.endswith(": the request was refused (invalid_value)")


def test_a_session_that_only_transcribes_leaves_nobody_without_an_answer() -> None:
    """Nothing answers there, and nothing has to."""
    talk = Talk().server(0, "session.created", session={"type": "transcription", "id": "s"})
    talk.mic(0, 9000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    assert "unanswered" not in findings(talk)


def test_that_a_recording_stops_without_a_close_is_a_finding_for_who_knows_it() -> None:
    """Not from the events: a live session's look the same. It stands among the worst."""
    analysis = analyse(text().server(12_345, "rate_limits.updated", rate_limits=[]).source)
    assert [found.rule for found in analysis.findings] == []
    (found,) = with_interruption(analysis.findings, analysis.summary)
    assert found.sentence == (
        "the recording stops at 12.3 s without a close: its recorder ended or was killed; what "
        "came after is unknown"
    )
    assert (found.severity, found.owner, found.at_ns) == ("error", "recorder", 12_345_000_000)
    assert found.evidence == (analysis.summary.last_seq,)


def test_errors_are_said_to_be_survived_or_fatal() -> None:
    """By what followed."""
    talk = text().server(600, "error", error={"code": "session_expired", "message": "Over."})
    found = findings(talk.close(700, 1001, "server"))["error"]
    assert (found.severity, found.sentence) == (
        "error",
        "session_expired: Over. (the session ended)",
    )


def test_the_worst_comes_first() -> None:
    """Then in order of time."""
    talk = FAULTY["slow_turn"]
    talk.server(8000, "error", error={"code": "response_cancel_not_active"})
    talk.note(8500, "gap", count=1, bytes=1, why="x")
    order = [found.severity for found in analyse(talk.source).findings]
    assert order == sorted(order, key=SEVERITIES.index)
    assert order[0] == "error"


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "1 event (900 bytes) was not recorded"), (7, "7 events (900 bytes) were not recorded")],
)
def test_one_and_many_are_told_apart(count: int, told: str) -> None:
    """Of events that were lost, in findings and in the transcript."""
    talk = text().note(60, "gap", count=count, bytes=900, first_ns=1, last_ns=2, why="disk full")
    analysis = analyse(talk.source)
    assert findings(talk)["gap"].sentence == f"{told}: disk full"
    assert f"{told}: disk full" in [line.text for line in analysis.transcript.lines]


@pytest.mark.parametrize(
    ("breaks", "told"), [(1, "once, 400 ms"), (2, "twice, 800 ms"), (3, "3 times, 1.2 s")]
)
def test_playback_that_ran_dry_says_how_often(breaks: int, told: str) -> None:
    """Deltas of 200 ms, each 600 ms after the one before."""
    audio = [(2100 + 600 * n, 200.0) for n in range(breaks + 1)]
    found = findings(text().answer(2000, "R2", "A2", audio))["underruns"]
    assert found.sentence == f"playback ran dry {told} in all"


def test_a_limit_that_is_far_away_is_no_finding() -> None:
    """Five percent is the threshold."""
    assert "rate_limit" not in findings(limits(60))


def test_a_name_that_is_taken_is_an_error() -> None:
    """The table is built at import."""
    with pytest.raises(RuntimeError, match="two rules named gap"):
        rule("gap", "error", "recorder")(lambda case, limit: ())


def test_every_rule_says_what_it_means() -> None:
    """The first line of its docstring is its row in the help; all modules are in the list."""
    assert all(row.meaning.endswith(".") for row in RULES.values())
    assert {row.find.__module__ for row in RULES.values()} == {m.__name__ for m in RULE_MODULES}


def test_chunks_of_ordinary_size_are_no_finding() -> None:
    """100 ms is fine."""
    assert "large_chunks" not in findings(burst())
