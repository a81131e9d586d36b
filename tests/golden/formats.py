"""Golden calls: what the audio is made of, and how it comes.

Eight thousand samples a second, a change in mid-session, files instead of microphones, a link
that stalls.
"""

from __future__ import annotations

import numpy as np

from recorder.sandbox.formats import ALAW, PCM24

from .kit import Line, answer, golden, heard, says, voice
from .turns import ASKED, SPOKEN


@golden
def g711(line: Line) -> None:
    """A call of the telephone: A-law in, µ-law out, 8 bytes a millisecond."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED))
    line.dial(
        audio={"input": {"format": {"type": "audio/pcma"}},
               "output": {"format": {"type": "audio/pcmu"}}}
    )  # fmt: skip
    line.wait(1000)
    line.hush(320, ALAW)
    line.talk(1280, ALAW)
    line.hush(400, ALAW)
    line.wait(2000)
    line.hang_up()


@golden
def format_change(line: Line) -> None:
    """PCM until 4000, then A-law: the axis goes on, its bytes weigh a sixth."""
    line.answers(answer(says("Yes.", 400)), answer(says("No.", 400)))
    line.hears(heard("Is it still open?"), heard("And tomorrow?")).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(1400)
    line.update(audio={"input": {"format": {"type": "audio/pcma"}}})
    line.hush(200, ALAW)
    line.talk(800, ALAW)
    line.hush(400, ALAW)
    line.wait(2000)
    line.hang_up()


@golden
def burst_input(line: Line) -> None:
    """A file of 2 s, sent within 100 ms, committed and asked about."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED))
    line.dial(audio={"input": {"turn_detection": None}})
    line.wait(3000)
    sound = np.concatenate((np.zeros(12_000, np.int16), voice(1000), np.zeros(12_000, np.int16)))
    for chunk in line.chunks(sound, ms=100):
        line.append(chunk)
        line.wait(5)
    line.send("input_audio_buffer.commit")
    line.send("response.create")
    line.wait(2500)
    line.hang_up()


@golden
def uplink_stall(line: Line) -> None:
    """The link holds up what is spoken from 2000 on; at 4000 all of it comes at once."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(680)
    held = np.concatenate((voice(600), np.zeros(1400 * 24, np.int16)))
    line.wait(2000)
    for chunk in line.chunks(held, PCM24):
        line.append(chunk)
    line.hush(400)
    line.wait(2000)
    line.hang_up()
