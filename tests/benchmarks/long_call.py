"""A long two-sided call as a recorder would have kept it, made a turn at a time.

A turn lasts twelve seconds: three of speech, endpointing, an answer of 5.6 s whose audio comes
two and a half times faster than it is spoken, its transcript beside it. Every tenth turn calls a
tool first, every tenth is talked over and truncated. 300 turns are an hour: 180,000 appends of
20 ms and about 30,000 events of the server.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from recorder import wire
from recorder.events import NO_FRAME, TEXT, Event, Origin, Session

if TYPE_CHECKING:
    from recorder.store import EventStore

RATE: Final = 24_000
TURN_MS: Final = 12_000
TURNS_AN_HOUR: Final = 300
CHUNK_MS: Final = 20
DELTAS: Final = 37
DELTA_MS: Final = 150
GROUP: Final = 512
MS: Final = 1_000_000
WORDS: Final = (
    "We",
    "are",
    "open",
    "from",
    "nine",
    "to",
    "five,",
    "and",
    "on",
    "Sundays",
    "closed",
)
_SPEECH: Final = (500, 3500)

Made = tuple[float, Origin, bytes]


def fill(store: EventStore, session: Session, turns: int = TURNS_AN_HOUR) -> int:
    """Enter the session with so many turns; how many events it has."""
    store.begin(session)
    group: list[Event] = []
    count = 0
    for event in call(turns):
        group.append(event)
        count += 1
        if len(group) == GROUP:
            store.append([(session.id, group)])
            group = []
    store.append([(session.id, group)])
    return count


def call(turns: int) -> Iterator[Event]:
    """The events of the call, in order."""
    for seq, (at_ms, origin, payload) in enumerate(_messages(turns), 1):
        part = wire.split(payload)
        opcode = NO_FRAME if origin == Origin.RECORDER else TEXT
        at_ns = round(at_ms * MS)
        yield Event(seq, at_ns, origin, part.type, opcode, part.head, part.meta, part.audio)


def _messages(turns: int) -> Iterator[Made]:
    yield from _opening()
    chunks = _microphone()
    answer = _answer()
    for turn in range(turns):
        start = turn * TURN_MS
        said = [_append(start + CHUNK_MS * (row + 1), text) for row, text in enumerate(chunks)]
        yield from sorted([*said, *_Turn(turn, answer).messages()], key=lambda made: made[0])
    end = turns * TURN_MS + 1
    yield end, Origin.RECORDER, _json("recorder.closed", code=1000, initiator="client", clean=True)


def _append(at_ms: float, audio: bytes) -> Made:
    return at_ms, Origin.CLIENT, b'{"type":"input_audio_buffer.append","audio":"%s"}' % audio


def _json(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields})


def _opening() -> Iterator[Made]:
    form = {"type": "audio/pcm", "rate": RATE}
    vad = {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 300}
    audio = {"input": {"format": form, "turn_detection": vad, "transcription": {"model": "w"}},
             "output": {"format": form, "voice": "marin"}}  # fmt: skip
    session = {"type": "realtime", "id": "sess_1", "model": "gpt-realtime", "audio": audio}
    yield 0, Origin.RECORDER, _json("recorder.opened", url="wss://api.example/v1", model="m")
    yield 0, Origin.RECORDER, _json("recorder.handshake", status=101, headers=[])
    yield 1, Origin.SERVER, _json("session.created", event_id="event_0", session=session)
    yield 2, Origin.CLIENT, _json("session.update", session=session)
    yield 3, Origin.SERVER, _json("session.updated", event_id="event_1", session=session)


def _microphone() -> list[bytes]:
    """Twelve seconds of a quiet room with a voice in it, as base64 in chunks."""
    dice = np.random.default_rng(1)
    room = dice.normal(0, 20, TURN_MS * RATE // 1000)
    begin, end = (ms * RATE // 1000 for ms in _SPEECH)
    room[begin:end] += dice.normal(0, 3000, end - begin)
    step = 2 * CHUNK_MS * RATE // 1000
    data = np.clip(room, -32768, 32767).astype("<i2").tobytes()
    return [base64.b64encode(data[row : row + step]) for row in range(0, len(data), step)]


def _answer() -> list[str]:
    """The deltas of an answer as base64."""
    dice = np.random.default_rng(2)
    sound = np.clip(dice.normal(0, 3000, DELTAS * DELTA_MS * RATE // 1000), -32768, 32767)
    step = 2 * DELTA_MS * RATE // 1000
    data = sound.astype("<i2").tobytes()
    texts = [base64.b64encode(data[row : row + step]) for row in range(0, len(data), step)]
    return [text.decode() for text in texts]


class _Turn:
    """What passes in a turn, apart from the microphone."""

    def __init__(self, number: int, audio: list[str]) -> None:
        self.number, self.start = number, number * TURN_MS
        self.audio = audio
        self.made: list[Made] = []

    def messages(self) -> list[Made]:
        """All of it, in no order."""
        self._heard(f"item_u{self.number:06d}")
        begin = 4250
        if self.number % 10 == 3:
            self._tool(begin)
            begin = 5200
        self._spoken(begin)
        return self.made

    def _server(self, ms: float, kind: str, **fields: Any) -> None:
        name = f"event_{self.number:06d}{len(self.made):04d}"
        self.made.append((self.start + ms, Origin.SERVER, _json(kind, event_id=name, **fields)))

    def _client(self, ms: float, kind: str, **fields: Any) -> None:
        self.made.append((self.start + ms, Origin.CLIENT, _json(kind, **fields)))

    def _heard(self, item: str) -> None:
        """Server VAD, the item, and its words in the end."""
        begin, end = _SPEECH
        buffer, words = "input_audio_buffer", "conversation.item.input_audio_transcription"
        self._server(begin + 90, f"{buffer}.speech_started", item_id=item,
                     audio_start_ms=max(0, self.start + begin - 300))  # fmt: skip
        self._server(end + 530, f"{buffer}.speech_stopped", item_id=item,
                     audio_end_ms=self.start + end + 500)  # fmt: skip
        self._server(end + 531, f"{buffer}.committed", item_id=item, previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        body = {"id": item, "object": "realtime.item", "type": "message", "role": "user",
                "status": "completed", "content": content}  # fmt: skip
        self._server(end + 532, "conversation.item.added", previous_item_id=None, item=body)
        self._server(end + 533, "conversation.item.done", previous_item_id=None, item=body)
        for row, word in enumerate(WORDS[:8]):
            self._server(end + 900 + row, f"{words}.delta", item_id=item, content_index=0,
                         delta=f"{word} ")  # fmt: skip
        self._server(end + 920, f"{words}.completed", item_id=item, content_index=0,
                     transcript=" ".join(WORDS[:8]))  # fmt: skip

    def _response(self, name: str, **more: Any) -> dict[str, Any]:
        return {"object": "realtime.response", "id": name, "status": "in_progress", "output": [],
                "conversation_id": "conv_1", "output_modalities": ["audio"]} | more  # fmt: skip

    def _tool(self, ms: float) -> None:
        response, item, name = (f"{kind}_t{self.number:06d}" for kind in ("resp", "item", "call"))
        ids = {"response_id": response, "item_id": item, "output_index": 0}
        body = {"id": item, "type": "function_call", "call_id": name, "name": "look_up"}
        self._server(ms, "response.created", response=self._response(response))
        self._server(ms + 200, "response.output_item.added", response_id=response, output_index=0,
                     item=body | {"status": "in_progress", "arguments": ""})  # fmt: skip
        for row in range(10):
            self._server(ms + 210 + row, "response.function_call_arguments.delta", call_id=name,
                         delta='"a' if row else "{", **ids)  # fmt: skip
        whole = body | {"status": "completed", "arguments": '{"a":1}'}
        self._server(ms + 230, "response.function_call_arguments.done", call_id=name,
                     name="look_up", arguments='{"a":1}', **ids)  # fmt: skip
        self._server(ms + 231, "response.output_item.done", response_id=response, output_index=0,
                     item=whole)  # fmt: skip
        self._server(ms + 232, "conversation.item.done", previous_item_id=None, item=whole)
        done = self._response(response, status="completed", output=[whole])
        self._server(ms + 233, "response.done", response=done)
        output = {"type": "function_call_output", "call_id": name, "output": "42"}
        self._client(ms + 800, "conversation.item.create", item=output)
        self._client(ms + 801, "response.create")

    def _spoken(self, ms: float) -> None:
        response, item = f"resp_{self.number:06d}", f"item_a{self.number:06d}"
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        part = {"type": "output_audio", "transcript": ""}
        body = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant",
                "status": "in_progress", "content": []}  # fmt: skip
        self._server(ms, "response.created", response=self._response(response))
        self._server(ms + 5, "response.output_item.added", response_id=response, output_index=0,
                     item=body)  # fmt: skip
        self._server(ms + 6, "conversation.item.added", previous_item_id=None, item=body)
        self._server(ms + 7, "response.content_part.added", part=part, **ids)
        words = [f" {WORDS[row % len(WORDS)]}" for row in range(DELTAS)]
        for row, (word, sound) in enumerate(zip(words, self.audio, strict=True)):
            at = ms + 350 + row * DELTA_MS / 2.5
            self._server(at, "response.output_audio_transcript.delta", delta=word,
                         obfuscation="a9Bc7dEf1"[: 1 + row % 9], **ids)  # fmt: skip
            self._server(at + 1, "response.output_audio.delta", delta=sound, **ids)
        self._ended(ms + 360 + DELTAS * DELTA_MS / 2.5, ids, "".join(words).strip(), body)

    def _ended(self, ms: float, ids: dict[str, Any], words: str, body: dict[str, Any]) -> None:
        response, item = ids["response_id"], ids["item_id"]
        part = {"type": "output_audio", "transcript": words}
        done = body | {"status": "completed", "content": [part]}
        tokens = {"total_tokens": 300, "input_tokens": 200, "output_tokens": 100}
        self._server(ms, "response.output_audio.done", **ids)
        self._server(ms + 1, "response.output_audio_transcript.done", transcript=words, **ids)
        self._server(ms + 2, "response.content_part.done", part=part, **ids)
        self._server(ms + 3, "response.output_item.done", response_id=response, output_index=0,
                     item=done)  # fmt: skip
        self._server(ms + 4, "conversation.item.done", previous_item_id=None, item=done)
        whole = self._response(response, status="completed", output=[done], usage=tokens)
        self._server(ms + 5, "response.done", response=whole)
        limits = [{"name": "tokens", "limit": 40000, "remaining": 30000, "reset_seconds": 15.0}]
        self._server(ms + 6, "rate_limits.updated", rate_limits=limits)
        if self.number % 10 == 7:
            cut = {"item_id": item, "content_index": 0, "audio_end_ms": 2000}
            self._client(ms + 50, "conversation.item.truncate", **cut)
            self._server(ms + 90, "conversation.item.truncated", **cut)
