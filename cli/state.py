"""`recorder state`: everything that was in force, waiting or playing at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .output import Column
from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import NA, counted, json_text, length, one_line, position, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recorder.events import Event, Session
    from recorder.projections.model_state import Playing, Setting, State, StateItem

    from .output import Out, Piece

LONGEST: Final = 200
"""Characters of a value or of what was said that are shown; --json shows all."""


@in_table("state")
@session_argument
@click.option("--at", metavar="TIME", help="At this moment: 12.5s, 850ms, 1:02; else at the end.")
@click.option("--seq", type=click.IntRange(min=1), metavar="N", help="Right after this event.")
@json_option
def command(
    shared: Shared, session: str | None, at: str | None, seq: int | None, as_json: bool
) -> None:
    """The configuration, and which event set each value of it; the conversation in its order; what
    lay in the input buffer; responses in flight; what was playing and what waited to be played.

    Nothing that came later is in it: it is what both sides could have known at that moment.
    """
    from recorder.selecting import parse_offset

    if at is not None and seq is not None:
        raise UsageError("--at and --seq both name a moment; say one of them")
    at_ns = None if at is None else parse_offset(at)
    found = shared.session(session)
    state, last = _state(shared, found, at_ns, seq)
    if as_json:
        shared.out.json({"id": found.id, "state": state})
    else:
        print_state(shared.out, shared.directory.tail(found.id), state, last)


def _state(
    shared: Shared, session: Session, at_ns: int | None, seq: int | None
) -> tuple[State, int]:
    """The state at this moment, and how many events the session has."""
    from recorder.projections.state import state_at

    passed_ns = 0
    last = shared.store.last_seq(session.id)
    if seq is not None and seq > last:
        raise UsageError(f"there is no event {seq}: this session has {counted(last, 'event')}")
    with shared.out.progress("reading the session") as report:

        def events() -> Iterator[Event]:
            nonlocal passed_ns
            for event in shared.store.read(session.id, until=seq, audio=False):
                if event.seq % 500 == 0:
                    report(event.seq, seq or last)
                passed_ns = event.at_ns
                yield event

        state = state_at(events(), at_ns=at_ns)
    if at_ns is not None and state.seq == last and at_ns > passed_ns:
        shared.out.say(f"nothing was recorded after {position(passed_ns)}")
    return state, last


def print_state(out: Out, name: str, state: State, last: int) -> None:
    """Everything of one moment of a session with so many events."""
    where = f"after event {state.seq} of {last}" if state.seq else "before its first event"
    when = f"at {position(state.at_ns)}" if state.timed else "without times"
    out.line((f"session {name}", "bold"), f" {when}, {where}: {state.phase}")
    _print_config(out, state)
    _print_items(out, state)
    out.heading("Now")
    rows = [row for part in (_input, _output, _waiting, _told) for row in part(state)]
    for title, words in rows:
        out.hanging(((f"  {title:<16}", "dim"),), words)


def _print_config(out: Out, state: State) -> None:
    out.heading("Configuration")
    if not (state.config or state.asked):
        out.line("  nothing was said yet")
        return
    columns = [Column("value"), Column("is", least=20), Column("set by"), Column("at")]
    out.table(columns, [_setting(one) for one in (*state.config, *state.asked)])


def _setting(one: Setting) -> list[Piece]:
    value = one.value if isinstance(one.value, str) else json_text(one.value)
    by = f"{one.by} #{one.seq}"
    if one.stated_seq is None:
        by += ", not confirmed"
    words = shortened(one_line(value), LONGEST)
    return [one_line(one.path), words, by, position(one.at_ns)]


def _print_items(out: Out, state: State) -> None:
    out.heading("Conversation")
    if not state.items:
        out.line("  no items")
    for item in state.items:
        _print_item(out, item)
    for item in state.out_of_band:
        _print_item(out, item, "out of band")
    if state.deleted:
        out.line(f"  deleted: {one_line(', '.join(state.deleted))}")


def _print_item(out: Out, item: StateItem, *notes: str) -> None:
    kind = item.role or item.type
    cut = [] if item.truncated_ms is None else [f"truncated at {length(item.truncated_ms * 10**6)}"]
    marks = [item.status, *cut, *notes]
    if item.spoken and item.role == "user" and item.transcript in ("none", "failed"):
        marks.append("not transcribed")
    words = quoted(item.text, LONGEST) if item.text else NA
    margin = ((f"  {position(item.at_ns)}", "dim"), f"{one_line(kind):<9}", one_line(item.id))
    out.hanging(margin, [words, (f"  {', '.join(mark for mark in marks if mark)}", "dim")])


def _input(state: State) -> Iterable[tuple[str, str]]:
    """The user's side."""
    buffer = state.buffer
    if buffer.since_seq is None:
        yield "input buffer", "empty"
    else:
        since = f"since {position(buffer.since_ns)} (#{buffer.since_seq})"
        yield "input buffer", f"{length(buffer.audio_ns)} of {buffer.format}, {since}"
    if buffer.commit_seq is not None:
        yield "commit", f"asked in #{buffer.commit_seq}, not answered"
    if (speaking := state.speaking) is not None:
        since = f"since {position(speaking.since_ns)} (#{speaking.seq})"
        yield "user speaks", f"{since}, item {one_line(speaking.item_id) or NA}"


