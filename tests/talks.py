"""Sessions for tests, made as a recorder makes them: through `Recorder`, into a real store."""

from __future__ import annotations

import base64
import math
from array import array
from typing import TYPE_CHECKING, Any

import orjson

from recorder.events import NO_FRAME, TEXT, Event, Origin, Session, new_session_id
from recorder.recording import Recorder
from recorder.store import RecorderProcess

if TYPE_CHECKING:
    from recorder.store import EventStore

SECOND = 1_000_000_000
MS = 1_000_000
NOW = 1_795_000_000 * SECOND
"""A wall clock for tests: 18 November 2026."""

RATE = 24_000

USAGE = {
    "total_tokens": 130,
    "input_tokens": 90,
    "output_tokens": 40,
    "input_token_details": {"text_tokens": 30, "audio_tokens": 60, "cached_tokens": 10},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 30},
}
"""What each spoken response cost."""


def tone(ms: int, level: float = 0.3) -> bytes:
    """So many milliseconds of PCM16 that a speech detector takes for a voice."""
    count = RATE * ms // 1000
    wave = (math.sin(2 * math.pi * 220 * n / RATE) * level * 32767 for n in range(count))
    return array("h", map(int, wave)).tobytes()


def silence(ms: int) -> bytes:
    """So many milliseconds of nothing."""
    return bytes(2 * RATE * ms // 1000)


class Talk:
    """One session while it is made up. Times are milliseconds since it was opened."""

    def __init__(
        self,
        store: EventStore,
        *,
        seed: int = 1,
        wall_ns: int = NOW,
        recorder: str = "",
        tags: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        name = new_session_id(wall_ns, seed.to_bytes(10, "big"))
        given = {"url": "wss://api.example/v1/realtime?model=m", "model": "gpt-realtime"} | fields
        self.session = Session(id=name, wall_ns=wall_ns, mono_ns=0, recorder=recorder, **given)
        self.store, self.recorder = store, Recorder(self.session)
        self.events: list[Event] = []
        self.at_ms = 0.0
        store.begin(self.session)
        self.tags = tags

    @property
    def id(self) -> str:
        return self.session.id

    def opened(self, status: int = 101, **fields: Any) -> Talk:
        """The recorder's own first words, and the handshake."""
        self.own("opened", 0, url=self.session.url, model=self.session.model,
                 call=self.session.call, tags=self.tags, capture=self.session.capture)  # fmt: skip
        headers = [["x-request-id", f"req_{self.id[-6:]}"]]
        shake = {"status": status, "reason": "", "subprotocol": "", "headers": headers} | fields
        return self.own("handshake", 90, **shake)

    def closed(self, at_ms: float, **fields: Any) -> Talk:
        """How it ended."""
        told = {"code": 1000, "reason": "", "initiator": "client", "clean": True} | fields
        return self.own("closed", at_ms, **told)

    def own(self, kind: str, at_ms: float, /, **fields: Any) -> Talk:
        """Something that the recorder noticed."""
        self.events.append(self.recorder.note(kind, round(at_ms * MS), fields))
        return self

    def client(self, at_ms: float, kind: str, /, **fields: Any) -> Talk:
        return self.raw(Origin.CLIENT, at_ms, orjson.dumps({"type": kind, **fields}))

    def server(self, at_ms: float, kind: str, /, **fields: Any) -> Talk:
        body = {"type": kind, "event_id": f"event_{self.recorder.last_seq + 1}_{self.id[-6:]}"}
        return self.raw(Origin.SERVER, at_ms, orjson.dumps(body | fields))

    def raw(self, origin: Origin, at_ms: float, payload: bytes, opcode: int = TEXT) -> Talk:
        """A message as it passed."""
        event = self.recorder.admit(origin, round(at_ms * MS), payload, opcode, room=1 << 40)
        assert event is not None
        self.events.append(event)
        return self

    def kept(self) -> Talk:
        """Everything so far is in the store."""
        self.store.append([(self.id, self.events)])
        self.events = []
        return self

    # ---- whole turns

    def created(self, at_ms: float = 100, **session: Any) -> Talk:
        """The server says who it is: GA, PCM16, server VAD."""
        audio = {
            "input": {
                "format": {"type": "audio/pcm", "rate": RATE},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500,
                                   "prefix_padding_ms": 300},
                "transcription": {"model": "whisper-1"},
            },
            "output": {"format": {"type": "audio/pcm", "rate": RATE}, "voice": "marin"},
        }  # fmt: skip
        body = {"type": "realtime", "id": f"sess_{self.id[-6:]}", "model": "gpt-realtime-2025",
                "output_modalities": ["audio"], "audio": audio}  # fmt: skip
        return self.server(at_ms, "session.created", session=body | session)

    def says(self, at_ms: float, audio: bytes, chunk_ms: int = 100) -> Talk:
        """The microphone, in real time."""
        step = 2 * RATE * chunk_ms // 1000
        for begin in range(0, len(audio), step):
            piece = base64.b64encode(audio[begin : begin + step]).decode()
            at_ms += chunk_ms
            self.client(at_ms, "input_audio_buffer.append", audio=piece)
        return self

    def heard(self, at_ms: float, item: str, start_ms: int, end_ms: int, words: str = "") -> Talk:
        """The server's voice detection commits what was said."""
        self.server(
            at_ms, "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=item
        )
        self.server(at_ms, "input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item)
        self.server(at_ms + 1, "input_audio_buffer.committed", item_id=item, previous_item_id=None)
        content = [{"type": "input_audio", "transcript": None}]
        body = {"id": item, "type": "message", "role": "user", "status": "completed",
                "content": content}  # fmt: skip
        self.server(at_ms + 1, "conversation.item.done", item=body, previous_item_id=None)
        if words:
            self.server(at_ms + 300, "conversation.item.input_audio_transcription.completed",
                        item_id=item, content_index=0, transcript=words)  # fmt: skip
        return self

    def answers(
        self, at_ms: float, name: str, words: str, audio: bytes, *, first_ms: float = 400,
        status: str = "completed", reason: str = "",
    ) -> Talk:  # fmt: skip
        """A spoken response, its audio faster than real time."""
        response, item = f"resp_{name}", f"item_{name}"
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        empty = {
            "id": response,
            "object": "realtime.response",
            "status": "in_progress",
            "output": [],
        }
        body = {"id": item, "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_audio", "transcript": words}]}  # fmt: skip
        self.server(at_ms, "response.created", response=empty)
        self.server(at_ms + 5, "response.output_item.added", response_id=response, output_index=0,
                    item=body | {"status": "in_progress", "content": []})  # fmt: skip
        self.server(at_ms + 5, "conversation.item.added", item=body | {"content": []})
        at_ms += first_ms
        pieces = [audio[n : n + 9600] for n in range(0, len(audio), 9600)]
        for index, piece in enumerate(pieces):
            said = words if index == 0 else ""
            if said:
                self.server(at_ms, "response.output_audio_transcript.delta", delta=said, **ids)
            at_ms += 20
            delta = base64.b64encode(piece).decode()
            self.server(at_ms, "response.output_audio.delta", delta=delta, **ids)
        self.server(at_ms, "response.output_audio.done", **ids)
        self.server(at_ms, "response.output_audio_transcript.done", transcript=words, **ids)
        self.server(at_ms, "response.output_item.done", response_id=response, output_index=0,
                    item=body)  # fmt: skip
        self.server(at_ms, "conversation.item.done", item=body)
        details = {"status_details": {"type": status, "reason": reason}} if reason else {}
        done = empty | {"status": status, "output": [body], "usage": USAGE} | details
        self.server(at_ms + 10, "response.done", response=done)
        self.at_ms = at_ms + 10
        return self


