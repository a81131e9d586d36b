"""What a page says of a call: who and when, turns, latencies, findings, what was said and heard."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..events import Event, Session
    from ..sharing import Sharing
    from .sound import Heard

VERSION: Final = 1
"""Of the data in a page."""


class Analysed(Protocol):
    """What is known of one session."""

    sharing: Sharing | None

    @property
    def session(self) -> Session:
        """Its facts."""

    def told(self, name: str) -> Any:
        """One part of what can be said of it."""


class Call(Analysed, Protocol):
    """One session that is to be shown (`exporters.Source`)."""

    def events(self, audio: bool) -> Iterable[Event]:
        """Its events, in order; may be called again."""


class Part(NamedTuple):
    """One part of what is said of a call: a list, of which each row is told by itself."""

    name: str
    found: Sequence[Any]
    row: Callable[[Any], Any] | None = None
    """What is told of a row, where that is not all of it."""

    def value(self) -> list[object]:
        """For the page."""
        return list(self.found) if self.row is None else list(map(self.row, self.found))


def told(call: Analysed, heard: Heard | None) -> list[object]:
    """Everything but events, states and sound; a part a line: [name, value]."""
    head = [["about", about(call)], ["sound", None if heard is None else heard.about()]]
    return [*head, *([part.name, part.value()] for part in parts(call))]


def parts(call: Analysed) -> list[Part]:
    """What grows with the call."""
    conversation = call.told("conversation")
    return [
        Part("findings", call.told("findings")),
        Part("turns", call.told("turns")),
        Part("latency", call.told("latency").turns),
        Part("quality", call.told("quality").turns),
        Part("speech", call.told("speech").utterances),
        Part("responses", conversation.responses, _response),
        Part("calls", conversation.calls),
        Part("played", call.told("playback").items, _played),
        Part("lines", call.told("transcript").lines),
        Part("notes", call.told("summary").notes),
    ]


def about(call: Analysed) -> dict[str, object]:
    """Who and when, in which settings, and how long."""
    summary = call.told("summary")
    ends = [summary.duration_ns, *(item.end_ns or 0 for item in call.told("playback").items)]
    return _about(call, summary, max(ends))


@cache
def _made_by() -> str:
    return f"realtime-recorder {metadata.version('realtime-recorder')}"


def _about(call: Analysed, summary: Any, end_ns: int) -> dict[str, object]:
    session = call.session
    return {
        "version": VERSION,
        "made_by": _made_by(),
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
