"""A recording played to its own caller: every golden call, and calls that nobody thought of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.events import BINARY, TEXT, Event, Origin
from recorder.replaying import FREE, LENIENT, STRICT, Action, Close, Replayer, Rules, Send
from tests.building import MS, Talk, hush, tone
from tests.golden import formats, interruptions, tools, trouble, turns
from tests.golden.kit import SESSIONS, played
from tests.test_replaying import item

LINES = [(name, row) for name, (_, count) in SESSIONS.items() for row in range(count)]
SPEAKERS = (formats, interruptions, tools, trouble, turns)
"""They enter their calls into `SESSIONS` as they are imported."""
LONG_NS = 3600 * 1_000_000_000


class Rehearsal:
    """A replayer that gets from its client what the recorded server got, when it got it."""

    def __init__(self, events: list[Event], **rules: Any) -> None:
        self.replayer = Replayer(events, Rules(**rules))
        self.came: list[tuple[int, Action]] = []
        self.replayer.open(0)
        for event in events:
            if event.origin == Origin.CLIENT and event.opcode in (TEXT, BINARY):
                self._until(event.at_ns)
                data = wire.join(event)
                self.replayer.receive(
                    data if event.opcode == BINARY else data.decode(), event.at_ns
                )
                self._poll(event.at_ns)
        self.heard_ns = events[-1].at_ns
        self._until(self.heard_ns + 1)

    def linger(self) -> Rehearsal:
        """The client stays as long as anything is to come."""
        self._until(self.heard_ns + LONG_NS)
        return self

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """What went out, and when it was due."""
        return [(each.due_ns, each.message) for _, each in self.came if isinstance(each, Send)]

    @property
    def on_time(self) -> bool:
        """Whether each was given out when it was due, no sooner and no later."""
        return all(at_ns == each.due_ns for at_ns, each in self.came)

    def _until(self, at_ns: int) -> None:
        while (due_ns := self.replayer.next_at()) is not None and due_ns < at_ns:
            self._poll(due_ns)

    def _poll(self, at_ns: int) -> None:
        self.came += [(at_ns, each) for each in self.replayer.poll(at_ns)]


def told(events: list[Event]) -> list[tuple[int, bytes]]:
    """What the recorded server sent, and when."""
    return [
        (event.at_ns, wire.join(event))
        for event in events
        if event.origin == Origin.SERVER and event.opcode in (TEXT, BINARY)
    ]


@pytest.mark.parametrize("match", [STRICT, LENIENT])
@pytest.mark.parametrize(("name", "row"), LINES)
def test_a_golden_call_is_played_to_its_own_caller(name: str, row: int, match: str) -> None:
    """Every event at its own time, byte for byte; nothing diverges and nothing is left."""
    log = played(name)[row].log
    rehearsal = Rehearsal(log, match=match)

    assert rehearsal.sent == told(log)
    assert rehearsal.on_time
    assert rehearsal.replayer.outcome().sound, rehearsal.replayer.outcome()


@pytest.mark.parametrize(("name", "row"), LINES)
def test_a_golden_call_is_called_forth_by_its_own_caller(name: str, row: int) -> None:
    """By triggers alone: nothing diverges, nothing is left, and each response in its own order."""
    log = played(name)[row].log
    rehearsal = Rehearsal(log, match=FREE).linger()
    outcome = rehearsal.replayer.outcome()

    assert outcome.sound, outcome
    assert by_response([message for _, message in rehearsal.sent], outcome.notes) == by_response(
        [message for _, message in told(log)], outcome.notes
    )


def by_response(messages: list[bytes], notes: tuple[str, ...]) -> dict[str, list[str]]:
    """The types of each response's events; of one that was cut shorter, whether it ended."""
    found: dict[str, list[str]] = {}
    for message in messages:
        body = wire.parse(Event(0, 0, Origin.SERVER, "", TEXT, message))
        response = body.get("response")
        name = body.get("response_id") or (response or {}).get("id", "")
        if body.get("type", "").startswith("response.") and name:
            found.setdefault(name, []).append(body["type"])
    if notes:  # the client cancelled: at another point than in the recording
        return {name: kinds[-1:] for name, kinds in found.items()}
    return found


def test_the_events_of_a_close_are_played_too() -> None:
    """A server that closed the recorded line closes this one, with the same code."""
    codes = {}
    for name, row in LINES:
        came = Rehearsal(played(name)[row].log).came
        if came and isinstance(came[-1][1], Close):
            codes[f"{name} {row}"] = came[-1][1].code
    assert codes["close_4000 0"] == 4000
    assert codes["session_expired 0"] == 1001
    assert codes["reconnect 0"] == 1006


