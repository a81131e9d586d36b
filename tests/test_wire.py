"""Splitting messages and joining them again: byte for byte, whatever the message is."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder import wire
from recorder.events import TEXT, Event, Origin
from recorder.wire import AUDIO_CARRIERS, AudioGone, Split, audio_bytes, join, split
from tests.log_kit import (
    append_message,
    base64_texts,
    carriers,
    delta_message,
    event,
    json_texts,
    messages,
)


def stored(part: Split) -> Event:
    """The split message as an event."""
    return Event(1, 0, Origin.SERVER, part.type, TEXT, part.head, part.meta, part.audio)


# ---- law 1: byte-exact


@given(messages)
@example(b"")
@example(b"{")
@example(b'{"type":"')
@example(b'{"type":"input_audio_buffer.append","audio":"')
@example(b'{"type":"input_audio_buffer.append","audio":""}')
@example(b'{"type":"input_audio_buffer.append","audio":"AAAA","audio":"BBBB"}')
@example(b'{"type":"input_audio_buffer.append","audio":"AAAA"}{"audio":"AAAA"}')
@example(b'{"type":"response.done","response":{"output":[{"content":[{"audio":"AAAA')
@example(b'{"type":"input_audio_buffer.append","audio":"AAAA"' + b"\xff\xfe")
@example('{"type":"é\u0000"}'.encode())
@example(b'\xef\xbb\xbf{"type":"input_audio_buffer.append","audio":"AAAA"}')
def test_joining_gives_the_message_back(message: bytes) -> None:
    """Whatever passes, valid or not: split never raises, and join gives the same bytes."""
    assert join(stored(split(message))) == message


@given(carriers())
def test_cuts_tell_where_the_audio_was(message: bytes) -> None:
    """Each cut is canonical base64 of its piece of audio, at its offset of the head."""
    found = stored(split(message))
    cuts = wire.cuts_of(found)
    assert (found.audio is None) == (not cuts)
    assert sum(length for _, length in cuts) == len(found.audio or b"")
    shift = used = 0
    for offset, length in cuts:
        text = base64.b64encode((found.audio or b"")[used : used + length])
        assert message[offset + shift :].startswith(text + b'"') or not message.endswith(b'"')
        shift, used = shift + len(text), used + length
    assert len(message) == len(found.head) + shift
    assert audio_bytes(found) == (used if cuts else None)


@given(st.binary(max_size=3000))
def test_canonical_audio_is_cut_out(audio: bytes) -> None:
    """What any client library sends is stored without a byte of base64."""
    for message in (append_message(audio), delta_message(audio)):
        found = split(message)
        assert found.audio == audio
        assert b'""' in found.head
        assert audio_bytes(stored(found)) == len(audio)


@pytest.mark.parametrize("kind", sorted(AUDIO_CARRIERS))
def test_every_carrier_is_cut(kind: str) -> None:
    """The audio of each carrier is stored as bytes, spelt with spaces and in any order too."""
    audio = bytes(range(200))
    text = base64.b64encode(audio).decode()
    key = "delta" if kind.endswith(".delta") else "audio"
    flat = {key: text, "type": kind}
    nested = {"item": {"content": [{"type": "input_audio", "audio": text}]}, "type": kind}
    body = flat if kind.endswith((".delta", "append")) else nested
    for message in (orjson.dumps(body), json.dumps(body, indent=2).encode()):
        found = split(message)
        assert (found.type, found.audio) == (kind, audio)
        assert text.encode() not in found.head
        assert join(stored(found)) == message


def test_several_pieces_in_one_message() -> None:
    """Audio inside items is cut wherever it stands, and each piece goes back to its place."""
    pieces = [b"one!", b"", b"three", bytes(3000)]
    content = [
        {"type": "input_audio", "audio": base64.b64encode(piece).decode()} for piece in pieces
    ]
    content.insert(2, {"type": "input_text", "text": '"audio":"AAAA"'})
    item = {"type": "message", "role": "user", "content": content}
    message = orjson.dumps({"type": "conversation.item.create", "item": item})
    found = split(message)
    assert found.audio == b"".join(pieces)
    assert [length for _, length in wire.cuts_of(stored(found))] == [4, 0, 5, 3000]
    assert join(stored(found)) == message


@given(base64_texts())
def test_odd_base64_stays_as_it_came(text: bytes) -> None:
    """What encoding again would not give back is stored whole."""
    message = b'{"type":"response.audio.delta","delta":"%s"}' % text
    found = split(message)
    if found.audio is None:
        assert found.head == message
    else:
        assert base64.b64encode(found.audio) == text


def test_text_is_never_taken_for_audio() -> None:
    """A transcript that is valid base64 stays text; so does audio of a type we do not know."""
    for message in (
        b'{"type":"response.output_text.delta","delta":"well"}',
        b'{"type":"vendor.delta","audio":"AAAA"}',
        b'{"type":"response.output_audio.delta","part":{"delta":"AAAA"}}',
        b'{"type":"session.updated","session":{"audio":{"input":{"audio":"AAAA"}}}}',
    ):
        assert split(message) == (wire.find_type(message), message, None, None)


# ---- law 4: the type


@given(json_texts())
def test_the_type_is_what_a_full_parse_finds(message: bytes) -> None:
    """For valid JSON with one top-level `type`, however it is spelt."""
    value = json.loads(message, object_pairs_hook=lambda pairs: pairs)
    types = [v for k, v in value if k == "type"] if isinstance(value, list) and value and all(
        isinstance(pair, tuple) for pair in value
    ) else []  # fmt: skip
    if len(types) > 1:
        return  # then the first or the last, depending on the reader
    wanted = types[0] if types and isinstance(types[0], str) else ""
    assert wire.find_type(message) == "".join(
        c if c.isprintable() else "\ufffd" for c in wanted.strip()[:120]
    )


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b'{"event_id":"e","type":"error"}', "error"),
        (b'{"item":{"type":"message"},"type":"conversation.item.create"}',
         "conversation.item.create"),
        (b'{"item":{"type":"message"}}', ""),
        (b'{"a":"\\"type\\":\\"x\\"","type":"y"}', "y"),
        (b'{"a":1,"b":-2.5e3,"c":true,"d":null,"type":"t"}', "t"),
        (b'{"t\\u0079pe":"escaped"}', "escaped"),
        (b'{"type":"esc\\u0061ped"}', "escaped"),
        (b'{"type":" input_audio_buffer.dtmf_event_received"}',
         "input_audio_buffer.dtmf_event_received"),
        (b'{"type":"a\\u0000b\\ud83d\\ude00\\u202e"}', "a\ufffdb\U0001f600\ufffd"),
        (b'{"x":"\\ud800","type":"lone surrogate"}', "lone surrogate"),
        (b'{"x":[1,2],"type":"cut off', "cut off"),
        (b'{"type":"cut off', "cut off"),
        (b'{"type":7}', ""),
        (b'{"type":["x"]}', ""),
        (b'[{"type":"x"}]', ""),
        (b'"type"', ""),
        (b"", ""),
        (b"\x00\xff", ""),
        (b'{"type":"%s"}' % (b"x" * 500), "x" * 120),
    ],
)  # fmt: skip
def test_types(message: bytes, kind: str) -> None:
    """Anchored at the top level, decoded, printable, short; empty where there is none."""
    assert split(message).type == kind


def test_a_hostile_peer_does_not_fill_the_memory_with_types() -> None:
    """Types are remembered up to a limit, and still right beyond it."""
    for number in range(2000):
        assert wire.find_type(b'{"type":"hostile.%d"}' % number) == f"hostile.{number}"
    assert len(wire._known_types) <= wire._KNOWN_LIMIT


# ---- sizes and hostility


def test_megabytes() -> None:
    """The largest message that the protocol allows, and one far beyond it."""
    audio = bytes(range(256)) * 4096 * 15
    message = append_message(audio)
    assert len(message) > 20_000_000
    found = split(message)
    assert found.audio == audio
    assert join(stored(found)) == message


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "brackets": lambda n: b"[" * n,
    "braces": lambda n: b'{"a":' * (n // 5),
    "quotes": lambda n: b'{"type' + b'"' * n,
    "backslashes": lambda n: b'{"type":"' + b"\\" * n,
    "spaces": lambda n: b'{"type"' + b" " * n + b"x",
    "members": lambda n: b"{" + b'"a":1,' * (n // 6),
    "keys": lambda n: b'{"' + b'type"' * (n // 5),
    "commas": lambda n: b"{" + b"," * n,
    "deep strings": lambda n: b"[" * (n // 8) + b'"a",' * (n // 8) + b'"type":"x"',
    "deep audio": lambda n: (
        b'{"type":"response.done","audio":"AAAA","x":' + b"[" * (n // 8) + b'"a",' * (n // 8)
    ),
    "audio, unended": lambda n: b'{"type":"response.done","audio":' * (n // 32) + b'"AAAA',
    "audio, many": lambda n: (
        b'{"type":"conversation.item.create","item":[' + b'{"audio":"AAAA"},' * (n // 17) + b"0]}"
    ),
    "base64, no end": lambda n: b'{"type":"response.audio.delta","delta":"' + b"A" * n,
    "escapes": lambda n: b'{"type":"response.done","audio":"' + b"\\u0041" * (n // 6) + b'"}',
    "words": lambda n: b"type" * (n // 4),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Eight times the bytes take about eight times as long, whoever chose them."""

    def seconds(size: int) -> float:
        message = HOSTILE[name](size)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            found = split(message)
            assert join(stored(found)) == message
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(400_000) < 40 * seconds(50_000) + 0.05


