"""What may leave: nothing that anybody said, typed or named, and all that figures need."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.events import BINARY, CLOSE, PING, PONG, TEXT, Event, Origin
from recorder.projections import analyse
from recorder.shareable import KNOWN
from recorder.sharing import Sharing, message_bytes
from tests.building import Talk
from tests.log_kit import append_message, delta_message, event, messages, session

WORDS = "ask Grandma 4711"
STARS = "*" * len(WORDS)


def left(message: dict[str, Any] | bytes, **how: Any) -> dict[str, Any]:
    """What is left of a message."""
    payload = message if isinstance(message, bytes) else orjson.dumps(message)
    shared = Sharing().event(event(1, payload, **how))
    found: dict[str, Any] = orjson.loads(shared.head)
    return found


# Every row of protocol.md 15, personal data.
@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"type": "conversation.item.create", "item": {
            "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": WORDS}]}}, "item.content.0.text"),
        ({"type": "x", "item": {"content": [
            {"type": "input_image", "image_url": WORDS}]}}, "item.content.0.image_url"),
        ({"type": "x", "item": {"content": [
            {"type": "input_audio", "transcript": WORDS}]}}, "item.content.0.transcript"),
        ({"type": "conversation.item.input_audio_transcription.delta", "delta": WORDS}, "delta"),
        ({"type": "conversation.item.input_audio_transcription.completed", "transcript": WORDS},
         "transcript"),
        ({"type": "conversation.item.input_audio_transcription.segment", "text": WORDS,
          "speaker": WORDS}, "speaker"),
        ({"type": "response.output_text.delta", "delta": WORDS}, "delta"),
        ({"type": "response.output_text.done", "text": WORDS}, "text"),
        ({"type": "response.output_audio_transcript.done", "transcript": WORDS}, "transcript"),
        ({"type": "response.done", "response": {"output": [
            {"content": [{"type": "output_audio", "transcript": WORDS}]}]}},
         "response.output.0.content.0.transcript"),
        ({"type": "response.function_call_arguments.done", "arguments": WORDS, "name": WORDS},
         "arguments"),
        ({"type": "x", "item": {"type": "function_call", "name": WORDS}}, "item.name"),
        ({"type": "x", "item": {"type": "function_call_output", "output": WORDS}}, "item.output"),
        ({"type": "x", "item": {"type": "mcp_call", "error": WORDS}}, "item.error"),
        ({"type": "x", "item": {"type": "mcp_call", "error": {"message": WORDS}}},
         "item.error.message"),
        ({"type": "x", "item": {"type": "mcp_approval_response", "reason": WORDS}}, "item.reason"),
        ({"type": "session.update", "session": {"instructions": WORDS}}, "session.instructions"),
        ({"type": "response.create", "response": {"instructions": WORDS}},
         "response.instructions"),
        ({"type": "session.update", "session": {"audio": {"input": {
            "transcription": {"prompt": WORDS}}}}}, "session.audio.input.transcription.prompt"),
        ({"type": "session.update", "session": {"tools": [
            {"type": "function", "name": WORDS, "description": WORDS}]}},
         "session.tools.0.description"),
        ({"type": "input_audio_buffer.dtmf_event_received", "event": WORDS}, "event"),
        ({"type": "error", "error": {"message": WORDS}}, "error.message"),
        ({"type": "recorder.note", "text": WORDS}, "text"),
        ({"type": "response.output_text.delta", "delta": WORDS, "voice": WORDS}, "voice"),
    ],
)  # fmt: skip
def test_words_become_stars(message: dict[str, Any], path: str) -> None:
    """Where words stand their length stays, and nothing else of them."""
    value: Any = left(message)
    for step in path.split("."):
        value = value[int(step)] if step.isdecimal() else value[step]
    assert value == STARS
    assert WORDS.encode() not in orjson.dumps(left(message))


@pytest.mark.parametrize(
    "message",
    [
        {"type": "x", "response": {"metadata": {WORDS: WORDS}}},
        {"type": "x", "session": {"tracing": {"workflow_name": WORDS, "group_id": WORDS}}},
        {"type": "x", "session": {"prompt": {"id": "p", "variables": {"name": WORDS}}}},
        {"type": "x", "session": {"tools": [{"type": "mcp", "server_url": WORDS,
                                             "headers": {"X": WORDS}}]}},
        {"type": "x", "session": {"tools": [{"parameters": {"properties": {WORDS: {}}}}]}},
        {"type": "x", "logprobs": [{"token": WORDS, "bytes": [97, 115, 107]}]},
        {"type": "realtime.call.incoming", "data": {"sip_headers": [
            {"name": "From", "value": WORDS}]}},
        {"type": "x", "target_uri": f"tel:{WORDS}"},
        {"type": "x", "unheard_of": WORDS, "delta": {"arguments": WORDS}},
        {"type": "x", WORDS: 1},
        {"type": "x", "unheard_of": 4915112345678, "phone": [49, 151]},
        {"type": "recorder.tag", "add": [WORDS], "remove": []},
    ],
)  # fmt: skip
def test_what_is_not_known_goes(message: dict[str, Any]) -> None:
    """Name and value, strings and numbers; objects that people fill themselves as a whole."""
    told = orjson.dumps(left(message))
    assert b"Grandma" not in told
    assert b"49" not in told
    assert b"97" not in told


def test_what_figures_need_stays() -> None:
    """Types, ids, numbers, settings: the message is as it was but for its words."""
    message = {
        "type": "session.updated", "event_id": "event_AbCdEf12345678",
        "session": {
            "type": "realtime", "id": "sess_1", "model": "gpt-realtime-2025-08-28",
            "output_modalities": ["audio"], "max_output_tokens": "inf",
            "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000},
                                "turn_detection": {"type": "server_vad", "threshold": 0.5,
                                                   "silence_duration_ms": 200,
                                                   "create_response": True}},
                      "output": {"voice": "marin", "speed": 1.0}},
            "instructions": None,
        },
    }  # fmt: skip
    assert left(message) == message
    usage = {"total_tokens": 3, "input_token_details": {"cached_tokens": 1}}
    details = {"type": "cancelled", "reason": "turn_detected"}
    response = {"id": "resp_1", "status": "cancelled", "usage": usage, "conversation_id": None,
                "status_details": details, "output": []}  # fmt: skip
    assert left({"type": "response.done", "response": response})["response"] == response
    error = {"type": "invalid_request_error", "code": "unheard_of_code",
             "param": "session.audio.input.format"}  # fmt: skip
    assert left({"type": "error", "error": error})["error"] == error


def test_a_message_without_content_is_the_same_message() -> None:
    """Byte for byte, and no tombstone says that something is missing."""
    made = event(3, b'{"type":"response.create"}')
    assert Sharing().event(made) == made


@pytest.mark.parametrize(
    ("key", "value", "stays"),
    [
        ("item_id", "item_CiUEvi8vAbCd", True),
        ("id", "c9ee4929-3b07-47f1-ba2e-cb5e51e6556c", True),
        ("previous_item_id", "root", True),
        ("previous_item_id", "0", True),
        ("event_id", "client-17", True),
        ("item_id", "Grandma's item", False),
        ("id", "+4915112345678", False),
        ("id", "0151-234-5678", False),
        ("id", "x" * 81, False),
        ("call_id", "call_42LHxWvnwPP9TAch", True),
        ("call_id", "rtc_u0_9c6574da", False),
        ("call_id", "a84b4c76e66710@pc33.example", False),
        ("call_id", "Grandma", False),
        ("id", "rtc_u0_9c6574da", False),
    ],
)
def test_ids(key: str, value: str, stays: bool) -> None:
    """They stay where they look like one; those of phone calls never do."""
    assert left({"type": "x", key: value})[key] == (value if stays else "id_1")


def test_ids_that_go_still_tell_what_belongs_together() -> None:
    """The same name for the same id, in every message and every result."""
    sharing = Sharing()
    bodies = [{"type": "x", "item_id": name} for name in ("a b", "c d", "a b")]
    made = [sharing.event(event(n, orjson.dumps(body))) for n, body in enumerate(bodies, 1)]
    assert [orjson.loads(each.head)["item_id"] for each in made] == ["id_1", "id_2", "id_1"]


@pytest.mark.parametrize(
    ("message", "size"),
    [(append_message(b"voice" * 30), 150), (delta_message(b"x" * 99), 99)],
)
def test_audio_leaves_its_length(message: bytes, size: int) -> None:
    """A tombstone: silence for whoever plays it."""
    made = event(1, message)
    shared = Sharing().event(made)
    assert (shared.audio, wire.audio_bytes(shared)) == (None, size)
    silent = orjson.loads(wire.join(shared, silence=True))
    told = silent.get("audio") or silent.get("delta")
    assert base64.b64decode(told) == bytes(size)
    assert wire.tombstone(shared) == {
        "reason": "left out of what is shared", "bytes": len(message),
    }  # fmt: skip


def test_audio_where_nobody_expects_it() -> None:
    """Several pieces, odd base64, unknown carriers: nothing of them stays."""
    voice = base64.b64encode(b"voice" * 100).decode()
    odd = voice[:-1].replace("v", "\\u0076")
    parts = [{"type": "input_audio", "audio": voice}, {"type": "input_audio", "audio": voice}]
    create = {"type": "conversation.item.create", "item": {"content": parts}}
    shared = Sharing().event(event(1, orjson.dumps(create)))
    assert wire.audio_bytes(shared) == 1000
    for payload in (
        orjson.dumps(create),
        b'{"type":"input_audio_buffer.append","audio":"%s"}' % odd.encode(),
        orjson.dumps({"type": "new.audio", "delta": voice}),
        orjson.dumps({"type": "x", "anything": {"deep": [voice]}}),
    ):
        assert voice[:12].encode() not in Sharing().event(event(1, payload)).head


def test_a_text_that_poses_as_a_cut() -> None:
    """The marks that are used on the way cannot be had from outside."""
    body = {"type": "x", "delta": "\x000 and so on", "text": "\x000"}
    assert left(body) == {"type": "x", "delta": "*" * 12, "text": "**"}


@pytest.mark.parametrize("payload", [b"hello Grandma", b"[1, 2]", b'"Grandma"', b"\xff\xfe", b""])
def test_what_is_no_object_goes_as_a_whole(payload: bytes) -> None:
    """Only how much it was stays."""
    made = event(1, payload)
    shared = Sharing().event(made)
    assert shared.head == b""
    assert message_bytes(shared) == len(payload)


def test_a_member_that_comes_twice() -> None:
    """The first one does not slip through."""
    shared = Sharing().event(event(1, b'{"type":"x","text":"Grandma","text":null}'))
    assert shared.head == b'{"type":"x","text":null}'


def test_frames_that_are_no_messages() -> None:
    """Pings become numbers, so that a pong still answers one; closes keep their code."""
    sharing = Sharing()

    def shared(payload: bytes, opcode: int) -> bytes:
        return sharing.event(Event(1, 0, Origin.CLIENT, "", opcode, payload)).head

    assert [shared(b"Grandma", PING), shared(b"other", PING), shared(b"Grandma", PONG)] == [
        b"1", b"2", b"1",
    ]  # fmt: skip
    assert shared(b"", PING) == b""
    assert shared(b"\x03\xe9Grandma", CLOSE) == b"\x03\xe9*******"
    assert shared(b"\x0b\xb8invalid_request_error.invalid_api_key", CLOSE) == (
        b"\x0b\xb8invalid_request_error.invalid_api_key"
    )
    assert shared(b"Grandma's voice", BINARY) == b""


def test_the_session_s_own_facts() -> None:
    """Where it went as far as everybody knows the place; no labels, no names."""
    made = session(
        1, model="gpt-realtime", call="support-4711", labels={"file": WORDS},
        url="wss://contoso.openai.azure.com/openai/v1/realtime?model=gpt-realtime&user=Grandma",
        headers=(("User-Agent", "Grandma/1.0"), ("OpenAI-Beta", "realtime=v1")),
        versions={"realtime-recorder": "0.1.0", "tool": WORDS},
    )  # fmt: skip
    sharing = Sharing()
    found = sharing.session(made)
    assert found.url == ("wss://resource.openai.azure.com/openai/v1/realtime?model=gpt-realtime")
    assert found.headers == (("OpenAI-Beta", "realtime=v1"),)
    assert (found.call, found.labels, found.capture) == ("id_1", {}, "metadata")
    assert found.versions == {"realtime-recorder": "0.1.0"}
    assert (found.id, found.wall_ns, found.model) == (made.id, made.wall_ns, "gpt-realtime")
    assert sharing.session(made).call == "id_1"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("wss://api.x.ai/v1/realtime?model=m-1", "wss://api.x.ai/v1/realtime?model=m-1"),
        ("wss://gw.corp.internal:8443/team-a/v1/realtime", "wss://host/******/v1/realtime"),
        ("wss://user:pw@10.1.2.3/v1/realtime?call_id=rtc_1", "wss://host/v1/realtime"),
        ("wss://api.openai.com/v1/realtime#Grandma", "wss://api.openai.com/v1/realtime"),
        ("sandbox:", "sandbox:"),
        ("no url, Grandma", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_urls(url: str, told: str) -> None:
    """Providers' hosts, the protocol's paths, the model; nothing that tells who you are."""
    assert Sharing().session(session(1, url=url)).url == told


def test_handshakes() -> None:
    """Request ids and known headers stay, bodies and the rest do not."""
    body = {
        "type": "recorder.handshake", "status": 401, "reason": "Go away, Grandma",
        "headers": [["x-request-id", "req_1"], ["X-Customer", "Grandma"], ["Server", "x"]],
        "peer": "10.1.2.3:443", "body": "Grandma", "answered_ns": 5,
    }  # fmt: skip
    assert left(body, origin=Origin.RECORDER) == {
        "type": "recorder.handshake", "status": 401, "reason": "*" * 16,
        "headers": [["x-request-id", "req_1"]], "answered_ns": 5, "body": "*" * 7,
    }  # fmt: skip


# Letters that no pattern lets pass: if one of them is in what leaves, something leaked.
_LETTERS = "\u0416\u0429\u042e\u0434"
_said = st.text(_LETTERS, min_size=1, max_size=8)
_names = st.one_of(_said, st.sampled_from(sorted(KNOWN)))
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), _said),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_names, _values, max_size=5), st.sampled_from([TEXT, BINARY, 0]))
def test_nothing_that_is_not_known_ever_passes(body: dict[str, Any], opcode: int) -> None:
    """Whatever stands wherever: of texts in other letters not one letter leaves."""
    shared = Sharing().event(event(1, orjson.dumps(body), opcode=opcode))
    told = shared.head.decode() + (shared.meta or "") + shared.type
    assert not set(_LETTERS) & set(told)
    assert "\\u04" not in told


@given(messages, st.sampled_from([TEXT, BINARY, CLOSE, PING, 0]))
def test_times_sizes_and_order_stay(message: bytes, opcode: int) -> None:
    """For whatever may come over a wire; and what was shared can be shared again unchanged."""
    made = event(5, message, at_ns=7, opcode=opcode)
    shared = Sharing().event(made)
    assert shared[:3] == (5, 7, made.origin)
    assert (shared.opcode, shared.audio) == (opcode, None)
    if opcode not in (CLOSE, PING):
        assert message_bytes(shared) == message_bytes(made)
    again = Sharing().event(shared)
    assert again == shared or opcode == PING


def test_figures_are_the_same_without_content() -> None:
    """Turns, latencies and playback need nothing of what is left out."""
    talk = Talk().open(0).mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200).transcript(2600, "U", "Hello there, Grandma.")
    talk.answer(2300, "R", "A", [(2600, 1000)], text="Good day to you.").close(9000)
    sharing = Sharing()
    whole = analyse(talk.source, detect=False)
    told = analyse(lambda audio: map(sharing.event, talk.source(audio)), detect=False)
    assert told.turns == whole.turns
    assert told.latency == whole.latency
    assert told.playback == whole.playback
    assert [line.text for line in told.transcript.lines] == ["*" * 21, "*" * 16]


def test_results_without_content() -> None:
    """The same shapes, words as stars; figures of the whole session, evidence and all."""
    talk = Talk().open(0).mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200).transcript(2600, "U", "Hello there, Grandma.")
    talk.calls(2500, "R", "F", "call_1", name="look_up_Grandma")
    talk.answer(2300, "R", "A", [(2600, 1000)], text="Good day to you.").close(9000)
    whole, sharing = analyse(talk.source), Sharing()
    assert sharing.result(whole.turns) == whole.turns
    assert sharing.result(whole.latency) == whole.latency
    assert sharing.result(whole.playback) == whole.playback
    conversation = sharing.result(whole.conversation)
    assert [each.seq for each in conversation.items] == [
        each.seq for each in whole.conversation.items
    ]
    summary = sharing.result(whole.summary)
    assert summary.by_type == whole.summary.by_type
    for part in (conversation, summary, sharing.result(whole.transcript),
                 sharing.result(whole.findings)):  # fmt: skip
        told = orjson.dumps(part, option=orjson.OPT_NON_STR_KEYS)
        assert b"Grandma" not in told
        assert b"Good day" not in told


def test_what_was_taken_out_is_told() -> None:
    """To whoever wants to check."""
    gone: list[str] = []
    body = {"type": "x", "text": WORDS, "metadata": {"who": "Grandma"}, "item_id": "a b"}
    Sharing(gone.append).event(event(1, orjson.dumps(body)))
    assert gone == [WORDS, "metadata", "who", "Grandma", "a b"]
