"""The transcript: order, what was heard, what was not transcribed, and the text it renders to."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.projections import RENDERERS, analyse
from recorder.projections.model import Line
from recorder.projections.transcript import first_words
from recorder.projections.transcript_formats import as_json
from recorder.projections.transcript_text import clock, plain, text_line
from tests.building import Talk, hush
from tests.captured import captured

WORDS = "One two three four five six seven eight nine ten"


def lines(talk: Talk) -> list[Line]:
    return list(analyse(talk.source).transcript.lines)


def text(talk: Talk) -> list[str]:
    return [text_line(line) for line in lines(talk)]


def interrupted(claim: int = 1450) -> Talk:
    """Three seconds of answer, cut after `claim` ms by the user."""
    talk = Talk().open().client(100, "response.create")
    talk.answer(900, "R", "A", [(1000, 3000)], text=WORDS)
    talk.mic(0, 8000, speech=[(2300, 3200)])
    talk.heard(3450, "U", start=2000, end=3400, began=2400)
    return talk.client(2500, "conversation.item.truncate", item_id="A", audio_end_ms=claim)


def test_lines_stand_in_the_order_in_which_things_were_said() -> None:
    """The user's words arrive after the answer to them, and still come first."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200)
    talk.answer(2300, "R", "A", [(2600, 1000)], text="Fine, thanks.").transcript(
        4000, "U", "How are you?\n"
    )
    assert text(talk) == [
        "00:00.500  user: How are you?",
        "00:02.600  assistant: Fine, thanks.",
    ]
    assert [(line.start_ns, line.end_ns, line.turn) for line in lines(talk)] == [
        (500_000_000, 2_000_000_000, 1),
        (2_600_000_000, 3_600_000_000, 1),
    ]


def test_what_was_said_and_what_was_heard_are_kept_apart() -> None:
    """1,450 of 3,000 ms were played: an estimate, in whole words."""
    (assistant, _) = lines(interrupted())
    assert (assistant.text, assistant.heard) == (WORDS, "One two three four five")
    assert text(interrupted())[0] == (
        "00:01.000  assistant: One two three four five "
        "[cut here; not heard: six seven eight nine ten]"
    )


def test_what_the_server_says_is_left_needs_no_estimate() -> None:
    """xAI returns the cut transcript."""
    talk = interrupted()
    talk.server(2520, "conversation.item.truncated", item_id="A", transcript="One two three")
    assert lines(talk)[0].heard == "One two three"


def test_an_answer_that_was_heard_to_its_end_is_not_cut() -> None:
    """Nothing to tell apart."""
    assert lines(interrupted(3000))[0].heard is not None
    talk = Talk().open().client(1, "response.create")
    assert lines(talk.answer(2, "R", "A", [(10, 500)], text="Hi."))[0].heard is None


def test_speech_without_a_transcript_is_shown_by_its_length() -> None:
    """Transcription may be off."""
    talk = Talk().open().mic(0, 3000, speech=[(500, 2500)]).heard(2750, "U", start=200, end=2700)
    assert text(talk) == ["00:00.500  user: [2.0 s of speech, not transcribed]"]
    assert (lines(talk)[0].speech_ns, lines(talk)[0].transcribed) == (2_000_000_000, False)


def test_a_recording_inside_an_item_is_shown_by_its_length_too() -> None:
    """It never touched the input buffer."""
    audio = base64.b64encode(hush(1500)).decode()
    content = [{"type": "input_audio", "audio": audio}]
    body = {"type": "message", "role": "user", "content": content}
    talk = Talk().open().client(700, "conversation.item.create", item=body)
    assert text(talk) == ["00:00.700  user: [1.5 s of speech, not transcribed]"]


def test_an_empty_transcript_is_not_a_missing_one() -> None:
    """It was transcribed, and there was nothing to write."""
    talk = Talk().open().mic(0, 3000, speech=[(500, 2500)]).heard(2750, "U", start=200, end=2700)
    assert text(talk.transcript(2900, "U", "")) == ["00:00.500  user: [nothing intelligible]"]


