"""HAR with WebSocket messages: of browsers, Playwright and mitmproxy, and our own."""

from __future__ import annotations

import base64
import io
from typing import Any

import orjson
import pytest

from recorder.events import BINARY, Event, Origin
from recorder.exporters import EXPORTERS, Source
from recorder.importers import Damaged, Remark, Unreadable
from recorder.recording import Recorder
from recorder.wire import join
from tests.importing import imported, messages, read_items, sessions, times_ms
from tests.log_kit import append_message, session

STARTED = "2025-10-09T08:53:20.000Z"
EPOCH = 1_760_000_000
URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"


def message(side: str, time: float, data: str, opcode: int = 1) -> dict[str, Any]:
    return {"type": side, "time": time, "opcode": opcode, "data": data}


def entry(*said: dict[str, Any], url: str = URL, first: bool = True, **more: Any) -> dict[str, Any]:
    """As Chrome writes it (messages first), or as mitmproxy does (last)."""
    facts = {
        "request": {
            "method": "GET",
            "url": url,
            "headers": [
                {"name": "Authorization", "value": "Bearer sk-abcdefgh12345678"},
                {"name": "User-Agent", "value": "x"},
            ],
        },
        "response": {
            "status": 101,
            "statusText": "Switching Protocols",
            "headers": [
                {"name": "Sec-WebSocket-Protocol", "value": "realtime"},
                {"name": "X-Request-Id", "value": "req_1"},
            ],
        },
        "startedDateTime": STARTED,
    }
    there = {"_webSocketMessages": list(said)}
    return {"_resourceType": "websocket", **(there | facts if first else facts | there), **more}