def spoken(store: EventStore, **given: Any) -> Talk:
    """A question by voice and its answer, then the same again, and an orderly close."""
    talk = Talk(store, **given).opened().created()
    talk.says(200, tone(1000) + silence(800))
    talk.heard(1750, "item_q1", 0, 1500, "What are your opening hours?")
    talk.answers(1800, "a1", "We are open from nine to five.", tone(1500))
    talk.says(5000, tone(800) + silence(700))
    talk.heard(6350, "item_q2", 1500, 3100, "And on Sundays?")
    talk.answers(6400, "a2", "On Sundays we are closed.", tone(1200), first_ms=2900)
    return talk.closed(11_000).kept()


def texted(store: EventStore, words: str = "Hello there", **given: Any) -> Talk:
    """One turn of text, and no audio at all."""
    talk = Talk(store, **given).opened().created()
    item = {"id": "item_mine", "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": words}]}  # fmt: skip
    talk.client(200, "conversation.item.create", event_id="client_1", item=item)
    talk.server(220, "conversation.item.added", item=item)
    talk.client(230, "response.create")
    ids = {"response_id": "resp_t", "item_id": "item_t", "output_index": 0, "content_index": 0}
    empty = {"id": "resp_t", "status": "in_progress", "output": []}
    talk.server(300, "response.created", response=empty)
    talk.server(400, "response.output_text.delta", delta="Hi.", **ids)
    talk.server(410, "response.output_text.done", text="Hi.", **ids)
    talk.server(420, "response.done", response=empty | {"status": "completed"})
    return talk.closed(500).kept()


def refused(store: EventStore, **given: Any) -> Talk:
    """The upgrade was answered with 401."""
    talk = Talk(store, **given).opened(status=401, reason="Unauthorized", body='{"error": "no"}')
    return talk.closed(120, code=None, clean=False, initiator="server", error="401").kept()


def unended(store: EventStore, **given: Any) -> Talk:
    """The recorder was killed in the middle."""
    return Talk(store, **given).opened().created().says(200, tone(300)).kept()


def process(name: str, lease_ns: int) -> RecorderProcess:
    """A recording process whose lease runs until then."""
    return RecorderProcess(
        id=name, host="here", pid=1, boot_id="boot", started_ns=NOW, lease_ns=lease_ns
    )


__all__ = ["NO_FRAME", "Talk", "refused", "silence", "spoken", "texted", "tone", "unended"]
