"""What a replayer sends and when, what it waits for, and where a client has diverged."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.errors import UsageError
from recorder.events import BINARY, TEXT, Event, Origin
from recorder.replaying import FREE, LENIENT, Action, Close, Replayer, Rules, Send
from tests.building import MS, Talk, hush, tone

APPEND = "input_audio_buffer.append"


class Client:
    """A client with a watch, before a replayer. Times are milliseconds."""

    def __init__(self, events: list[Event], **rules: Any) -> None:
        self.replayer = Replayer(events, Rules(**rules))
        self.came: list[tuple[float, Action]] = []
        self.now_ms = 0.0
        self.replayer.open(0)
        self._collect()

    def wait(self, ms: float) -> Client:
        """Let so much time pass."""
        until = self.now_ms + ms
        while (at := self.replayer.next_at()) is not None and at <= until * MS:
            self.now_ms = max(self.now_ms, at / MS)
            self._collect()
        self.now_ms = until
        self._collect()
        return self

    def send(self, kind: str, **fields: Any) -> Client:
        """Send a message."""
        return self.raw(orjson.dumps({"type": kind, **fields}).decode())

    def raw(self, message: str) -> Client:
        """Send any message."""
        self.replayer.receive(message, round(self.now_ms * MS))
        self._collect()
        return self

    @property
    def types(self) -> list[str]:
        """What came, by type."""
        return [each.type for _, each in self.came if isinstance(each, Send)]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What came, parsed."""
        return [orjson.loads(each.message) for _, each in self.came if isinstance(each, Send)]

    def at(self, kind: str) -> list[float]:
        """When events of this type came."""
        return [ms for ms, each in self.came if isinstance(each, Send) and each.type == kind]

    def _collect(self) -> None:
        for action in self.replayer.poll(round(self.now_ms * MS)):
            self.came.append((self.now_ms, action))


