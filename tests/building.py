"""Small sessions written down by hand: what passed, at which millisecond, in which dialect.

    talk = Talk()                       # GA, server VAD, PCM16 at 24 kHz
    talk.open(0)
    talk.mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200)
    talk.answer(2300, "R", "A", [(2600, 1000)], text="Fine.")
    analyse(talk.source)

Times are milliseconds of the session's clock. A microphone sends 20 ms chunks, each at the
moment at which it ends. Tones are square waves: every sample of them is loud, so that onsets and
ends are exact.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson

from recorder import wire
from recorder.events import NO_FRAME, TEXT, Event, Origin

MS = 1_000_000
BETA = {
    "response.output_text": "response.text",
    "response.output_audio_transcript": "response.audio_transcript",
    "response.output_audio": "response.audio",
    "conversation.item.added": "conversation.item.created",
}


def tone(ms: float, rate: int = 24_000, amplitude: int = 8_000) -> bytes:
    """A square wave of 400 Hz as PCM16."""
    samples = np.arange(round(ms * rate / 1000))
    wave = np.where(samples * 800 // rate % 2, -amplitude, amplitude)
    return wave.astype("<i2").tobytes()


def hush(ms: float, rate: int = 24_000) -> bytes:
    """Silence as PCM16."""
    return bytes(2 * round(ms * rate / 1000))


def spoken(length: float, speech: list[tuple[float, float]], rate: int = 24_000) -> bytes:
    """`length` ms of silence with a tone in each of these stretches."""
    sound = bytearray(hush(length, rate))
    for start, end in speech:
        begin = 2 * round(start * rate / 1000)
        piece = tone(end - start, rate)
        sound[begin : begin + len(piece)] = piece
    return bytes(sound[: len(hush(length, rate))])


class Talk:
    """One session, event by event. Events may be added in any order of time."""

    def __init__(self, *, beta: bool = False, rate: int = 24_000) -> None:
        self.beta = beta
        self.rate = rate
        self._made: list[tuple[int, int, Origin, bytes, int]] = []

    # The elements.

    def message(self, origin: Origin, ms: float, kind: str, **fields: Any) -> Talk:
        """A message of either side."""
        if self.beta:
            for new, old in BETA.items():
                if kind == new or kind.startswith(f"{new}."):
                    kind = kind.replace(new, old)
                    break
        return self.raw(origin, ms, orjson.dumps({"type": kind, **fields}))

    def raw(self, origin: Origin, ms: float, payload: bytes, opcode: int = TEXT) -> Talk:
        """Any bytes."""
        self._made.append((round(ms * MS), len(self._made), origin, payload, opcode))
        return self

    def client(self, ms: float, kind: str, **fields: Any) -> Talk:
        return self.message(Origin.CLIENT, ms, kind, **fields)

    def server(self, ms: float, kind: str, **fields: Any) -> Talk:
        return self.message(Origin.SERVER, ms, kind, **fields)

    def note(self, ms: float, kind: str, **fields: Any) -> Talk:
        """What the recorder writes down: `recorder.KIND`."""
        payload = orjson.dumps({"type": f"recorder.{kind}", **fields})
        return self.raw(Origin.RECORDER, ms, payload, NO_FRAME)

    @property
    def events(self) -> list[Event]:
        """All of it, numbered in order of time."""
        return [
            Event(seq, at_ns, origin, *self._split(payload, opcode))
            for seq, (at_ns, _, origin, payload, opcode) in enumerate(sorted(self._made), 1)
        ]

    @staticmethod
    def _split(payload: bytes, opcode: int) -> tuple[str, int, bytes, str | None, bytes | None]:
        if opcode not in (TEXT, NO_FRAME, 2):
            return "", opcode, payload, None, None
        part = wire.split(payload)
        return part.type, opcode, part.head, part.meta, part.audio

    def source(self, audio: bool) -> list[Event]:
        """As a store would give it."""
        events = self.events
        return events if audio else [event._replace(audio=None) for event in events]

    def seq(self, kind: str, nth: int = 1) -> int:
        """The number of the nth event of this type."""
        return [event.seq for event in self.events if event.type == kind][nth - 1]

    # The usual acts.

    def open(self, ms: float = 0, *, vad: str | None = "server_vad", **turns: Any) -> Talk:
        """`session.created`, with a silence window of 200 and padding of 300 ms."""
        detection = vad and {
            "type": vad,
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "create_response": True,
            "interrupt_response": True,
            **turns,
        }
        if self.beta:
            session: dict[str, Any] = {
                "modalities": ["text", "audio"],
                "input_audio_format": "pcm16",
                "output_audio_format": "pcm16",
                "turn_detection": detection,
                "voice": "echo",
            }
        else:
            form = {"type": "audio/pcm", "rate": self.rate}
            session = {
                "type": "realtime",
                "output_modalities": ["audio"],
                "audio": {
                    "input": {"format": form, "turn_detection": detection},
                    "output": {"format": form, "voice": "marin"},
                },
            }
        session |= {"id": "sess_1", "model": "gpt-realtime"}
        return self.server(ms, "session.created", event_id="event_1", session=session)

    def append(self, ms: float, audio: bytes) -> Talk:
        """One chunk, arriving at `ms`."""
        text = base64.b64encode(audio).decode()
        return self.client(ms, "input_audio_buffer.append", audio=text)

    def mic(
        self,
        start: float,
        end: float,
        *,
        speech: list[tuple[float, float]] = (),  # type: ignore[assignment]
        chunk: float = 20,
        late: float = 0,
    ) -> Talk:
        """A live microphone from `start` to `end`; `speech` on the session's clock."""
        told = [(a - start, b - start) for a, b in speech]
        return self.sound(start, spoken(end - start, told, self.rate), chunk=chunk, late=late)

    def sound(self, start: float, audio: bytes, *, chunk: float = 20, late: float = 0) -> Talk:
        """This sound as a live microphone sends it from `start` on."""
        size = 2 * round(chunk * self.rate / 1000)
        for row in range(0, len(audio), size):
            piece = audio[row : row + size]
            at = start + (row + len(piece)) / 2 / self.rate * 1000 + late
            self.append(at, piece)
        return self

    def heard(self, ms: float, item: str, *, start: int, end: int, began: float | None = None,
              previous: str | None = None) -> Talk:  # fmt: skip
        """Server VAD: `speech_started` (at `began`), `speech_stopped`, `committed`, the item."""
        name = "input_audio_buffer"
        at = ms - 100 if began is None else began
        self.server(at, f"{name}.speech_started", audio_start_ms=start, item_id=item)
        self.server(ms, f"{name}.speech_stopped", audio_end_ms=end, item_id=item)
        return self.committed(ms + 1, item, previous)

    def committed(self, ms: float, item: str, previous: str | None = None) -> Talk:
        """`committed` and the user's item."""
        name = "input_audio_buffer.committed"
        self.server(ms, name, item_id=item, previous_item_id=previous)
        body = {
            "id": item,
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        return self.server(ms, "conversation.item.added", previous_item_id=previous, item=body)

    def transcript(self, ms: float, item: str, text: str) -> Talk:
        """The user's words."""
        name = "conversation.item.input_audio_transcription.completed"
        return self.server(ms, name, item_id=item, content_index=0, transcript=text)

    def write(self, ms: float, text: str, item: str = "", *, ask: bool = True) -> Talk:
        """The user writes: the client's item, `response.create`, and the server's confirmation."""
        content = [{"type": "input_text", "text": text}]
        body = {"type": "message", "role": "user", "content": content}
        self.client(ms, "conversation.item.create", item={**body, **({"id": item} if item else {})})
        if ask:
            self.client(ms, "response.create")
        stated = {**body, "id": item or f"item_w{ms:.0f}", "status": "completed"}
        return self.server(ms + 1, "conversation.item.added", previous_item_id=None, item=stated)

    def answer(
        self,
        ms: float,
        response: str,
        item: str,
        audio: list[tuple[float, float]],
        *,
        text: str = "",
        done: float | None = None,
        status: str = "completed",
        reason: str = "",
        previous: str | None = None,
        lead: float = 0,
    ) -> Talk:
        """A spoken response: created at `ms`, deltas of (arrival, length), done at `done`.

        `lead` ms of silence stand at the beginning of its audio.
        """
        self.created(ms, response)
        self.part_of(ms + 1, response, item, previous)
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        if text:
            at = audio[0][0] if audio else ms + 1
            self.server(at, "response.output_audio_transcript.delta", **ids, delta=text)
        for row, (at, length) in enumerate(audio):
            quiet = min(lead, length) if row == 0 else 0
            piece = hush(quiet, self.rate) + tone(length - quiet, self.rate)
            delta = base64.b64encode(piece).decode()
            self.server(at, "response.output_audio.delta", **ids, delta=delta)
        end = done if done is not None else (audio[-1][0] if audio else ms) + 1
        if status == "completed" and text:
            self.server(end, "response.output_audio_transcript.done", **ids, transcript=text)
        return self.done(end, response, status, reason)

    def created(self, ms: float, response: str, **more: Any) -> Talk:
        body = {"id": response, "status": "in_progress", "output": [], "conversation_id": "conv_1"}
        return self.server(ms, "response.created", response=body | more)

    def part_of(self, ms: float, response: str, item: str, previous: str | None = None) -> Talk:
        """An assistant's item begins."""
        body = {"id": item, "type": "message", "role": "assistant", "status": "in_progress"}
        body["content"] = []  # type: ignore[assignment]
        added = "response.output_item.added"
        self.server(ms, added, response_id=response, output_index=0, item=body)
        return self.server(ms, "conversation.item.added", previous_item_id=previous, item=body)

    def done(self, ms: float, response: str, status: str = "completed", reason: str = "",
             output: list[dict[str, Any]] | None = None) -> Talk:  # fmt: skip
        details = {"type": status, "reason": reason} if reason else None
        body = {
            "id": response,
            "status": status,
            "status_details": details,
            "output": output or [],
            "conversation_id": "conv_1",
        }
        return self.server(ms, "response.done", response=body)

    def calls(self, ms: float, response: str, item: str, call: str, name: str = "look_up") -> Talk:
        """A function call that is complete at `ms`, told of three times as servers do."""
        body = {"id": item, "type": "function_call", "call_id": call, "name": name}
        ids = {"response_id": response, "output_index": 0}
        begun = {**body, "status": "in_progress", "arguments": ""}
        self.server(ms - 5, "response.output_item.added", **ids, item=begun)
        whole = {**body, "status": "completed", "arguments": '{"a":1}'}
        done = "response.function_call_arguments.done"
        self.server(ms, done, **ids, item_id=item, call_id=call, name=name, arguments='{"a":1}')
        if not self.beta:
            self.server(ms, "conversation.item.done", previous_item_id=None, item=whole)
        return self.server(ms, "response.output_item.done", **ids, item=whole)

    def output(self, ms: float, call: str, text: str = "42", *, ask: float | None = None) -> Talk:
        """The application sends the tool's output, and asks for the answer."""
        body = {"type": "function_call_output", "call_id": call, "output": text}
        self.client(ms, "conversation.item.create", item=body)
        return self.client(ms if ask is None else ask, "response.create")

    def close(self, ms: float, code: int = 1000, initiator: str = "client") -> Talk:
        clean = code == 1000
        return self.note(ms, "closed", code=code, reason="", initiator=initiator, clean=clean)
