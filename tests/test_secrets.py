"""Secrets are replaced exactly, wherever they stand, and nothing else is touched."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.secrets import (
    may_hold_secret,
    redact_headers,
    redact_message,
    redact_text,
    redact_url,
)
from tests.log_kit import messages

KEY = "sk-proj-Ab3dEf6hIj9kLmNoPqRs"
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""As Azure makes its keys: nothing tells them from any other number."""
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gF"

SHAPES = [
    KEY,
    "sk-1234567890abcdef",
    "sk-or-v1-" + "Ab3" * 12,
    "sk-planted-secret",
    "sk-svcacct-abcdefghijklmnopqrst",
    "sk-proj-********************aBcD",
    "sk-abcd***wxyz",
    "ek_68ad0e6bb4e48191a1d6c2b4f3e2d1c0",
    "rk_AbCdEf0123456789AbCdEf01",
    "xai-" + "Ab3" * 20,
    "dgrid-" + "Ab3" * 10,
    "gsk_" + "Ab3" * 16,
    "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    JWT,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
]
"""Keys that are known by their looks."""

FRAMES = [
    b'{"type":"error","error":{"message":"Incorrect API key provided: %s. You can find"}}',
    b'{"type":"error","error":{"message":"key\\n%s\\nwas refused"}}',
    b'{"type":"error","error":{"message":"\\u201c%s\\u201d"}}',
    b'{"unknown":[{"deep":["%s"]}]}',
    b"HTTP/1.1 401 key=%s",
    b'{"message":"%s","cut off',
    b"%s",
    b'{"a":"x_%s"}',
    b'{"url":"wss:\\/\\/h\\/?x=%s&y=1"}',
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("key", SHAPES)
def test_keys_are_known_by_their_looks(key: str, frame: bytes) -> None:
    """In JSON, after escapes, in other text, alone: the key goes, what stands around it stays."""
    message = frame % key.encode()
    assert may_hold_secret(message)
    clean, names = redact_message(message)
    left, right = frame.split(b"%s")
    assert clean.startswith(left)
    assert clean.rstrip(b".").endswith(right.lstrip(b"."))
    assert names == ["key"] or names == ["query"]
    middle = clean[len(left) : len(clean) - len(right)]
    assert middle in (b"[redacted:key]", b"[redacted:query]", b"[redacted:key].")


def in_session(**facts: object) -> dict[str, object]:
    """A `session.updated` with these members."""
    return {"type": "session.updated", "event_id": "event_1", "session": facts}


def in_tool(**facts: object) -> dict[str, object]:
    """The same with an MCP tool."""
    return in_session(tools=[{"type": "mcp", "server_label": "crm", **facts}])


KEYED = [
    (in_session(client_secret={"value": "plainword", "expires_at": 1}), "plainword"),
    (in_session(client_secret="plainword"), "plainword"),
    (in_tool(authorization="plainword"), "plainword"),
    (in_tool(headers={"X-Anything": "plainword"}), "plainword"),
    (in_tool(headers={"X-Anything": ["a", "plainword"]}), "plainword"),
    (in_tool(tunnel_id="plainword"), "plainword"),
    (in_tool(server_url="https://me:plainword@mcp.example/sse"), "me:plainword"),
    (in_tool(server_url="https://mcp.example/sse?anything=plainword"), "plainword"),
    (in_tool(server_url=f"https://mcp.example/s/{HEX}/mcp"), HEX),
    ({"type": "response.create", "response": {"tools": [{"authorization": "plainword"}]}},
     "plainword"),
    ({"value": "plainword", "expires_at": 1, "session": {"type": "realtime"}}, "plainword"),
    ({"api_key": "plainword"}, "plainword"),
    ({"a": [{"password": "plainword"}]}, "plainword"),
    ({"Authorization": "plainword"}, "plainword"),
    ({"access_token": "plainword", "refresh_token": ""}, "plainword"),
]  # fmt: skip
"""Messages, and the secret that stands in them under a key of its own."""


@pytest.mark.parametrize(
    "spelt", [orjson.dumps, lambda value: json.dumps(value, indent=1).encode()]
)
@pytest.mark.parametrize(("body", "secret"), KEYED)
def test_secrets_under_keys_of_their_own(
    body: object, secret: str, spelt: Callable[[object], bytes]
) -> None:
    """Whatever they look like: exactly the value is replaced, once, and the rest is as it was."""
    message = spelt(body)
    assert may_hold_secret(message)
    clean, names = redact_message(message)
    assert secret.encode() not in clean
    assert len(names) == 1
    left, right = message.rsplit(secret.encode(), 1)
    assert clean.endswith(right)
    if clean.count(b"[redacted:") == 1:
        assert clean == left + b"[redacted:%s]" % names[0].encode() + right
    orjson.loads(clean)


def test_both_directions_and_both_kinds_at_once() -> None:
    """All that is secret in one message goes, and each kind is named once."""
    body = in_tool(authorization=KEY, headers={"a": HEX, "b": JWT}, server_url="https://h/?k=v")
    clean, names = redact_message(orjson.dumps(body))
    assert sorted(names) == ["authorization", "headers", "server_url"]
    assert orjson.loads(clean)["session"]["tools"][0] == {
        "type": "mcp",
        "server_label": "crm",
        "authorization": "[redacted:authorization]",
        "headers": {"a": "[redacted:headers]", "b": "[redacted:headers]"},
        "server_url": "https://h/?k=[redacted:server_url]",
    }


def test_nothing_that_the_other_side_wrote_gets_into_a_mark() -> None:
    """A key of the message that would break the JSON, or is a secret itself, is not repeated."""
    message = orjson.dumps({"headers": {'a"b\n': "x", KEY: "y"}})
    clean, names = redact_message(message)
    assert names == ["headers", "key"]
    assert KEY.encode() not in clean
    assert list(orjson.loads(clean)["headers"].values()) == ["[redacted:headers]"] * 2


def test_a_message_that_was_cut_off() -> None:
    """A secret in whose middle the message ends is replaced too."""
    clean, _ = redact_message(b'{"session":{"client_secret":{"value":"plainwo')
    assert clean == b'{"session":{"client_secret":{"value":"[redacted:client_secret]'


# ---- what stays

INNOCENT = [
    "a task-force, the desk-top, risk-free, ask-me-anything, mask-wearing and sk-learn",
    "the voices sk-SK-LukasNeural, sk-SK-Chirp3-HD-Achernar and xai-grok-voice-preview",
    "a bearer of good news; Bearer bonds; the bearer certificate; Basic understanding",
    "she sells eyJ at the week_end; peek_a_boo; Greek_alphabet; dg-2; rk-9; pk-10",
    "2+2=4, x=y&z=w, a@b.example wrote: see https://example.com/a?page=2&model=gpt-realtime",
    "open the openai-python repository, and openai-agents too; headers matter",
    "the secret of a good password is its length; my token of thanks; authorization is needed",
    "sk-, ek_, sk-abc, ek_12 and Bearer 1234",
    "model gpt-4o-realtime-preview-2024-12-17, gpt-realtime-mini, whisper-1",
    "event_CiUEvi8vAbCdEfGhIj, resp_CiUEvi8vAbCdEf, item_CiUEvi8v, call_Ab12, sess_CiUEvi8v",
    "3b9b2f6e-7f0b-4f0e-9b7e-0d6f1c2a3b4d",
    "über naïve 東京 \u2026 \U0001f600",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_people_say_stays(text: str) -> None:
    """No false hit: a replaced word would damage what was said."""
    body = {"type": "response.output_text.delta", "delta": text, "arguments": json.dumps([text])}
    for message in (orjson.dumps(body), json.dumps(body).encode(), text.encode()):
        assert redact_message(message) == (message, [])
    assert redact_text(text) == (text, [])


@pytest.mark.parametrize(
    "body",
    [
        {"type": "response.done", "response": {"usage": {
            "total_tokens": 1, "input_tokens": 2, "output_tokens": 3, "cached_tokens": 4,
            "input_token_details": {"text_tokens": 1}}}},
        {"type": "conversation.item.input_audio_transcription.delta", "delta": "hi",
         "logprobs": [{"token": "hi", "logprob": -0.1, "bytes": [104, 105]}]},
        in_session(expires_at=1760000000, max_output_tokens="inf", tools=[
            {"type": "function", "name": "login", "parameters": {"type": "object", "properties": {
                "password": {"type": "string", "description": "what they chose"},
                "headers": {"type": "object", "properties": {"x": {"type": "string"}}}}}}]),
        in_tool(server_url="https://mcp.example/v1/sse", require_approval="never"),
        {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 1}]},
        {"type": "x", "key": "value", "token": "word", "secretary": "Ann", "value": "7"},
        {"type": "conversation.item.create", "item": {"call_id": "call_1", "output": "{}"}},
    ],
)  # fmt: skip
def test_what_the_protocol_says_stays(body: object) -> None:
    """Keys that sound like secrets and are none."""
    message = orjson.dumps(body)
    assert redact_message(message) == (message, [])


