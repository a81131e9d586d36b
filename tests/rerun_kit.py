"""A recorded caller and a recorded server, run against each other without sockets or clocks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from recorder import wire
from recorder.events import Event, Origin, Session
from recorder.projections import analyse
from recorder.replaying import Outcome, Replayer
from recorder.replaying import Rules as ReplayRules
from recorder.replaying import Send as Played
from recorder.rerunning import End, Options, Plan, Remark, Rerun, Rules, Send, make_plan
from recorder.store import MemoryStore
from tests.building import tone
from tests.log_kit import session as a_session

MS = 1_000_000


def reading(events: list[Event]) -> Callable[..., Iterator[Event]]:
    """`EventStore.read` of a session that holds these events."""
    store = MemoryStore()
    entered: Session = a_session(1)
    store.begin(entered)
    store.append([(entered.id, events)])

    def read(**how: Any) -> Iterator[Event]:
        return store.read(entered.id, **how)

    return read


def planned(events: list[Event], options: Options | None = None) -> Plan:
    """The plan of a recording."""
    read = reading(events)
    return make_plan(read, analyse(lambda audio: read(audio=audio)), options)


@dataclass
class Run:
    """What passed when a recording was run again."""

    sent: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """(ms since the connection was there, message)."""
    raw: list[tuple[bytes, bool]] = field(default_factory=list)
    """The same as bytes, and whether the frame was binary."""
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    end: End | None = None
    outcome: Outcome | None = None
    chunks: list[bytes] = field(default_factory=list)

    @property
    def audio(self) -> bytes:
        """All that was appended."""
        return b"".join(self.chunks)

    def times(self, kind: str) -> list[float]:
        """When messages of this type were sent, in ms."""
        return [at for at, body in self.sent if body["type"] == kind]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """The messages of this type that were sent."""
        return [body for _, body in self.sent if body["type"] == kind]

    def kinds(self, *, audio: bool = False) -> list[str]:
        """What was sent, in order."""
        found = [body["type"] for _, body in self.sent]
        return [each for each in found if audio or each != "input_audio_buffer.append"]


class Server:
    """Whatever answers: a replayer of a recording by default."""

    def __init__(self, events: list[Event], match: str = "strict") -> None:
        self.replayer = Replayer(events, ReplayRules(match=match))
        self.open = self.replayer.open
        self.receive = self.replayer.receive
        self.next_at = self.replayer.next_at

    def poll(self, now_ns: int) -> list[bytes]:
        return [each.message for each in self.replayer.poll(now_ns) if isinstance(each, Played)]


def run(
    events: list[Event],
    server: Any = None,
    *,
    rules: Rules | None = None,
    options: Options | None = None,
    until_ms: float = 600_000,
) -> Run:
    """Run the recording against a server; both sides on one clock, with nothing between them."""
    read = reading(events)
    plan = make_plan(read, analyse(lambda audio: read(audio=audio)), options)
    rerun = Rerun(plan, read, rules, options)
    server = server or Server(events)
    found, now = Run(), 0
    rerun.open(now)
    server.open(now)
    while now <= until_ms * MS and found.end is None:
        moved = _exchange(rerun, server, now, found)
        if moved:
            continue
        times = [each for each in (rerun.next_at(now), server.next_at()) if each is not None]
        if not times:
            break
        assert min(times) > now, "nothing was done at a time when there was something to do"
        now = min(times)
    if isinstance(server, Server):
        found.outcome = server.replayer.outcome()
    return found


def _exchange(rerun: Rerun, server: Any, now: int, found: Run) -> bool:
    """What is due now goes over; whether anything did."""
    moved = False
    for message in server.poll(now):
        found.told.append((now / MS, orjson.loads(message)))
        rerun.receive(message, now)
        moved = True
    for deed in rerun.poll(now):
        moved = True
        if isinstance(deed, Send):
            assert deed.due_ns <= now
            body = orjson.loads(deed.message)
            found.sent.append((now / MS, body))
            found.raw.append((deed.message, deed.binary))
            part = wire.split(deed.message)
            if part.audio and part.type == "input_audio_buffer.append":
                found.chunks.append(part.audio)
            server.receive(deed.message.decode(), now)
        elif isinstance(deed, Remark):
            found.remarks.append(deed.text)
        else:
            found.end = deed
    return moved


def recorded_audio(events: list[Event]) -> bytes:
    """What the client appended."""
    return b"".join(
        each.audio or b""
        for each in events
        if each.origin == Origin.CLIENT and each.type == "input_audio_buffer.append"
    )


@dataclass
class Answer:
    """What a scripted server says to one request."""

    text: str = "Yes."
    calls: tuple[tuple[str, str], ...] = ()
    """(function, arguments)."""
    audio_ms: float = 0
    begins_ms: float = 100
    lasts_ms: float = 400
    """From `response.created` to `response.done`."""


class Scripted:
    """A server with ids of its own, that is not the recorded one: it answers in its own time."""

    def __init__(
        self,
        *answers: Answer,
        vad: bool = False,
        beta: bool = False,
        silent: frozenset[str] = frozenset(),
        greets: bool = True,
        form: dict[str, Any] | None = None,
        deaf: bool = False,
        ack_ms: float = 10,
    ) -> None:
        self._answers = list(answers)
        self._vad, self._beta, self._silent, self._greets = vad, beta, silent, greets
        self._form = form or {"type": "audio/pcm", "rate": 24_000}
        self._deaf, self._ack_ms = deaf, ack_ms
        self._queue: list[tuple[int, int, dict[str, Any]]] = []
        self._count = 0
        self._loud_ms = self._quiet_ms = 0.0
        self.heard: list[dict[str, Any]] = []

    def open(self, now_ns: int) -> None:
        if self._greets:
            self._say(now_ns, 0, "session.created", session=self.session())

    def session(self) -> dict[str, Any]:
        detection = {"type": "server_vad", "silence_duration_ms": 200} if self._vad else None
        if self._beta:
            return {"modalities": ["text"], "input_audio_format": "pcm16",
                    "turn_detection": detection}  # fmt: skip
        heard = {"format": self._form, "turn_detection": detection}
        return {"type": "realtime", "audio": {"input": heard}}

    def next_at(self) -> int | None:
        return min(self._queue)[0] if self._queue else None

    def poll(self, now_ns: int) -> list[bytes]:
        due = sorted(each for each in self._queue if each[0] <= now_ns)
        self._queue = [each for each in self._queue if each[0] > now_ns]
        return [orjson.dumps(body) for _, _, body in due]

    def receive(self, message: str, now_ns: int) -> None:
        body = orjson.loads(message)
        kind = body["type"]
        self.heard.append(body)
        if kind in self._silent:
            return
        match kind:
            case "session.update":
                self._say(now_ns, self._ack_ms, "session.updated", session=self.session())
            case "conversation.item.create":
                item = {"id": self._id("item"), "status": "completed", **body["item"]}
                self._say(now_ns, 5, "conversation.item.added", item=item)
            case "input_audio_buffer.commit":
                self._say(now_ns, 5, "input_audio_buffer.committed", item_id=self._id("item"))
            case "response.create":
                self._answer(now_ns)
            case "input_audio_buffer.append" if self._vad:
                self._listen(message.encode(), now_ns)

    def _listen(self, message: bytes, now_ns: int) -> None:
        """60 ms of sound and then 200 of silence are an utterance."""
        audio = wire.split(message).audio or b""
        length = len(audio) / 48
        if any(audio):
            self._loud_ms, self._quiet_ms = self._loud_ms + length, 0
            return
        self._quiet_ms += length
        if not self._deaf and self._loud_ms >= 60 and self._quiet_ms >= 200:
            self._loud_ms = 0
            item = self._id("item")
            self._say(now_ns, 0, "input_audio_buffer.speech_started", item_id=item)
            self._say(now_ns, 0, "input_audio_buffer.speech_stopped", item_id=item)
            self._say(now_ns, 1, "input_audio_buffer.committed", item_id=item)
            self._answer(now_ns)

    def _answer(self, now_ns: int) -> None:
        answer = self._answers.pop(0) if self._answers else Answer()
        response, at = self._id("resp"), answer.begins_ms
        self._say(now_ns, at, "response.created", response={"id": response})
        end = at + answer.lasts_ms
        if answer.text or answer.audio_ms:
            self._words(now_ns, at + 20, response, answer)
        for name, arguments in answer.calls:
            item = {"id": self._id("item"), "type": "function_call", "status": "completed",
                    "call_id": self._id("call"), "name": name, "arguments": arguments}  # fmt: skip
            self._say(now_ns, end - 1, "response.output_item.done", response_id=response, item=item)
        done = {"id": response, "status": "completed", "output": []}
        self._say(now_ns, end, "response.done", response=done)

    def _words(self, now_ns: int, at_ms: float, response: str, answer: Answer) -> None:
        item = self._id("item")
        body = {"id": item, "type": "message", "role": "assistant", "status": "in_progress"}
        ids = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        self._say(now_ns, at_ms, "response.output_item.added", response_id=response, item=body)
        if answer.audio_ms:
            delta = base64.b64encode(tone(answer.audio_ms)).decode()
            self._say(now_ns, at_ms, "response.output_audio.delta", **ids, delta=delta)
        else:
            self._say(now_ns, at_ms, "response.output_text.delta", **ids, delta=answer.text)

    def say(self, now_ns: int, after_ms: float, kind: str, **members: Any) -> None:
        """Anything else."""
        self._say(now_ns, after_ms, kind, **members)

    def _say(self, now_ns: int, after_ms: float, kind: str, **members: Any) -> None:
        self._count += 1
        body = {"type": kind, "event_id": f"live_event_{self._count}", **members}
        self._queue.append((now_ns + round(after_ms * MS), self._count, body))

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"live_{kind}_{self._count}"
