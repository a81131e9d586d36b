"""The recorder: numbers, times, secrets, and an exact account of what was lost."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.events import BINARY, CLOSE, NO_FRAME, PING, TEXT, Event, Origin
from recorder.recording import OVERHEAD, Recorder, weight
from recorder.wire import join, redacted
from tests.log_kit import append_message, session

ROOM = 1 << 20

offers = st.lists(
    st.tuples(
        st.sampled_from([Origin.CLIENT, Origin.SERVER]),
        st.integers(0, 10**12),
        st.integers(0, 400),
        st.integers(0, 800),
        st.booleans(),
    ),
    max_size=40,
)
"""(origin, time, size of the message, room in the buffer, whether gaps are told then)."""


@given(offers)
def test_admitted_and_lost_are_what_was_offered(
    offered: list[tuple[Origin, int, int, int, bool]],
) -> None:
    """Law 1: every message is either an event or counted in exactly one gap event."""
    recorder = Recorder(session())
    log: list[Event] = []
    lost: list[tuple[Origin, int, int]] = []
    for origin, at_ns, size, room, tell in offered:
        event = recorder.admit(origin, at_ns, b"x" * size, room=room)
        if event is None:
            assert room < size + OVERHEAD
            lost.append((origin, at_ns, size))
        else:
            assert weight(event) <= room
            log.append(event)
        if tell and (gap := recorder.gap()):
            log.append(gap)
    if gap := recorder.gap():
        log.append(gap)
    assert recorder.gap() is None
    assert not recorder.losing
    assert recorder.lost == len(lost)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert [event.at_ns for event in log] == sorted(event.at_ns for event in log)
    gaps = [orjson.loads(event.head) for event in log if event.type == "recorder.gap"]
    assert len(log) - len(gaps) + sum(gap["count"] for gap in gaps) == len(offered)
    for origin in (Origin.CLIENT, Origin.SERVER):
        told = [
            gap["origins"][name] for gap in gaps if (name := origin.name.lower()) in gap["origins"]
        ]
        mine = [(at_ns, size) for who, at_ns, size in lost if who == origin]
        assert sum(side["count"] for side in told) == len(mine)
        assert sum(side["bytes"] for side in told) == sum(size for _, size in mine)
        if mine:
            assert max(side["last_ns"] for side in told) == max(at_ns for at_ns, _ in mine)


def test_one_gap_tells_who_lost_what_and_when() -> None:
    """The whole event, as it is stored."""
    recorder = Recorder(session())
    recorder.admit(Origin.CLIENT, 5, b"kept", room=ROOM)
    recorder.admit(Origin.CLIENT, 10, b"123", room=0)
    recorder.admit(Origin.SERVER, 20, b"12345", room=0)
    recorder.admit(Origin.CLIENT, 30, b"1", room=0)
    recorder.blame("the disk is full")
    gap = recorder.gap()
    assert gap is not None
    assert (gap.seq, gap.at_ns, gap.origin, gap.type, gap.opcode) == (
        2, 30, Origin.RECORDER, "recorder.gap", NO_FRAME,
    )  # fmt: skip
    assert orjson.loads(gap.head) == {
        "type": "recorder.gap",
        "count": 3,
        "bytes": 9,
        "first_ns": 10,
        "last_ns": 30,
        "origins": {
            "client": {"count": 2, "bytes": 4, "first_ns": 10, "last_ns": 30},
            "server": {"count": 1, "bytes": 5, "first_ns": 20, "last_ns": 20},
        },
        "why": "the disk is full",
    }


def test_blame_without_a_loss_is_forgotten() -> None:
    """A trouble that cost nothing leaves no gap."""
    recorder = Recorder(session())
    recorder.blame("locked")
    assert recorder.gap() is None


def test_times_never_go_back() -> None:
    """Law 3: an earlier stamp is lifted; notes and gaps keep to it too."""
    recorder = Recorder(session())
    first = recorder.admit(Origin.SERVER, 100, b"a", room=ROOM)
    second = recorder.admit(Origin.CLIENT, 40, b"b", room=ROOM)
    third = recorder.note("mark", 70, {})
    fourth = recorder.admit(Origin.CLIENT, 101, b"c", room=ROOM)
    assert [e.at_ns for e in (first, second, third, fourth) if e] == [100, 100, 100, 101]


def test_a_message_is_kept_byte_for_byte() -> None:
    """What was admitted joins to what passed, and knows its kind and its origin."""
    recorder = Recorder(session())
    for opcode, payload in (
        (TEXT, append_message(b"sound")),
        (BINARY, bytes(range(256))),
        (PING, b"\x00\xff"),
        (CLOSE, b"\x03\xe8bye"),
        (NO_FRAME, b'{"type":"error"}'),
    ):
        event = recorder.admit(Origin.CLIENT, 1, payload, opcode, room=ROOM)
        assert event is not None
        assert (join(event), event.opcode, event.origin) == (payload, opcode, Origin.CLIENT)


KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, NO_FRAME])
def test_secrets_are_gone_before_an_event_exists(opcode: int) -> None:
    """Law 2: known and key-shaped ones, in messages, close reasons and HTTP bodies."""
    recorder = Recorder(session(), known_secrets=[KEY, ""])
    payload = b"\x0b\xb8invalid key sk-abcdef123456, or was it %s?" % KEY.encode()
    event = recorder.admit(Origin.SERVER, 1, payload, opcode, room=ROOM)
    assert event is not None
    assert event.head == b"\x0b\xb8invalid key [redacted:key], or was it [redacted:key]?"
    assert redacted(event) == ["key"]


def test_audio_and_redaction_in_one_message() -> None:
    """The audio is still cut out, the secret is gone, and the event says so."""
    recorder = Recorder(session(), known_secrets=[KEY])
    message = append_message(b"sound")[:-1] + b',"event_id":"%s"}' % KEY.encode()
    event = recorder.admit(Origin.CLIENT, 1, message, room=ROOM)
    assert event is not None
    assert event.audio == b"sound"
    assert redacted(event) == ["key"]
    assert join(event) == message.replace(KEY.encode(), b"[redacted:key]")


def test_notes_hold_no_secrets() -> None:
    """What an application tells us is searched too."""
    recorder = Recorder(session(), known_secrets=[KEY])
    note = recorder.note("note", 1, {"text": f"used {KEY} and sk-abcdef123456"})
    assert orjson.loads(note.head)["text"] == "used [redacted:key] and [redacted:key]"


def test_notes_are_admitted_whatever_the_room() -> None:
    """They are small and few, and a gap event is one of them."""
    recorder = Recorder(session())
    assert recorder.admit(Origin.CLIENT, 1, b"x", room=0) is None
    assert recorder.note("opened", 1, {"url": "u"}).seq == 1


def test_a_capture_that_is_none() -> None:
    """Refused with the names that there are."""
    with pytest.raises(UsageError, match="full, no-audio, metadata"):
        Recorder(session(capture="everything"))


def test_less_can_be_captured() -> None:
    """The session says what is kept, and every event keeps to it."""
    recorder = Recorder(session(capture="no-audio"))
    event = recorder.admit(Origin.CLIENT, 1, append_message(b"sound"), room=ROOM)
    assert event is not None
    assert event.audio is None