def _output(state: State) -> Iterable[tuple[str, str]]:
    """The assistant's side."""
    for asked in state.requests:
        yield "response asked", f"in #{asked.seq} at {position(asked.at_ns)}, not answered"
    for flight in state.responses:
        apart = ", out of band" if flight.out_of_band else ""
        cancel = "" if flight.cancel_seq is None else f", cancel asked in #{flight.cancel_seq}"
        came = f"{length(flight.audio_ns)} of audio so far"
        begun = f"since {position(flight.created_ns)} (#{flight.seq})"
        yield "in flight", f"{one_line(flight.id)} {begun}, {came}{cancel}{apart}"
    if not state.timed:
        yield "playing", "n/a: imported without times"
        return
    yield "playing", NA if state.playing is None else _playing(state.playing)
    for waiting in state.queue:
        yield "queued", _playing(waiting)


def _playing(playing: Playing) -> str:
    place = f"{length(playing.position_ns)} of {length(playing.received_ns)}"
    return f"{one_line(playing.item_id)}: {place} ({playing.label})"


def _waiting(state: State) -> Iterable[tuple[str, str]]:
    for call in state.calls:
        words = shortened(one_line(f"{call.name}({call.arguments})"), LONGEST)
        yield "tool runs", f"{words} since {position(call.at_ns)} (#{call.seq})"


def _told(state: State) -> Iterable[tuple[str, str]]:
    """What the server said besides."""
    for limit in state.rate_limits:
        remaining, most, seconds = (
            NA if value is None else value
            for value in (limit.remaining, limit.limit, limit.reset_seconds)
        )
        left = f"{remaining} of {most} left, reset in {seconds} s"
        yield "rate limit", one_line(f"{limit.name}: {left} (#{limit.seq})")
    for error in state.errors:
        what = shortened(one_line(error.message or error.code or error.type), LONGEST)
        yield "error", f"{what} (#{error.seq}, {_FOLLOWED[error.fatal]})"
    if state.tokens.responses:
        yield "tokens", _tokens(state)


_FOLLOWED: Final = {
    None: "nothing followed yet",
    True: "the session ended with it",
    False: "the session went on",
}


_MODALITIES: Final = ("text", "audio", "image")


def _tokens(state: State) -> str:
    def side(name: str, counts: dict[str, int]) -> str:
        kinds = [f"{n} {one_line(key)}" for key, n in counts.items() if key in _MODALITIES]
        cached = [f"{counts['cached']} cached"] if "cached" in counts else []
        more = "; ".join([", ".join(kinds)] * bool(kinds) + cached)
        return f"{counts.get('total', 0)} {name}" + (f" ({more})" if more else "")

    return f"{side('in', state.tokens.input)}, {side('out', state.tokens.output)}"