def test_tool_calls_stand_inline_with_their_outputs() -> None:
    """When they were called, what came back, how long it took."""
    talk = Talk().open().write(100, "Weather?").created(200, "R1").calls(300, "R1", "F", "c1")
    talk.done(310, "R1").output(550, "c1", "Foggy.")
    talk.answer(600, "R2", "A", [(700, 500)], text="It is foggy.")
    assert text(talk) == [
        "00:00.100  user: Weather?",
        '00:00.300  tool: look_up({"a":1}) -> Foggy. [250 ms]',
        "00:00.700  assistant: It is foggy.",
    ]
    assert lines(talk)[1].detail == {
        "name": "look_up",
        "call_id": "c1",
        "arguments": '{"a":1}',
        "output": "Foggy.",
        "error": "",
        "exec_ms": 250.0,
    }


def test_notes_errors_and_gaps_stand_inline() -> None:
    """A note at the moment that it is about, not when it was written."""
    talk = Talk().open().write(100, "Hi", ask=False)
    talk.server(300, "error", error={"message": "No."})
    talk.note(400, "gap", count=2, bytes=30, first_ns=350_000_000, last_ns=1, why="disk full")
    talk.note(9000, "note", text="sounded odd", at_ns=200_000_000)
    assert text(talk) == [
        "00:00.100  user: Hi",
        "00:00.200  note: sounded odd",
        "00:00.300  error: No.",
        "00:00.350  gap: 2 events (30 bytes) were not recorded: disk full",
    ]


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ("input_audio_buffer.cleared", " (the session went on)"),
        ("", " (the session ended with it)"),
    ],
)
def test_an_error_says_what_followed_it(what: str, label: str) -> None:
    """The server went on working, or it closed."""
    talk = Talk().open().server(300, "error", error={"message": "No."})
    talk = talk.server(400, what) if what else talk.close(400, 1011, "server")
    assert text(talk) == [f"00:00.300  error: No.{label}"]


def test_out_of_band_answers_are_marked() -> None:
    """They were not a part of the conversation."""
    talk = Talk().open().client(5, "response.create", response={"conversation": "none"})
    talk.created(10, "R", conversation_id=None)
    ids = {"response_id": "R", "item_id": "A", "content_index": 0}
    talk.server(11, "response.output_text.done", **ids, text="Angry.")
    assert text(talk) == ["00:00.011  assistant (out of band): Angry."]


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_renders(name: str) -> None:
    """Text line by line, JSON ready to be written."""
    assert "".join(RENDERERS[name](analyse(interrupted().source).transcript)).endswith("\n")


def test_json_holds_everything() -> None:
    """Line by line, with its times."""
    transcript = analyse(interrupted().source).transcript
    body = orjson.loads(orjson.dumps(as_json(transcript)))
    assert body["lines"][0]["heard"] == "One two three four five"
    assert body["lines"][0]["start_ns"] == 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "expected"),
    [(0, "00:00.000"), (61_234_567_890, "01:01.234"), (3_723_000_000_000, "1:02:03.000")],
)
def test_times_read_as_a_clock(ns: int, expected: str) -> None:
    """Hours only where there are any."""
    assert clock(ns) == expected


def test_text_from_a_session_does_not_reach_the_terminal_as_commands() -> None:
    """Escapes, newlines and tabs become spaces."""
    assert plain("a\x1b[31m\nb\tc\u202e") == "a [31m b c"


@given(st.text(max_size=80), st.integers(0, 100), st.integers(0, 100))
def test_heard_words_are_a_beginning(words: str, heard: int, received: int) -> None:
    """However little or much of the audio was heard."""
    assert words.startswith(first_words(words, heard, received))


def test_a_real_session_reads_as_it_was() -> None:
    """Speech, a tool call, the answer: in this order, though the transcript came in between."""
    found = analyse(lambda audio: captured("azure-ga-spoken-turn-calls-tool.jsonl"))
    spoken = [(line.speaker, line.text) for line in found.transcript.lines]
    assert [speaker for speaker, _ in spoken] == ["user", "tool", "assistant"]
    assert spoken[0][1] == "Hello, my name is Marcelo."
    assert spoken[2][1] == "Hello Marcelo, it's great to meet you! How can I help you today?"