# ---- what stands in an event, read again


def test_tombstones() -> None:
    """A message without its audio tells length and reason, and gives back silence if asked."""
    whole = split(delta_message(b"12345"))
    gone = stored(wire.without_audio(whole, "erased", "ab" * 32))
    assert gone.audio is None
    assert audio_bytes(gone) == 5
    assert wire.tombstone(gone) == {"reason": "erased", "sha256": "ab" * 32}
    with pytest.raises(AudioGone, match="erased"):
        join(gone)
    assert join(gone, silence=True) == delta_message(bytes(5))
    assert wire.without_audio(split(b"{}"), "erased") == split(b"{}")


def test_audio_that_was_not_read() -> None:
    """Reading without audio still tells its length; joining says what is missing."""
    found = event(1, append_message(b"abc"))._replace(audio=None)
    assert audio_bytes(found) == 3
    with pytest.raises(AudioGone, match="not read"):
        join(found)


def test_redactions_are_told() -> None:
    """What was replaced is told beside the cuts, and does not disturb them."""
    part = wire.with_redactions(split(append_message(b"abc")), ["key"])
    assert wire.redacted(stored(part)) == ["key"]
    assert audio_bytes(stored(part)) == 3
    assert join(stored(part)) == append_message(b"abc")
    assert wire.redacted(stored(split(b"{}"))) == []


