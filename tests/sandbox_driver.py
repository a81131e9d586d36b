"""Driving the sandbox's core by hand: messages and times in, events and times out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pybase64

from recorder.sandbox.actions import Action, Send
from recorder.sandbox.agenda import MS
from recorder.sandbox.dialect import GA
from recorder.sandbox.formats import PCM24, encode
from recorder.sandbox.script import Answer, Say, Script
from recorder.sandbox.session import SandboxSession
from recorder.sandbox.signals import Tone

QUICK = Answer(
    items=(Say("Good day to you.", (Tone(440, 1000),), first_delta_ms=100, first_audio_ms=100),),
    times=None,
    created_ms=0,
)


@dataclass
class Talk:
    """A client with a watch. Times are milliseconds since the session was opened."""

    script: Script = field(default_factory=lambda: Script(otherwise=(QUICK,)))
    dialect: object = GA
    now_ms: float = 0
    actions: list[tuple[float, Action]] = field(default_factory=list)
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        self.session = SandboxSession(self.script, self.dialect, **self.options)
        self.session.open(0)
        self._collect()

    def send(self, type, **members):
        """Send an event, now; gives the events that came at once."""
        return self.send_raw(json.dumps({"type": type, **members}))

    def send_raw(self, message):
        """Send any message; gives the events that came at once."""
        self.session.receive(message, round(self.now_ms * MS))
        return self._collect()

    def wait(self, ms):
        """Let time pass, polling exactly when the session asks for it; gives the events."""
        until, came = self.now_ms + ms, []
        while (due := self.session.next_at()) is not None and due <= until * MS:
            self.now_ms = max(self.now_ms, due / MS)
            came += self._collect()
        self.now_ms = until
        return came + self._collect()

    def speak(self, samples, chunk_ms=20, audio=PCM24):
        """Append audio in real time; gives the events."""
        size, came = audio.rate * chunk_ms // 1000, []
        for at in range(0, len(samples), size):
            data = encode(np.ascontiguousarray(samples[at : at + size]), audio)
            came += self.wait(len(samples[at : at + size]) * 1000 / audio.rate)
            came += self.append(data)
        return came

    def append(self, data):
        """Append audio bytes at once."""
        return self.send("input_audio_buffer.append", audio=pybase64.b64encode(data).decode())

    def update(self, **session):
        """Change the session, GA form."""
        return self.send("session.update", session={"type": "realtime", **session})

    def say(self, text, **response):
        """A text turn; gives the events that came at once."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        came = self.send("conversation.item.create", item=item)
        return came + self.send("response.create", response=response)

    @property
    def events(self):
        """All events so far."""
        return [json.loads(a.text) for _, a in self.actions if isinstance(a, Send)]

    def _collect(self):
        new = self.session.poll(round(self.now_ms * MS))
        self.actions += [(self.now_ms, action) for action in new]
        return [self._event(action) for action in new if isinstance(action, Send)]

    def _event(self, action):
        try:
            return Came(json.loads(action.text), at_ms=self.now_ms)
        except ValueError:
            return Came({"type": "not json"}, at_ms=self.now_ms)


class Came(dict):
    """An event, with the time at which it came."""

    def __init__(self, event, at_ms):
        super().__init__(event)
        self.at_ms = at_ms


def types(events, *, without=("delta",)):
    """The types of events in order; deltas left out unless asked for."""
    return [e["type"] for e in events if not e["type"].endswith(tuple(without))]


def of(events, type):
    """The events of that type."""
    return [event for event in events if event["type"] == type]


def one(events, type):
    """The only event of that type."""
    (event,) = of(events, type)
    return event


def tone(ms, hz=300, rate=24_000, level=0.3):
    """A tone that any detector takes for speech."""
    t = np.arange(rate * ms // 1000) / rate
    return np.round(level * 32767 * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def silence(ms, rate=24_000):
    """Digital silence."""
    return np.zeros(rate * ms // 1000, dtype=np.int16)


def audio_of(events):
    """The audio that came, joined."""
    names = ("response.output_audio.delta", "response.audio.delta")
    return b"".join(pybase64.b64decode(e["delta"]) for e in events if e["type"] in names)
