"""The demo's script and its caller, played against each other."""

from __future__ import annotations

import numpy as np

from recorder.sandbox import voices
from recorder.sandbox.builtin import (
    DEMO,
    DEMO_CALLER,
    DEMO_TOOL_MS,
    DEMO_TOOL_OUTPUT,
    DEMO_TOOLS,
    ORDER,
)
from tests.sandbox_driver import Talk, audio_of, of, silence, types


class Caller:
    """An application with microphone, speaker and one function, as the demo has it."""

    def __init__(self):
        self.talk = Talk(DEMO)
        self.came = self.talk.update(
            tools=[dict(tool) for tool in DEMO_TOOLS],
            audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
        )
        self.played_until_ms = self.play_began_ms = 0.0

    def mic(self, samples):
        """So much of the microphone, in real time."""
        for event in self.talk.speak(samples):
            self.came.append(event)
            if event["type"] == "response.output_audio.delta":
                if self.played_until_ms < event.at_ms:
                    self.play_began_ms = self.played_until_ms = event.at_ms
                self.played_until_ms += len(audio_of([event])) / 48

    def until(self, done):
        """Silence from the microphone until then."""
        while not done():
            self.mic(silence(20))

    def say(self, line):
        """One line of the caller's, and what the application does after it."""
        seen = len(self.came)
        self.mic(voices.load(line.clip).samples)
        self.until(lambda: of(self.came[seen:], "response.created"))
        self.until(lambda: types(self.came)[-2] == "response.done")
        for call in of(self.came[seen:], "response.function_call_arguments.done"):
            self.mic(silence(DEMO_TOOL_MS))
            output = {"type": "function_call_output", "call_id": call["call_id"]}
            item = {**output, "output": DEMO_TOOL_OUTPUT}
            self.came += self.talk.send("conversation.item.create", item=item)
            self.came += self.talk.send("response.create")
            self.until(lambda: types(self.came)[-2] == "response.done")

    def run(self):
        """The whole call."""
        for at, line in enumerate(DEMO_CALLER):
            follows = DEMO_CALLER[at + 1 : at + 2]
            if line.over_ms is None:
                self.until(lambda: self.talk.now_ms >= self.played_until_ms)
                self.mic(silence(line.pause_ms))
            if follows and follows[0].over_ms is not None:
                seen = len(self.came)
                self.mic(voices.load(line.clip).samples)
                self.until(lambda seen=seen: of(self.came[seen:], "response.output_audio.delta"))
                self.mic(silence(follows[0].over_ms))
            else:
                self.say(line)


def test_the_demo_shows_what_it_promises_in_about_fifteen_seconds():
    """A turn, a function call, a slow turn, an answer cancelled by speech; all transcribed."""
    caller = Caller()
    caller.run()

    came = caller.came
    done = [event["response"] for event in of(came, "response.done")]
    assert 11_000 < caller.talk.now_ms < 15_000
    assert [each["status"] for each in done] == ["completed"] * 4 + ["cancelled", "completed"]
    assert done[4]["status_details"]["reason"] == "turn_detected"
    assert [item["type"] for item in done[1]["output"]] == ["message", "function_call"]
    assert done[1]["output"][1]["name"] == ORDER
    heard = of(came, "conversation.item.input_audio_transcription.completed")
    assert [each["transcript"] for each in heard] == [
        voices.TEXTS[line.clip] for line in DEMO_CALLER
    ]
    stopped = of(came, "input_audio_buffer.speech_stopped")
    first_audio = [
        next(
            event.at_ms
            for event in of(came, "response.output_audio.delta")
            if event.at_ms > each.at_ms
        )
        - each.at_ms
        for each in stopped
    ]
    assert np.argmax(first_audio) == 2
    assert 2400 < first_audio[2] < 2600