def test_parsing_gives_the_message_without_its_audio() -> None:
    """`parse` gives an object for every event, whatever its head is."""
    assert wire.parse(event(1, append_message(b"abc"))) == {
        "type": "input_audio_buffer.append", "audio": "",
    }  # fmt: skip
    for message in (b"", b"[1]", b"{", b"\xff", b"1"):
        assert wire.parse(event(1, message)) == {}


@given(json_texts())
def test_spans_are_the_strings_of_the_message(message: bytes) -> None:
    """Every string value is found once, in order, at its path."""

    def walk(value: object, path: tuple[str | int, ...] = ()) -> list[object]:
        if isinstance(value, str):
            return [(path, value)]
        if isinstance(value, tuple):
            return [x for key, each in value for x in walk(each, (*path, key))]
        if isinstance(value, list):
            return [x for n, each in enumerate(value) for x in walk(each, (*path, n))]
        return []

    wanted = walk(json.loads(message, object_pairs_hook=tuple))
    found = [
        (path, json.loads(b'"' + message[start:end] + b'"', strict=False))
        for path, start, end in wire.string_spans(message)
    ]
    assert found == wanted


CAPTURES = Path(__file__).parents[2] / "shared" / "captures"


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no real traffic on this machine")
def test_real_traffic() -> None:
    """Every message of real sessions comes back, and its audio is out of the JSON."""
    for file in sorted(CAPTURES.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            value = orjson.loads(line)
            message = orjson.dumps(value.get("data", value))
            found = split(message)
            assert join(stored(found)) == message
            assert found.type == orjson.loads(message)["type"]
            if found.type.endswith("audio.delta") or found.type == "input_audio_buffer.append":
                assert found.audio
