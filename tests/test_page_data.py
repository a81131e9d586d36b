"""What stands in the page of a call, and what does not."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile

from recorder.exporters import checking, html
from recorder.page import SOUNDS, blocks, shell
from recorder.page.sound import STEP, Outline, flac_marks
from recorder.projections.state import StateFold
from tests import talks
from tests.cli_kit import Recorder
from tests.export_kit import sources, stored, written
from tests.talks import RATE


def parts(page: bytes) -> dict[str, Any]:
    """The blocks of data, parsed where they are JSON."""
    return {
        name: text if name.startswith("sound") or not name else orjson.loads(text)
        for name, text in blocks(page)
    }


def test_what_is_not_data_is_the_same_for_all() -> None:
    """And the page asks for nothing: no address stands in it but its own."""
    rest = {
        dict(blocks(written("html", *sources(stored(fill)))))[""]
        for fill in (talks.spoken, talks.texted, talks.refused)
    }
    assert rest == {b"".join(shell())}
    (text,) = rest
    for word in (b"http:", b"https:", b"//cdn", b"eval(", b"innerHTML", b"import(", b"fetch("):
        assert word not in text
    assert b"default-src 'none'; script-src 'sha256-" in text


def test_no_markup_can_begin_in_data() -> None:
    """Whatever a session says."""
    words = "</script><!-- <script> \u2028"
    page = written("html", *sources(stored(lambda store, **how: talks.texted(store, words, **how))))
    for name, text in blocks(page):
        assert not name or b"<" not in text
        assert not name or b"\xe2\x80\xa8" not in text
    (messages,) = (value for name, value in parts(page).items() if name == "messages-0")
    assert any(words.encode() in each.encode() or "\\u2028" in each for each in messages)


def test_all_messages_are_there_byte_for_byte() -> None:
    """By the columns of the log."""
    store = stored(talks.spoken)
    (session,) = store.sessions()
    found = parts(written("html", *sources(store)))
    (columns,), messages = found["events-0"], found["messages-0"]
    events = list(store.read(session.id, audio=False))
    assert [messages[row].encode() for row in columns["head"]] == [e.head for e in events]
    assert np.cumsum(columns["at"]).tolist() == [event.at_ns for event in events]
    assert [columns["types"][row] for row in columns["type"]] == [event.type for event in events]
    assert columns["us"][3] == 100_000  # the first append: 100 ms


def test_states_are_those_of_the_projection() -> None:
    """Their changes, put on each other, give what `StateFold` says after each such event."""
    store = stored(talks.spoken)
    (session,) = store.sessions()
    rows = {row["seq"]: row for row in parts(written("html", *sources(store)))["states-0"]}
    fold, items = StateFold(), []
    told: dict[str, Any] = {}
    for event in store.read(session.id, audio=False):
        fold.feed(event)
        assert (event.seq not in rows) == event.type.endswith((".delta", ".append"))
        if event.seq not in rows:
            continue
        told |= rows[event.seq]
        if "items" in rows[event.seq]:
            begin, gone, come = rows[event.seq]["items"]
            items[begin : begin + gone] = come
        state = orjson.loads(orjson.dumps(fold.state()))
        assert items == state["items"]
        assert all(told[name] == state[name] for name in ("config", "responses", "buffer", "phase"))


@pytest.mark.parametrize("form", ["flac", "wav", "opus"])
def test_the_sound_is_in_it(form: str) -> None:
    """As it would be exported; opus is said to be lossy."""
    (source,) = sources(stored(talks.spoken))
    page = b"".join(html.page(form, [source]))
    found = parts(page)
    pieces = [text for name, text in found.items() if name.startswith("sound")]
    data = b"".join(map(base64.b64decode, pieces))
    assert (len(pieces) > 1) == (form == "wav")
    both, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert (rate, both.shape) == (RATE, (11 * RATE, 2))
    about = dict(found["call-0"])["sound"]
    assert about["lossy"] == (form == "opus")
    if form != "opus":
        exact, _ = soundfile.read(io.BytesIO(written("flac", source)), dtype="int16")
        assert (both == exact).all()


def test_none_is_no_sound() -> None:
    """And a session in which nothing can be heard has a page all the same."""
    assert "none" in SOUNDS
    for fill, form in ((talks.spoken, "none"), (talks.texted, "flac"), (talks.refused, None)):
        found = parts(b"".join(html.page(form, sources(stored(fill)))))
        assert "sound-0" not in found
        assert dict(found["call-0"])["sound"] is None


def flac(sound: np.ndarray[Any, Any]) -> io.BytesIO:
    """The sound as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="FLAC", subtype="PCM_16")
    return file


def test_marks_are_frames() -> None:
    """A mark stands where the file would end if it held only the samples before it."""
    noise = np.random.default_rng(1).normal(0, 9000, (5 * RATE, 2)).clip(-32768, 32767)
    sound = noise.astype(np.int16)
    marks = list(flac_marks(flac(sound), RATE))
    assert [first for first, _ in marks] == [0, 24576, 49152, 73728, 98304]  # frames of 4096
    for first, begin in marks[1:]:
        assert len(flac(sound[:first]).getvalue()) == begin


def test_outlines_hold_the_highest_and_the_lowest() -> None:
    """Of each step, however the sound comes in; the rest at the end counts too."""
    outline = Outline()
    sound = np.zeros(STEP * 9 + 10, np.int16)
    sound[STEP * 3 + 5], sound[-1] = 0x4000, -0x2000
    for begin in range(0, len(sound), 100):
        outline.take(sound[begin : begin + 100])
    (step, low, high), (coarse, _, higher), *_ = outline.levels()
    assert (step, coarse, len(low)) == (STEP, 8 * STEP, 10)
    assert high.tolist() == [0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0]
    assert low.tolist() == [0] * 9 + [-0x20]
    assert higher.tolist() == [0x40, 0]


def test_without_content_nothing_of_it_is_there() -> None:
    """No word, no sound, no outline; the check that reads it again agrees, and is not blind."""
    store = stored(talks.spoken)
    page = written("html", *sources(store, share="metadata"))
    assert b"opening hours" not in page
    assert not [name for name, _ in blocks(page) if name.startswith(("sound", "peaks"))]
    assert checking.problems(".html", io.BytesIO(page), sources(store), "metadata") == []
    full = written("html", *sources(store))
    assert checking.problems(".html", io.BytesIO(full), sources(store), "metadata")
    more = page.replace(b"</main>", b"<p>We are open from nine to five.</p></main>")
    found = checking.problems(".html", io.BytesIO(more), sources(store), "metadata")
    assert found == ["there is more in the page than the page itself and its data"]


def test_the_command(database: Any, tmp_path: Any) -> None:
    """Without content unless --full, which asks; --audio is for html with content alone."""
    recorder = Recorder(database)
    recorder.filled(talks.spoken)
    file = tmp_path / "call.html"
    recorder("export", "html", "-o", str(file))
    assert dict(parts(file.read_bytes())["call-0"])["about"]["share"] == "metadata"
    told = recorder("export", "html", "--full", "-o", str(file), "--force", code=2).stderr
    assert "the voices of both sides" in told
    assert "add --yes" in told
    recorder("export", "html", "--full", "--yes", "--audio", "opus", "-o", str(file), "--force")
    assert dict(parts(file.read_bytes())["call-0"])["sound"]["form"] == "opus"
    assert "for html" in recorder("export", "wav", "--audio", "opus", code=2).stderr
    assert "holds no sound" in recorder("export", "html", "--audio", "wav", code=2).stderr
