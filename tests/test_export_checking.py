"""The check of what was written: it finds what slipped through, wherever it stands."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile

from recorder.events import Event, Origin
from recorder.exporters import EXPORTERS, Source
from recorder.exporters.checking import problems
from recorder.sharing import Sharing
from tests import talks
from tests.captured import captured, names
from tests.export_kit import of_events, sources, stored, written
from tests.log_kit import event

STORE = stored(talks.spoken, talks.texted)
WORDS = "We are open from nine to five."


def found(form: str, data: bytes, share: str = "metadata") -> list[str]:
    """What is wrong with these bytes as a file of those sessions."""
    return problems(EXPORTERS[form].suffix, io.BytesIO(data), sources(STORE), share)


@pytest.mark.parametrize("form", sorted(set(EXPORTERS) - {"wav", "flac"}))
def test_every_format_passes_without_content_and_not_with_it(form: str) -> None:
    """The check knows the difference. Of a table of events there is none."""
    whole = written(form, *sources(STORE))
    shared = written(form, *sources(STORE, share="metadata"))
    assert found(form, shared) == []
    if form not in ("csv",):
        told = found(form, whole)
        assert told
        assert not any("nine to five" in line for line in told)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_sound_must_be_silent(form: str) -> None:
    """One sample is enough."""
    (source, _), (shared, _) = sources(STORE), sources(STORE, share="metadata")
    assert found(form, written(form, shared)) == []
    assert found(form, written(form, source)) != []
    click = np.zeros((48_000, 2), np.int16)
    click[40_000, 1] = 1
    file = io.BytesIO()
    soundfile.write(file, click, 24_000, format=form.upper(), subtype="PCM_16")
    assert found(form, file.getvalue()) == [f".{form} is not silent"]


@pytest.mark.parametrize(
    "leak",
    [
        {"type": "x", "delta": WORDS},
        {"type": "x", "anything": [{"deep": WORDS.strip()}]},
        {"type": "x", "delta": f"He said: {WORDS} And left."},
        {"type": "x", WORDS: 1},
        {"type": "x", "data": orjson.dumps({"text": WORDS}).decode()},
        {"type": "x", "delta": "We are open from nine to five\u002e"},
    ],
)
def test_words_are_found_wherever_they_stand(leak: dict[str, Any]) -> None:
    """As values, as keys, inside others, inside JSON inside JSON."""
    data = written("jsonl", *sources(STORE, share="metadata"))
    line = b'{"seq":99,"at_ns":1,"origin":"server","message":' + orjson.dumps(leak) + b"}\n"
    told = found("jsonl", data + line)
    assert len(told) >= 1
    assert "of session 000001" in told[0]
    assert WORDS not in " ".join(told)


def test_long_strings_are_suspected() -> None:
    """Nothing that passes is long: base64 for one."""
    data = b'{"type":"x","a":"%s"}\n' % (b"QUJD" * 40)
    assert found("jsonl", data) == ["a string of 160 characters stands in it"]
    assert found("jsonl", b'{"type":"x","a":"%s"}\n' % (b"*" * 900)) == []


@pytest.mark.parametrize("share", ["metadata", "full"])
def test_secrets_are_found_whatever_is_shared(share: str) -> None:
    """A key that slipped into the log does not leave with it."""
    key = b"sk-proj-" + b"a1B2c3D4" * 4
    data = b'{"seq":1,"message":{"type":"error","error":{"message":"bad key %s"}}}\n' % key
    told = found("jsonl", data, share)
    assert any("line 1: a secret" in line for line in told)
    assert key.decode() not in " ".join(told)


def changed(data: bytes, name: str, content: bytes) -> bytes:
    """The zip with another content in a file whose name ends so."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for each in old.namelist():
            new.writestr(each, content if each.endswith(name) else old.read(each))
        if name not in " ".join(old.namelist()):
            new.writestr(name, content)
    return file.getvalue()


def test_sums_are_checked() -> None:
    """A file that is not the one of the manifest, one that is not in it, another README."""
    data = written("bundle", *sources(STORE, share="metadata"))
    assert found("bundle", data) == []
    assert "is not what its sum" in found("bundle", changed(data, "events.csv", b"x"))[0]
    assert "not those of its manifest" in found("bundle", changed(data, "more.csv", b"x"))[0]
    told = found("bundle", changed(data, "README.txt", WORDS.encode()))
    assert "README.txt is not as it should be" in told


def test_words_of_the_protocol_are_no_leak() -> None:
    """Somebody who says what is also a type, a code or an id breaks nothing."""
    name = "resp_AbCdEfGh12345678"
    said = (
        name, "session.updated", "conversation_already_has_active_response", "x-request-id",
        "invalid_api_key", "previous_item_id", "turn_detected", "Switching Protocols",
    )  # fmt: skip
    kind = "response.output_text.delta"
    bodies = [{"type": kind, "delta": word, "response_id": name} for word in said]
    events = [event(n, orjson.dumps(body)) for n, body in enumerate(bodies, 1)]
    source = of_events(events)
    shared = Source(source.session, source.events, sharing=Sharing())
    data = written("jsonl", shared)
    assert problems(".jsonl", io.BytesIO(data), [source], "metadata") == []


def test_content_in_ids_is_found() -> None:
    """An id that an application made up of words somebody said: refused, not let through."""
    content = [{"type": "input_text", "text": "refund-for-john-smith"}]
    item = {"id": "refund-for-john-smith", "type": "message", "content": content}
    body = {"type": "conversation.item.create", "item": item}
    source = of_events([event(7, orjson.dumps(body), origin=Origin.CLIENT)])
    data = written("jsonl", Source(source.session, source.events, sharing=Sharing()))
    told = problems(".jsonl", io.BytesIO(data), [source], "metadata")
    where = f"event 7 of session {source.session.id[-6:]}"
    assert told == [f"{where}: a text of 21 characters stands in it"]


def test_hostile_sessions() -> None:
    """Markup, control characters, long texts, words where settings stand: nothing gets out."""
    nasty = "<script>alert('xx')</script>\x1b[2J\u202e" * 2
    fields = ("voice", "model", "status", "role", "code", "param", "reason", "name", "id")
    events: list[Event] = []
    for number, key in enumerate(fields, 1):
        inner = {key: nasty, "tools": [{key: nasty}], "error": {key: nasty}}
        body = {"type": nasty, key: nasty, "item": inner, "response": inner, "session": inner}
        events.append(event(number, orjson.dumps(body)))
    events.append(event(99, orjson.dumps({"type": "x", "text": "long words " * 9_000})))
    source = of_events([each._replace(seq=n) for n, each in enumerate(events, 1)])
    for form in ("jsonl", "har", "perfetto", "bundle"):
        data = written(form, Source(source.session, source.events, sharing=Sharing()))
        assert problems(EXPORTERS[form].suffix, io.BytesIO(data), [source], "metadata") == []
        assert b"<script" not in data


@pytest.mark.parametrize("name", names())
def test_real_sessions(name: str) -> None:
    """Of every provider: nothing but types, ids, sizes and settings is left of them."""
    source = of_events(captured(name))
    shared = Source(source.session, source.events, sharing=Sharing())
    data = written("jsonl", shared)
    assert problems(".jsonl", io.BytesIO(data), [source], "metadata") == []
    for word in (b"Marcelo", b"London", b"weather", b"knowledge cutoff", b"greeting"):
        assert word not in data
