"""What an event says, in a few words; and runs of small events told as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recorder.dialects import decode, facts
from recorder.events import BINARY, TEXT, Event, Origin
from recorder.projections.formats import FormatsInForce
from recorder.projections.words import joined
from recorder.wire import audio_bytes, parse, redacted, tombstone

from .text import NA, counted, json_text, length, one_line, quoted, shortened, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recorder.dialects import Fact, SessionConfig

ARROWS: Final = {Origin.CLIENT: "\u2192", Origin.SERVER: "\u2190", Origin.RECORDER: "\u2022"}
"""From the application to the endpoint, back, and what the recorder itself wrote down."""

_STREAMED: Final = (
    facts.InputAppended,
    facts.AudioDelta,
    facts.TextDelta,
    facts.TranscriptDelta,
    facts.TranscriptionDelta,
    facts.ArgumentsDelta,
    facts.Pinged,
    facts.Ponged,
)
"""Facts that come many in a row and are told as one."""


@dataclass(slots=True)
class Told:
    """One line: an event, or a run of them."""

    event: Event
    """The first."""
    last: Event
    count: int
    words: str


class Teller:
    """Puts events into words, one after the other: what audio means depends on what came before."""

    def __init__(self, *, fold: bool = True) -> None:
        self._fold = fold
        self._formats = FormatsInForce()
        self._runs: dict[tuple[Any, ...], _Run] = {}

    def skip(self, event: Event) -> None:
        """Take notice of an event that is not told."""
        if "session" in event.type or event.type == "error":
            self._notice(decode(event))

    def tell(self, event: Event) -> Iterator[Told]:
        """The lines that are complete once this event has come."""
        fact = decode(event)
        self._notice(fact)
        if not self._fold or not isinstance(fact, _STREAMED):
            yield from self.rest()
            yield Told(event, event, 1, self._words(event, fact))
            return
        key = (event.origin, event.type, *(v for n, v in _ids(fact) if n in ("item", "part")))
        run = self._runs.setdefault(key, _Run(event))
        run.add(event, fact, self._ns(fact))

    def rest(self) -> Iterator[Told]:
        """The runs that are still open, and closes them."""
        yield from self.so_far()
        self._runs.clear()

    def so_far(self) -> Iterator[Told]:
        """The runs that are still open, as far as they have come."""
        for run in self._runs.values():
            yield Told(run.first, run.last, run.count, run.words() + _reservations(run.first))

    def _notice(self, fact: Fact) -> None:
        match fact:
            case facts.SessionAsked():
                self._formats.asked(fact)
            case facts.SessionStated():
                self._formats.stated(fact)
            case facts.ErrorSeen():
                self._formats.refused(fact)

    def _ns(self, fact: Fact) -> int:
        match fact:
            case facts.InputAppended(size=count):
                return self._formats.input.ns_of_bytes(count)
            case facts.AudioDelta(size=count):
                return self._formats.output.ns_of_bytes(count)
        return 0

    def _words(self, event: Event, fact: Fact) -> str:
        if isinstance(fact, facts.InputAppended | facts.AudioDelta):
            words = f"{length(self._ns(fact))} of audio"
        else:
            words = describe(event, fact)
        return words + _reservations(event)


class _Run:
    """Small events of one kind and stream, as long as nothing else comes between."""

    def __init__(self, first: Event) -> None:
        self.first = self.last = first
        self.count = self.ns = 0
        self.audio = False
        self.text: list[str] = []

    def add(self, event: Event, fact: Fact, ns: int) -> None:
        self.last = event
        self.count += 1
        self.ns += ns
        self.audio = isinstance(fact, facts.InputAppended | facts.AudioDelta)
        if delta := getattr(fact, "delta", ""):
            self.text.append(delta)

    def words(self) -> str:
        if self.audio:
            return f"{length(self.ns)} of audio"
        return quoted(joined(self.text)) if self.text else ""


def _ids(fact: Fact) -> Iterator[tuple[str, Any]]:
    return zip(fact._fields, fact, strict=True)


def _reservations(event: Event) -> str:
    """What is not as it was when it passed."""
    told = []
    if stone := tombstone(event):
        told.append(str(stone.get("reason", "not kept")))
    if names := redacted(event):
        told.append(f"redacted: {', '.join(dict.fromkeys(names))}")
    return f"  [{one_line('; '.join(told))}]" if told else ""


def describe(event: Event, fact: Fact) -> str:
    """What the event says, on one line; empty where its type says it all."""
    words = _WORDS.get(type(fact))
    if words is not None:
        return one_line(words(fact))
    if isinstance(fact, facts.Unknown | facts.PassedOn | facts.Mark):
        return _unread(event)
    return one_line(", ".join(value for _, value in _ids(fact) if isinstance(value, str) and value))


def _unread(event: Event) -> str:
    """A message that means nothing to us, as it stands."""
    if audio := audio_bytes(event):
        return f"{size(audio)} of audio"
    if event.opcode == BINARY:
        return f"{size(len(event.head))}, binary"
    body = {k: v for k, v in parse(event).items() if k not in ("type", "event_id")}
    if body or event.opcode not in (TEXT,):
        return shortened(one_line(json_text(body)) if body else "", 300)
    return quoted(event.head.decode("utf-8", "replace")) if event.type == "" else ""


def _config(config: SessionConfig) -> str:
    told = [
        config.model,
        config.voice and f"voice {config.voice}",
        config.modalities and "+".join(config.modalities),
        config.vad and (f"VAD {config.vad}" if config.vad == "none" else config.vad),
        config.silence_ms is not None and f"silence {config.silence_ms} ms",
        config.input_format and f"in {config.input_format}",
        config.output_format and f"out {config.output_format}",
        config.transcription and f"transcription {config.transcription}",
        config.tools and f"tools {', '.join(config.tools)}",
        config.instructions and f"instructions {quoted(config.instructions, 60)}",
    ]
    return ", ".join(str(part) for part in told if part)


def _item(item: facts.ItemBody) -> str:
    text = " ".join(part.text for part in item.parts if part.text)
    match item.type:
        case "function_call" | "mcp_call":
            said = f"{item.name}({shortened(item.arguments or '', 120)})"
        case "function_call_output":
            said = f"{item.call_id}: {quoted(item.output or '', 120)}"
        case _:
            said = quoted(text) if text else "+".join(part.kind for part in item.parts)
    return " ".join(part for part in (item.role or item.type, said, item.status) if part)


def _response(response: facts.ResponseBody) -> str:
    usage = response.usage or {}
    tokens = usage.get("total_tokens")
    told = [
        response.status,
        response.reason if response.reason != response.status else "",
        response.error and (response.error.code or response.error.message),
        isinstance(tokens, int) and counted(tokens, "token"),
        response.id,
    ]
    return ", ".join(str(part) for part in told if part)


def _error(error: facts.ErrorBody) -> str:
    about = f" (about {error.event_id})" if error.event_id else ""
    return f"{error.code or error.type}: {error.message}{about}".removeprefix(": ")


def _limits(limits: Iterable[dict[str, Any]]) -> str:
    return ", ".join(
        f"{one.get('name')} {one.get('remaining')} of {one.get('limit')}" for one in limits
    )


def _milliseconds(value: float | None) -> str:
    return NA if value is None else length(round(value * 1e6))


def _closing(code: int | None, reason: str, by: str = "", error: str = "") -> str:
    told = [str(code) if code is not None else "", reason, by and f"by the {by}", error]
    return ", ".join(part.rstrip(".") for part in told if part)


_WORDS: Final[dict[type, Callable[[Any], str]]] = {
    facts.SessionAsked: lambda f: _config(f.config),
    facts.SessionStated: lambda f: _config(f.config),
    facts.ItemAsked: lambda f: _item(f.item),
    facts.ItemAdded: lambda f: _item(f.item),
    facts.ItemDone: lambda f: _item(f.item),
    facts.ItemRetrieved: lambda f: _item(f.item),
    facts.OutputItemAdded: lambda f: _item(f.item),
    facts.OutputItemDone: lambda f: _item(f.item),
    facts.PartAdded: lambda f: quoted(f.content.text) if f.content.text else f.content.kind,
    facts.PartDone: lambda f: quoted(f.content.text) if f.content.text else f.content.kind,
    facts.ResponseAsked: lambda f: "out of band" if f.out_of_band else "+".join(f.modalities),
    facts.ResponseCreated: lambda f: _response(f.response),
    facts.ResponseDone: lambda f: _response(f.response),
    facts.TextDelta: lambda f: quoted(f.delta),
    facts.TextDone: lambda f: quoted(f.text),
    facts.TranscriptDelta: lambda f: quoted(f.delta),
    facts.TranscriptDone: lambda f: quoted(f.text),
    facts.TranscriptionDelta: lambda f: quoted(f.delta),
    facts.TranscriptionCompleted: lambda f: quoted(f.transcript),
    facts.TranscriptionFailed: lambda f: _error(f.error),
    facts.ArgumentsDelta: lambda f: quoted(f.delta),
    facts.ArgumentsDone: lambda f: f"{f.name}({shortened(f.arguments, 160)})",
    facts.SpeechStarted: lambda f: f"at {_milliseconds(f.audio_start_ms)} of the input",
    facts.SpeechStopped: lambda f: f"at {_milliseconds(f.audio_end_ms)} of the input",
    facts.TruncateAsked: lambda f: f"{f.item} to {_milliseconds(f.audio_end_ms)}",
    facts.ItemTruncated: lambda f: f"{f.item} to {_milliseconds(f.audio_end_ms)}",
    facts.ErrorSeen: lambda f: _error(f.error),
    facts.RateLimits: lambda f: _limits(f.limits),
    facts.Opened: lambda f: " ".join(part for part in (f.url, f.model) if part),
    facts.Handshake: lambda f: " ".join(
        part for part in (str(f.status or ""), f.reason, f.subprotocol, f.error) if part
    ),
    facts.Closed: lambda f: _closing(f.code, f.reason, f.initiator, f.error),
    facts.CloseSeen: lambda f: _closing(f.code, f.reason),
    facts.Gap: lambda f: f"{counted(f.events, 'event')} ({size(f.size)}) not recorded: {f.why}",
    facts.Note: lambda f: quoted(f.text),
    facts.Tagged: lambda f: " ".join([*(f"+{t}" for t in f.add), *(f"-{t}" for t in f.remove)]),
    facts.PlaybackMark: lambda f: f"{f.item} {f.state} {_milliseconds(f.played_ms)} played",
    facts.Pinged: lambda f: "",
    facts.Ponged: lambda f: "",
}
"""By the kind of fact: what is worth saying beside its type."""