CAPTURES = Path(__file__).parents[2] / "shared" / "captures"


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no real traffic on this machine")
def test_real_traffic_stays() -> None:
    """Real sessions, in which there is no secret, pass as they are."""
    for file in sorted(CAPTURES.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            assert redact_message(line, [HEX.encode()]) == (line, [])


# ---- keys known by their letters


@given(messages, st.lists(st.text(min_size=6, max_size=20), max_size=3))
def test_redacting_never_raises_and_leaves_no_known_key(message: bytes, known: list[str]) -> None:
    """Whatever the message, whatever the key."""
    literals = [key.encode() for key in known]
    at = len(message) // 2
    planted = message[:at] + b" ".join(literals) + message[at:]
    clean, names = redact_message(planted, literals)
    for literal in literals:
        assert literal not in clean or literal in b"[redacted:key]"
    assert names or not known
    if known:
        assert may_hold_secret(planted, literals)


AWKWARD = 'k/e+y"with\\é=%&<\U0001f511>0'


@pytest.mark.parametrize(
    "spelt",
    [
        AWKWARD.encode(),
        json.dumps(AWKWARD)[1:-1].encode(),
        json.dumps(AWKWARD, ensure_ascii=False)[1:-1].encode(),
        json.dumps(AWKWARD, ensure_ascii=False)[1:-1].replace("/", "\\/").encode(),
        b"".join(
            b"\\u%04X" % ord(c) if ord(c) < 65536 else c.encode() for c in AWKWARD
        ),
        b"k%2Fe%2By%22with%5C%C3%A9%3D%25%26%3C%F0%9F%94%91%3E0",
        b"k%2fe%2by%22with%5c%c3%a9%3d%25%26%3c%f0%9f%94%91%3e0",
    ],
)  # fmt: skip
def test_a_known_key_is_found_however_it_is_spelt(spelt: bytes) -> None:
    """JSON escapes of any writer, and percent signs of a URL."""
    known = [AWKWARD.encode()]
    message = b'{"type":"error","message":"' + spelt + b'"}'
    assert may_hold_secret(message, known)
    assert redact_message(message, known) == (
        b'{"type":"error","message":"[redacted:key]"}', ["key"],
    )  # fmt: skip


def test_known_keys_of_which_one_holds_the_other() -> None:
    """The longer one goes first, so that nothing of it stays."""
    clean, _ = redact_text("key abcdef123456 and abcdef", ["abcdef", "abcdef123456"])
    assert clean == "key [redacted:key] and [redacted:key]"


def test_a_word_is_no_key() -> None:
    """A known key of a few letters is not searched for: it would shred what was said."""
    assert redact_text('say the word test, or a quote "', ["test", "", '"', "a"])[1] == []


def test_redacting_twice_changes_nothing() -> None:
    """A log that is recorded again (imports, replays) stays as it is."""
    tool = {"authorization": KEY, "server_url": "https://a:b@h/?k=v", "x": f"B {KEY}"}
    message = orjson.dumps(in_tool(**tool))
    once, _ = redact_message(message)
    assert redact_message(once) == (once, [])
    url = redact_url("wss://u:p@h/?token=x&a=Bearer%20abcdefgh12")[0]
    assert redact_url(url) == (url, [])


# ---- handshakes


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("Authorization", f"Bearer {KEY}", "[redacted:authorization]"),
        ("authorization", "anything at all", "[redacted:authorization]"),
        ("Proxy-Authorization", "Basic dTpw", "[redacted:proxy-authorization]"),
        ("api-key", HEX, "[redacted:api-key]"),
        ("X-Api-Key", HEX, "[redacted:x-api-key]"),
        ("Cookie", "a=b", "[redacted:cookie]"),
        ("Set-Cookie", "__cf_bm=x", "[redacted:set-cookie]"),
        ("Ocp-Apim-Subscription-Key", HEX, "[redacted:ocp-apim-subscription-key]"),
        ("OpenAI-Organization", "org-1", "[redacted:openai-organization]"),
        ("OpenAI-Project", "proj_1", "[redacted:openai-project]"),
        ("OpenAI-Safety-Identifier", "me", "[redacted:openai-safety-identifier]"),
        ("X-Auth-Token", "x", "[redacted:header]"),
        ("x-amz-security-token", "x", "[redacted:header]"),
        ("Sec-WebSocket-Protocol",
         f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1",
         "realtime, openai-insecure-api-key.[redacted:subprotocol], openai-beta.realtime-v1"),
        ("Sec-WebSocket-Protocol", "realtime,openai-organization.org-1,openai-project.p",
         "realtime,openai-organization.[redacted:subprotocol],openai-project.[redacted:subprotocol]"),
        ("sec-websocket-protocol", "xai-client-secret.abc",
         "xai-client-secret.[redacted:subprotocol]"),
        ("Sec-WebSocket-Protocol", f"token, {HEX}", "token, [redacted:subprotocol]"),
        ("Sec-WebSocket-Protocol", f"realtime, {HEX}", "realtime, [redacted:subprotocol]"),
        ("Location", f"https://h/?api-key={HEX}", "https://h/?api-key=[redacted:query]"),
        ("X-Debug", f"sent {KEY}", "sent [redacted:key]"),
        ("X-Request-Id", "req_0f1e2d3c4b5a", "req_0f1e2d3c4b5a"),
        ("OpenAI-Beta", "realtime=v1", "realtime=v1"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("User-Agent", "OpenAI/Python 3.54.0", "OpenAI/Python 3.54.0"),
        ("Host", "api.openai.com", "api.openai.com"),
    ],
)  # fmt: skip
def test_headers(name: str, value: str, kept: str) -> None:
    """Credentials go, in any case of letters; what debugging needs stays."""
    clean, replaced = redact_headers([("A", "b"), (name, value)])
    assert clean == (("A", "b"), (name, kept))
    assert bool(replaced) == (value != kept)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (f"wss://r.azure.com/openai/realtime?api-version=2024-10-01&deployment=d&api-key={HEX}",
         "wss://r.azure.com/openai/realtime?api-version=2024-10-01&deployment=d"
         "&api-key=[redacted:query]"),
        ("wss://h/v1/realtime?model=m&Authorization=Bearer%20abc",
         "wss://h/v1/realtime?model=m&Authorization=[redacted:query]"),
        ("/v1/realtime?model=m&api_key=x&key=y&token=z&access_token=w",
         "/v1/realtime?model=m&api_key=[redacted:query]&key=[redacted:query]"
         "&token=[redacted:query]&access_token=[redacted:query]"),
        ("wss://h/v1/realtime?call_id=rtc_1&intent=transcription",
         "wss://h/v1/realtime?call_id=[redacted:query]&intent=transcription"),
        ("wss://user:pa%40ss@h:8443/v1?model=a%2Fb&x=#f",
         "wss://[redacted:userinfo]@h:8443/v1?model=a%2Fb&x=#f"),
        ("https://h/cb#access_token=x&state=1",
         "https://h/cb#access_token=[redacted:query]&state=1"),
        ("https://h/?x-amz-signature=ab&SIG=cd", "https://h/?x-amz-signature=[redacted:query]"
         "&SIG=[redacted:query]"),
        (f"https://h/{KEY}/x", "https://h/[redacted:key]/x"),
        ("WSS://H/%7Ea?model=m&&;=", "WSS://H/%7Ea?model=m&&;="),
        ("http://[::1", "http://[::1"),
        ("", ""),
    ],
)  # fmt: skip
def test_urls(url: str, kept: str) -> None:
    """Keys go out of user information, query and fragment; all else is as it was typed."""
    clean, replaced = redact_url(url)
    assert clean == kept
    assert bool(replaced) == (url != kept)


