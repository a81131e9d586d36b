"""What the bytes mean: every type of the protocol, every dialect, and whatever else may pass."""

from __future__ import annotations

import base64
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.audio.formats import ALAW, ULAW, AudioFormat
from recorder.dialects import ALIASES, PASSED_ON, TABLES, audio_of, decode, dialect_of, facts
from recorder.dialects.table import decodes
from recorder.events import BINARY, CLOSE, NO_FRAME, PING, PONG, TEXT, Event, Origin
from tests.captured import captured, names
from tests.wire_types import (
    BETA_CLIENT,
    BETA_SERVER,
    GA_SERVER,
    ONLY_IN_DOCUMENTS,
    OTHER_VOCABULARIES,
)

CLIENT_TYPES = BETA_CLIENT
SERVER_TYPES = sorted({*GA_SERVER, *BETA_SERVER, *ONLY_IN_DOCUMENTS})
OWN_TYPES = ["opened", "handshake", "closed", "gap", "note", "tag", "playback"]


def event(payload: bytes | dict[str, object], origin: Origin = Origin.SERVER) -> Event:
    """One message as it is stored."""
    message = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    part = wire.split(message)
    return Event(1, 0, origin, part.type, TEXT, part.head, part.meta, part.audio)


def meaning(origin: Origin = Origin.SERVER, **body: object) -> facts.Fact:
    return decode(event(dict(body), origin))


@pytest.mark.parametrize("kind", CLIENT_TYPES)
def test_every_client_type_of_the_protocol_is_decoded(kind: str) -> None:
    """None of them ends as unknown, even with nothing in it but its type."""
    assert kind in TABLES[Origin.CLIENT]
    assert not isinstance(meaning(Origin.CLIENT, type=kind), facts.Unknown)


@pytest.mark.parametrize("kind", SERVER_TYPES)
def test_every_server_type_of_the_protocol_is_decoded(kind: str) -> None:
    """Beta and GA names alike."""
    assert kind in TABLES[Origin.SERVER]
    assert not isinstance(meaning(type=kind), facts.Unknown)


@pytest.mark.parametrize("kind", OTHER_VOCABULARIES)
def test_other_vocabularies_are_passed_on_knowingly(kind: str) -> None:
    """They are named, so that they do not count as unknown."""
    assert kind in PASSED_ON
    assert meaning(type=kind) == facts.PassedOn(kind)


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_what_the_recorder_writes_down_is_decoded(kind: str) -> None:
    """Its own events have decode functions; anything else of its is a free mark."""
    assert f"recorder.{kind}" in TABLES[Origin.RECORDER]
    assert meaning(Origin.RECORDER, type="recorder.mood", a=1) == facts.Mark(
        "mood", {"type": "recorder.mood", "a": 1}
    )


@pytest.mark.parametrize(("alias", "canonical"), ALIASES.items())
def test_an_alias_means_what_its_ga_name_means(alias: str, canonical: str) -> None:
    """The same function decodes both."""
    tables = [table for table in TABLES if canonical in table]
    assert tables
    assert all(table[alias] is table[canonical] for table in tables)
    assert dialect_of(alias) == "beta"


def test_two_functions_for_one_type_are_an_error() -> None:
    """The table is built at import, so a clash is seen at once."""
    with pytest.raises(RuntimeError, match=r"two decode functions for SERVER response\.done"):
        decodes(Origin.SERVER, "response.done")(lambda event: facts.Unknown(""))


def test_an_append_is_decoded_without_parsing_json() -> None:
    """The head may be broken and the audio unread: the size is in the cuts."""
    whole = event(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(960)).decode()},
        Origin.CLIENT,
    )
    assert decode(whole._replace(head=b"{broken", audio=None)) == facts.InputAppended(960)


