"""HAR: what developer tools read, and every message as it passed."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from recorder.events import BINARY, CLOSE, NO_FRAME, PING, Event, Origin
from recorder.wire import split, without_audio
from tests import talks
from tests.export_kit import of_events, sources, stored, written
from tests.log_kit import append_message, event

NAMED = {"name": str, "value": str}
REQUEST = {"method": str, "url": str, "httpVersion": str, "cookies": list, "headers": [NAMED],
           "queryString": [NAMED], "headersSize": int, "bodySize": int}  # fmt: skip
RESPONSE = {"status": int, "statusText": str, "httpVersion": str, "cookies": list,
            "headers": [NAMED], "content": {"size": int, "mimeType": str}, "redirectURL": str,
            "headersSize": int, "bodySize": int}  # fmt: skip
NUMBER = (int, float)
ENTRY = {"startedDateTime": str, "time": NUMBER, "request": REQUEST, "response": RESPONSE,
         "cache": dict, "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER}}  # fmt: skip
MESSAGE = {"type": str, "time": NUMBER, "opcode": int, "data": str}
HAR = {"log": {"version": str, "creator": {"name": str, "version": str}, "entries": [ENTRY]}}
"""What HAR 1.2 requires, and the extension for WebSockets."""


def check(value: Any, shape: Any, path: str = "") -> None:
    """The value has the members that the shape names, of its types."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            assert name in value, f"{path}.{name}"
            check(value[name], inner, f"{path}.{name}")
    elif isinstance(shape, list):
        for number, each in enumerate(value):
            check(each, shape[0], f"{path}[{number}]")
    else:
        assert isinstance(value, shape), path
        assert not isinstance(value, bool), path


def har(*what: Any) -> list[dict[str, Any]]:
    """The entries, after the whole was held against the specification."""
    document = orjson.loads(written("har", *what))
    check(document, HAR)
    assert document["log"]["version"] == "1.2"
    for entry in document["log"]["entries"]:
        check(entry.get("_webSocketMessages", []), [MESSAGE])
        datetime.fromisoformat(entry["startedDateTime"])
    entries: list[dict[str, Any]] = document["log"]["entries"]
    return entries


def test_a_session_is_an_entry() -> None:
    """Its handshake as request and response, its close, and its messages in order."""
    (source,) = sources(stored(talks.texted))
    (entry,) = har(source)
    assert entry["request"]["url"] == "wss://api.example/v1/realtime?model=m"
    assert entry["request"]["queryString"] == [{"name": "model", "value": "m"}]
    assert entry["response"]["status"] == 101
    assert entry["response"]["headers"][0]["name"] == "x-request-id"
    assert entry["startedDateTime"] == "2026-11-18T11:06:40.000Z"
    assert entry["time"] == 500
    assert entry["_resourceType"] == "websocket"
    assert entry["_closed"] == {"code": 1000, "reason": "", "initiator": "client"}
    told = [(each["type"], orjson.loads(each["data"])["type"])
            for each in entry["_webSocketMessages"]]  # fmt: skip
    assert told == [
        ("receive", "session.created"), ("send", "conversation.item.create"),
        ("receive", "conversation.item.added"), ("send", "response.create"),
        ("receive", "response.created"), ("receive", "response.output_text.delta"),
        ("receive", "response.output_text.done"), ("receive", "response.done"),
    ]  # fmt: skip


def test_times_are_epoch_seconds_to_the_nanosecond() -> None:
    """As they are written; who reads them as floats gets microseconds."""
    made = of_events([event(1, b"{}", at_ns=1_500_000_001)])
    text = written("har", made).decode()
    told = text.partition('"type":"receive","time":')[2].partition(",")[0]
    assert Decimal(told) == Decimal(made.session.wall_ns + 1_500_000_001) / 10**9


def test_data_is_the_exact_message() -> None:
    """Text as text, audio in it; binary as base64; what is gone is silence, and that is said."""
    text = append_message(b"some sound")
    gone = without_audio(split(text), "erased")
    made = of_events([
        event(1, text, origin=Origin.CLIENT),
        Event(2, 5, Origin.SERVER, "", BINARY, b"\x00\xff"),
        Event(3, 6, Origin.CLIENT, gone.type, 1, gone.head, gone.meta, None),
        event(4, '{"type":"x","text":"\u2028 \u00e9 \\"q\\""}'.encode()),
    ])  # fmt: skip
    (entry,) = har(made)
    one, two, three, four = entry["_webSocketMessages"]
    assert one["data"].encode() == text
    assert (two["opcode"], base64.b64decode(two["data"])) == (2, b"\x00\xff")
    assert three["data"].encode() == append_message(bytes(10))
    assert three["_missing"] == "erased"
    assert orjson.loads(four["data"])["text"] == '\u2028 \u00e9 "q"'


@pytest.mark.parametrize("opcode", [PING, 10, CLOSE, NO_FRAME])
def test_only_messages_are_messages(opcode: int) -> None:
    """No pings, pongs or closes, and nothing of the recorder's own."""
    made = of_events([
        Event(1, 0, Origin.CLIENT, "", opcode, b"abcd"),
        Event(2, 0, Origin.RECORDER, "recorder.note", NO_FRAME, b'{"text":"x"}'),
        event(3),
    ])  # fmt: skip
    (entry,) = har(made)
    assert len(entry["_webSocketMessages"]) == 1


def test_several_sessions_are_several_entries() -> None:
    """In their order; a refused one has its status, reason and body."""
    first, second = har(*sources(stored(talks.spoken, talks.refused)))
    assert len(first["_webSocketMessages"]) > 50
    assert second["response"]["status"] == 401
    assert second["response"]["statusText"] == "Unauthorized"
    assert second["response"]["content"]["text"] == '{"error": "no"}'
    assert second["_webSocketMessages"] == []


def test_phases_of_the_connection() -> None:
    """Where the handshake tells them; -1 where nobody measured."""
    store = stored(lambda store, **how: talks.Talk(store, **how).opened(
        dialled_ns=1_000_000, connected_ns=3_000_000, secured_ns=8_000_000,
        requested_ns=8_500_000, answered_ns=20_000_000).closed(120).kept())  # fmt: skip
    (entry,) = har(*sources(store))
    assert entry["timings"] == {"blocked": -1, "dns": -1, "connect": 7, "ssl": 5, "send": 0,
                                "wait": 11.5, "receive": 100}  # fmt: skip


def test_a_side_call_over_http() -> None:
    """An entry as of any request: body and answer, and no messages."""
    made = of_events(
        [Event(1, 0, Origin.CLIENT, "", NO_FRAME, b'{"session":{}}'),
         Event(2, 9, Origin.SERVER, "", NO_FRAME, b'{"value":"[redacted:value]"}')],
        kind="http", url="https://api.example/v1/realtime/client_secrets",
    )  # fmt: skip
    (entry,) = har(made)
    assert entry["request"]["method"] == "POST"
    assert entry["request"]["postData"]["text"] == '{"session":{}}'
    assert entry["response"]["content"]["text"] == '{"value":"[redacted:value]"}'
    assert "_webSocketMessages" not in entry


def test_nothing_at_all() -> None:
    """A session without events, and no session."""
    (entry,) = har(of_events([]))
    assert entry["_webSocketMessages"] == []
    assert entry["response"]["status"] == 0
    assert har() == []
