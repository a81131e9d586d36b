"""`recorder events`: what passed, event by event."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError
from recorder.events import BINARY, CLOSE, PING, PONG

from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import counted, position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder.events import Event, Session
    from recorder.store import EventStore

    from .describing import Told
    from .output import Out

ORIGINS = ("client", "server", "recorder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """Which events are meant."""

    types: tuple[str, ...]
    origins: tuple[str, ...]
    first: int
    last: int | None
    from_ns: int
    to_ns: int | None
    grep: str

    def passes(self, event: Event) -> bool:
        """Whether the event is meant."""
        return (
            event.seq >= self.first
            and event.at_ns >= self.from_ns
            and (not self.origins or event.origin.name.lower() in self.origins)
            and (not self.types or any(fnmatchcase(event.type, glob) for glob in self.types))
            and (not self.grep or self.grep in _text(event))
        )

    def is_over(self, event: Event) -> bool:
        """Whether neither this event nor any after it is meant."""
        return self.to_ns is not None and event.at_ns > self.to_ns


def _text(event: Event) -> str:
    """The message for searching: as it stood, and with its escapes resolved."""
    import orjson

    text = event.head.decode("utf-8", "replace")
    if "\\" in text:
        with suppress(orjson.JSONDecodeError):
            text += orjson.dumps(orjson.loads(event.head)).decode()
    return text.lower()


def _sieve(options: dict[str, Any]) -> Sieve:
    from recorder.selecting import parse_offset, parse_span

    first, last = parse_span(options["seq"]) if options["seq"] else (1, None)
    return Sieve(
        types=options["types"],
        origins=options["origins"],
        first=first,
        last=last,
        from_ns=parse_offset(options["from_"]) if options["from_"] else 0,
        to_ns=parse_offset(options["to"]) if options["to"] else None,
        grep=options["grep"].lower(),
    )


@in_table("events")
@session_argument
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="GLOB",
    help="Only these types, as in 'response.*'; any of several.",
)
@click.option(
    "--origin", "origins", multiple=True, type=click.Choice(ORIGINS), help="Only from this side."
)
@click.option("--seq", metavar="A-B", help="Only these numbers: 12, 12-20, 12- or -20.")
@click.option("--from", "from_", metavar="TIME", help="From this moment on: 12.5s, 850ms, 1:02.")
@click.option("--to", metavar="TIME", help="Up to this moment.")
@click.option("--grep", default="", metavar="TEXT", help="Only messages that contain this text.")
@click.option("--no-fold", is_flag=True, help="Every delta and append on a line of its own.")
@click.option(
    "--raw",
    is_flag=True,
    help="The exact bytes of each message, one a line; with "
    "--seq N of that one alone, exactly that message and no more.",
)
@json_option
def command(
    shared: Shared, session: str | None, no_fold: bool, raw: bool, as_json: bool, **options: Any
) -> int:
    """Numbers, times since the session was opened, who sent it (→ application, ← endpoint, •
    recorder), type, and what it says. Runs of deltas and appends are told as one line.

    The session can also be named by any id in it, as in `recorder events resp_abc123`.
    """  # fmt: skip
    if raw and as_json:
        raise UsageError("--raw and --json are two ways to print the same; name one")
    sieve = _sieve(options)
    found = shared.session(session)
    if raw:
        return _print_raw(shared, found, sieve)
    if as_json:
        for event in _passing(shared.store, found, sieve):
            shared.out.json(event_as_json(event), indent=False)
        return 0
    _print_lines(shared, found, sieve, fold=not no_fold)
    return 0


def _passing(
    store: EventStore, session: Session, sieve: Sieve, *, audio: bool = False
) -> Iterator[Event]:
    """The events that are meant, in pages."""
    for event in store.read(session.id, after=sieve.first - 1, until=sieve.last, audio=audio):
        if sieve.is_over(event):
            return
        if sieve.passes(event):
            yield event


def _print_raw(shared: Shared, session: Session, sieve: Sieve) -> int:
    """The messages as they passed; 1 if one of them cannot be given back."""
    from recorder.wire import AudioGone, join

    single = sieve.first == sieve.last
    wanted = single or sieve.types or sieve.origins
    lost = 0
    for event in _passing(shared.store, session, sieve, audio=True):
        if not (wanted or _is_message(event)):
            continue
        try:
            shared.out.raw(join(event) + (b"" if single else b"\n"))
        except AudioGone as error:
            shared.out.say(str(error))
            lost = 1
    return lost


def _is_message(event: Event) -> bool:
    """It passed, and it was no ping, pong or close."""
    from recorder.events import BINARY, NO_FRAME, TEXT, Origin

    return event.origin != Origin.RECORDER and event.opcode in (TEXT, BINARY, NO_FRAME)


def event_as_json(event: Event) -> dict[str, Any]:
    """The event for machines: its message without the audio, and what is known of that."""
    import orjson

    from recorder.wire import audio_bytes, redacted, tombstone

    values: dict[str, Any] = {
        "seq": event.seq,
        "at_ns": event.at_ns,
        "origin": event.origin.name.lower(),
        "type": event.type,
        "opcode": event.opcode,
        "audio_bytes": audio_bytes(event),
        "redacted": redacted(event),
        "tombstone": tombstone(event),
    }
    try:
        orjson.loads(event.head)
    except orjson.JSONDecodeError:
        return values | {"message": None, "text": event.head.decode("utf-8", "backslashreplace")}
    # As it stands: read and written again, numbers beyond 64 bits would be others. Line ends can
    # only stand between its tokens.
    verbatim = event.head.translate(_ON_ONE_LINE)
    return values | {"message": orjson.Fragment(verbatim)}


_ON_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def _print_lines(shared: Shared, session: Session, sieve: Sieve, *, fold: bool) -> None:
    from .describing import Teller

    teller, shown = Teller(fold=fold), 0
    printer = Printer(shared.out, shared.store.last_seq(session.id), fold=fold)
    for event in shared.store.read(session.id, until=sieve.last, audio=False):
        if sieve.is_over(event):
            break
        if not sieve.passes(event):
            teller.skip(event)
            continue
        shown += 1
        for told in teller.tell(event):
            printer.line(told)
    for told in teller.rest():
        printer.line(told)
    if not shown and shared.out.watched:
        shared.out.say(f"none of {counted(shared.store.last_seq(session.id), 'event')} is meant")


STYLES: Final = {"client": "cyan", "server": "green", "recorder": "yellow"}
"""Styles by who sent it."""


class Printer:
    """Events as lines: number, time, side, type, words; on a terminal each fits its width."""

    def __init__(self, out: Out, last_seq: int, *, fold: bool) -> None:
        from .describing import ARROWS

        self._out, self._arrows = out, ARROWS
        if (width := out.width) is None:
            self._numbers, self._room = 9, 44
        else:
            digits = len(str(last_seq))
            self._numbers = 2 * digits + 1 if fold else digits
            self._room = min(max((width - self._numbers - 15) * 4 // 9, 28), 44)

    def line(self, told: Told) -> None:
        """Print one."""
        first, last = told.event, told.last
        numbers = f"{first.seq}" if told.count == 1 else f"{first.seq}-{last.seq}"
        kind = first.type or _FRAMES.get(first.opcode, "(no type)")
        if self._out.terminal:
            kind = squeezed(kind, self._room)
        style = STYLES[first.origin.name.lower()]
        if "error" in first.type or first.type == "recorder.gap":
            style = "red"
        many = f"\u00d7{told.count} " if told.count > 1 else ""
        arrow = self._arrows[first.origin]
        self.put(numbers, first.at_ns, f"{arrow} {kind}", style, f"{many}{told.words}")

    def put(self, numbers: str, at_ns: int, kind: str, style: str, words: str) -> None:
        """Print a line in these columns; `kind` has the mark of its side before it."""
        self._out.line(
            (f"{numbers:>{self._numbers}} ", "dim"),
            f"{position(at_ns):>9}  ",
            (f"{kind.ljust(self._room + 2)} ", style),
            words,
            cut=True,
        )


_FRAMES: Final = {BINARY: "(binary)", CLOSE: "(close)", PING: "(ping)", PONG: "(pong)"}
"""Frames that are no text have no type."""


def squeezed(kind: str, room: int) -> str:
    """A type in little room: its last words tell most of it."""
    if len(kind) <= room:
        return kind
    most = len(kind) - room + 1
    begin = next((n for n in range(most, len(kind)) if kind[n - 1] in "._"), most)
    return f"\u2026{kind[begin:]}"
