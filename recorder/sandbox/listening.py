"""The user's voice: appended, found by the VAD, committed, transcribed.

Laws:

1. `speech_started` names the item that the turn will become; `speech_stopped` and `committed` name
   the same one.
2. Only a VAD, an idle timeout or a client commits; what is committed leaves the buffer.
3. With a VAD the turn's audio is what lies between the offsets that were announced.
"""

from __future__ import annotations

from recorder.sandbox.agenda import MS, Steps, Task
from recorder.sandbox.answering import Answering
from recorder.sandbox.checks import Invalid
from recorder.sandbox.config import Config
from recorder.sandbox.conversation import Item
from recorder.sandbox.formats import decode
from recorder.sandbox.input_buffer import SHORTEST_MS, InputBuffer
from recorder.sandbox.script import Heard
from recorder.sandbox.state import State
from recorder.sandbox.transcribing import transcribe, words_of
from recorder.sandbox.vad import SpeechStarted, Vad

NOTHING_HEARD = Heard(text="")


class Listening:
    """The input audio buffer of one session, and who empties it."""

    def __init__(self, state: State) -> None:
        self.answering = Answering(state, self._begin_idling)
        self._state = state
        self._buffer = InputBuffer(state.config.input_format)
        self._vad = Vad()
        self._turn_id = ""
        """The item that the turn which is going on will become."""
        self._turn_start_ms = 0
        self._spoken_turns = 0
        self._idling: Task | None = None

    def append(self, data: bytes) -> None:
        """More audio; whatever the VAD finds in it happens now."""
        data = self._buffer.append(data)
        audio, settings = self._buffer.audio, self._state.config.turn_detection
        for found in list(self._vad.feed(decode(data, audio), audio.rate, settings)):
            if isinstance(found, SpeechStarted):
                self._start(found.start_ms)
            else:
                self._stop(found.end_ms)

    def commit(self) -> None:
        """What a client asked for with `input_audio_buffer.commit`."""
        held_ms = self._buffer.held_ms
        if held_ms < SHORTEST_MS:
            raise Invalid(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{SHORTEST_MS}ms of audio, but buffer only has {held_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        item_id = self._turn_id if self._vad.speaking else self._state.ids.new("item")
        self._vad.reset()
        self._stop_idling()
        self._commit(item_id, self._buffer.take_all(), self._next_heard())

    def clear(self) -> None:
        """What a client asked for with `input_audio_buffer.clear`. The axis goes on."""
        self._buffer.take_all()
        self._vad.reset()
        self._state.line.send("input_audio_buffer.cleared")

    def configure(self, config: Config) -> None:
        """The session's settings changed."""
        if config.input_format != self._buffer.audio:
            self._buffer.change_format(config.input_format)
        if config.turn_detection is None:
            self._vad.reset()
            self._stop_idling()

    def _start(self, start_ms: int) -> None:
        self._turn_id, self._turn_start_ms = self._state.ids.new("item"), start_ms
        self._state.line.send(
            "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._turn_id
        )
        settings = self._state.config.turn_detection
        if settings is not None and settings.interrupt_response:
            self.answering.interrupt()
        self._stop_idling()

    def _stop(self, end_ms: int) -> None:
        self._state.line.send(
            "input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=self._turn_id
        )
        audio = self._slice(self._turn_start_ms, end_ms)
        self._commit(self._turn_id, audio, self._next_heard())
        self._answer()

    def _slice(self, start_ms: int, end_ms: int) -> bytes:
        return self._buffer.take(end_ms - start_ms, self._vad.position_ms - end_ms)

    def _answer(self) -> None:
        config = self._state.config
        settings = config.turn_detection
        if settings is not None and settings.create_response and config.type == "realtime":
            self.answering.answer_turn()

    def _commit(self, item_id: str, audio: bytes, heard: Heard) -> None:
        """The audio becomes an item of the conversation."""
        state = self._state
        content = [{"type": "input_audio", "transcript": None}]
        body = {"id": item_id, "type": "message", "status": "completed", "role": "user"}
        item = Item({**body, "content": content}, self._buffer.audio, {0: bytearray(audio)})
        previous_id = state.conversation.last_id
        state.line.send(
            "input_audio_buffer.committed", previous_item_id=previous_id, item_id=item_id
        )
        state.conversation.insert(item)
        state.show_item(item, previous_id)
        state.user_words[item_id] = words_of(heard, item.audio_ms(0))
        if state.config.transcription is not None:
            model = str(state.config.transcription["model"])
            state.agenda.start(transcribe(state, item, heard, model))

    def _next_heard(self) -> Heard:
        self._spoken_turns += 1
        script = self._state.script
        if self._spoken_turns <= len(script.heard):
            return script.heard[self._spoken_turns - 1]
        return script.heard_otherwise

    def _begin_idling(self) -> None:
        """A response has ended: from the end of its playback on, silence is counted."""
        self._stop_idling()
        settings = self._state.config.turn_detection
        if settings is not None and settings.idle_timeout_ms is not None:
            self._idling = self._state.agenda.start(self._idle(settings.idle_timeout_ms))

    def _stop_idling(self) -> None:
        if self._idling is not None:
            self._state.agenda.cancel(self._idling)
            self._idling = None

    def _idle(self, timeout_ms: int) -> Steps:
        """Nobody spoke: the silence is committed, and answered."""
        yield self._state.played_until_ns - self._state.agenda.now_ns
        start_ms = self._vad.position_ms
        yield timeout_ms * MS
        self._idling = None
        if self._vad.speaking or self.answering.is_active:
            return
        end_ms, item_id = self._vad.position_ms, self._state.ids.new("item")
        self._state.line.send(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=item_id,
        )
        self._commit(item_id, self._slice(start_ms, end_ms), NOTHING_HEARD)
        self._answer()
