"""Makes sessions, events and messages: plain ones, realistic ones, and odd ones."""

from __future__ import annotations

import base64
import json
import multiprocessing
import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from recorder import wire
from recorder.events import TEXT, Event, Origin, Session, new_session_id

processes = multiprocessing.get_context("forkserver")
"""Makes processes that share nothing with this one and still start at once."""
processes.set_forkserver_preload(["recorder.sql.store", "alembic.command", "tests.log_kit"])

WALL_NS = 1_760_000_000_000_000_000
"""A day in October 2025."""


def session(number: int = 1, **facts: object) -> Session:
    """A session whose id follows from its number."""
    wall_ns = WALL_NS + number * 1_000_000_000
    made = new_session_id(wall_ns, number.to_bytes(10, "big"))
    return Session(id=made, wall_ns=wall_ns, mono_ns=number, **facts)  # type: ignore[arg-type]


def event(
    seq: int,
    message: bytes = b'{"type":"test"}',
    *,
    at_ns: int | None = None,
    origin: Origin = Origin.SERVER,
    opcode: int = TEXT,
) -> Event:
    """The event of this message."""
    at_ns = seq * 1_000_000 if at_ns is None else at_ns
    kind, head, meta, audio = wire.split(message)
    return Event(seq, at_ns, origin, kind, opcode, head, meta, audio)


def events(messages: Iterable[bytes], after: int = 0) -> list[Event]:
    """Events of these messages, numbered from `after` on."""
    return [event(seq, message) for seq, message in enumerate(messages, after + 1)]


def plain(first: int, last: int) -> list[Event]:
    """Small events that can be told apart."""
    return [event(n, b'{"type":"test","n":%d}' % n) for n in range(first, last + 1)]


def append_message(audio: bytes) -> bytes:
    """What a client sends for a piece of microphone audio."""
    text = base64.b64encode(audio)
    return b'{"type":"input_audio_buffer.append","audio":"%s"}' % text


def delta_message(audio: bytes, number: int = 1) -> bytes:
    """What a server sends for a piece of assistant audio."""
    return (
        b'{"type":"response.output_audio.delta","event_id":"event_%08d","response_id":"resp_01",'
        b'"item_id":"item_01","output_index":0,"content_index":0,"delta":"%s"}'
        % (number, base64.b64encode(audio))
    )


def text_message(number: int, text: str = " and then") -> bytes:
    """What a server sends for a piece of transcript: about 300 bytes."""
    return json.dumps(
        {
            "type": "response.output_audio_transcript.delta",
            "event_id": f"event_{number:020d}",
            "response_id": "resp_CiUEvi8vAbCdEfGhIjKlM",
            "item_id": "item_CiUEvi8vAbCdEfGhIjKlM",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "obfuscation": "a9Bc7dEf1"[: 1 + number % 9],
        },
        separators=(",", ":"),
    ).encode()


def call_messages(count: int, seed: int = 1) -> list[bytes]:
    """A mix as of a spoken call: 70 % of 300 B, 20 % of 4 KB, 10 % of 16 KB."""
    dice = random.Random(seed)
    pool = dice.randbytes(1 << 20)

    def audio(size: int) -> bytes:
        start = dice.randrange(len(pool) - size)
        return pool[start : start + size]

    made = []
    for number in range(count):
        kind = number % 10
        if kind in (3, 7):
            made.append(append_message(audio(3000)))
        elif kind == 9:
            made.append(delta_message(audio(12000), number))
        else:
            made.append(text_message(number))
    return made


# ---- odd messages

_SPACES = st.sampled_from([b"", b"", b"", b" ", b"\n\t ", b"\r\n"])
_KINDS = st.sampled_from(
    [
        *sorted(wire.AUDIO_CARRIERS),
        "response.output_text.delta", "session.created", "error", "", " spaced ", "vendor.audio.x",
    ]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["type", "audio", "delta", "item", "content", "event_id", "n", "", 'a"b', "\u00e9", "part"]
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)


