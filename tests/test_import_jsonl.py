"""Our own JSONL, in again: the same session, or a clear word about what is wrong with the file."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.capturing import CAPTURES
from recorder.errors import UsageError
from recorder.events import BINARY, CLOSE, NO_FRAME, TEXT, Event, Origin, Session
from recorder.exporters.jsonl import line, lines
from recorder.importers import Damaged
from recorder.recording import Recorder
from recorder.store import MemoryStore
from recorder.wire import join
from tests.importing import imported, read_items, sessions
from tests.log_kit import call_messages, events, messages, session

FACTS = session(
    7, model="m", call="c", headers=(("authorization", "[redacted:authorization]"),),
    labels={"x": "y"}, versions={"realtime-recorder": "1"}, url="wss://h/?a=b",
)  # fmt: skip


def written(*recorded: Event, facts: Session = FACTS) -> bytes:
    """The export of one session."""
    return b"".join(lines(facts, recorded))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Origin),
            messages | st.sampled_from([b'{"a":1}\n', b"\r", b"1", b'"x"', b"[" * 1024]),
            st.sampled_from([TEXT, BINARY, CLOSE, NO_FRAME]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(CAPTURES),
    st.booleans(),
)
def test_export_import_export_is_byte_identical(
    offered: list[tuple[Origin, bytes, int]], capture: str, again: bool
) -> None:
    """Whatever passed and whatever of it was kept, through a store and out again."""
    facts = session(1, capture=capture)
    recorder = Recorder(facts, known_secrets=["known-key-123"])
    recorded = []
    for number, (origin, message, opcode) in enumerate(offered):
        for payload in (message, message + b' sk-abcdef123456 "known-key-123" \xff'):
            made = recorder.admit(origin, number, payload, opcode, room=1 << 20)
            assert made is not None
            recorded.append(made)
    export = written(*recorded, facts=facts)
    taken = imported(export, secrets=("known-key-123",) if again else ())
    assert written(*taken.events, facts=taken.store.session(facts.id)) == export


def test_what_we_recorded_is_not_touched() -> None:
    """A long session: the same events, number for number."""
    recorded = events(call_messages(2000))
    taken = imported(written(*recorded))
    assert taken.events == recorded
    assert taken.store.session(FACTS.id) == FACTS
    assert taken.report.taken[0].events == 2000


def test_several_sessions_in_one_file() -> None:
    """Each becomes one; those without events are not begun."""
    one, two, three = session(1), session(2), session(3)
    file = written(*events([b"{}"]), facts=one) + written(facts=two)
    file += written(*events([b"{}", b"{}"]), facts=three)
    taken = imported(file).report.taken
    assert [(each.session, each.events) for each in taken] == [(one, 1), (three, 2)]


# ---- sessions that are there already


def test_the_same_again_is_skipped() -> None:
    """And it is said; what was added to it meanwhile does not matter."""
    store, file = MemoryStore(), written(*events([b"{}", b'{"type":"x"}']))
    imported(file, store)
    recorder = Recorder(FACTS)
    recorder.last_seq, recorder.last_at = 2, 10**9
    store.append([(FACTS.id, [recorder.note("note", 10**9, {"text": "later"})])])
    taken = imported(file, store).report.taken
    assert [(each.known, each.events) for each in taken] == [(True, 2)]
    assert store.last_seq(FACTS.id) == 3


@pytest.mark.parametrize(
    "other",
    [
        written(*events([b"{}", b'{"type":"y"}'])),
        written(*events([b"{}", b'{"type":"x"}', b"{}"])),
        written(*events([b"{}", b'{"type":"x"}']), facts=session(7, model="other")),
    ],
)
def test_another_one_of_the_same_id_is_refused(other: bytes) -> None:
    """Nothing of it is written, unless it is asked for as a new one."""
    store = MemoryStore()
    imported(written(*events([b"{}", b'{"type":"x"}'])), store)
    with pytest.raises(UsageError, match="--as-new"):
        imported(other, store)
    assert [each.id for each in store.sessions()] == [FACTS.id]
    assert store.last_seq(FACTS.id) == 2
    taken = imported(other, store, as_new=True).report.taken[0]
    assert taken.session.id != FACTS.id
    assert taken.session.labels["copy_of"] == FACTS.id
    assert [each.id for each in store.sessions()] == [FACTS.id, taken.session.id]


def test_after_one_that_is_there_comes_another() -> None:
    """A file of several is imported as far as it is new."""
    store, first = MemoryStore(), written(*events([b"{}"]), facts=session(1))
    imported(first, store)
    both = first + written(*events([b"{}"]), facts=session(2))
    taken = imported(both, store).report.taken
    assert [(each.session.id, each.known) for each in taken] == [
        (session(1).id, True), (session(2).id, False),
    ]  # fmt: skip


def test_call_model_and_tags_are_added() -> None:
    """A tag becomes an event after the last: what was recorded stays as it is."""
    taken = imported(written(*events([b"{}"])), call="4711", model="n", tags=("a", "b"))
    assert (taken.report.taken[0].session.call, taken.report.taken[0].session.model) == (
        "4711",
        "n",
    )
    assert [(e.seq, e.type) for e in taken.events] == [(1, ""), (2, "recorder.tag")]
    assert orjson.loads(taken.events[1].head)["add"] == ["a", "b"]


# ---- what strangers write in our name


def test_secrets_are_looked_for_again() -> None:
    """In messages, with and without audio, in what is left of them, and in the session."""
    facts = session(3, url="wss://u:p@h/?api_key=abcdef", headers=(("api-key", "abcdef"),),
                    labels={"x": "sk-abcdefgh12345678"})  # fmt: skip
    file = (
        written(facts=facts) + b'{"seq":1,"at_ns":0,"origin":"client","message":'
        b'{"type":"input_audio_buffer.append","audio":"AAAA","api_key":"hush-hush"}}\n'
        b'{"seq":2,"at_ns":0,"origin":"client","cuts":[[2,9],[28,4]],"tombstone":{"reason":"gone"},'
        b'"message":["",{"api_key":"hush-hush"},""]}\n'
        b'{"seq":3,"at_ns":0,"origin":"client","type":"sk-abcdefgh12345678","message":{}}\n'
        b'{"seq":4,"at_ns":0,"origin":"server","opcode":8,"base64":"A+hzay1hYmNkZWZnaDEyMzQ1Njc4"}\n'
    )
    taken = imported(file)
    one, two, three, four = taken.events
    assert join(one) == (
        b'{"type":"input_audio_buffer.append","audio":"AAAA","api_key":"[redacted:api_key]"}'
    )
    assert one.audio == b"\0\0\0"
    assert two.head == b'["",{"api_key":"[redacted:api_key]"},""]'
    assert orjson.loads(two.meta or "") == {
        "cuts": [[2, 9], [37, 4]], "redacted": ["api_key"], "tombstone": {"reason": "gone"},
    }  # fmt: skip
    assert three.type == "[redacted:key]"
    assert four.head == b"\x03\xe8[redacted:key]"
    kept = taken.store.session(facts.id)
    assert kept.url == "wss://[redacted:userinfo]@h/?api_key=[redacted:query]"
    assert kept.headers == (("api-key", "[redacted:api-key]"),)
    assert kept.labels == {"x": "[redacted:key]"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda last: last[:-2], "no JSON"),
        (lambda last: last[:20], "no JSON"),
        (lambda last: last.replace(b'"seq":2', b'"seq":3'), "event 2 was expected"),
        (lambda last: last.replace(b'"at_ns":2000000', b'"at_ns":1'), "lies before"),
        (lambda last: last.replace(b'"at_ns":2000000', b'"at_ns":"1"'), "time"),
        (lambda last: last.replace(b'"at_ns":2000000', b'"at_ns":%d' % (1 << 64)), "time"),
        (lambda last: last.replace(b"server", b"nobody"), "nobody"),
        (lambda last: last.replace(b'"origin"', b'"opcode":99,"origin"'), "opcode"),
        (lambda last: last.replace(b'"message"', b'"type":"\\u0000","message"'), "type"),
        (lambda last: last.replace(b'"message"', b'"type":7,"message"'), "type"),
        (lambda last: last.replace(b'"message"', b'"redacted":7,"message"'), "redacted"),
        (lambda last: last.replace(
            b'"message"', b'"cuts":[[99,1]],"tombstone":{"reason":"x"},"message"'), "cuts"),
        (lambda last: last.replace(b'"message"', b'"tombstone":{},"message"'), "tombstone"),
        (lambda last: last.replace(
            b'"message"', b'"cuts":[[2,9000000000000]],"tombstone":{"reason":"x"},"message"'),
         "longer than any message"),
        (lambda last: last.replace(
            b'"message"', b'"tombstone":{"reason":"x","sha256":"zz"},"message"'), "tombstone"),
        (lambda last: b'{"type":"session.created"}\n', "header"),
        (lambda last: b'{"seq":2,"at_ns":1,"origin":"client"}\n', "missing"),
    ],
)  # fmt: skip
def test_damage_is_told_by_line_and_byte(change, told: str) -> None:
    """What stood before it has been imported; nothing is guessed."""
    recorded = events([b'{"a":{"b":1}}', b'{"a":{"b":2}}'])
    first, second, last = lines(FACTS, recorded)
    taken = imported(first + second + change(last))
    assert taken.events == recorded[:1]
    damage = taken.report.damage
    assert damage is not None
    assert (damage.line, damage.byte) == (3, len(first + second))
    assert told in str(damage)


@pytest.mark.parametrize(
    "facts",
    [
        {"id": "x"},
        {"id": 7},
        {"id": "../../etc/passwd"},
        {"wall_ns": "now"},
        {"wall_ns": -1},
        {"capture": "some"},
        {"labels": {"a": 1}},
        {"labels": []},
        {"headers": [["a", 1]]},
        {"headers": 7},
        {"more": 1},
    ],
)
def test_a_session_that_cannot_be_is_refused(facts: dict[str, object]) -> None:
    """With the line, and nothing is written."""
    header = orjson.loads(written())
    header["session"] |= facts
    store = MemoryStore()
    with pytest.raises(Damaged, match="line 1"):
        imported(orjson.dumps(header) + b"\n" + line(events([b"{}"])[0]), store)
    assert list(store.sessions()) == []


@given(st.data())
def test_any_damage_is_damage(data: st.DataObject) -> None:
    """Bytes changed, cut off or put in: a file is read, or refused by name; never a traceback."""
    file = written(
        *events([b'{"type":"a"}', b'{"type":"input_audio_buffer.append","audio":"AAAA"}'])
    )
    at = data.draw(st.integers(0, len(file)))
    new = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"\n", b"null", b"[]"]))
    try:
        found = read_items(file[:at] + new + file[at + data.draw(st.integers(0, 9)) :])
    except UsageError:
        return
    assert len(sessions(found)) <= 1


@given(
    st.sampled_from(
        [
            b'{"type":"input_audio_buffer.append","audio":"AAECAwQF"}',
            b'{"type":"response.output_audio.delta","item_id":"i","delta":"AAECAwQF","n":[1]}',
            b'{"type":"conversation.item.create","item":{"content":[{"audio":"AAEC"},{"audio":""}]}}',
        ]
    ),
    st.data(),
)
def test_a_message_is_taken_only_if_it_is_json(message: bytes, data: st.DataObject) -> None:
    """Before, in and behind its audio, though the audio itself is not parsed."""
    begin = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(begin, min(begin + 2, len(message))))
    put = data.draw(st.sampled_from([b"", b'"', b"\\", b"A", b"=", b"}", b",", b"\x01", b"\xff"]))
    changed = message[:begin] + put + message[end:]
    header = written()
    text = header + b'{"seq":1,"at_ns":0,"origin":"client","message":%s}\n' % changed
    try:
        orjson.loads(changed)
    except orjson.JSONDecodeError:
        with pytest.raises(Damaged, match="line 2"):
            imported(text)
    else:
        (event,) = imported(text).events
        assert join(event) == changed
