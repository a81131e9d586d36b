"""Everything about some sessions in one zip, for whoever is asked to look at them.

    manifest.json               what is in it, and the sha256 of every other file
    README.txt                  the same for people
    sessions/ID/events.jsonl    the events, to be imported or read
    sessions/ID/events.csv      the same as a table
    sessions/ID/analysis.json   turns, latencies, quality, findings … as they were measured
    sessions/ID/transcript.txt  what was said
    sessions/ID/trace.json      for ui.perfetto.dev, where the session has times
    sessions/ID/call.flac       the sound, where there is any, and its times span no days

Laws:

1. Without content (`metadata`), as a bundle is unless somebody says otherwise, every file is made
   from what `sharing` lets through; its figures are those of the whole session.
2. The same sessions give the same bytes: no clock, no chance, fixed dates in the zip.
3. Bounded memory: files go into the zip as they are made; sound goes through a temporary file.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from typing import IO, TYPE_CHECKING, Any, Final

import orjson

from . import jsonl, perfetto, sound, table_csv, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .base import Source

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
README: Final = "README.txt"

_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can tell."""

_PARTS: Final = (
    "summary", "turns", "latency", "quality", "findings", "speech", "playback", "conversation",
    "transcript",
)  # fmt: skip

HOLDS: Final = {
    "metadata": (
        "types, ids, sizes, times and settings of every event",
        "what was measured: turns, latencies, quality, findings (without their words)",
        "the length of every text, as so many *",
        "the sound as silence of the same length",
    ),
    "full": (
        "every event, byte for byte: all that was said and written, in words and in voice",
        "instructions, tools, their arguments and their outputs",
        "what was measured, and the sound",
    ),
}
LACKS: Final = {
    "metadata": (
        "what was said or written, and the voices",
        "instructions, names of tools, arguments, outputs, metadata, notes, tags, call labels",
        "phone numbers and ids of phone calls; hosts and headers that tell who you are",
        "secrets",
    ),
    "full": ("secrets: they were replaced when the session was recorded",),
}
"""By what is shared."""

IDS_STAY: Final = (
    "Ids of sessions, responses, items and calls of tools are in it: one needs them to talk to "
    "a provider about a call."
)


def about(share: str) -> str:
    """What a bundle holds and lacks, for people."""
    holds, lacks = ("\n".join(f"  - {line}" for line in table[share]) for table in (HOLDS, LACKS))
    return (
        "Sessions of a Realtime voice application, recorded by realtime-recorder.\n\n"
        f"It holds:\n{holds}\n\nIt does not hold:\n{lacks}\n\n{IDS_STAY}\n"
        "sha256 sums of all files stand in manifest.json.\n"
    )


def write(sources: Iterable[Source], file: IO[bytes]) -> None:
    """The zip."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        box = _Box(archive)
        sessions, share = [], "metadata"
        for source in sources:
            share = "metadata" if source.sharing else "full"
            sessions.append(_session(box, source))
        box.put(README, [about(share).encode()])
        box.close(share, sessions)


def _session(box: _Box, source: Source) -> dict[str, Any]:
    """Write the files of one session; its line in the manifest."""
    folder = f"sessions/{source.session.id}"
    box.put(f"{folder}/events.jsonl", jsonl.documents([source]))
    box.put(f"{folder}/events.csv", table_csv.rows([source]))
    box.put(f"{folder}/analysis.json", analysis(source))
    box.put(f"{folder}/transcript.txt", words.document("txt", [source]))
    if source.told("summary").timed:
        box.put(f"{folder}/trace.json", perfetto.trace([source]))
    with tempfile.TemporaryFile() as spool, contextlib.suppress(sound.TooLong):
        if sound.save(source, spool, "flac"):
            spool.seek(0)
            box.put(f"{folder}/call.flac", iter(lambda: spool.read(1 << 16), b""))
    session, summary = source.session, source.told("summary")
    return {
        "id": session.id,
        "folder": folder,
        "wall_ns": session.wall_ns,
        "model": session.model,
        "events": summary.events,
        "duration_ns": summary.duration_ns if summary.timed else None,
    }


def analysis(source: Source) -> Iterator[bytes]:
    """All that was understood of the session, as JSON; a part a line."""
    yield b"{"
    for number, name in enumerate(_PARTS):
        told = orjson.dumps(source.told(name), option=orjson.OPT_NON_STR_KEYS)
        yield (b",\n" if number else b"\n") + orjson.dumps(name) + b":" + told
    yield b"\n}\n"


class _Box:
    """The zip while it is filled: it keeps the sums."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files: list[dict[str, Any]] = []

    def put(self, name: str, content: Iterable[bytes]) -> None:
        """One more file."""
        digest, size = hashlib.sha256(), 0
        with self._archive.open(_entry(name), "w", force_zip64=True) as file:
            for piece in content:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        self._files.append({"name": name, "bytes": size, "sha256": digest.hexdigest()})

    def close(self, share: str, sessions: list[dict[str, Any]]) -> None:
        """The manifest, which tells of all the others."""
        told = {
            "realtime_recorder": "bundle",
            "version": VERSION,
            "made_by": f"realtime-recorder {metadata.version('realtime-recorder')}",
            "share": share,
            "holds": HOLDS[share],
            "lacks": LACKS[share],
            "ids": IDS_STAY,
            "sessions": sessions,
            "files": self._files,
        }
        text = orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self._archive.writestr(_entry(MANIFEST), text)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # so that the mode is understood everywhere
    entry.external_attr = 0o600 << 16
    return entry