@st.composite
def base64_texts(draw: st.DrawFn) -> bytes:
    """Base64 as it comes: canonical mostly, else unpadded, url-safe, wrapped, escaped, broken."""
    audio = draw(st.binary(max_size=40))
    text = base64.b64encode(audio)
    return draw(
        st.sampled_from(
            [
                text, text, text, text,
                text.rstrip(b"="),
                base64.urlsafe_b64encode(audio),
                text.replace(b"/", b"\\/"),
                text + b"=",
                text[:-1],
                b"\\n".join([text[:8], text[8:]]),
                text.replace(b"A", b"\\u0041"),
                b"!" + text,
                text[:-2] + b"Z=" if text.endswith(b"==") else text + b"AAAA",
            ]
        )
    )  # fmt: skip


def _string(text: str, *, plain_ascii: bool) -> bytes:
    return json.dumps(text, ensure_ascii=plain_ascii).encode("utf-8", "surrogatepass")


@st.composite
def _members(draw: st.DrawFn, depth: int) -> bytes:
    """`"key": value`, spelt with any spaces."""
    key = draw(_KEYS)
    if key == "type" and draw(st.booleans()):
        value = _string(draw(_KINDS), plain_ascii=True)
    elif key in ("audio", "delta") and draw(st.integers(0, 3)):
        value = b'"' + draw(base64_texts()) + b'"'
    else:
        value = draw(json_texts(depth=depth - 1))
    name = _string(key, plain_ascii=draw(st.booleans()))
    return b"%s%s:%s%s%s" % (name, draw(_SPACES), draw(_SPACES), value, draw(_SPACES))


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 3) -> bytes:
    """Any JSON value as text, with any spacing, duplicate keys included."""
    kind = draw(st.integers(0, 3)) if depth > 0 else 0
    if kind == 0:
        return _string_or_scalar(draw)
    parts: Sequence[bytes]
    if kind == 1:
        parts = draw(st.lists(json_texts(depth=depth - 1), max_size=3))
        return b"[" + draw(_SPACES) + b", ".join(parts) + b"]"
    parts = draw(st.lists(_members(depth), max_size=4))
    return b"{" + draw(_SPACES) + b",".join(parts) + b"}"


def _string_or_scalar(draw: st.DrawFn) -> bytes:
    value = draw(scalars)
    if isinstance(value, str):
        return _string(value, plain_ascii=draw(st.booleans()))
    return json.dumps(value).encode()


@st.composite
def carriers(draw: st.DrawFn) -> bytes:
    """A message of a type that carries audio, its members in any order."""
    kind = draw(st.sampled_from(sorted(wire.AUDIO_CARRIERS)))
    members = [
        b'"type"%s:%s"%s"' % (draw(_SPACES), draw(_SPACES), kind.encode()),
        b'"%s":%s"%s"'
        % (draw(st.sampled_from([b"audio", b"delta"])), draw(_SPACES), draw(base64_texts())),
        *draw(st.lists(_members(2), max_size=3)),
    ]
    if draw(st.booleans()):
        parts = b",".join(
            b'{"type":"input_audio","audio":"%s"}' % text
            for text in draw(st.lists(base64_texts(), max_size=3))
        )
        members.append(b'"item":{"content":[%s]}' % parts)
    return draw(_SPACES) + b"{" + b",".join(draw(st.permutations(members))) + b"}"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message with bytes changed, cut off, doubled or put in."""
    message = draw(carriers() | json_texts())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(message)))
        size = draw(st.integers(0, 6))
        new = draw(st.binary(max_size=4) | st.sampled_from([b'"', b"\\", b"{", b"}", b",", b""]))
        message = message[:at] + new + message[at + size :]
    return message


messages = carriers() | json_texts() | mutated() | st.binary(max_size=60)
"""Whatever may come over a wire."""