# ---- calls that nobody thought of

pauses = st.integers(0, 400)
ACTS = ("text", "voice", "manual", "update", "clear", "unknown", "cancelled", "beside", "tool",
        "refused", "noise", "barge-in", "binary", "truncated", "deleted")  # fmt: skip
acts = st.lists(st.tuples(st.sampled_from(ACTS), pauses), max_size=7)


class Made:
    """A session of such acts, each so many milliseconds after the last."""

    def __init__(self, given: list[tuple[str, int]], *, beta: bool) -> None:
        self.talk, self.now = Talk(beta=beta).open(0), 10.0
        for self.row, (act, pause) in enumerate(given):
            self.now += pause
            getattr(self, act.replace("-", "_"))()

    def _server(self, ms: float, kind: str, **fields: Any) -> None:
        self.talk.server(self.now + ms, kind, **fields)

    def _client(self, ms: float, kind: str, **fields: Any) -> None:
        self.talk.client(self.now + ms, kind, **fields)

    def _response(self, ms: float, status: str = "completed", name: str = "") -> None:
        """Created 3 ms, spoken 6 ms and over 9 ms later."""
        name = name or f"resp_{self.row}"
        body = {"id": name, "status": "in_progress"}
        self._server(ms + 3, "response.created", response=body)
        self._server(ms + 6, "response.output_text.delta", response_id=name, delta="Yes.")
        self._server(ms + 9, "response.done", response=body | {"status": status})
        self.now += ms + 10

    def text(self) -> None:
        self._client(0, "conversation.item.create", item=item(f"words {self.row}"))
        self._client(0, "response.create")
        self._server(2, "conversation.item.added", item=item("", id=f"it_{self.row}"))
        self._response(2)

    def voice(self, status: str = "completed") -> None:
        self.talk.sound(self.now, tone(100) + hush(220))
        self.now += 320
        name = f"it_{self.row}"
        self._server(1, "input_audio_buffer.speech_started", item_id=name)
        self._server(2, "input_audio_buffer.speech_stopped", item_id=name)
        self._server(3, "input_audio_buffer.committed", item_id=name)
        self._server(3, "conversation.item.added", item={"id": name, "role": "user"})
        self._response(3, status)

    def manual(self) -> None:
        self.talk.append(self.now, tone(100))
        self._client(1, "input_audio_buffer.commit")
        self._client(1, "response.create")
        self._server(2, "input_audio_buffer.committed", item_id=f"it_{self.row}")
        self._response(2)

    def update(self) -> None:
        self._client(0, "session.update", session={"instructions": f"no {self.row}"})
        self._server(3, "session.updated", session={"instructions": f"no {self.row}"})

    def clear(self) -> None:
        self._client(0, "input_audio_buffer.clear")
        self._server(3, "input_audio_buffer.cleared")

    def unknown(self) -> None:
        self._client(0, "x.ping")
        self._server(2, "x.unknown", n=self.row)

    def cancelled(self) -> None:
        self._client(0, "response.create")
        self._client(7, "response.cancel")
        self._response(0, "cancelled")

    def beside(self) -> None:
        """One on the side, while another one is on its way."""
        self._client(0, "conversation.item.create", item=item("and?"))
        self._client(0, "response.create")
        self._server(1, "conversation.item.added", item=item("", id=f"it_{self.row}"))
        whole = {"id": f"resp_{self.row}", "status": "in_progress"}
        self._server(2, "response.created", response=whole)
        asked = {"conversation": "none", "metadata": {"what": "topic"}}
        self._client(3, "response.create", response=asked)
        self._response(4, name=f"side_{self.row}")
        self._server(1, "response.done", response=whole | {"status": "completed"})
        self.now += 2

    def tool(self) -> None:
        output = {"type": "function_call_output", "call_id": f"call_{self.row}", "output": "42"}
        self._client(0, "conversation.item.create", item=output)
        self._client(1, "response.create")
        self._server(2, "conversation.item.added", item=output | {"id": f"it_{self.row}"})
        self._response(2)

    def refused(self) -> None:
        name = f"ev_{self.row}"
        self._client(0, "conversation.item.delete", event_id=name, item_id="nobody")
        self._server(5, "error", error={"code": "item_not_found", "event_id": name})

    def noise(self) -> None:
        """Heard, and then nothing."""
        self.talk.sound(self.now, tone(80) + hush(220))
        self.now += 300
        self._server(1, "input_audio_buffer.speech_started", item_id=f"it_{self.row}")
        self._server(2, "input_audio_buffer.speech_stopped", item_id=f"it_{self.row}")

    def barge_in(self) -> None:
        """Cut off by the user, who is then answered."""
        self.text()
        self._server(-3, "input_audio_buffer.speech_started", item_id=f"cut_{self.row}")
        self._client(0, "conversation.item.truncate", item_id=f"a_{self.row}", audio_end_ms=10)
        self._server(4, "conversation.item.truncated", item_id=f"a_{self.row}", audio_end_ms=10)
        self.row += 100
        self.voice()

    def binary(self) -> None:
        self.talk.raw(Origin.SERVER, self.now, b"\x00\x01", BINARY)

    def truncated(self) -> None:
        cut = {"item_id": f"it_{self.row}", "content_index": 0, "audio_end_ms": 5}
        self._client(0, "conversation.item.truncate", **cut)
        self._server(2, "conversation.item.truncated", **cut)

    def deleted(self) -> None:
        self._client(0, "conversation.item.delete", item_id=f"it_{self.row}")
        self._server(2, "conversation.item.deleted", item_id=f"it_{self.row}")


