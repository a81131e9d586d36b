"""Recorded sessions from Python, on a real database file."""

from __future__ import annotations

import pytest
import soundfile

import recorder
from tests.talks import NOW, spoken, texted


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with a written session and, after it, a spoken one under a call label."""
    path = tmp_path_factory.mktemp("library") / "calls.db"
    store = recorder.SqlStore.open(recorder.locate(str(path), {}))
    texted(store, seed=1)
    spoken(store, seed=2, wall_ns=NOW + 1_000_000_000, call="c-1")
    store.close()
    return path


def test_a_session_has_everything_that_the_commands_show(database):
    """By any of its names; folded once, and then kept."""
    with recorder.open(database) as library:
        call = library["latest"]
        assert library["c-1"].id == call.id == library[call.id[-8:]].id
        assert call.session.call == "c-1"
        assert call.status == "ended"
        assert [turn.index for turn in call.turns] == [1, 2]
        assert call.analysis is call.analysis
        assert call.latency.turns[0].values["v2v_audible"].value_ms is not None
        assert call.conversation.items
        assert [line.speaker for line in call.transcript.lines][:2] == ["user", "assistant"]
        assert isinstance(call.findings, tuple)
        assert repr(call) == f"<RecordedSession {call.id}>"


def test_the_log_is_read_as_often_as_you_like(database):
    """By number, by type, with and without sound."""
    with recorder.open(database) as library:
        events = library["latest"].events
        assert len(events) == len(list(events)) == len(list(events))
        assert [event.seq for event in events.read(after=2, until=4)] == [3, 4]
        assert events[1].type == "recorder.opened"
        assert {e.type for e in events.read(types=["session.created"])} == {"session.created"}
        assert all(event.audio is None for event in events.read(audio=False))
        assert any(event.audio for event in events)
        with pytest.raises(IndexError, match="no event 0"):
            events[0]
        with pytest.raises(IndexError, match="no event 9999"):
            events[9999]


def test_the_state_at_any_instant(database):
    """By seconds, by event, at the end; not by both."""
    with recorder.open(database) as library:
        call = library["latest"]
        assert call.state(seq=1).items == ()
        assert call.state().items
        assert call.state(at=0.0).seq < call.state(at=1e6).seq == len(call.events)
        with pytest.raises(recorder.UsageError, match="one of them"):
            call.state(at=1, seq=1)


def test_sessions_are_selected_in_the_selection_language(database):
    """With the errors of the language."""
    with recorder.open(database) as library:
        both = list(library)
        assert len(both) == len(library) == 2
        assert both[0].session.wall_ns <= both[1].session.wall_ns
        assert [call.id for call in library.select("call:c-1")] == [library["c-1"].id]
        assert [call.id for call in library.select("latest")] == [library["latest"].id]
        assert library.select("status:live") == []
        with pytest.raises(recorder.UsageError, match="stauts"):
            library.select("stauts:live")
        with pytest.raises(recorder.SessionNotFound):
            library["nobody"]


def test_sound_is_saved_and_streamed(database, tmp_path):
    """A stereo file of the length of the call; an item's bytes as they passed."""
    with recorder.open(database) as library:
        call = library["latest"]
        count = call.audio.save(tmp_path / "call.flac")
        with soundfile.SoundFile(tmp_path / "call.flac") as file:
            assert (file.channels, file.samplerate, file.frames) == (2, 24_000, count)
        streamed = sum(len(block) for block in call.audio.track("user", rate=8_000))
        assert abs(streamed / 8_000 - count / 24_000) < 0.001
        (item, *_) = call.playback.items
        assert len(call.audio.item(item.item_id)) > 0


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    """Looking makes nothing."""
    with pytest.raises(recorder.RecorderError):
        recorder.open(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
