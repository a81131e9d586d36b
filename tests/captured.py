"""Real traffic, where it is at hand: RECORDER_CAPTURES, or shared/captures beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from recorder import wire
from recorder.events import TEXT, Event, Origin

BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "captures"
FOLDER = Path(os.environ.get("RECORDER_CAPTURES") or BESIDE)


def captured(name: str, step_ms: int = 1000) -> list[Event]:
    """The events of a capture, `step_ms` apart because they have no times; skips if absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no captures in {FOLDER}")
    events = []
    for seq, line in enumerate(path.read_bytes().splitlines(), 1):
        body = orjson.loads(line)
        origin = Origin.CLIENT if body.get("direction") == "sent" else Origin.SERVER
        part = wire.split(orjson.dumps(body.get("data", body)))
        at_ns = seq * step_ms * 1_000_000
        events.append(Event(seq, at_ns, origin, part.type, TEXT, part.head, part.meta, part.audio))
    return events


def names() -> list[str]:
    """The captures that are there."""
    return sorted(path.name for path in FOLDER.glob("*.jsonl"))