def item(text: str, **more: Any) -> dict[str, Any]:
    """A user's message."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def text_turn() -> Talk:
    """A question at 1000 ms, answered from 1210 ms on."""
    talk = Talk().open(0)
    talk.client(1000, "conversation.item.create", event_id="ev_rec", item=item("hi", id="it_rec"))
    talk.client(1010, "response.create", response={"metadata": {"run": "recorded"}})
    added = {"item": item("hi", id="it_rec", status="completed"), "previous_item_id": None}
    talk.server(1020, "conversation.item.added", **added)
    created = {"id": "resp_1", "status": "in_progress", "metadata": {"run": "recorded"}}
    talk.server(1210, "response.created", response=created)
    talk.server(1300, "response.output_text.delta", response_id="resp_1", delta="Yes.")
    talk.server(1400, "response.done", response=created | {"status": "completed"})
    return talk


def spoken_turn() -> Talk:
    """A second of speech that the server finds, and answers at 1500 ms."""
    talk = Talk().open(0)
    talk.sound(0, tone(1000) + hush(500))
    talk.server(1250, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="U")
    talk.server(1260, "input_audio_buffer.speech_stopped", audio_end_ms=1200, item_id="U")
    talk.server(1270, "input_audio_buffer.committed", item_id="U")
    talk.server(1500, "response.created", response={"id": "R", "status": "in_progress"})
    talk.server(1600, "response.done", response={"id": "R", "status": "completed"})
    return talk


def replayed(events: list[Event], **rules: Any) -> tuple[Replayer, list[tuple[int, Action]]]:
    """A replayer that is fed its own recording."""
    replayer, out = Replayer(events, Rules(**rules)), []
    replayer.open(0)

    def until(at_ns: int) -> None:
        while (next_ns := replayer.next_at()) is not None and next_ns < at_ns:
            out.extend((next_ns, each) for each in replayer.poll(next_ns))

    for event in events:
        if event.origin == Origin.CLIENT and event.opcode in (TEXT, BINARY):
            until(event.at_ns)
            replayer.receive(wire.join(event).decode(), event.at_ns)
            out.extend((event.at_ns, each) for each in replayer.poll(event.at_ns))
    until(events[-1].at_ns + 1)
    return replayer, out


acts = st.lists(
    st.tuples(
        st.sampled_from(["text", "voice", "update", "clear", "ping", "cancelled", "manual"]),
        st.integers(1, 300),
    ),
    max_size=6,
)


def conversation(acts: list[tuple[str, int]]) -> list[Event]:
    """A session of these acts, each so many milliseconds after the last."""
    talk, now = Talk().open(0), 10.0
    for row, (act, pause) in enumerate(acts):
        now += pause
        reply = {"id": f"resp_{row}", "status": "in_progress"}
        done: dict[str, Any] = reply | {"status": "completed"}
        if act == "text":
            talk.client(now, "conversation.item.create", item=item(f"words {row}"))
            talk.client(now, "response.create")
            talk.server(now + 5, "conversation.item.added", item=item("", id=f"it_{row}"))
        elif act == "voice":
            talk.sound(now, tone(100), chunk=20)
            now += 100
            talk.server(now + 1, "input_audio_buffer.speech_started", item_id=f"it_{row}")
            talk.server(now + 2, "input_audio_buffer.speech_stopped", item_id=f"it_{row}")
            talk.server(now + 3, "input_audio_buffer.committed", item_id=f"it_{row}")
        elif act == "manual":
            talk.append(now, tone(100))
            talk.client(now + 1, "input_audio_buffer.commit")
            talk.client(now + 1, "response.create")
            talk.server(now + 4, "input_audio_buffer.committed", item_id=f"it_{row}")
        elif act == "update":
            talk.client(now, "session.update", session={"instructions": f"no {row}"})
            talk.server(now + 3, "session.updated", session={"instructions": f"no {row}"})
            continue
        elif act == "clear":
            talk.client(now, "input_audio_buffer.clear")
            talk.server(now + 3, "input_audio_buffer.cleared")
            continue
        elif act == "ping":
            talk.client(now, "ping")
            talk.server(now + 2, "x.unknown", n=row)
            continue
        else:
            talk.client(now, "response.create")
            talk.client(now + 6, "response.cancel")
            done = reply | {"status": "cancelled"}
        talk.server(now + 6, "response.created", response=reply)
        talk.server(now + 9, "response.done", response=done)
        now += 10
    return talk.events


@given(acts)
def test_fed_its_own_recording_it_never_diverges(acts: list[tuple[str, int]]) -> None:
    """Everything goes out at its own time, byte for byte, and everything is consumed."""
    events = conversation(acts)
    replayer, out = replayed(events)

    sent = [(each.due_ns, each.message) for _, each in out if isinstance(each, Send)]
    assert sent == [(e.at_ns, wire.join(e)) for e in events if e.origin == Origin.SERVER]
    assert replayer.outcome().sound


@pytest.mark.parametrize("make", [text_turn, spoken_turn])
def test_speed_halves_the_delays(make: Any) -> None:
    """At twice the speed the greeting-to-answer delays are half as long."""
    _, out = replayed(make().events, speed=2.0)

    (created,) = [each.due_ns for _, each in out if each.type == "response.created"]  # type: ignore[union-attr]
    (done,) = [each.due_ns for _, each in out if each.type == "response.done"]  # type: ignore[union-attr]
    assert done - created == (95 * MS if make is text_turn else 50 * MS)


def test_an_answer_waits_for_its_question_and_then_for_its_delay() -> None:
    """The recorded client asked after 1010 ms, this one after 5000: the answer comes 200 later."""
    client = Client(text_turn().events).wait(5000)
    assert client.types == ["session.created"]

    client.send("conversation.item.create", item=item("hi")).send("response.create").wait(1000)

    assert client.at("conversation.item.added") == [5020]
    assert client.at("response.created") == [5200]
    assert client.at("response.done") == [5390]
    assert client.replayer.outcome().sound


def test_without_waiting_only_causes_count() -> None:
    """Everything goes out as soon as it was caused."""
    client = Client(text_turn().events, speed=None)
    client.send("conversation.item.create", item=item("hi")).send("response.create")

    assert client.at("response.done") == [0]


def test_other_chunks_are_the_same_audio() -> None:
    """What the server found in chunks of 20 ms it finds in chunks of 7, at the same place."""
    sound, client = tone(1000) + hush(500), Client(spoken_turn().events)
    for row in range(0, len(sound), 336):
        part = wire.join(Talk().append(0, sound[row : row + 336]).events[0]).decode()
        client.raw(part).wait(7)
        if client.at("input_audio_buffer.speech_started"):
            break

    assert client.at("input_audio_buffer.speech_started")[0] == pytest.approx(1250, abs=25)
    assert row / 48 == pytest.approx(1240, abs=10)


def test_a_missing_session_update_holds_up_nothing() -> None:
    """Its answer is left over; the conversation goes on."""
    talk = text_turn()
    talk.client(100, "session.update", session={"instructions": "x"})
    talk.server(110, "session.updated", session={"instructions": "x"})
    client = Client(talk.events).wait(500)
    client.send("conversation.item.create", item=item("hi")).send("response.create").wait(1000)
    assert client.types[-1] == "response.done"
    assert client.replayer.outcome().left == {"session.updated": 1}


def test_a_late_session_update_is_answered_as_this_client_asked() -> None:
    """What the recorded server repeated of the request, it repeats of this one; later on, too."""
    talk = Talk().open(0)
    asked = {"type": "realtime", "instructions": "old", "audio": {"output": {"voice": "cedar"}}}
    stated = asked | {"id": "sess_1", "model": "m"}
    talk.client(10, "session.update", session=asked)
    talk.server(12, "session.updated", session=stated)
    talk.client(20, "session.update", session={"tracing": "auto"})
    talk.server(22, "session.updated", session=stated | {"tracing": "auto"})
    client = Client(talk.events, match=LENIENT).wait(3000)
    client.send("session.update", session=asked | {"instructions": "new"}).wait(5)
    client.send("session.update", session={"tracing": "auto"}).wait(5)

    first, second = client.bodies[-2:]
    assert first["session"] == stated | {"instructions": "new"}
    assert second["session"] == stated | {"instructions": "new", "tracing": "auto"}


def test_ids_and_metadata_of_this_client() -> None:
    """Its own item id and metadata stand in everything that is sent."""
    client = Client(text_turn().events)
    client.send("conversation.item.create", item=item("hi", id="it_live"))
    client.send("response.create", response={"metadata": {"run": "live"}}).wait(2000)

    added, created, _, done = client.bodies[-4:]
    assert added["item"]["id"] == "it_live"
    assert created["response"]["metadata"] == done["response"]["metadata"] == {"run": "live"}
    assert b"it_rec" not in b"".join(orjson.dumps(each) for each in client.bodies)


def test_an_error_names_this_clients_event() -> None:
    """`error.event_id` is the live event's."""
    talk = Talk().open(0)
    talk.client(10, "conversation.item.delete", event_id="ev_rec", item_id="nope")
    talk.server(12, "error", error={"code": "item_not_found", "event_id": "ev_rec"})
    client = Client(talk.events).send(
        "conversation.item.delete", event_id="ev_live", item_id="nope"
    )
    client.wait(100)

    assert client.bodies[-1]["error"]["event_id"] == "ev_live"


