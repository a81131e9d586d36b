"""A call with the sandbox on a clock that is turned by hand, recorded as it passes.

    @golden
    def small_call(line: Line) -> None:
        '''What happens, and when.'''
        line.answers(Answer(...))
        line.dial()
        line.hush(320); line.talk(1280); line.hush(400)
        line.hang_up()

The endpoint lies at no distance: what the client sends at a time reaches it at that time, and what
it sends is received at the time at which it is due. A call may have several lines (connections).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from recorder.events import BINARY, CLOSE, PING, PONG, TEXT, Event, Origin, Session, new_session_id
from recorder.recording import Recorder
from recorder.sandbox.actions import Abort, Close, Ping, Send, SendBinary
from recorder.sandbox.dialect import GA, Dialect
from recorder.sandbox.formats import PCM24, encode
from recorder.sandbox.script import Answer, Fault, Heard, Say, Script
from recorder.sandbox.signals import Tone
from tests.sandbox_driver import Came, Talk

MS = 1_000_000
WALL_NS = 1_795_000_000_000_000_000
"""18 November 2026."""


def voice(ms: int, rate: int = 24_000) -> np.ndarray:
    """A voice: a cosine of 300 Hz, so that its first sample and its last are loud."""
    return np.round(9830 * np.cos(2 * np.pi * 300 * np.arange(rate * ms // 1000) / rate)).astype(
        np.int16
    )


def says(words: str, ms: int = 1000, *, lead: int = 0, first: int = 200, **more: Any) -> Say:
    """A message of `ms` of sound behind `lead` of silence; its first audio after `first`.

    Deltas hold 100, 200, 400, 400 … ms and come four times as fast as they play: the one that
    begins at x ms of the audio comes x/4 ms after the first.
    """
    given = {"first_delta_ms": max(first - 50, 0), "chunks_ms": (100, 200, 400), **more}
    return Say(words, (Tone(440, ms),), lead_silence_ms=lead, first_audio_ms=first, **given)


def answer(*items: Any, **more: Any) -> Answer:
    """A response that is created 10 ms after its trigger and done with its last delta."""
    return Answer(items=items, created_ms=10, **more)


def heard(text: str, delay: int = 400, **more: Any) -> Heard:
    """What the transcription makes of a turn: first words after `delay`, complete 200 later."""
    return Heard(text=text, delay_ms=delay, spread_ms=200, **more)


@dataclass
class Line(Talk):
    """One connection, from dial to close. Times are milliseconds since it was dialled."""

    name: str = ""
    number: int = 1
    call: str = ""
    faults: tuple[Fault, ...] = ()
    log: list[Event] = field(default_factory=list)
    open: bool = False
    begun_ms: float = 0

    def __post_init__(self) -> None:
        """Nothing yet: `dial` connects."""

    def begins(self, ms: float) -> Line:
        """Dialled so long after the first line of the call, on the same machine."""
        self.begun_ms = ms
        return self

    def dial(self, dialect: Dialect = GA, **session: Any) -> Line:
        """Connect; `session` holds from the start, in GA form. Server VAD with a window of 200."""
        given = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
        self.dialect = dialect
        self.script = replace(self.script, faults=self.faults, session=_deep(given, session))
        begun_ns = round(self.begun_ms * MS)
        name = new_session_id(WALL_NS + begun_ns, self.number.to_bytes(10, "big"))
        url = "wss://sandbox.example/v1/realtime?model=sandbox"
        made = Session(
            id=name,
            wall_ns=WALL_NS + begun_ns,
            mono_ns=begun_ns,
            recorder="one machine",
            url=url,
            model="sandbox",
            call=self.call,
        )
        self.recorder = Recorder(made)
        self._own("opened", url=url, model="sandbox", call=self.call, tags=[], capture="full")
        self._own("handshake", status=101, reason="", subprotocol="", headers=[])
        self.open = True
        self.options = {"seed": f"{self.number:02d}"}
        super().__post_init__()
        return self

    def answers(self, *answers: Answer, otherwise: Answer | None = None) -> Line:
        """What the endpoint says, in order."""
        more = (otherwise,) if otherwise else self.script.otherwise
        self.script = replace(self.script, answers=answers, otherwise=more)
        return self

    def hears(self, *turns: Heard) -> Line:
        """What the transcription makes of each turn."""
        self.script = replace(self.script, heard=turns)
        return self

    def script_with(self, **more: Any) -> Line:
        """Anything else of the script."""
        self.script = replace(self.script, **more)
        return self

    # The microphone.

    def talk(self, ms: int, audio: Any = PCM24) -> list[Came]:
        """A voice, live, in chunks of 20 ms, each sent when it is over."""
        return self.speak(voice(ms, audio.rate), audio=audio)

    def hush(self, ms: int, audio: Any = PCM24) -> list[Came]:
        """Silence from the microphone."""
        return self.speak(np.zeros(audio.rate * ms // 1000, np.int16), audio=audio)

    def chunks(self, sound: np.ndarray, audio: Any = PCM24, ms: int = 20) -> list[bytes]:
        """This sound in chunks, not sent yet."""
        size = audio.rate * ms // 1000
        return [encode(sound[at : at + size], audio) for at in range(0, len(sound), size)]

    # What is recorded.

    def send_raw(self, message: str | bytes) -> list[Came]:
        """A client's message, recorded before it is handed over."""
        if not self.open:
            raise AssertionError("the line is closed")
        data = message.encode() if isinstance(message, str) else message
        self._admit(Origin.CLIENT, data, TEXT if isinstance(message, str) else BINARY)
        return super().send_raw(message)

    def mark(self, kind: str, **fields: Any) -> Line:
        """What the application tells the recorder."""
        self._own(kind, **fields)
        return self

    def says_itself(self, text: str) -> Line:
        """A message that the endpoint sends beside its script."""
        self._admit(Origin.SERVER, text.encode(), TEXT)
        return self

    def ping(self, round_trip_ms: float, payload: bytes = b"are you there") -> Line:
        """A ping of the client, and its pong."""
        self._admit(Origin.CLIENT, payload, PING)
        self.wait(round_trip_ms)
        self._admit(Origin.SERVER, payload, PONG)
        return self

    def hang_up(self) -> Line:
        """The client ends the call in order."""
        self._admit(Origin.CLIENT, b"\x03\xe8", CLOSE)
        return self._ended(code=1000, initiator="client", clean=True)

    def _collect(self) -> list[Came]:
        told = len(self.actions)
        came = super()._collect()
        for _, action in self.actions[told:]:
            self._record(action)
        return came

    def _record(self, action: Any) -> None:
        match action:
            case Send(text):
                self._admit(Origin.SERVER, text.encode(), TEXT)
            case SendBinary(data):
                self._admit(Origin.SERVER, data, BINARY)
            case Ping(data):
                self._admit(Origin.SERVER, data, PING)
                self._admit(Origin.CLIENT, data, PONG)
            case Close(code, reason):
                self._admit(Origin.SERVER, code.to_bytes(2, "big") + reason.encode(), CLOSE)
                self._ended(code=code, reason=reason, initiator="server", clean=True)
            case Abort():
                self._ended(code=1006, initiator="network", clean=False)

    def _admit(self, origin: Origin, payload: bytes, opcode: int) -> None:
        if self.open:
            event = self.recorder.admit(origin, self._now_ns, payload, opcode, room=1 << 30)
            assert event is not None
            self.log.append(event)

    def _own(self, kind: str, **fields: Any) -> None:
        self.log.append(self.recorder.note(kind, self._now_ns, fields))

    def _ended(self, **fields: Any) -> Line:
        if self.open:
            self._own("closed", **{"reason": "", "error": "", **fields})
        self.open = False
        return self

    @property
    def _now_ns(self) -> int:
        return round(self.now_ms * MS)