def har(*entries: dict[str, Any], indent: bool = False) -> bytes:
    log = {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": list(entries)}}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 if indent else 0)


UPDATE = '{ "type":"session.update", "caf\u00e9":1 }'
TALK = (
    message("receive", EPOCH + 0.25, '{"type":"session.created"}'),
    message("send", EPOCH + 0.500001, UPDATE),
)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("indent", [True, False])
@pytest.mark.parametrize("size", [11, 100_000])
def test_a_socket_is_a_session(first: bool, indent: bool, size: int) -> None:
    """Its messages verbatim, its times since the request, and what is known of the handshake."""
    page = {"request": {"url": "https://x/"}, "response": {"content": {"text": "<html>"}}}
    found = read_items(har(page, entry(*TALK, first=first), page, indent=indent), size)
    (facts,) = sessions(found)
    assert (facts.url, facts.model, facts.vantage) == (URL, "gpt-realtime", "imported")
    assert facts.headers == (
        ("Authorization", "[redacted:authorization]"), ("User-Agent", "x"),
    )  # fmt: skip
    assert facts.wall_ns == EPOCH * 10**9
    assert messages(found) == [
        ("server", b'{"type":"session.created"}'),
        ("client", UPDATE.encode()),
    ]
    assert times_ms(found) == [250, 500.001]
    shake = next(e for e in found if isinstance(e, Event) and e.type == "recorder.handshake")
    told = orjson.loads(shake.head)
    assert (told["status"], told["subprotocol"], told["timed"]) == (101, "realtime", False)


def test_several_sockets_in_one_file() -> None:
    """Each is a session; one that speaks something else is skipped, and said without secrets."""
    other = entry(
        message("send", EPOCH, '{"topic":"phoenix","event":"heartbeat","type":"x"}'),
        url="wss://u:p@db.example/realtime/v1/websocket?apikey=abc",
    )
    found = read_items(har(entry(*TALK), other, entry(*TALK[:1])))
    assert len(sessions(found)) == 2
    (remark,) = [item.text for item in found if isinstance(item, Remark)]
    assert "does not speak Realtime" in remark
    assert "(1 messages)" in remark
    assert "abc" not in remark
    assert "u:p" not in remark
    assert len(sessions(read_items(har(entry(*TALK), other), all_sockets=True))) == 2


def test_binary_messages() -> None:
    """Base64, where it is; what is none is kept as it stands."""
    sound = base64.b64encode(b"\x00\xff").decode()
    found = read_items(har(entry(*TALK, message("send", EPOCH + 1, sound, 2),
                                 message("send", EPOCH + 1, "n\u00f6", 2))))  # fmt: skip
    assert messages(found)[2:] == [("client", b"\x00\xff"), ("client", "n\u00f6".encode())]
    assert [e.opcode for e in found if isinstance(e, Event)][-2:] == [BINARY, BINARY]


@pytest.mark.parametrize("scale", [1, 1000])
def test_times_in_seconds_or_milliseconds(scale: int) -> None:
    """Playwright has written both."""
    talk = [{**each, "time": each["time"] * scale} for each in TALK]
    assert times_ms(read_items(har(entry(*talk)))) == pytest.approx([250, 500.001], abs=1e-3)


def test_times_that_do_not_go_with_the_request() -> None:
    """Then the first message opens the session; without any, only the order is known."""
    late = [{**each, "time": each["time"] + 10**6} for each in TALK]
    assert times_ms(read_items(har(entry(*late)))) == pytest.approx([0, 250.001], abs=1e-3)
    bare = [{name: each[name] for name in ("type", "opcode", "data")} for each in TALK]
    found = read_items(har(entry(*bare)))
    assert times_ms(found) == [0, 0]
    assert sessions(found)[0].labels["times"] == "none"


def test_what_the_browser_says_of_the_socket() -> None:
    """Chrome writes its errors among the messages: a note."""
    found = read_items(har(entry(*TALK, message("error", EPOCH + 1, "closed early", -1))))
    assert b"the browser says: closed early" in [e for e in found if isinstance(e, Event)][-1].head


def test_text_that_a_strict_parser_refuses() -> None:
    """A lone surrogate in a browser's string costs only itself."""
    file = har(entry(*TALK)).replace("caf\u00e9".encode(), b"\\ud800")
    assert messages(read_items(file))[1][1].endswith(b":1 }")


def test_our_own_export_comes_back() -> None:
    """Every message with its side, its opcode and its time, to the nanosecond."""
    facts = session(5, model="m", url=URL)
    recorder = Recorder(facts)
    recorded = [
        recorder.admit(Origin.CLIENT, 123_456_789, append_message(b"sound"), room=1 << 20),
        recorder.admit(Origin.SERVER, 123_456_790, b'{"type":"session.created"}', room=1 << 20),
        recorder.admit(Origin.SERVER, 9_000_000_001, b"\x00", BINARY, room=1 << 20),
    ]
    out = io.BytesIO()
    EXPORTERS["har"].write([Source(facts, lambda audio: recorded)], out)  # type: ignore[arg-type,return-value]
    taken = imported(out.getvalue())
    kept = taken.report.taken[0].session
    passed = [e for e in taken.events if e.origin != Origin.RECORDER]
    assert (kept.model, kept.url) == ("m", URL)
    assert [(e.origin, e.opcode, kept.wall_ns + e.at_ns, join(e)) for e in passed] == [
        (e.origin, e.opcode, facts.wall_ns + e.at_ns, join(e)) for e in recorded if e
    ]


# ---- damage


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_file_that_breaks_off_inside_a_socket(size: int) -> None:
    """Its messages up to there are imported, with or without a request to go with them."""
    for first in (True, False):
        file = har(entry(*TALK), entry(*TALK, *TALK, first=first))
        cut = file.rindex(b'"send"')
        found: list[Any] = []
        with pytest.raises(Damaged) as damage:
            for item in _reading(file[:cut], size):
                found.append(item)
        assert len(sessions(found)) == 2
        assert len(messages(found)) == 5
        assert "damaged" in found[-1].head.decode()
        assert damage.value.byte == cut
        assert sessions(found)[1].url == ("" if first else URL)


def _reading(data: bytes, size: int) -> Any:
    from recorder.importers import items
    from tests.importing import asked, file_of

    return items(file_of(data, size), asked())


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (har(), "no WebSocket messages"),
        (har({"request": {"url": "https://x/"}}), "no WebSocket messages"),
        (har(entry()), "none of its WebSockets"),
        (har(entry(message("send", 1, "hi"))), "--all-sockets"),
        (har(entry(*TALK))[:40], "damaged at byte 40"),
        (b'{"log":{"entries":7}}', "damaged at byte 18"),
        (b'{"log":{"entries":[7]}}', "damaged at byte 19"),
        (b'{"log":{"entries":[{"_webSocketMessages":null}]}}', "no WebSocket messages"),
        (b'{"log":{"entries":[{"_webSocketMessages":[7,null,"x"]}]}}', "none of its WebSockets"),
    ],
)
def test_files_without_any_session(file: bytes, told: str) -> None:
    """Nothing is begun, and it is said what to do."""
    with pytest.raises((Unreadable, Damaged), match=told):
        read_items(file)


@pytest.mark.parametrize(
    "more",
    [
        {"request": None},
        {"request": {"url": 7, "headers": 7}},
        {"response": {"status": "101"}},
        {"response": {"status": 101, "headers": [7, {"name": 1}]}},
        {"startedDateTime": 7},
    ],
)
def test_odd_entries(more: dict[str, Any]) -> None:
    """What is odd about an entry is left out; its messages count."""
    assert len(messages(read_items(har(entry(*TALK, **more))))) == 2
