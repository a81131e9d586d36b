"""The table of exporters, and the formats that are made by others: transcripts and sound."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
import soundfile

from recorder.exporters import EXPORTERS, base, checking, words
from recorder.exporters.sound import NoSound
from recorder.projections import RENDERERS, analyse
from tests import talks
from tests.export_kit import sources, stored, written
from tests.talks import RATE
from tests.wheel_kit import ROOT


def test_every_module_is_in_the_table() -> None:
    """But for what they share."""
    table = ast.parse((ROOT / "recorder/exporters/__init__.py").read_text())
    taken = {alias.name for node in ast.walk(table) if isinstance(node, ast.ImportFrom)
             for alias in node.names}  # fmt: skip
    there = {path.stem for path in Path(ROOT / "recorder/exporters").glob("[a-z]*.py")}
    shared = {module.__name__.rpartition(".")[2] for module in (base, checking)}
    assert there - taken == shared


def test_every_row_says_what_it_is() -> None:
    """Help in a line, a suffix that no other format has."""
    suffixes = [row.suffix for row in EXPORTERS.values()]
    assert len(set(suffixes)) == len(suffixes)
    for row in EXPORTERS.values():
        assert row.suffix.startswith(".")
        assert 10 < len(row.help) < 80


def test_all_transcripts_are_there() -> None:
    """Those of `RENDERERS`, with what these give."""
    assert set(words.FORMATS) == set(RENDERERS)
    store = stored(talks.spoken)
    (session,) = store.sessions()
    whole = analyse(lambda audio: store.read(session.id, audio=audio)).transcript
    for form in RENDERERS:
        name = "transcript-csv" if form == "csv" else form
        assert written(name, *sources(store)).decode() == "".join(RENDERERS[form](whole))


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_sound_is_stereo(form: str) -> None:
    """User left, assistant right, as long as the call."""
    data = written(form, *sources(stored(talks.spoken)))
    both, rate = soundfile.read(io.BytesIO(data))
    assert (rate, both.shape) == (RATE, (11 * RATE, 2))
    assert both[RATE // 2, 0] != 0 or both[RATE // 2 + 1, 0] != 0
    assert not both[: 2 * RATE, 1].any()
    assert both[3 * RATE - 50 : 3 * RATE, 1].any()


def test_no_sound() -> None:
    """Is said, and nothing is written."""
    with pytest.raises(NoSound, match="there is no sound in session"):
        written("wav", *sources(stored(talks.texted)))
