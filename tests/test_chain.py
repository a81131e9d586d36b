"""The digest chain: whatever is changed changes a digest, and erasing audio does not."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chain import genesis, group_digest
from recorder.events import Event, Origin
from recorder.wire import Split, with_redactions, without_audio
from tests.log_kit import append_message, delta_message, event, events, session

GROUP = events([append_message(b"one"), b'{"type":"x"}', delta_message(b"two"), b"\xff"])
START = genesis(session())


@pytest.mark.parametrize("index", range(len(GROUP)))
@pytest.mark.parametrize(
    "change",
    [
        {"at_ns": 7},
        {"origin": Origin.CLIENT},
        {"type": "other"},
        {"opcode": 2},
        {"head": b'{"type":"x" }'},
        {"meta": '{"redacted":["key"]}'},
        {"audio": b"three"},
        {"audio": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_counts(index: int, change: dict[str, object]) -> None:
    """A change of any field of any event is seen."""
    changed = [*GROUP]
    changed[index] = changed[index]._replace(**change)
    assert group_digest(START, changed) != group_digest(START, GROUP)


def test_what_came_before_counts() -> None:
    """The same events after another group, or in another session, have another digest."""
    assert group_digest(START, GROUP) != group_digest(genesis(session(2)), GROUP)
    assert group_digest(START, GROUP) != group_digest(group_digest(START, GROUP), GROUP)


def test_order_and_number_count() -> None:
    """Events swapped, left out, or renumbered as a whole."""
    whole = group_digest(START, GROUP)
    assert group_digest(START, [GROUP[1], GROUP[0], *GROUP[2:]]) != whole
    assert group_digest(START, GROUP[:-1]) != whole
    assert group_digest(START, [e._replace(seq=e.seq + 1) for e in GROUP]) != whole


def test_bytes_cannot_move_from_one_event_to_the_next() -> None:
    """Where a head ends and the next begins is part of the digest, and whose audio it is."""

    def pair(one: tuple[bytes, bytes | None], two: tuple[bytes, bytes | None]) -> bytes:
        made = [
            Event(n, 0, Origin.SERVER, "", 1, head, '{"cuts":[[0,1]]}', audio)
            for n, (head, audio) in enumerate((one, two), 1)
        ]
        return group_digest(START, made)

    assert pair((b"ab", None), (b"c", None)) != pair((b"a", None), (b"bc", None))
    assert pair((b"a", b"x"), (b"b", None)) != pair((b"a", None), (b"b", b"x"))
    assert pair((b"a", b""), (b"b", None)) != pair((b"a", None), (b"b", None))


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(session())])
def test_the_facts_of_the_session_count(field: str) -> None:
    """Every one of them: they stand at the head of the chain."""
    other: object = {
        "wall_ns": 1, "mono_ns": 2, "headers": (("a", "b"),), "versions": {"a": "b"},
        "labels": {"a": "b"},
    }.get(field, "other")  # fmt: skip
    changed = dataclasses.replace(session(), **{field: other})
    assert genesis(changed) != genesis(session())


def test_the_facts_in_another_order_are_the_same() -> None:
    """A database may give back labels in any order."""
    one = session(labels={"a": "1", "b": "2"})
    assert genesis(one) == genesis(session(labels={"b": "2", "a": "1"}))


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.booleans())
def test_erased_audio_has_the_digest_it_had(pieces: list[bytes], redacted: bool) -> None:
    """The tombstone keeps the digest of the audio, so the chain still holds."""
    whole = events([append_message(piece) for piece in pieces])
    if redacted:
        part = with_redactions(Split(*(getattr(whole[0], n) for n in Split._fields)), ["key"])
        whole[0] = whole[0]._replace(meta=part.meta)
    erased = []
    for each in whole:
        digest = hashlib.sha256(each.audio or b"").hexdigest()
        part = Split(each.type, each.head, each.meta, each.audio)
        gone = without_audio(part, "erased", digest)
        erased.append(each._replace(meta=gone.meta, audio=gone.audio))
    assert group_digest(START, erased) == group_digest(START, whole)


def test_audio_that_is_gone_without_a_digest_is_missed() -> None:
    """Only a tombstone with the right digest stands for the audio."""
    whole = [event(1, append_message(b"sound"))]
    part = Split(whole[0].type, whole[0].head, whole[0].meta, whole[0].audio)
    for digest in (None, "00" * 32):
        gone = without_audio(part, "erased", digest)
        lost = [whole[0]._replace(meta=gone.meta, audio=None)]
        assert group_digest(START, lost) != group_digest(START, whole)
