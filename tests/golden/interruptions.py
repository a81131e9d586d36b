"""Golden calls: the user speaks over the assistant, and what is done about it.

The first question sounds from 1320 to 2600 and is answered from 3050 on (see `turns`). The user
speaks again from 4200 to 5000; the sandbox hears it at 4280 (two loud steps end at 3264 on the
axis, in the chunk that ends at 3280).
"""

from __future__ import annotations

from .kit import Line, answer, golden, heard, says

COUNTED = "one two three four five six seven eight"
ASKED, STOP = "Please count.", "Stop now."


def count_and_stop(line: Line, speed: float, after_ms: int = 200) -> None:
    """The user interrupts at 4200; gives back control so long after that."""
    counting = says(COUNTED, 4000, speed=speed)
    line.answers(answer(counting), answer(says("All right.", 500)))
    line.hears(heard(ASKED), heard(STOP)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(1600)
    line.talk(after_ms)


def go_on(line: Line, spoken_ms: int = 200) -> None:
    """The rest of the user's words, and the answer to them."""
    line.talk(800 - spoken_ms)
    line.hush(400)
    line.wait(3000)
    line.hang_up()


def truncate(line: Line, played_ms: int) -> None:
    """What the client says that it has played of what was said last."""
    added = [e for e in line.events if e["type"] == "conversation.item.added"]
    item = [e["item"] for e in added if e["item"]["role"] == "assistant"][-1]
    line.send(
        "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=played_ms
    )


@golden
def cancel_mid_stream(line: Line) -> None:
    """Twice as fast as it plays: the server cancels at 4280, the client truncates at 4400."""
    count_and_stop(line, speed=2)
    truncate(line, 1350)
    go_on(line)


@golden
def barge_in_after_done(line: Line) -> None:
    """All of it had come when the user interrupts: nothing to cancel, only to truncate."""
    count_and_stop(line, speed=4)
    truncate(line, 1350)
    go_on(line)


@golden
def client_that_talks_on(line: Line) -> None:
    """The client ignores `speech_started`: everything plays to its end, over 1280 ms of voice."""
    count_and_stop(line, speed=4, after_ms=1280)
    line.hush(400)
    line.wait(3000)
    line.hang_up()


@golden
def truncation_that_cannot_be_true(line: Line) -> None:
    """At 4400 the client claims to have played 3000 ms of what began at 3050."""
    count_and_stop(line, speed=4)
    truncate(line, 3000)
    go_on(line)


@golden
def noise_that_interrupts(line: Line) -> None:
    """What cut the assistant was nothing: its transcript is empty."""
    line.answers(answer(says(COUNTED, 4000)), answer(says("Pardon?", 500)))
    line.hears(heard(ASKED), heard("")).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(1600)
    line.talk(200)
    truncate(line, 1350)
    line.hush(400)
    line.wait(3000)
    line.hang_up()


@golden
def speech_that_became_nothing(line: Line) -> None:
    """The client truncates, clears its buffer, and only much later the user says something."""
    line.answers(answer(says(COUNTED, 4000)), answer(says("Hello.", 500)))
    line.hears(heard(ASKED), heard("Hello?")).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(1600)
    line.talk(100)
    truncate(line, 1250)
    line.send("input_audio_buffer.clear")
    line.hush(1820)
    line.talk(960)
    line.hush(400)
    line.wait(2000)
    line.hang_up()


@golden
def a_nod(line: Line) -> None:
    """A greeting, and 320 ms of `mm-hm` over it that stop nothing."""
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    line.answers(answer(says("Good day, this is the line.", 3000))).hears(heard("Mm-hm."))
    line.dial(audio={"input": {"turn_detection": detection}})
    line.wait(1000)
    line.send("response.create")
    line.hush(960)
    line.talk(320)
    line.hush(2400)
    line.hang_up()


@golden
def marks_of_the_player(line: Line) -> None:
    """The application tells what it played: from 3150 on, stopped at 4400 after 1250 ms."""
    line.answers(answer(says(COUNTED, 4000)), answer(says("All right.", 500)))
    line.hears(heard(ASKED), heard(STOP)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(560)
    item = line.events[-1]["item_id"]
    line.mark("playback", item_id=item, played_ms=10, state="started")
    line.hush(1040)
    line.talk(200)
    line.mark("playback", item_id=item, played_ms=1250, state="stopped")
    truncate(line, 1250)
    go_on(line)