def test_strict_ends_at_the_first_difference() -> None:
    """It says what was expected, what came, and what is most like it; then it closes."""
    client = Client(text_turn().events).wait(100).send("response.create")

    (found,) = client.replayer.outcome().divergences
    assert found.expected.startswith("conversation.item.create")
    assert found.expected.endswith("(event 2)")
    assert (found.came, found.nearest[-9:]) == ("response.create", "(event 3)")
    assert client.bodies[-1]["error"]["code"] == "diverged"
    assert isinstance(client.came[-1][1], Close)


def test_long_texts_are_told_from_where_they_part() -> None:
    """What both begin with says nothing: the words that differ are shown, and some before them."""
    begins = "Be kind to whoever calls, and brief. " * 9
    talk = Talk().open(0)
    talk.client(10, "conversation.item.create", item=item(f"{begins}Say yes."))
    client = Client(talk.events).send("conversation.item.create", item=item(f"{begins}Say no."))

    (found,) = client.replayer.outcome().divergences
    assert found.differences == (
        'item.content[0].text: expected "\u2026lls, and brief. Say yes.", '
        'came "\u2026lls, and brief. Say no."',
    )


def test_lenient_answers_what_nobody_recorded() -> None:
    """An item more than was recorded is noted, and answered with its own id."""
    client = Client(Talk().open(0).events, match=LENIENT)
    client.send("conversation.item.create", item=item("one more", id="it_live"))

    assert client.types == ["session.created", "conversation.item.added", "conversation.item.done"]
    assert client.bodies[-1]["item"]["id"] == "it_live"
    assert len(client.replayer.outcome().divergences) == 1


def test_waiting_too_long_is_a_divergence() -> None:
    """The recorded wait and the patience together, while the client does nothing."""
    client = Client(text_turn().events, patience_ns=2000 * MS).wait(3019)
    assert not client.replayer.finished
    client.wait(2)
    assert client.replayer.finished
    assert client.replayer.outcome().divergences[0].came == "nothing for 3.0 s"


def test_free_answers_by_trigger() -> None:
    """Other words, no item, and another order: a response.create gets the next response."""
    client = Client(text_turn().events, match=FREE).wait(50)
    client.send("response.create").wait(500)

    assert client.types[-1] == "response.done"
    assert client.replayer.outcome().divergences == ()


def test_free_hears_the_end_of_what_the_user_says() -> None:
    """A recording with voice detection answers other audio, when it has ended."""
    client = Client(spoken_turn().events, match=FREE)
    for piece in (tone(300), hush(520)):
        client.raw(wire.join(Talk().append(0, piece).events[0]).decode()).wait(400)

    assert client.types[-1] == "response.done"
    assert client.at("input_audio_buffer.speech_started") == [400]


def test_what_was_left_is_told() -> None:
    """A client that leaves early has consumed what it got, and no more."""
    outcome = Client(text_turn().events).wait(100).replayer.outcome()

    assert outcome.sent == 1
    assert outcome.left["response.done"] == 1
    assert [each[-9:] for each in outcome.unasked] == ["(event 2)", "(event 3)"]


def test_the_recorded_close_closes() -> None:
    """A session that the server closed is closed with its code."""
    talk = Talk().open(0).note(50, "closed", code=4001, reason="over", initiator="server")
    client = Client(talk.events).wait(60)

    assert client.came[-1] == (50, Close(50 * MS, 4001, "over"))


@pytest.mark.parametrize("rules", [{"match": "loose"}, {"speed": 0.0}, {"patience_ns": 0}])
def test_rules_that_make_no_sense(rules: dict[str, Any]) -> None:
    """They are refused."""
    with pytest.raises(UsageError):
        Rules(**rules)
