"""Capture modes: what was not to be kept is in none of the stored bytes, and the rest still is."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.capturing import CAPTURES, ELLIPSIS, reduced
from recorder.events import BINARY, TEXT, Event, Origin
from recorder.recording import Recorder
from recorder.wire import Split, audio_bytes, join, split, tombstone
from tests.log_kit import append_message, delta_message, messages, session

WORD = "PLANTED words of somebody"
AUDIO = base64.b64encode(b"PLANTED sound of somebody, long enough to be found" * 9 + b"!").decode()


def stored(part: Split) -> Event:
    """The reduced message as an event."""
    return Event(1, 0, Origin.SERVER, part.type, TEXT, part.head, part.meta, part.audio)


def everything(part: Split) -> bytes:
    """All bytes that go to the disk."""
    return b"|".join([part.type.encode(), part.head, (part.meta or "").encode(), part.audio or b""])


def message_parts() -> Iterator[dict[str, object]]:
    """Events of every kind of `protocol.md` §2 and §3 that carries somebody's words."""
    ids = {"event_id": "event_1", "response_id": "resp_1", "item_id": "item_1", "output_index": 0}
    content = [
        {"type": "input_text", "text": WORD},
        {"type": "input_audio", "audio": AUDIO, "transcript": WORD},
        {"type": "input_image", "image_url": f"data:image/png;base64,{AUDIO}", "detail": WORD},
        {"type": "output_audio", "audio": AUDIO, "transcript": WORD},
    ]
    item = {"id": "item_1", "type": "message", "role": "user", "status": "done", "content": content}
    call = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": WORD}
    output = {"type": "function_call_output", "call_id": "call_1", "output": WORD}
    approval = {"type": "mcp_approval_response", "approve": True, "reason": "PLANTED"}
    mcp = {"type": "mcp_call", "name": "x", "arguments": WORD, "output": WORD, "error": WORD}
    config = {
        "type": "realtime", "id": "sess_1", "object": "realtime.session", "instructions": WORD,
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "m", "prompt": WORD, "keywords": [WORD]},
                            "turn_detection": {"type": "server_vad", "silence_duration_ms": 200}},
                  "output": {"voice": "marin"}},
        "tools": [{"type": "function", "name": "f", "description": WORD,
                   "parameters": {"type": "object", "properties": {
                       WORD: {"type": "string", "enum": [WORD], "default": WORD}}}},
                  {"type": "mcp", "server_label": WORD, "server_url": WORD,
                   "headers": {WORD: WORD}}],
        "prompt": {"id": "pmpt_1", "variables": {"name": "PLANTED", "id": WORD}},
        "tracing": {"workflow_name": WORD, "group_id": "PLANTED", "metadata": {WORD: WORD}},
        "metadata": {WORD: WORD, "id": "PLANTED"},
    }  # fmt: skip
    response = {
        "id": "resp_1", "status": "failed", "output": [item, call, output, approval, mcp],
        "status_details": {"type": "failed", "reason": "content_filter",
                           "error": {"type": "t", "code": "c", "message": WORD}},
        "usage": {"total_tokens": 7}, "metadata": {"topic": WORD},
    }  # fmt: skip
    logprobs = [{"token": WORD, "logprob": -0.5, "bytes": list(b"PLANTED")}]
    for kind in ("session.update", "session.created", "session.updated"):
        yield {"type": kind, "event_id": "event_1", "session": config}
    for kind in ("conversation.item.create", "conversation.item.added", "conversation.item.done",
                 "conversation.item.created", "conversation.item.retrieved"):  # fmt: skip
        for each in (item, call, output, approval, mcp):
            yield {"type": kind, "previous_item_id": "item_0", "item": each}
    for kind in ("response.create", "response.created", "response.done"):
        yield {"type": kind, "response": {**response, "instructions": WORD, "input": [item]}}
    yield {"type": "input_audio_buffer.append", "audio": AUDIO}
    for dialect in ("response.audio", "response.output_audio"):
        yield {"type": f"{dialect}.delta", **ids, "delta": AUDIO}
        yield {"type": f"{dialect}_transcript.delta", **ids, "delta": WORD, "obfuscation": WORD}
        yield {"type": f"{dialect}_transcript.done", **ids, "transcript": WORD}
    for kind in ("response.output_text", "response.text", "response.function_call_arguments",
                 "response.mcp_call_arguments"):  # fmt: skip
        yield {"type": f"{kind}.delta", **ids, "delta": WORD}
        yield {"type": f"{kind}.done", **ids, "text": WORD, "arguments": WORD, "name": "f"}
    for kind in ("response.content_part.added", "response.content_part.done"):
        yield {"type": kind, **ids, "part": {"type": "audio", "transcript": WORD, "audio": AUDIO}}
    for kind in ("response.output_item.added", "response.output_item.done"):
        yield {"type": kind, **ids, "item": item}
    prefix = "conversation.item.input_audio_transcription"
    yield {"type": f"{prefix}.delta", "item_id": "i", "delta": WORD, "logprobs": logprobs}
    yield {"type": f"{prefix}.completed", "item_id": "i", "transcript": WORD, "languages": [WORD],
           "logprobs": logprobs, "usage": {"type": "duration", "seconds": 3}}  # fmt: skip
    yield {"type": f"{prefix}.segment", "text": WORD, "speaker": WORD, "start": 0.5, "end": 1.5}
    yield {"type": f"{prefix}.failed", "error": {"code": "c", "message": WORD, "param": "p"}}
    yield {"type": "error", "error": {"type": "t", "code": "c", "message": WORD, "event_id": "e"}}
    yield {"type": "input_audio_buffer.dtmf_event_received", "event": "PLANTED", "received_at": 1}
    yield {"type": "realtime.call.incoming", "sip_headers": [{"name": "From", "value": WORD}]}
    yield {"type": "mcp_list_tools.completed", "item": {"tools": [{"name": "x", "note": WORD}]}}
    yield {"type": "session.output_audio.delta", "delta": AUDIO, "elapsed_ms": 7}
    yield {"type": "session.input_transcript.delta", "delta": WORD}
    yield {"type": "vendor.audio.delta", "delta": AUDIO}
    yield {"type": "vendor.blob", "anything": AUDIO, "other": {"deep": [AUDIO]}}
    yield {"type": "vendor.state", "status": WORD, "name": WORD, "code": WORD, "item_id": WORD}
    yield {"type": "vendor.thing", "caption": WORD, WORD: {"of": [WORD]}, "id": "vnd_1"}