@pytest.mark.parametrize(
    ("text", "audio"),
    [
        ("AAAA", bytes(3)),
        ("AAA=", bytes(2)),
        ("AAA", bytes(2)),
        ("_-8", b"\xff\xef"),
        ("AA\nAA", bytes(3)),
        ("", b""),
        ("A", b""),
        (17, b""),
    ],
)
def test_odd_base64_is_counted_and_decoded_leniently(text: object, audio: bytes) -> None:
    """What could not be cut out byte-exactly is still audio, and its size is its length."""
    delta = event({"type": "response.audio.delta", "delta": text})

    assert audio_of(delta, "delta") == audio
    assert decode(delta) == facts.AudioDelta("", "", 0, len(audio))


def test_a_delta_says_where_it_belongs() -> None:
    """Ids and content index; an index may come as a string."""
    fact = meaning(
        type="response.output_audio_transcript.delta",
        response_id="r",
        item_id="i",
        content_index="2",
        delta="Hi",
        obfuscation="xyz",
    )
    assert fact == facts.TranscriptDelta("r", "i", 2, "Hi")


@pytest.mark.parametrize(
    ("details", "reason", "error"),
    [
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected", None),
        ("unimplemented", "", None),
        ("content_filter", "content_filter", None),
        (None, "", None),
        ({"error": {"type": "t", "code": 429, "message": "m"}}, "", ("t", "429", "m")),
        ({"error": "boom"}, "", ("", "", "boom")),
    ],
)
def test_status_details_are_read_as_string_or_object(
    details: object, reason: str, error: tuple[str, str, str] | None
) -> None:
    """xAI sends a bare string; errors are objects with a code that may be a number."""
    fact = meaning(type="response.done", response={"id": "r", "status_details": details})

    assert isinstance(fact, facts.ResponseDone)
    assert fact.response.reason == reason
    assert (fact.response.error and fact.response.error[:3]) == error


def test_usage_is_found_in_both_places() -> None:
    """xAI states it at the top level and an empty one in the response."""
    usage = {"input_tokens": 3}
    inside = meaning(type="response.done", response={"id": "r", "usage": usage})
    beside = meaning(type="response.done", response={"id": "r", "usage": {}}, usage=usage)

    assert isinstance(inside, facts.ResponseDone)
    assert isinstance(beside, facts.ResponseDone)
    assert inside.response.usage == beside.response.usage == usage


@pytest.mark.parametrize(
    ("body", "conversation"),
    [({"conversation_id": None}, None), ({}, ""), ({"conversation_id": "c"}, "c")],
)
def test_a_null_conversation_is_not_a_missing_one(
    body: dict[str, object], conversation: str | None
) -> None:
    """Null marks an out-of-band response in GA; the beta never says."""
    fact = meaning(type="response.created", response={"id": "r", **body})
    assert isinstance(fact, facts.ResponseCreated)
    assert fact.response.conversation == conversation


GA_SESSION = {
    "type": "realtime",
    "model": "m",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1"},
            "turn_detection": {
                "type": "server_vad",
                "silence_duration_ms": "200",
                "prefix_padding_ms": 300,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 16000}, "voice": {"id": "v"}},
    },
    "tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "s"}],
}
BETA_SESSION = {
    "model": "m",
    "modalities": ["audio"],
    "voice": {"name": "v", "type": "x"},
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "pcm16-16000hz",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {
        "type": "server_vad",
        "silence_duration_ms": 200,
        "prefix_padding_ms": 300.0,
    },
    "tools": [{"function": {"name": "f"}}, {"server_label": "s"}],
}


@pytest.mark.parametrize("session", [GA_SESSION, BETA_SESSION])
def test_a_session_means_the_same_in_both_shapes(session: dict[str, object]) -> None:
    """Flat and nested give one configuration."""
    fact = meaning(type="session.updated", session=session)

    assert isinstance(fact, facts.SessionStated)
    config = fact.config
    assert (config.model, config.voice, config.modalities) == ("m", "v", ("audio",))
    assert config.input_format == AudioFormat(ULAW, 8000)
    assert config.output_format == AudioFormat("pcm16", 16000)
    assert (config.vad, config.silence_ms, config.prefix_ms) == ("server_vad", 200, 300)
    assert (config.transcription, config.tools) == ("whisper-1", ("f", "s"))


