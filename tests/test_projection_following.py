"""A transcript while it is made: each line once, when nothing about it will change."""

from __future__ import annotations

from recorder.projections import analyse
from recorder.projections.following import Follower
from tests.building import MS, Talk

SECOND = 1_000_000_000


def followed(talk: Talk, *instants: float, over: bool = False) -> list[list[str]]:
    """What is given at each of these times (ms), when everything until then has been fed."""
    follower, events = Follower(), talk.source(True)
    found = []
    for ms in instants:
        while events and events[0].at_ns <= ms * MS:
            follower.feed(events.pop(0))
        found.append([line.text for line in follower.lines(round(ms * MS))])
    if over:
        found.append([line.text for line in follower.lines(0, over=True)])
    return found


def spoken() -> Talk:
    """A question, transcribed late, and an answer that is played until 3,600."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)])
    config = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    talk.server(5, "session.updated", session=config)
    talk.heard(2250, "U", start=200, end=2200)
    return talk.answer(2300, "R", "A", [(2600, 1000)], text="Fine, thanks.", done=2650)


def test_a_line_waits_for_its_words_and_those_after_it_wait_too() -> None:
    """The answer is played at 3,600; the words of the question come at 4,000."""
    talk = spoken().transcript(4000, "U", "How are you?")
    assert followed(talk, 2700, 3700, 4000, 4100) == [
        [],
        [],
        ["How are you?", "Fine, thanks."],
        [],
    ]


def test_an_answer_is_final_when_it_was_played() -> None:
    """Until then somebody may still cut it."""
    talk = spoken().transcript(2500, "U", "How are you?")
    assert followed(talk, 2550, 3500, 3600) == [["How are you?"], [], ["Fine, thanks."]]


def test_patience_ends() -> None:
    """Ten seconds after the commit it is given without its words; and with them, if they come."""
    talk = spoken().transcript(20_000, "U", "How are you?").close(30_000)
    assert followed(talk, 12_000, 12_300, 20_000) == [
        [],
        ["", "Fine, thanks."],
        ["How are you?"],
    ]


def test_nobody_waits_for_words_where_none_will_come() -> None:
    """Transcription is off."""
    talk = Talk().open().mic(0, 5000, speech=[(500, 2000)]).heard(2250, "U", start=200, end=2200)
    assert followed(talk, 2300) == [[""]]


def test_a_tool_call_waits_for_its_output() -> None:
    """And what is said after it is given after it."""
    talk = Talk().open().write(100, "Weather?").created(200, "R1").calls(300, "R1", "F", "c1")
    talk.done(310, "R1").output(550, "c1", "Foggy.")
    talk.answer(600, "R2", "A", [(700, 500)], text="It is foggy.")
    assert followed(talk, 400, 560, 1300) == [
        ["Weather?"],
        ['look_up({"a":1})'],
        ["It is foggy."],
    ]


def test_at_the_end_everything_is_given() -> None:
    """Whether a close was written or the recorder is gone."""
    assert followed(spoken(), 2700, over=True) == [[], ["", "Fine, thanks."]]
    closed = spoken().close(2800)
    assert followed(closed, 2800) == [["", "Fine, thanks."]]


def test_what_was_followed_is_the_transcript() -> None:
    """Asked every 50 ms, the lines are those of the whole session, in the same order."""
    talk = spoken().transcript(4000, "U", "How are you?")
    talk.note(4200, "note", text="a note").close(5000)
    given = [text for texts in followed(talk, *range(0, 5100, 50)) for text in texts]
    assert given == [line.text for line in analyse(talk.source).transcript.lines]
