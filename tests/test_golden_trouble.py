"""Golden calls, by hand: errors, ends, reconnects, and servers that leave things out.

Where nothing else is said, one question sounds from 1320 to 2600 and is answered at 3050 (see
`test_golden_turns`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.golden.trouble
from recorder.events import Origin
from recorder.projections.joining import Leg, joined
from tests.golden.kit import Line
from tests.golden.reading import figures, findings, parts, said, turns
from tests.golden.shelf import KEPT, Shelf, open_shelf

ASKED, SPOKEN = tests.golden.trouble.ASKED, tests.golden.trouble.SPOKEN
ONE_TURN = [("user", 1320, 2600, ASKED), ("assistant", 3050, 4150, SPOKEN)]


@pytest.fixture(scope="module", params=KEPT)
def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    with open_shelf(request.param, tmp_path_factory.mktemp("golden")) as opened:
        yield opened


def seq_of(line: Line, kind: str, origin: Origin, nth: int = 1) -> int:
    """The number of the nth event of this type."""
    return [e.seq for e in line.log if (e.type, e.origin) == (kind, origin)][nth - 1]


def test_an_error_that_comes_after_the_next_answer(shelf: Shelf) -> None:
    """Commits at 1040 (of 40 ms) and 1640 (of 640); `committed` at 1640 answers the second, the
    error at 1940 the first. Voice from 1040 to 1640; audio at 1850."""
    found = shelf.analysis("empty_commit_error_late")
    (line,) = shelf.lines("empty_commit_error_late")

    assert said(found)[:2] == [("user", 1040, 1640, ASKED), ("assistant", 1850, 2450, SPOKEN)]
    assert turns(found) == [("client_create", "answered", 1, ())]
    numbers = figures(found)
    assert (numbers["commit_ack"], numbers["commit_to_audio"]) == (0, 210)
    (error,) = found.conversation.errors
    assert (error.code, error.at_ns) == ("input_audio_buffer_commit_empty", 1_940_000_000)
    assert error.about_seq == seq_of(line, "input_audio_buffer.commit", Origin.CLIENT)
    assert error.fatal is False
    assert findings(found) == {"error"}
    assert found.findings[0].sentence.endswith("(the session went on)")


def test_a_session_that_expires(shelf: Shelf) -> None:
    """At 3500: an error, then close 1001. The answer, 3050 to 4050, had come already."""
    found = shelf.analysis("session_expired")

    assert said(found) == [
        ("user", 1320, 2600, ASKED),
        ("assistant", 3050, 4050, SPOKEN),
        ("server", 3500, None, "Your session hit the maximum duration of 3.5 s."),
    ]
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    (error,) = found.conversation.errors
    assert (error.code, error.fatal, error.about_seq) == ("session_expired", True, None)
    closed = found.summary.closed
    assert closed is not None
    assert (closed.code, closed.initiator, closed.at_ns) == (1001, "server", 3_500_000_000)
    assert findings(found) == {"error", "bad_end"}
    assert {f.severity for f in found.findings} == {"error"}


def test_a_beta_client_that_is_turned_away(shelf: Shelf) -> None:
    """An error and close 4000, and nothing else: no session, no turn."""
    found = shelf.analysis("close_4000")

    assert turns(found) == []
    assert found.summary.responses == {}
    (error,) = found.conversation.errors
    assert (error.code, error.fatal) == ("beta_api_shape_disabled", True)
    closed = found.summary.closed
    assert closed is not None
    assert (closed.code, closed.reason) == (4000, "invalid_request_error.beta_api_shape_disabled")
    assert findings(found) == {"error", "bad_end"}


def call_of(shelf: Shelf, name: str) -> list[tuple[str, float | None, float | None, str]]:
    """The lines of a call as one transcript."""
    legs = [
        Leg(line.recorder.session, "", shelf.analysis(name, row))
        for row, line in enumerate(shelf.lines(name))
    ]
    at = lambda ns: None if ns is None else ns / 1e6  # noqa: E731 - three times below
    return [(x.speaker, at(x.start_ns), at(x.end_ns), x.text) for x in joined(legs).lines]


def test_a_line_that_breaks(shelf: Shelf) -> None:
    """Aborted at 3300. The answer came as fast as it plays: 100 ms at 3050, 200 at 3150, the next
    would have come at 3350. Its first word came at 3000, the second would have at 3487.

    Dialled again at 4500: the second question sounds at 4500 + 1320 on the call's clock.
    """
    found = shelf.analysis("reconnect")

    assert said(found) == [("user", 1320, 2600, ASKED), ("assistant", 3050, 3350, "Nine")]
    (response,) = found.conversation.responses
    assert (response.status, response.done_ns) == ("in_progress", None)
    # What it cost was never told: unknown, not nothing.
    assert (found.summary.tokens.responses, found.summary.tokens.unknown) == (0, 1)
    assert "response_duration" not in figures(found)
    assert "bad_end" in findings(found)

    transcript = call_of(shelf, "reconnect")
    mark = transcript.pop(2)
    assert mark[:3] == ("recorder", 3300, 4500)
    assert mark[3].startswith("no connection for 1.2 s")
    assert transcript == [
        ("user", 1320, 2600, ASKED),
        ("assistant", 3050, 3350, "Nine"),
        ("user", 5820, 7100, "Hello?"),
        ("assistant", 7550, 8550, "As I said, at nine."),
    ]


def test_history_that_is_sent_again_is_shown_once(shelf: Shelf) -> None:
    """The first connection ends at 4500; the second begins at 5000 with what was said."""
    first, second = (shelf.analysis("reconnect_with_history", row) for row in (0, 1))

    assert turns(first) == [("vad_commit", "answered", 1, ())]
    assert turns(second) == [("vad_commit", "answered", 1, ())]  # the seeded question is no turn
    assert figures(second)["v2v_audible"] == 450
    transcript = call_of(shelf, "reconnect_with_history")
    assert [line for line in transcript if line[0] != "recorder"] == [
        ("user", 1320, 2600, ASKED),
        ("assistant", 3050, 4050, SPOKEN),
        ("user", 6320, 7600, "And on Sundays too?"),
        ("assistant", 8050, 9050, "No, on Sundays we are closed."),
    ]
    (mark,) = [line for line in transcript if line[0] == "recorder"]
    assert mark[1:3] == (4500, 5000)
    assert "history sent again: 2 items" in mark[3]


@pytest.mark.parametrize("name", ["missing_ids", "xai_usage", "binary_frame"])
def test_odd_servers_give_the_same_figures(shelf: Shelf, name: str) -> None:
    """No ids at all; usage elsewhere; frames that are no messages: the call is the same call."""
    found, plain = shelf.analysis(name), shelf.analysis("ga_vad_turn")

    assert said(found) == ONE_TURN
    assert turns(found) == [("vad_commit", "answered", 1, ())]
    expected = figures(plain)
    if name == "xai_usage":
        # 2850 to 3000 the microphone is on, and 200 later the first partial: 3200 - 1320.
        expected |= {"first_words": 1880}
    assert figures(found) == expected
    assert parts(found) == parts(plain)
    assert findings(found) == set()
    assert found.summary.tokens == plain.summary.tokens


def test_a_partial_transcript_is_not_the_last_word(shelf: Shelf) -> None:
    """`completed` with a status `in_progress` at 3200, the whole at 3440."""
    found = shelf.analysis("xai_usage")
    (said_,) = [item for item in found.conversation.items if item.role == "user"]
    assert (said_.transcript, said_.text, said_.transcript_ns) == (
        "completed",
        ASKED,
        3_440_000_000,
    )


def test_what_is_no_message_is_counted_and_can_be_looked_at(shelf: Shelf) -> None:
    """A binary frame, a text that is no JSON, a type that nobody knows, a ping with its pong."""
    found = shelf.analysis("binary_frame")
    (line,) = shelf.lines("binary_frame")

    assert found.summary.unknown == {"(binary)": 1, "(no type)": 1, "gateway.hello": 1}
    kept = [event for event in shelf.events("binary_frame") if event.opcode == 2]
    assert [event.head for event in kept] == [b"\x00\x01 not for you"]
    assert [e.opcode for e in line.log if e.opcode in (9, 10)] == [9, 10]


def test_pings_tell_the_network_from_the_server(shelf: Shelf) -> None:
    """Round trips of 60 and 36 ms: the shorter one is the way there and back.

    Between the end of speech and `speech_stopped` lie 240: the window of 200, 36, and 4 of the
    server's own. Nothing else in the turn crosses the network both ways.
    """
    found = shelf.analysis("pings_that_pass")

    assert found.latency.session["ping_rtt"].value_ms == 36
    assert parts(found) == {
        "input_backlog": 0,
        "endpointing_window": 200,
        "endpointing_rest": 4,
        "network": 36,
        "response_start": 10,
        "model_first_audio": 200,
        "queue": 0,
        "leading_silence": 100,
    }
    fall = found.latency.turns[0].waterfall
    assert fall is not None
    assert fall.round_trip_ns == 36_000_000
    assert {p.name: p.owner for p in fall.parts}["endpointing_rest"] == "provider"
    # Without pings they stay one part, which says so.
    fall = shelf.analysis("ga_vad_turn").latency.turns[0].waterfall
    assert fall is not None
    assert fall.round_trip_ns is None
    assert {p.name: p.owner for p in fall.parts}["endpointing_rest"] == "network and server"