def test_a_known_key_in_a_url() -> None:
    """Wherever in it, percent-encoded too."""
    assert redact_url(f"wss://h/{HEX}?x=a%2Bb%2Fc1234", [HEX, "a+b/c1234"])[0] == (
        "wss://h/[redacted:key]?x=[redacted:key]"
    )


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text_can_be_redacted(text: str, known: list[str]) -> None:
    """Lone surrogates too: nothing raises."""
    for lone in ("", "\ud800", "\udc80"):
        clean, _ = redact_text(text + lone, known)
        assert isinstance(clean, str)
        redact_url(text + lone, known)
        redact_headers([(text, lone + text)], known)


# ---- hostility and cost

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "prefixes": lambda n: b"sk-" * (n // 3),
    "words": lambda n: b"sk-a.sk-b." * (n // 10),
    "tokens": lambda n: b"eyJ-eyJ_" * (n // 8),
    "tokens, dotted": lambda n: b"eyJabcdefgh." * (n // 12),
    "bearers": lambda n: b"Bearer " * (n // 7),
    "bearer, spaces": lambda n: b"bearer" + b" " * n,
    "dots": lambda n: b"sk-1" + b"." * n,
    "headers": lambda n: b'{"headers":{' + b'"a":"b",' * (n // 8) + b'"c":"d"}}',
    "queries": lambda n: b"?a-a-a-a-" * (n // 10) + b"=",
    "schemes": lambda n: b"://a:" * (n // 5) + b"@",
    "no at": lambda n: b"://" + b"a" * n + b" @",
    "slashes": lambda n: b'{"tools":[{"server_url":"' + b"a/" * (n // 2) + b'"}]}',
    "ampersands": lambda n: b'{"tools":[{"server_url":"h?' + b"&" * n + b'"}]}',
    "escapes": lambda n: b"\\u0041" * (n // 6),
    "deep": lambda n: b'{"headers":' * (n // 11) + b'"x"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Eight times the bytes take about eight times as long, whoever chose them."""

    def seconds(size: int) -> float:
        message = HOSTILE[name](size)
        best = float("inf")
        for _ in range(2):
            start = time.perf_counter()
            redact_message(message, [HEX.encode()])
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(240_000) < 40 * seconds(30_000) + 0.05


def test_looking_is_cheaper_than_searching() -> None:
    """A message without a trace costs a fraction of one that has to be searched."""
    message = b'{"type":"response.output_text.delta","item_id":"item_1","delta":" and then"}'
    assert not may_hold_secret(message, [HEX.encode()])

    def seconds(call: Callable[[bytes], object]) -> float:
        start = time.perf_counter()
        for _ in range(2000):
            call(message)
        return time.perf_counter() - start

    ratios = [seconds(may_hold_secret) / seconds(redact_message) for _ in range(5)]
    assert min(ratios) < 0.4
