"""Golden calls: how a turn ends, in every mode and every dialect.

The microphone is switched on one second after the dial: a position on the axis of appended audio
is 1000 ms less than the time at which it was captured. The sandbox's turn detection looks at steps
of 32 ms, chunks are sent every 20 ms.
"""

from __future__ import annotations

from recorder.sandbox.dialect import BETA, MIXED

from .kit import Line, answer, golden, heard, says

SPOKEN = "Nine in the morning."
ASKED = "When do you open?"


def one_turn(line: Line) -> None:
    """320 ms of silence, 1280 of voice, 400 of silence, and then the answer is let run out."""
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(2000)
    line.hang_up()


@golden
def ga_vad_turn(line: Line) -> None:
    """One spoken question and its answer, GA names, server VAD, a transcript after the answer."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    one_turn(line)


@golden
def beta_vad_turn(line: Line) -> None:
    """The same with the beta's names, its flat session and its own default window of 500 ms."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial(BETA)
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(600)
    line.wait(2000)
    line.hang_up()


@golden
def mixed_names(line: Line) -> None:
    """Beta names together with `conversation.item.done`, as gateways send them."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial(MIXED)
    one_turn(line)


@golden
def manual_commit(line: Line) -> None:
    """Push to talk: no turn detection, the client commits and asks for the answer 30 ms later."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED))
    line.dial(audio={"input": {"turn_detection": None}})
    line.wait(1000)
    line.talk(1200)
    line.hush(100)
    line.send("input_audio_buffer.commit")
    line.wait(30)
    line.send("response.create")
    line.wait(2500)
    line.hang_up()


@golden
def transcription_after_done(line: Line) -> None:
    """The words of the first question come after the answer to it, and after the next question."""
    line.answers(answer(says("Yes.", 400)), answer(says("No.", 400)))
    line.hears(heard("Is it still open?", 2800), heard("And tomorrow?", 100)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(1600)
    line.talk(800)
    line.hush(1200)
    line.wait(1000)
    line.hang_up()


@golden
def semantic_vad(line: Line) -> None:
    """The server waits as long as it thinks right: no window is known, nothing stands in for it."""
    detection = {"type": "semantic_vad", "eagerness": "high"}
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED))
    line.dial(audio={"input": {"turn_detection": detection}})
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(2200)
    line.wait(2000)
    line.hang_up()


@golden
def unanswered_turn(line: Line) -> None:
    """The application answers by itself and forgets to: a question, and nothing comes of it."""
    line.hears(heard(ASKED))
    line.dial(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    one_turn(line)


@golden
def two_items(line: Line) -> None:
    """One response with two items: a preamble, and the answer that waits for its end."""
    preamble = says("Let me think.", 600, first=150)
    line.answers(answer(preamble, says("At nine.", 500, lead=60, first=300)))
    line.hears(heard(ASKED)).dial()
    one_turn(line)