def test_xai_states_both_shapes_and_the_one_that_says_something_holds() -> None:
    """`not specified` is no format; the nested one stands beside it."""
    form = {"format": {"type": "audio/pcm", "rate": 24000}}
    fact = meaning(
        type="session.updated",
        session={"input_audio_format": "not specified", "audio": {"input": form}},
    )
    assert isinstance(fact, facts.SessionStated)
    assert fact.config.input_format == AudioFormat("pcm16", 24000)
    assert fact.config.output_format is None


@pytest.mark.parametrize(
    ("turns", "vad"),
    [
        ({"turn_detection": None}, "none"),
        ({"turn_detection": {"type": None}}, "none"),
        ({"turn_detection": {"type": "none"}}, "none"),
        ({}, None),
        ({"turn_detection": {"type": "semantic_vad"}}, "semantic_vad"),
    ],
)
def test_turn_detection_off_is_not_turn_detection_unsaid(
    turns: dict[str, object], vad: str | None
) -> None:
    """Null switches it off, leaving it out changes nothing."""
    fact = meaning(Origin.CLIENT, type="session.update", session=turns)
    assert isinstance(fact, facts.SessionAsked)
    assert fact.config.vad == vad


@pytest.mark.parametrize("name", ["g711_alaw", {"type": "audio/pcma"}])
def test_g711_is_8_khz_in_either_name(name: object) -> None:
    """Eight bytes a millisecond, not forty-eight."""
    fact = meaning(type="response.created", response={"output_audio_format": name})
    assert isinstance(fact, facts.ResponseCreated)
    assert fact.response.format == AudioFormat(ALAW, 8000)


def test_partial_transcripts_are_told_from_final_ones() -> None:
    """xAI sends partials as `completed` with a status."""
    name = "conversation.item.input_audio_transcription.completed"
    partial = meaning(type=name, item_id="u", transcript="a", status="in_progress")
    final = meaning(type=name, item_id="u", transcript="ab")

    assert partial == facts.TranscriptionCompleted("u", 0, "a", False, None)
    assert final == facts.TranscriptionCompleted("u", 0, "ab", True, None)


def test_a_part_is_read_from_either_member() -> None:
    """Some servers send `content` beside `part`, some only one, some none."""
    part = {"type": "audio", "transcript": "hi"}
    for body in ({"part": part}, {"content": part}, {"part": part, "content": part}):
        fact = meaning(type="response.content_part.done", item_id="i", **body)
        assert fact == facts.PartDone("", "i", 0, facts.ContentPart("audio", "hi"))


def test_errors_of_every_shape_are_read() -> None:
    """An object, a string, or members at the top level."""
    full = meaning(type="error", error={"code": "c", "message": "m", "event_id": "e"})
    bare = meaning(type="error", error="m")
    flat = meaning(type="error", code="c", message="m")

    assert full == facts.ErrorSeen(facts.ErrorBody("", "c", "m", "", "e"))
    assert bare == facts.ErrorSeen(facts.ErrorBody("", "", "m", "", ""))
    assert flat == facts.ErrorSeen(facts.ErrorBody("error", "c", "m", "", ""))


def test_a_type_with_a_stray_space_is_recognised() -> None:
    """As the DTMF example in the documentation has it."""
    fact = meaning(type=" input_audio_buffer.dtmf_event_received", event="9")
    assert fact == facts.DtmfReceived("9")


