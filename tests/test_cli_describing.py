"""Events in words: every type of every side, and nothing that passes can stop it."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.cli.describing import Teller, describe
from recorder.dialects import TABLES, decode
from recorder.events import BINARY, CLOSE, NO_FRAME, PING, PONG, TEXT, Event, Origin

TYPES = sorted({(origin, kind) for origin in Origin for kind in TABLES[origin]})


def event(
    message: bytes, origin: Origin = Origin.SERVER, opcode: int = TEXT, seq: int = 1
) -> Event:
    """A message as it is stored."""
    part = wire.split(message)
    return Event(seq, seq * 1_000_000, origin, part.type, opcode, part.head, part.meta, part.audio)


def said(message: object, origin: Origin = Origin.SERVER) -> str:
    """What a message is told as."""
    one = event(orjson.dumps(message), origin)
    return describe(one, decode(one))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "session.update", "session": {"voice": "alloy", "turn_detection": None,
          "tools": [{"type": "function", "name": "f"}]}}, "voice alloy, VAD none, tools f"),
        ({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
          "content": [{"type": "input_text", "text": "Hi\nyou"}]}}, 'user "Hi you"'),
        ({"type": "conversation.item.create", "item": {"type": "function_call_output",
          "call_id": "call_1", "output": "{}"}}, 'function_call_output call_1: "{}"'),
        ({"type": "response.create", "response": {"conversation": "none"}}, "out of band"),
        ({"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 1500},
         "i to 1.5 s"),
        ({"type": "response.cancel", "response_id": "resp_1"}, "resp_1"),
    ],
)  # fmt: skip
def test_what_clients_say(message: dict[str, object], words: str) -> None:
    """What is worth knowing beside the type."""
    assert said(message, Origin.CLIENT) == words


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "error", "error": {"code": "bad", "message": "no", "event_id": "e1"}},
         "bad: no (about e1)"),
        ({"type": "error", "error": {"message": "no"}}, "no"),
        ({"type": "response.done", "response": {"id": "r", "status": "cancelled",
          "status_details": {"type": "cancelled", "reason": "turn_detected"},
          "usage": {"total_tokens": 7}}}, "cancelled, turn_detected, 7 tokens, r"),
        ({"type": "response.function_call_arguments.done", "name": "f", "arguments": "{}"},
         "f({})"),
        ({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1460},
         "at 1.5 s of the input"),
        ({"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 9,
          "remaining": 3}]}, "tokens 3 of 9"),
        ({"type": "never.heard.of", "event_id": "e", "n": [{"x": None}]}, '{"n":[{"x":null}]}'),
        ({"type": "ping"}, ""),
    ],
)  # fmt: skip
def test_what_servers_say(message: dict[str, object], words: str) -> None:
    """Known types by their meaning, unknown ones as they stand."""
    assert said(message) == words


def test_what_the_recorder_notes() -> None:
    """Handshake, close, gap, tag, mark of the application."""
    for message, words in (
        ({"type": "recorder.handshake", "status": 101, "subprotocol": "realtime"}, "101 realtime"),
        ({"type": "recorder.closed", "code": 1001, "reason": "60 minutes", "initiator": "server"},
         "1001, 60 minutes, by the server"),
        ({"type": "recorder.gap", "count": 2, "bytes": 4000, "why": "full"},
         "2 events (4.0 kB) not recorded: full"),
        ({"type": "recorder.tag", "add": ["a"], "remove": ["b"]}, "+a -b"),
        ({"type": "recorder.playback", "item_id": "i", "played_ms": 250}, "i 250 ms played"),
        ({"type": "recorder.seen", "what": "x"}, '{"what":"x"}'),
    ):  # fmt: skip
        assert said(message, Origin.RECORDER) == words


def test_frames_that_are_no_messages() -> None:
    """Pings and pongs say nothing, a close its code, binary frames their size."""
    for opcode, payload, words in (
        (PING, b"beat", ""),
        (PONG, b"beat", ""),
        (CLOSE, b"\x03\xe9bye", "1001, bye"),
        (BINARY, b"\x00" * 2000, "2.0 kB, binary"),
        (TEXT, b"not json", '"not json"'),
        (NO_FRAME, b"", ""),
    ):
        one = Event(1, 0, Origin.SERVER, "", opcode, payload)
        assert describe(one, decode(one)) == words


WORDS = (
    "session item response error part delta audio content usage headers transcript text rate_limits"
    " audio_end_ms audio_start_ms status code name arguments output tools count add played_ms"
    " status_details modalities"
)
KEYS = st.sampled_from(WORDS.split())
PLAIN = st.none() | st.booleans() | st.integers(-9, 2**53) | st.floats(allow_nan=False)
VALUES = st.recursive(
    PLAIN | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=4), max_size=5)


@given(st.lists(st.tuples(st.sampled_from(TYPES), OBJECTS), max_size=6), st.booleans())
def test_nothing_that_passes_can_stop_it(
    messages: list[tuple[tuple[Origin, str], dict[str, object]]], fold: bool
) -> None:
    """Any type with any members of any kind: told on one line, every event once, in order."""
    teller = Teller(fold=fold)
    told = []
    for seq, ((origin, kind), body) in enumerate(messages, 1):
        told += teller.tell(event(orjson.dumps({"type": kind, **body}), origin, seq=seq))
    told += teller.rest()

    assert sum(one.count for one in told) == len(messages)
    assert all("\n" not in one.words for one in told)
    assert [one.event.seq for one in told] == sorted(one.event.seq for one in told)


@given(st.binary(max_size=60), st.sampled_from([TEXT, BINARY, CLOSE, PING, PONG, NO_FRAME]))
def test_nor_can_bytes(payload: bytes, opcode: int) -> None:
    """Whatever they are."""
    for origin in Origin:
        assert len(list(Teller(fold=False).tell(event(payload, origin, opcode)))) == 1