BODIES = list(message_parts())


def sound_is_gone(kept: bytes) -> bool:
    """Neither the base64 nor the bytes of the planted audio, in whole or in part."""
    return AUDIO[4:40].encode() not in kept and b"PLANTED sound" not in kept


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body["type"]))
def test_without_audio(body: dict[str, object]) -> None:
    """`no-audio`: no sound is left, every other byte is, and lengths can still be told."""
    message = orjson.dumps(body)
    part = reduced(split(message), "no-audio")
    image_kept = message.replace(f"base64,{AUDIO}".encode(), b"")
    assert sound_is_gone(everything(part).replace(f"base64,{AUDIO}".encode(), b""))
    pieces = image_kept.count(AUDIO.encode())
    length = len(base64.b64decode(AUDIO))
    assert audio_bytes(stored(part)) == (pieces * length if pieces else None)
    if pieces:
        assert tombstone(stored(part)) == {"reason": "not captured (no-audio)"}
        silent = base64.b64encode(bytes(length)).decode()
        told = json.loads(join(stored(part), silence=True))
        assert told == json.loads(
            message.decode()
            .replace(f"base64,{AUDIO}", "IMAGE")
            .replace(AUDIO, silent)
            .replace("IMAGE", f"base64,{AUDIO}")
        )
    else:
        assert part == split(message)


@pytest.mark.parametrize("spelt", ["compact", "indented"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body["type"]))
def test_metadata_only(body: dict[str, object], spelt: str) -> None:
    """`metadata`: no word and no sound is left; types, ids, numbers and lengths are."""
    message = orjson.dumps(body) if spelt == "compact" else json.dumps(body, indent=2).encode()
    part = reduced(split(message), "metadata")
    assert b"PLANTED" not in everything(part)
    assert sound_is_gone(everything(part))
    assert part.type == body["type"]
    assert part.audio is None
    kept = orjson.loads(part.head)
    assert kept["type"] == body["type"]
    for name in ("event_id", "response_id", "item_id", "previous_item_id", "output_index", "id",
                 "start", "elapsed_ms", "received_at", "usage"):  # fmt: skip
        assert kept.get(name) == (ELLIPSIS if body.get(name) == WORD else body.get(name))
    assert audio_bytes(stored(part)) == audio_bytes(stored(reduced(split(message), "no-audio")))
    stone = tombstone(stored(part)) or {}
    assert stone.get("reason") == "not captured (metadata)"
    if "response" in body:
        assert kept["response"]["status"] == "failed"
        assert kept["response"]["usage"] == {"total_tokens": 7}
        assert kept["response"]["status_details"]["reason"] == "content_filter"
        assert kept["response"]["output"][1]["name"] == "look_up"
    if "session" in body:
        assert kept["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
        assert kept["session"]["audio"]["input"]["format"]["type"] == "audio/pcm"
        assert kept["session"]["audio"]["output"]["voice"] == "marin"
        assert kept["session"]["instructions"] == ELLIPSIS


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_has_no_content_stays_as_it_is(capture: str) -> None:
    """Most of what a server says besides words: not a byte changes."""
    for message in (
        b'{"type":"input_audio_buffer.commit"}',
        b'{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":7}',
        b'{"type":"response.output_item.added","item":{"id":"i","type":"message","content":[]}}',
    ):
        assert reduced(split(message), capture) == split(message)


@pytest.mark.parametrize("capture", ["no-audio", "metadata"])
@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"input_audio_buffer.append","audio":"%s' % AUDIO.encode(),
        b'{"type":"input_audio_buffer.append","audio":"%s"}x' % AUDIO.encode(),
        b'{"type":"response.output_audio.delta","delta":"%s"' % AUDIO[:-3].encode(),
        b'{"type":"input_audio_buffer.append","audio":"AAAA","audio":"%s"}' % AUDIO[:-1].encode(),
        b'{"type":"input_audio_buffer.append","\\u0061udio":"%s"}' % AUDIO.encode(),
        b'{"type":"response.audio.delta","delta":"%s"}' % AUDIO.replace("U", "\\u0055").encode(),
        b'{"type":"x","data":"data:audio/wav;base64,%s"}' % AUDIO.encode(),
        b'{"type":"x","type":"response.audio.delta","delta":"%s"}' % AUDIO.encode(),
        AUDIO.encode(),
    ],
)  # fmt: skip
def test_audio_that_could_not_be_cut_goes_too(message: bytes, capture: str) -> None:
    """Broken, odd, doubled, spelt in another way: in doubt it is dropped."""
    assert sound_is_gone(everything(reduced(split(message), capture)))


