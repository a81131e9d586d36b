"""What a page says of a call: who and when, turns, latencies, findings, what was said and heard."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..events import Event, Session
    from ..sharing import Sharing
    from .sound import Heard

VERSION: Final = 1
"""Of the data in a page."""


class Call(Protocol):
    """One session that is to be shown (`exporters.Source`)."""

    sharing: Sharing | None

    @property
    def session(self) -> Session:
        """Its facts."""

    def events(self, audio: bool) -> Iterable[Event]:
        """Its events, in order; may be called again."""

    def told(self, name: str) -> Any:
        """One part of what can be said of it."""


def told(call: Call, heard: Heard | None) -> list[object]:
    """Everything but events, states and sound; a part a line: [name, value]."""
    conversation, summary = call.told("conversation"), call.told("summary")
    playback = call.told("playback")
    ends = [summary.duration_ns, *(item.end_ns or 0 for item in playback.items)]
    parts: dict[str, object] = {
        "about": _about(call, summary, max(ends)),
        "sound": None if heard is None else heard.about(),
        "findings": call.told("findings"),
        "turns": call.told("turns"),
        "latency": call.told("latency").turns,
        "quality": call.told("quality").turns,
        "speech": call.told("speech").utterances,
        "responses": [_response(each) for each in conversation.responses],
        "calls": conversation.calls,
        "played": [_played(each) for each in playback.items],
        "lines": call.told("transcript").lines,
        "notes": summary.notes,
    }
    return [[name, value] for name, value in parts.items()]


def _about(call: Call, summary: Any, end_ns: int) -> dict[str, object]:
    session = call.session
    return {
        "version": VERSION,
        "made_by": f"realtime-recorder {metadata.version('realtime-recorder')}",
        "share": "full" if call.sharing is None else "metadata",
        "id": session.id,
        "wall_ms": session.wall_ns // 1_000_000,
        "url": session.url,
        "vantage": session.vantage,
        "capture": session.capture,
        "model": summary.model or session.model,
        "voice": summary.voice,
        "vad": summary.vad,
        "transcription": summary.transcription,
        "timed": summary.timed,
        "events": summary.events,
        "duration_ns": summary.duration_ns,
        "end_ns": end_ns,
        "closed": summary.closed,
        "input": summary.input_format,
        "output": summary.output_format,
    }


def _response(response: Any) -> dict[str, object]:
    names = ("id", "seq", "status", "reason", "error", "created_ns", "done_ns", "done_seq",
             "asked_ns", "asked_seq", "cancel_ns", "cancel_seq", "first_audio_ns",
             "first_audio_seq", "audio_ns", "out_of_band", "usage")  # fmt: skip
    return {name: getattr(response, name) for name in names}


def _played(item: Any) -> dict[str, object]:
    """Its runs as [start, end]; what was never played as the time that it would have taken."""
    names = ("item_id", "response_id", "received_ns", "heard_ns", "arrived_ns", "start_ns",
             "end_ns", "label", "stopped_by", "stop_ns", "stalls", "evidence", "flags")  # fmt: skip
    runs = [[run.start_ns, run.start_ns + item.format.ns(run.samples)] for run in item.runs]
    return {name: getattr(item, name) for name in names} | {"runs": runs}
