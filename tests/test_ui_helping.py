"""Long work in a process of its own: what it sends, what it raises, that it ends; sound made so."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from recorder.errors import SessionNotFound, StoreUnavailable
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key, TileStore
from recorder.ui import helping
from recorder.ui.hearing import HEAD, Sound, Sounds, wav_head
from recorder.ui.helping import helped, is_worth_it, received
from recorder.ui.making import made_of
from recorder.ui.sheets import Sheets

from .talks import Talk, silence, spoken

# What runs over there.


def count(store: SqlStore, pipe: Connection, session_id: str, *, twice: bool) -> None:
    """The number of the last event and the process, then a session that is not there."""
    pipe.send((os.getpid(), store.last_seq(session_id) * (2 if twice else 1)))
    store.session("nobody")


def die(_store: SqlStore, _pipe: Connection) -> None:
    """End without a word."""
    os._exit(3)


def sleep(_store: SqlStore, pipe: Connection) -> None:
    """Never come to an end."""
    pipe.send(os.getpid())
    time.sleep(3600)


@pytest.fixture
def store(tmp_path: Path) -> Generator[SqlStore]:
    found = SqlStore.open(tmp_path / "calls.db")
    spoken(found, seed=1)
    yield found
    found.close()


def first(store: SqlStore) -> str:
    return next(iter(store.sessions())).id


def test_a_helper_sends_and_raises(store: SqlStore) -> None:
    """It reads the same store in another process; its error is raised here, of its own kind."""
    name = first(store)
    with helped(count, store, name, twice=True) as pipe:
        process, counted = received(pipe)
        assert process != os.getpid()
        assert counted == 2 * store.last_seq(name)
        with pytest.raises(SessionNotFound, match="nobody"):
            received(pipe)
        with pytest.raises(EOFError):
            received(pipe)


def test_a_helper_that_dies_is_noticed(store: SqlStore) -> None:
    """Nothing follows: the reader does not wait for ever."""
    with helped(die, store) as pipe, pytest.raises(EOFError):
        received(pipe)


def test_a_helper_ends_with_the_block(store: SqlStore) -> None:
    """Also if it would never have come to an end by itself."""
    with helped(sleep, store) as pipe:
        process = received(pipe)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_short_sessions_and_stores_in_memory_stay_here(store: SqlStore) -> None:
    """A process takes longer to start than to fold a minute; nobody else sees this memory."""
    assert not is_worth_it(store, helping.WORTH - 1)
    assert is_worth_it(store, helping.WORTH)
    here = SqlStore.open("sqlite://")
    assert not is_worth_it(here, helping.WORTH)
    here.close()


def test_helpers_make_the_same_tiles(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, one for the states: together what is made here, and it is stored."""
    monkeypatch.setattr(helping, "WORTH", 1)
    session = next(iter(store.sessions()))
    here = made_of(store, session, store.last_seq(session.id))
    sheets = Sheets(store)
    assert sheets.tile(session.id, Key("facts")) == here.tiles[Key("facts")]
    kept = TileStore(store)
    assert {key: kept.fresh(session.id, key) for key in here.tiles} == here.tiles
    assert {"facts", "now", "peaks-0", "states"} <= {key.kind for key in here.tiles}


# ---- sound


def whole(sound: Sound) -> bytes:
    return sound.read(0, sound.bytes)


def test_a_helper_makes_the_same_sound(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte what is made in this process, as far as an event in the middle."""
    name, sounds = first(store), Sounds(store)
    middle = store.last_seq(name) // 2
    monkeypatch.setattr(helping, "WORTH", middle + 1)
    here = sounds.sound(name, middle)
    assert here is not None
    assert here.samples > 0
    assert any(whole(here)[HEAD:])
    monkeypatch.setattr(helping, "WORTH", 1)
    others = Sounds(store)
    there = others.sound(name, middle)
    assert there is not None
    assert there.samples == here.samples
    assert whole(there) == whole(here)
    assert others.sound(name, middle) is there
    sounds.close()
    others.close()


def test_a_helper_says_that_there_is_no_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that there is no such session."""
    monkeypatch.setattr(helping, "WORTH", 0)
    store = SqlStore.open(tmp_path / "empty.db")
    silent = Talk(store, seed=1)
    sounds = Sounds(store)
    assert sounds.sound(silent.session.id) is None
    with pytest.raises(SessionNotFound):
        sounds.sound("nobody")
    store.close()


def test_a_sound_that_ends_early_is_an_error() -> None:
    """What is there can be read; what will never be there raises, and is not waited for."""

    def pieces() -> Generator[bytes]:
        yield wav_head(1000)
        yield silence(10)

    sound = Sound("tag", 1000)
    sound.fill(pieces())
    assert sound.read(0, HEAD) == wav_head(1000)
    with pytest.raises(StoreUnavailable, match="to its end"):
        sound.read(0, sound.bytes)
    sound.close()


def test_a_sound_that_failed_is_made_again(store: SqlStore) -> None:
    """Whoever asks next does not get what went wrong before."""
    name, sounds = first(store), Sounds(store)
    begun = sounds.sound(name)
    assert begun is not None
    before = whole(begun)
    begun._fail(StoreUnavailable("the disk was full"))
    again = sounds.sound(name)
    assert again is not None
    assert again is not begun
    assert whole(again) == before
    assert sounds.sound(name) is again
    sounds.close()


def test_a_sound_that_nobody_wants_any_more_is_not_made(store: SqlStore) -> None:
    """What makes it is ended at the next piece, and whoever waits is told."""
    closed: list[bool] = []

    def pieces() -> Generator[bytes]:
        try:
            yield wav_head(1000)
            sound.close()
            yield bytes(4000)
            raise AssertionError("went on")
        finally:
            closed.append(True)

    sound = Sound("tag", 1000)
    sound.fill(pieces())
    assert closed == [True]
    with pytest.raises(StoreUnavailable, match="ending"):
        sound.read(0, sound.bytes)