@given(acts, st.booleans())
def test_fed_its_own_recording_it_never_diverges(given: list[tuple[str, int]], beta: bool) -> None:
    """Strict and lenient: everything at its own time, byte for byte, and nothing is left."""
    events = Made(given, beta=beta).talk.events
    for match in (STRICT, LENIENT):
        rehearsal = Rehearsal(events, match=match)
        assert rehearsal.sent == told(events)
        assert rehearsal.replayer.outcome().sound


@given(acts, st.booleans())
def test_free_never_leaves_anything(given: list[tuple[str, int]], beta: bool) -> None:
    """By triggers alone, everything that belongs to a response goes out, once."""
    events = Made(given, beta=beta).talk.events
    rehearsal = Rehearsal(events, match=FREE).linger()
    outcome = rehearsal.replayer.outcome()

    assert outcome.sound, outcome
    sent = Counter(ends([message for _, message in rehearsal.sent]))
    assert sent == Counter(ends([message for _, message in told(events)]))


def ends(messages: list[bytes]) -> list[str]:
    """The responses that ended."""
    bodies = (wire.parse(Event(0, 0, Origin.SERVER, "", TEXT, m)) for m in messages)
    return [body["response"]["id"] for body in bodies if body.get("type") == "response.done"]


@given(acts, st.sampled_from([0.5, 2.0, 3.0]))
def test_at_another_speed_it_never_diverges(given: list[tuple[str, int]], speed: float) -> None:
    """A client as slow as the recorded one is waited for."""
    events = Made(given, beta=False).talk.events
    rehearsal = Rehearsal(events, speed=speed).linger()

    assert rehearsal.replayer.outcome().sound
    assert Counter(m for _, m in rehearsal.sent) == Counter(m for _, m in told(events))


@given(acts)
def test_in_pieces_it_is_the_same(given: list[tuple[str, int]]) -> None:
    """A recording of which each event is late by a poll is played to the same end."""
    events = Made(given, beta=False).talk.events
    late = [each for event in events for each in (None, event)]
    replayer, came = Replayer(late, Rules(speed=None)), []
    replayer.open(0)

    def pump() -> None:
        came.extend(replayer.poll(0))
        while replayer.starved:
            came.extend(replayer.poll(0))

    pump()
    for event in events:
        if event.origin == Origin.CLIENT:
            replayer.receive(wire.join(event).decode(), 0)
            pump()
    sent = [each.message for each in came if isinstance(each, Send)]
    assert sorted(sent) == sorted(message for _, message in told(events))


def test_the_watch_of_these_tests_can_see() -> None:
    """A missing request is missed: the law would not hold of a caller who says less."""
    log = Made([("text", 5)], beta=False).talk.events
    silent = [event for event in log if event.type != "response.create"]
    replayer = Replayer(log, Rules())
    replayer.open(0)
    for event in silent:
        if event.origin == Origin.CLIENT:
            replayer.receive(wire.join(event).decode(), event.at_ns)
    replayer.poll(500 * MS)
    assert replayer.outcome().left["response.done"] == 1
