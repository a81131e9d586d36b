"""What a session can be written as: a table of formats. To add one, write a module and a row."""

from __future__ import annotations

from typing import Final

from . import bundle, har, html, jsonl, perfetto, sound, table_csv, words
from .base import Exporter, Source

EXPORTERS: Final = {
    "jsonl": Exporter(
        ".jsonl", "every event a line, byte for byte; can be imported", jsonl.write, many=True
    ),
    "har": Exporter(".har", "for the developer tools of browsers", har.write, many=True),
    "csv": Exporter(".csv", "the events as a table, without content", table_csv.write, many=True),
    **words.rows(),
    "wav": Exporter(
        ".wav", "what was heard: user left, assistant right", sound.writer("wav"), text=False
    ),
    "flac": Exporter(
        ".flac", "the same, compressed without loss", sound.writer("flac"), text=False
    ),
    "html": Exporter(
        ".html",
        "a page to see and hear it, without content unless --full",
        html.write,
        share="metadata",
    ),
    "perfetto": Exporter(".trace.json", "a trace for ui.perfetto.dev", perfetto.write, many=True),
    "bundle": Exporter(
        ".zip",
        "all of it in one zip, without content unless --full",
        bundle.write,
        many=True,
        text=False,
        share="metadata",
    ),
}
"""By the name that people use for it."""

__all__ = ["EXPORTERS", "Exporter", "Source"]