def test_what_is_no_message_has_a_meaning_too() -> None:
    """Pings, pongs, close frames, binary frames, text without a type."""
    ping = Event(1, 0, Origin.CLIENT, "", PING, b"abc")

    assert decode(ping) == facts.Pinged(b"abc")
    assert decode(ping._replace(opcode=PONG)) == facts.Ponged(b"abc")
    assert decode(ping._replace(opcode=CLOSE, head=b"\x03\xe8bye")) == facts.CloseSeen(1000, "bye")
    assert decode(ping._replace(opcode=CLOSE, head=b"")) == facts.CloseSeen(None, "")
    assert decode(ping._replace(opcode=BINARY, head=b"\0\1")) == facts.Unknown("(binary)")
    assert decode(ping._replace(opcode=TEXT, head=b"[1]")) == facts.Unknown("(no type)")
    assert decode(ping._replace(opcode=NO_FRAME)) == facts.Unknown("(no message)")


def test_json_in_a_frame_whose_type_was_not_found_is_still_decoded() -> None:
    """The type of an event is a hint; the last word on a message is its JSON."""
    hidden = Event(1, 0, Origin.SERVER, "", BINARY, b'{"type":"input_audio_buffer.cleared"}')
    assert decode(hidden) == facts.InputCleared()


def test_unknown_types_are_named() -> None:
    """They are counted under their name and nothing else happens."""
    assert meaning(type="response.cancelled") == facts.Unknown("response.cancelled")


def test_a_servers_name_from_the_client_means_nothing() -> None:
    """Who said it is a part of what it means."""
    assert meaning(Origin.CLIENT, type="response.done") == facts.Unknown("response.done")


def test_the_close_is_read() -> None:
    """With or without an error message."""
    body = {"code": 1006, "reason": "", "initiator": "network", "clean": False, "error": "reset"}
    fact = meaning(Origin.RECORDER, type="recorder.closed", **body)
    assert fact == facts.Closed(1006, "", "network", False, "reset")


def test_the_handshake_is_read() -> None:
    """Headers are pairs; what is no pair is left out."""
    fact = meaning(
        Origin.RECORDER,
        type="recorder.handshake",
        status=101,
        headers=[["x-request-id", "req_1"], ["broken"], 7],
        subprotocol="realtime",
    )
    assert isinstance(fact, facts.Handshake)
    assert (fact.status, fact.subprotocol) == (101, "realtime")
    assert fact.headers == (("x-request-id", "req_1"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "session",
                    "response",
                    "item",
                    "part",
                    "content",
                    "audio",
                    "input",
                    "output",
                    "error",
                    "usage",
                    "status",
                    "status_details",
                    "delta",
                    "id",
                    "response_id",
                    "item_id",
                    "content_index",
                    "format",
                    "rate",
                    "tools",
                    "metadata",
                    "turn_detection",
                    "transcription",
                    "headers",
                    "origins",
                    "limits",
                    "rate_limits",
                    "transcript",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ALL_TYPES = sorted({kind for table in TABLES for kind in table} | set(PASSED_ON))


@given(
    st.sampled_from(list(Origin)),
    st.sampled_from(ALL_TYPES),
    st.dictionaries(st.text(max_size=12), JSON, max_size=5),
)
def test_decode_never_raises_on_json(origin: Origin, kind: str, body: dict[str, object]) -> None:
    """Whatever stands where something else was expected."""
    message = json.dumps({**body, "type": kind}).encode()
    part = wire.split(message)
    decode(Event(1, 0, origin, part.type, TEXT, part.head, part.meta, part.audio))


@given(
    st.sampled_from(list(Origin)),
    st.sampled_from([*ALL_TYPES, ""]),
    st.binary(max_size=60),
    st.integers(0, 15),
)
def test_decode_never_raises_on_bytes(
    origin: Origin, kind: str, payload: bytes, opcode: int
) -> None:
    """Nor on what is no JSON at all, under whatever type it was filed."""
    decode(Event(1, 0, origin, kind, opcode, payload))


@pytest.mark.parametrize("name", names())
def test_nothing_in_real_traffic_is_unknown(name: str) -> None:
    """Every event of every capture has a meaning, or is passed on knowingly."""
    meanings = [decode(event) for event in captured(name)]
    assert not [fact for fact in meanings if isinstance(fact, facts.Unknown)]
