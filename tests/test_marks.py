"""Marks of an application: known kinds are checked, others are its own."""

from __future__ import annotations

from typing import Any

import pytest

import recorder
from recorder.errors import UsageError
from recorder.live.marks import KINDS, check_mark
from recorder.store import MemoryStore
from tests.serving import answer_everything, serving


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("playback", {"item_id": "i", "played_ms": 0}),
        ("playback", {"item_id": "i", "played_ms": 812.5, "state": "stopped"}),
        ("playback", {"item_id": "i", "state": "started"}),
        ("note", {"text": "the caller hears an echo"}),
        ("seen", {"whatever": [1, {"it": None}], "played_ms": -1}),
        ("my-own_kind", {}),
    ],
)
def test_marks_that_are_fine(kind: str, fields: dict[str, Any]) -> None:
    """What a known kind needs and nothing else; anything that is JSON for any other kind."""
    check_mark(kind, fields)


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("playback", {"item_id": "i", "playedms": 9}, "'playedms'; did you mean 'played_ms'?"),
        ("playback", {"item_id": "i", "speed": 2}, "no field 'speed'; it has item_id, played_ms"),
        ("playback", {"played_ms": 9}, "a playback mark needs item_id"),
        ("playback", {"item_id": "i"}, "a playback mark needs played_ms or state"),
        ("playback", {"item_id": "", "played_ms": 9}, "item_id of a playback mark: expected the"),
        ("playback", {"item_id": "i", "played_ms": "9"}, "how many milliseconds of it were"),
        ("playback", {"item_id": "i", "played_ms": -1}, "0 or more, not -1"),
        ("playback", {"item_id": "i", "played_ms": True}, "not True"),
        ("playback", {"item_id": "i", "played_ms": float("nan")}, "not nan"),
        ("playback", {"item_id": "i", "played_ms": float("inf")}, "not inf"),
        ("playback", {"item_id": "i", "state": "paused"}, "or stopped, not 'paused'"),
        ("note", {}, "a note mark needs text"),
        ("note", {"text": " "}, "text of a note mark"),
        ("note", {"txt": "x"}, "did you mean 'text'?"),
        ("note", {"text": "x", "at_ns": 5}, "no field 'at_ns' of its own: the recorder sets it"),
        ("seen", {"type": "recorder.closed"}, "no field 'type' of its own"),
        ("seen", {"what": object()}, "must be JSON"),
        ("seen", {"what": 1 << 70}, "must be JSON"),
        ("closed", {}, "cannot be called 'closed'"),
        ("", {}, "cannot be called ''"),
        ("a b", {}, "cannot be called 'a b'"),
    ],
)  # fmt: skip
def test_marks_that_would_never_be_seen(kind: str, fields: dict[str, Any], told: str) -> None:
    """The error says what was wrong with which field, and what was expected."""
    with pytest.raises(UsageError) as caught:
        check_mark(kind, fields)
    assert told in str(caught.value)


def test_every_field_that_is_needed_is_a_field() -> None:
    """The table is whole."""
    for kind in KINDS.values():
        assert {name for group in kind.needs for name in group} <= kind.fields.keys()


async def test_a_session_takes_no_misspelt_mark() -> None:
    """It is refused where it is made, nothing is recorded of it, and the session goes on."""
    store = MemoryStore()
    async with (
        serving(answer_everything) as (url, _),
        recorder.connect(url, model="m", store=store) as session,
    ):
        with pytest.raises(UsageError, match="played_ms"):
            session.mark("playback", item_id="i", playedms=100)
        seq = session.mark("playback", item_id="i", played_ms=100)
    (found,) = store.sessions()
    marks = [e.seq for e in store.read(found.id) if e.type == "recorder.playback"]
    assert marks == [seq]
