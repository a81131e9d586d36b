"""Microphone and loudspeaker through the real PortAudio, on a sound card that is ALSA's null."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from recorder.sql.opening import locate
from recorder.sql.store import SqlStore

NULL_CARD = """
pcm.!default { type plug slave.pcm "null" }
pcm.null { type null }
ctl.!default { type null }
"""


def card(tmp_path: Path) -> dict[str, str]:
    """An environment in which the sound card is null; skips where there is no PortAudio."""
    (tmp_path / "asoundrc").write_text(NULL_CARD)
    environ = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asoundrc")}
    found = subprocess.run(
        [sys.executable, "-c", "import sounddevice as s; assert s.query_devices()"],
        env=environ,
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip("no PortAudio with ALSA on this machine")
    return environ


def record(tmp_path: Path, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    """`recorder record --mic` against a sandbox of its own."""
    return subprocess.run(
        [sys.executable, "-m", "recorder.cli", "record", "--url", "sandbox:", "--mic", *words,
         "--db", str(tmp_path / "a.db")],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_microphone_and_loudspeaker_run_and_are_recorded(tmp_path: Path) -> None:
    """What the card hears is appended under server VAD; ends in order at --max-duration."""
    done = record(tmp_path, card(tmp_path), "--speaker", "--max-duration", "1.5")
    assert done.returncode == 0, done.stderr
    store = SqlStore.open(locate(str(tmp_path / "a.db"), {}), create=False)
    (session,) = store.sessions()
    events = list(store.read(session.id))
    store.close()
    appended = [e for e in events if e.type == "input_audio_buffer.append"]
    assert len(appended) > 10
    assert {len(e.audio) for e in appended} == {960}
    update = next(orjson.loads(e.head) for e in events if e.type == "session.update")
    assert update["session"]["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


def test_a_machine_without_a_microphone_is_told_so(tmp_path: Path) -> None:
    """Exit 2 and what is missing, be it the extra, PortAudio or the device."""
    (tmp_path / "asoundrc").write_text("pcm.!default { type hw card 99 }")
    environ = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asoundrc")}
    done = record(tmp_path, environ, "--max-duration", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert any(word in done.stderr for word in ("microphone", "PortAudio", "extra"))
