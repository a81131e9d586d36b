"""A bundle: everything about some sessions, by default without what anybody said."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import orjson
import soundfile

from recorder.events import Event, Session
from recorder.exporters import jsonl
from recorder.exporters.checking import problems
from recorder.projections import analyse
from tests import talks
from tests.export_kit import sources, stored, written
from tests.talks import RATE

SAID = (b"opening hours", b"nine to five", b"Sundays")


def opened(data: bytes) -> dict[str, bytes]:
    """The files of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def bundle(*fills: Any, share: str = "metadata") -> dict[str, bytes]:
    """The files of a bundle of such sessions, after the check found nothing wrong with it."""
    store = stored(*fills)
    data = written("bundle", *sources(store, share=share))
    assert problems("x.zip", io.BytesIO(data), sources(store), share) == []
    return opened(data)


def folder(files: dict[str, bytes]) -> str:
    """Where the first session is."""
    return str(orjson.loads(files["manifest.json"])["sessions"][0]["folder"])


def test_what_is_in_it() -> None:
    """The same files whatever is shared; sums of all of them in the manifest."""
    for share in ("metadata", "full"):
        files = bundle(talks.spoken, share=share)
        told = orjson.loads(files["manifest.json"])
        assert {name.rpartition("/")[2] for name in files} == {
            "manifest.json", "README.txt", "events.jsonl", "events.csv", "analysis.json",
            "transcript.txt", "trace.json", "call.flac",
        }  # fmt: skip
        assert {each["name"]: each["sha256"] for each in told["files"]} == {
            name: hashlib.sha256(content).hexdigest()
            for name, content in files.items()
            if name != "manifest.json"
        }
        assert told["share"] == share


def test_without_content_nobody_s_words_are_in_it() -> None:
    """In no file, and with --full in all of those that hold words."""
    for content in bundle(talks.spoken).values():
        assert not [word for word in SAID if word in content]
    files = bundle(talks.spoken, share="full")
    for name in ("events.jsonl", "transcript.txt", "analysis.json", "trace.json"):
        assert all(word in files[f"{folder(files)}/{name}"] for word in SAID)


def test_the_sound_is_silence_of_the_same_length() -> None:
    """Sample for sample as long as the sound of the call."""
    quiet, loud = bundle(talks.spoken), bundle(talks.spoken, share="full")
    shared, _ = soundfile.read(io.BytesIO(quiet[f"{folder(quiet)}/call.flac"]))
    whole, rate = soundfile.read(io.BytesIO(loud[f"{folder(loud)}/call.flac"]))
    assert shared.shape == whole.shape == (11 * RATE, 2)
    assert rate == RATE
    assert not shared.any()
    assert whole.any()


def test_figures_are_those_of_the_whole_session() -> None:
    """Measured on the audio that is not in it."""
    files = bundle(talks.spoken)
    store = stored(talks.spoken)
    (session,) = store.sessions()
    whole = analyse(lambda audio: store.read(session.id, audio=audio))
    told = orjson.loads(files[f"{folder(files)}/analysis.json"])
    assert told["latency"] == orjson.loads(orjson.dumps(whole.latency))
    assert told["turns"] == orjson.loads(orjson.dumps(whole.turns))


def test_its_events_can_be_read_again() -> None:
    """By whoever reads our JSONL: same numbers, times and types, audio as long as it was."""
    files = bundle(talks.spoken)
    found = list(jsonl.read(files[f"{folder(files)}/events.jsonl"].splitlines()))
    store = stored(talks.spoken)
    (session,) = store.sessions()
    assert isinstance(found[0], Session)
    assert found[0].id == session.id
    events = [each for each in found if isinstance(each, Event)]
    whole = list(store.read(session.id))
    assert [each[:4] for each in events] == [each[:4] for each in whole]
    assert not any(event.audio for event in events)
    before = analyse(lambda audio: store.read(session.id, audio=audio), detect=False)
    assert analyse(lambda audio: events, detect=False).playback == before.playback


def test_the_same_sessions_give_the_same_bytes() -> None:
    """No clock and no chance gets into it."""
    one, two = (
        written("bundle", *sources(stored(talks.spoken, talks.texted), share=share))
        for share in ("metadata", "metadata")
    )
    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == 0o600


def test_several_sessions() -> None:
    """A folder for each; one without sound has no sound file."""
    files = bundle(talks.spoken, talks.texted, talks.refused, talks.unended)
    told = orjson.loads(files["manifest.json"])["sessions"]
    assert [each["events"] for each in told][1:3] == [11, 3]
    sounds = [f"{each['folder']}/call.flac" in files for each in told]
    assert sounds == [True, False, False, True]
    assert orjson.loads(files["manifest.json"])["files"][-1]["name"] == "README.txt"


def test_the_readme_says_what_it_is() -> None:
    """What it holds and what it does not, and that ids are in it."""
    quiet = bundle(talks.texted)["README.txt"].decode()
    assert "silence of the same length" in quiet
    assert "Ids of sessions" in quiet
    assert "byte for byte" in bundle(talks.texted, share="full")["README.txt"].decode()