def _deep(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {**first, **second}
    for name in first.keys() & second.keys():
        if isinstance(first[name], dict) and isinstance(second[name], dict):
            both[name] = _deep(first[name], second[name])
    return both


Play = Callable[..., None]
SESSIONS: dict[str, tuple[Play, int]] = {}
"""The golden calls, by name: what plays them, and over how many lines."""


def golden(play: Play) -> Play:
    """Enter a call; it takes as many lines as it has parameters."""
    name = play.__name__
    if name in SESSIONS:
        raise RuntimeError(f"two golden calls named {name}")
    SESSIONS[name] = play, play.__code__.co_argcount
    return play


@cache
def played(name: str) -> tuple[Line, ...]:
    """The lines of a golden call, played to the end."""
    play, count = SESSIONS[name]
    first = 10 * (list(SESSIONS).index(name) + 1)
    call = f"call-{name}" if count > 1 else ""
    lines = tuple(
        Line(script=Script(), name=name, number=first + row, call=call) for row in range(count)
    )
    play(*lines)
    for line in lines:
        assert not line.open, f"{name} does not end"
    return lines


def server_events(line: Line, kind: str) -> list[dict[str, Any]]:
    """What the endpoint said under this name."""
    found = [e for e in line.log if e.type == kind and e.origin == Origin.SERVER]
    return [json.loads(e.head) for e in found]
