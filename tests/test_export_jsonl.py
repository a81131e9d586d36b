"""Our JSONL: readable, and lossless there and back."""

from __future__ import annotations

import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.capturing import CAPTURES
from recorder.errors import UsageError
from recorder.events import BINARY, CLOSE, NO_FRAME, TEXT, Event, Origin, Session
from recorder.exporters import EXPORTERS, Source
from recorder.exporters.jsonl import line, lines, read
from recorder.recording import Recorder
from recorder.store import MemoryStore
from recorder.wire import Split, join, split, without_audio
from tests.log_kit import append_message, call_messages, events, messages, session

FACTS = session(
    7, model="m", call="c", headers=(("A", "b"), ("A", "c")), labels={"x": "\u2028\n"},
    versions={"realtime-recorder": "1"}, url="wss://h/?a=b",
)  # fmt: skip


def written(*recorded: Event, facts: Session = FACTS) -> bytes:
    """The whole export."""
    return b"".join(lines(facts, recorded))


def again(export: bytes) -> list[Session | Event]:
    """What a file with these bytes holds."""
    return list(read(export.splitlines(keepends=True)))


frames = st.lists(
    st.tuples(
        st.sampled_from(Origin),
        messages | st.sampled_from([b'{"a":1}\n', b' {"a":1}', b"\r", b"1", b'"x"', b"[" * 1024]),
        st.sampled_from([TEXT, BINARY, CLOSE, NO_FRAME]),
    ),
    max_size=5,
)


@given(frames, st.sampled_from(CAPTURES))
def test_export_import_export_is_byte_identical(
    offered: list[tuple[Origin, bytes, int]], capture: str
) -> None:
    """Whatever passed, and whatever of it was kept: the same events, and the same file again."""
    facts = session(1, capture=capture)
    recorder = Recorder(facts, known_secrets=["known-key-123"])
    recorded = []
    for number, (origin, message, opcode) in enumerate(offered):
        for payload in (message, message + b' sk-abcdef123456 "known-key-123"'):
            made = recorder.admit(origin, number, payload, opcode, room=1 << 20)
            assert made is not None
            recorded.append(made)
    export = written(*recorded, facts=facts)
    found = again(export)
    assert found == [facts, *recorded]
    assert b"".join(lines(facts, [e for e in found if isinstance(e, Event)])) == export
    for each in export.split(b"\n")[:-1]:
        assert isinstance(orjson.loads(each), dict)


def test_an_imported_session_is_the_recorded_one() -> None:
    """Into a store and out of it again."""
    store = MemoryStore()
    store.begin(FACTS)
    store.append([(FACTS.id, events(call_messages(50)))])
    source = Source(store.session(FACTS.id), lambda audio: store.read(FACTS.id, audio=audio))
    file = io.BytesIO()
    EXPORTERS["jsonl"].write([source], file)
    export = file.getvalue()
    other = MemoryStore()
    for each in again(export):
        if isinstance(each, Session):
            other.begin(each)
        else:
            other.append([(FACTS.id, [each])])
    assert [join(e) for e in other.read(FACTS.id)] == call_messages(50)
    assert written(*other.read(FACTS.id), facts=other.session(FACTS.id)) == export


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Event(1, 5, Origin.CLIENT, "x", TEXT, b'{"type":"x", "a":"\xc3\xa9"}'),
         '{"seq":1,"at_ns":5,"origin":"client","message":{"type":"x", "a":"é"}}'),
        (Event(2, 5, Origin.SERVER, "", BINARY, b"\x00\xff"),
         '{"seq":2,"at_ns":5,"origin":"server","opcode":2,"base64":"AP8="}'),
        (Event(3, 5, Origin.SERVER, "", TEXT, b"not\njson"),
         '{"seq":3,"at_ns":5,"origin":"server","text":"not\\njson"}'),
        (Event(4, 5, Origin.SERVER, "x", TEXT, b'{"type":"x"}\n'),
         '{"seq":4,"at_ns":5,"origin":"server","text":"{\\"type\\":\\"x\\"}\\n"}'),
        (Event(5, 5, Origin.SERVER, "told", TEXT, b"7", '{"redacted":["key"]}'),
         '{"seq":5,"at_ns":5,"origin":"server","type":"told","redacted":["key"],"message":7}'),
        (Event(6, 5, Origin.SERVER, "x", TEXT, b'{"audio":""}',
               '{"cuts":[[10,4]],"tombstone":{"reason":"erased"}}'),
         '{"seq":6,"at_ns":5,"origin":"server","type":"x","cuts":[[10,4]],'
         '"tombstone":{"reason":"erased"},"message":{"audio":""}}'),
        (Event(7, 5, Origin.RECORDER, "recorder.opened", NO_FRAME, b'{"type":"recorder.opened"}'),
         '{"seq":7,"at_ns":5,"origin":"recorder","opcode":0,'
         '"message":{"type":"recorder.opened"}}'),
        (Event(8, 5, Origin.SERVER, "", TEXT, b'{"x":",\\"message\\":1}"}'),
         '{"seq":8,"at_ns":5,"origin":"server","message":{"x":",\\"message\\":1}"}}'),
    ],
)  # fmt: skip
def test_lines(made: Event, text: str) -> None:
    """What a person sees, and that it is the same event when it is read."""
    assert line(made) == text.encode() + b"\n"
    assert again(written(made)) == [FACTS, made]


def test_audio_stands_in_its_message() -> None:
    """As it passed; an export is no place to look for a second file."""
    (made,) = events([append_message(b"sound")])
    assert line(made).endswith(b',"message":' + append_message(b"sound") + b"}\n")


def test_erased_audio_stays_erased() -> None:
    """The tombstone is told with its digest, and comes back."""
    part = without_audio(split(append_message(b"sound")), "erased", "ab" * 32)
    made = Event(1, 0, Origin.CLIENT, part.type, TEXT, *Split(*part)[1:3], None)
    assert again(written(made)) == [FACTS, made]


def test_several_sessions_in_one_file() -> None:
    """Each with its header; empty lines and Windows line ends do no harm."""
    one, two = session(1), session(2)
    export = written(*events([b"{}"]), facts=one) + b"\n" + written(facts=two)
    wanted = [one, *events([b"{}"]), two]
    assert again(export) == wanted
    assert again(export.replace(b"\n", b"\r\n")) == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda last: last[:-2],
        lambda last: last[:-3] + b"}",
        lambda last: last[:20],
        lambda last: last.replace(b"server", b"nobody"),
        lambda last: b"[]\n",
        lambda last: b"not json\n",
        lambda last: b'{"seq":2}\n',
        lambda last: b'{"seq":2,"at_ns":1,"origin":"client","base64":"!"}\n',
        lambda last: b'{"type":"session.created"}\n',
        lambda last: b'{"realtime_recorder":"jsonl","version":99,"session":{}}\n',
        lambda last: b'{"realtime_recorder":"jsonl","version":1,"session":{"id":"x"}}\n',
    ],
)
def test_damage_is_told_by_its_line(change) -> None:
    """What stood before it has been given; nothing is guessed."""
    recorded = events([b'{"a":{"b":1}}', b'{"a":{"b":2}}'])
    first, second, last = lines(FACTS, recorded)
    reader = read([first, second, change(last)])
    assert next(reader) == FACTS
    assert next(reader) == recorded[0]
    with pytest.raises(UsageError, match="line 3"):
        next(reader)


def test_events_before_any_session() -> None:
    """Are nobody's."""
    with pytest.raises(UsageError, match="line 1"):
        again(line(events([b"{}"])[0]))
