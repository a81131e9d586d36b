"""Answers by trigger alone; and clients that say nothing where the recorded one spoke."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.replaying import FREE, LENIENT, Replayer, Rules
from recorder.replaying.axis import size_of_append
from tests.building import MS, Talk, hush, tone
from tests.test_replaying import Client, item, spoken_turn

ASK = "response.create"


def answers(*plan: tuple[str, float, float], asked: bool = True) -> Talk:
    """A recording of responses (name, created, done); each asked for 10 ms before, if at all."""
    talk = Talk().open(0)
    for name, created, done in plan:
        if asked:
            talk.client(created - 10, ASK)
        body = {"id": name, "status": "in_progress"}
        talk.server(created, "response.created", response=body)
        for at in range(int(created) + 10, int(done), 10):
            talk.server(at, "response.output_text.delta", response_id=name, delta=".")
        talk.server(done, "response.done", response=body | {"status": "completed"})
    return talk


def append(sound: bytes) -> str:
    """A message with this audio."""
    return wire.join(Talk().append(0, sound).events[0]).decode()


def responses(client: Client, kind: str) -> list[tuple[float, str]]:
    """When events of this kind came, and of which response."""
    found = []
    for (ms, _), body in zip(client.came, client.bodies, strict=True):
        if body["type"] == kind:
            found.append((ms, body["response"]["id"]))
    return found


def test_two_requests_at_once_get_two_answers() -> None:
    """The second begins when the first is over, as in the recording: never is one lost."""
    client = Client(answers(("A", 100, 150), ("B", 300, 350)).events, match=FREE).wait(1000)
    client.send(ASK).send(ASK).wait(1000)

    assert responses(client, "response.created") == [(1010, "A"), (1060, "B")]
    assert responses(client, "response.done") == [(1060, "A"), (1110, "B")]


def test_what_went_out_side_by_side_does_so_again() -> None:
    """A request for one on the side is answered while the other is still on its way."""
    talk = answers(("A", 100, 200))
    beside = {"conversation": "none", "metadata": {"what": "topic"}}
    talk.client(110, ASK, response=beside)
    body = {"id": "S", "status": "in_progress", "metadata": beside["metadata"]}
    talk.server(120, "response.created", response=body)
    talk.server(140, "response.done", response=body | {"status": "completed"})
    client = Client(talk.events, match=FREE).send(ASK).wait(30)
    client.send(ASK, response=beside | {"metadata": {"what": "live"}}).wait(500)

    assert responses(client, "response.created") == [(10, "A"), (40, "S")]
    assert responses(client, "response.done") == [(60, "S"), (110, "A")]
    side = [each for each in client.bodies if each.get("response", {}).get("id") == "S"]
    assert [each["response"]["metadata"] for each in side] == [{"what": "live"}] * 2


@pytest.mark.parametrize("deltas", [3, 3000])
def test_all_that_was_not_called_for_is_left(deltas: int) -> None:
    """However long it is, and however far it had been read."""
    length = 10 * (deltas + 1)
    talk = answers(("A", 100, 150), ("B", 300, 300 + length), ("C", 100_000, 100_000 + length))
    outcome = Client(talk.events, match=FREE).send(ASK).wait(1000).replayer.outcome()

    assert outcome.sent == 1 + 6
    assert outcome.left == {
        "response.created": 2, "response.output_text.delta": 2 * deltas, "response.done": 2,
    }  # fmt: skip


def test_one_on_the_side_that_nobody_asks_for_holds_up_nothing() -> None:
    """The response beside which it was recorded ends without it."""
    talk = answers(("A", 100, 200))
    talk.client(110, ASK, response={"conversation": "none"})
    talk.server(120, "response.created", response={"id": "S", "status": "in_progress"})
    talk.server(140, "response.done", response={"id": "S", "status": "completed"})
    client = Client(talk.events, match=FREE).send(ASK).wait(500)

    assert responses(client, "response.done") == [(110, "A")]


def test_a_commit_and_a_request_are_one_trigger() -> None:
    """The recorded server answered by itself; this client commits and asks: one answer each."""
    talk = spoken_turn()
    talk.sound(2000, tone(1000) + hush(500))
    talk.server(3250, "input_audio_buffer.speech_started", item_id="V")
    talk.server(3260, "input_audio_buffer.speech_stopped", item_id="V")
    talk.server(3270, "input_audio_buffer.committed", item_id="V")
    talk.server(3500, "response.created", response={"id": "R2", "status": "in_progress"})
    talk.server(3600, "response.done", response={"id": "R2", "status": "completed"})
    client = Client(talk.events, match=FREE)
    for expected in (["R"], ["R", "R2"]):
        client.raw(append(tone(300))).send("input_audio_buffer.commit").send(ASK).wait(3000)
        assert [name for _, name in responses(client, "response.done")] == expected


def test_a_cancelled_response_ends_at_once() -> None:
    """Its deltas stop, its end says so, and what was cut off is told."""
    client = Client(answers(("A", 100, 500)).events, match=FREE).send(ASK).wait(100)
    client.send("response.cancel").wait(1000)

    done = client.bodies[-1]
    assert client.came[-1][0] == 100
    assert (done["type"], done["response"]["status"]) == ("response.done", "cancelled")
    assert client.types.count("response.output_text.delta") == 9
    assert client.replayer.outcome().notes == (
        "the client cancelled responses: 30 events of them not played",
    )


def test_cancelling_nothing_is_an_error() -> None:
    """As a server says it."""
    client = Client(answers(("A", 100, 150)).events, match=FREE).send("response.cancel")
    assert client.bodies[-1]["error"]["code"] == "response_cancel_not_active"


def test_more_requests_than_were_recorded() -> None:
    """Each is answered with an error, and noted; nobody waits for an answer that never comes."""
    client = Client(answers(("A", 100, 150)).events, match=FREE).send(ASK).wait(500)
    client.send(ASK, event_id="one_more").wait(500)

    error = client.bodies[-1]["error"]
    assert (error["code"], error["event_id"]) == ("not_recorded", "one_more")
    assert client.replayer.outcome().notes == (
        "the client asked for a response more than was recorded",
    )


def test_a_silent_client_may_take_any_time() -> None:
    """Nothing goes out that was not called for, and nothing diverges."""
    client = Client(answers(("A", 100, 150)).events, match=FREE).wait(3_600_000)
    assert client.types == ["session.created"]
    assert client.replayer.outcome().divergences == ()


def test_the_session_says_how_long_a_silence_ends_a_turn() -> None:
    """200 ms, as it was configured in the recording: not later."""
    client = Client(spoken_turn().events, match=FREE)
    client.raw(append(tone(300) + hush(180))).wait(10)
    assert client.at("input_audio_buffer.speech_started") == []
    client.raw(append(hush(40)))
    assert client.at("input_audio_buffer.speech_started") == [10]


# ---- a client that says nothing


def muted(**rules: Any) -> Client:
    """Of the recording with a spoken turn and a text turn, a client without a microphone."""
    talk = spoken_turn()
    talk.client(2000, "conversation.item.create", item=item("hi"))
    talk.client(2000, ASK)
    talk.server(2010, "conversation.item.added", item=item("hi", id="T"))
    talk.server(2100, "response.created", response={"id": "R2", "status": "in_progress"})
    talk.server(2200, "response.done", response={"id": "R2", "status": "completed"})
    return Client(talk.events, patience_ns=1000 * MS, **rules)


def test_a_muted_microphone_does_not_deadlock() -> None:
    """It is noted once; the conversation goes on at its pace, and what is asked is answered."""
    client = muted(match=LENIENT).wait(2249)
    assert client.types == ["session.created"]
    client.wait(1001)
    assert client.at("input_audio_buffer.speech_started") == [2250]
    assert client.at("response.created") == [2500]
    client.send("conversation.item.create", item=item("hi")).send(ASK).wait(300)

    assert client.types[-1] == "response.done"
    (found,) = client.replayer.outcome().divergences
    assert found.came == "0.00 s, and then nothing for 2.2 s"


def test_audio_after_a_muted_while_counts_from_there() -> None:
    """The next turn is found where it was found in the recording, though the first never came."""
    talk = spoken_turn()
    talk.sound(2000, tone(1000) + hush(500))
    talk.server(3240, "input_audio_buffer.speech_started", item_id="V")
    talk.server(3250, "input_audio_buffer.speech_stopped", item_id="V")
    client = Client(talk.events, match=LENIENT, patience_ns=1000 * MS).wait(2700)
    assert client.types[-1] == "response.done"
    assert len(client.at("input_audio_buffer.speech_started")) == 1
    client.raw(append(tone(1000) + hush(500))).wait(100)

    assert len(client.at("input_audio_buffer.speech_started")) == 2


def test_more_divergences_than_are_kept_are_counted() -> None:
    """Fifty in full; of the rest, how many."""
    client = Client(Talk().open(0).events, match=LENIENT)
    for row in range(53):
        client.send("conversation.item.delete", item_id=f"it_{row}")
    outcome = client.replayer.outcome()

    assert (len(outcome.divergences), outcome.notes) == (50, ("it diverged 3 more times",))


def test_a_late_answer_to_an_early_commit() -> None:
    """The first commit is refused after the second one was taken: the error names the first."""
    talk = Talk().open(0)
    talk.client(10, "input_audio_buffer.commit", event_id="early")
    talk.append(20, tone(200))
    talk.client(30, "input_audio_buffer.commit", event_id="good")
    talk.server(40, "input_audio_buffer.committed", item_id="U")
    talk.server(50, "error", error={"code": "input_audio_buffer_commit_empty", "event_id": "early"})
    replayer = Replayer(talk.events, Rules(speed=None))
    replayer.open(0)
    replayer.receive('{"type":"input_audio_buffer.commit","event_id":"one"}', 0)
    first = [orjson.loads(each.message) for each in replayer.poll(0)]  # type: ignore[union-attr]
    replayer.receive('{"type":"input_audio_buffer.commit","event_id":"two"}', 0)
    second = [orjson.loads(each.message) for each in replayer.poll(0)]  # type: ignore[union-attr]

    assert [each["type"] for each in first] == ["session.created", "error"]
    assert first[1]["error"]["event_id"] == "one"
    assert [each["type"] for each in second] == ["input_audio_buffer.committed"]


@pytest.mark.parametrize("spaced", [False, True])
@given(sound=st.binary(max_size=40))
def test_the_size_of_an_append_is_told_by_its_length(sound: bytes, spaced: bool) -> None:
    """Without decoding, where it is plain base64; else not at all."""
    body = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}
    data = orjson.dumps(body) if not spaced else json.dumps(body).encode()
    assert size_of_append(data) == (None if spaced else len(sound))


@pytest.mark.parametrize("audio", ["AAA", "AAAA\\u003d", 7, None, "\\"])
def test_what_is_no_plain_base64_is_looked_at_closely(audio: object) -> None:
    """Odd lengths, escapes, and what is no text."""
    assert size_of_append(orjson.dumps({"type": "x", "audio": audio})) is None
    assert size_of_append(b"") is None