@pytest.mark.parametrize("text", [AUDIO, AUDIO.rstrip("="), AUDIO.replace("/", "\\/")])
def test_lengths_of_odd_audio(text: str) -> None:
    """How many bytes it would have decoded to, so that durations still add up."""
    message = b'{"type":"vendor.audio","audio":"%s"}' % text.encode()
    assert audio_bytes(stored(reduced(split(message), "no-audio"))) == len(base64.b64decode(AUDIO))


def test_lengths_of_what_was_emptied() -> None:
    """Broken JSON keeps nothing, but the length of the audio that could be cut, and its own."""
    message = append_message(bytes(300)) + b" broken"
    part = reduced(split(message), "metadata")
    assert part.head == b""
    assert audio_bytes(stored(part)) == 300
    assert (tombstone(stored(part)) or {})["bytes"] == len(message)


def test_cuts_beside_odd_audio_keep_their_lengths() -> None:
    """One piece is canonical, one is not: both lengths are told, each at its place."""
    pieces = [AUDIO, AUDIO.rstrip("="), AUDIO]
    content = [{"type": "input_audio", "audio": piece, "text": WORD} for piece in pieces]
    message = orjson.dumps({"type": "conversation.item.create", "item": {"content": content}})
    length = len(base64.b64decode(AUDIO))
    for capture in ("no-audio", "metadata"):
        found = stored(reduced(split(message), capture))
        assert [n for _, n in wire.cuts_of(found)] == [length] * 3
        told = orjson.loads(join(found, silence=True))
        silence = base64.b64encode(bytes(length)).decode()
        assert [each["audio"] for each in told["item"]["content"]] == [silence] * 3


def test_binary_frames_may_be_audio() -> None:
    """A frame that is no JSON object is dropped whole, a JSON one treated as text is."""
    raw = AUDIO.encode() + bytes(range(256))
    for capture in ("no-audio", "metadata"):
        part = reduced(split(raw), capture, binary=True)
        assert part.head == b""
        assert tombstone(stored(part)) == {
            "reason": f"not captured ({capture})", "bytes": len(raw),
        }  # fmt: skip
    framed = delta_message(b"sound")
    assert reduced(split(framed), "no-audio", binary=True) == reduced(split(framed), "no-audio")


HOSTILE = [
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" * 2000,
    b'{"type":"response.done","x":"cut:0","\\u0063ut":"\\u0063ut:7","audio":"AAAA"}',
    b'{"type":"response.done","audio":"AAAA","audio":"BBBB","audio":""}',
    b'{"type":"x","n":123456789012345678901234567890,"f":1e400}',
    b'{"type":"x","x":"\\ud800"}',
    b'"just a string"',
    b"7",
]


@given(messages | st.sampled_from(HOSTILE), st.sampled_from(CAPTURES), st.booleans())
def test_reducing_never_raises(message: bytes, capture: str, binary: bool) -> None:
    """Whatever passes: what is kept is well formed, and telling of it does not raise either."""
    part = reduced(split(message), capture, binary=binary)
    found = stored(part)
    assert part.type == split(message).type
    tombstone(found)
    assert len(join(found, silence=True)) >= len(part.head)
    assert (audio_bytes(found) is None) == (not wire.cuts_of(found))
    if capture != "full":
        assert not part.audio


@given(messages, st.sampled_from(CAPTURES), st.sampled_from([TEXT, BINARY, 8, 0]))
def test_a_recorder_leaves_no_known_secret(message: bytes, capture: str, opcode: int) -> None:
    """Redaction and reduction together, over anything: a known key is in no stored byte."""
    key = "known-key-0123456789"
    at = len(message) // 2
    planted = message[:at] + key.encode() + message[at:]
    recorder = Recorder(session(capture=capture), known_secrets=[key])
    event = recorder.admit(Origin.CLIENT, 1, planted, opcode, room=1 << 20)
    assert event is not None
    stored_bytes = b"|".join(
        [event.type.encode(), event.head, (event.meta or "").encode(), event.audio or b""]
    )
    assert key.encode() not in stored_bytes
