"""`recorder latency`: how long everything took, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .output import Column, Out, Piece
from .player import detector_option, player_options
from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import NA, counted, milliseconds, position
from .waterfall import print_waterfalls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recorder.projections.model import TurnLatency, Value

SUSPECT, MODELLED = "?", "~"
"""Marks beside a value: nearly always a mis-joined turn; computed by a model of playback."""


@in_table("latency")
@session_argument
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@click.option(
    "--evidence",
    is_flag=True,
    help="Every value with its label and the numbers of the events that it was computed from.",
)
@click.option("--csv", is_flag=True, help="A record a turn; with --evidence, a record a value.")
@detector_option
@player_options
@json_option
def command(
    shared: Shared,
    session: str | None,
    turn: int | None,
    evidence: bool,
    csv: bool,
    as_json: bool,
) -> None:
    """Milliseconds. v2v_audible is the headline: from the end of the user's speech to the first
    audible sample of the answer. A dash is a value that there is none of, never 0. Below the
    table, where the time went: drawn to one scale, or with --turn, part by part.
    """  # fmt: skip
    from .analysed import analysed

    if csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    found = shared.session(session)
    latency = analysed(shared, found).latency
    turns = [each for each in latency.turns if turn is None or each.turn == turn]
    if turn is not None and not turns:
        there = counted(len(latency.turns), "turn")
        raise UsageError(f"there is no turn {turn}: this session has {there}")
    if as_json:
        shared.out.json({"id": found.id, "turns": turns, "session": latency.session})
        return
    if csv:
        _print_csv(shared.out, found.id, turns, evidence=evidence)
        return
    if turns:
        print_table(shared.out, turns)
    else:
        shared.out.say("there was no turn")
    if turn is None:
        print_trips(shared.out, latency.session)
    if evidence:
        _print_evidence(shared.out, turns, {} if turn else latency.session)


def _print_csv(out: Out, session: str, turns: Sequence[TurnLatency], *, evidence: bool) -> None:
    from recorder.reporting.records import evidence_records, latency_records

    for piece in (evidence_records if evidence else latency_records)(session, turns):
        out.raw(piece.encode())


def print_table(out: Out, turns: Sequence[TurnLatency]) -> None:
    """A row a turn with as many metrics as fit, and where the time went."""
    from recorder.projections.metrics import METRICS

    names = list(METRICS) if out.width is None else _fitting(turns, list(METRICS), out.width)
    columns = [Column("turn", right=True), Column("at", right=True), Column("trigger")]
    columns += [Column(name, right=True) for name in names]
    rows = [
        [str(t.turn), position(t.at_ns), t.trigger, *(_cell(t.values.get(n)) for n in names)]
        for t in turns
    ]
    out.table(columns, rows)
    if out.terminal:
        _print_remarks(out, turns, names)
    print_waterfalls(out, turns)


def _fitting(turns: Sequence[TurnLatency], names: list[str], width: int) -> list[str]:
    """Metrics that have a value somewhere, in the table's order, as long as there is room."""
    left, chosen = width - 32, []
    for name in names:
        there = any((value := t.values.get(name)) and value.ns is not None for t in turns)
        need = max(len(name), 7) + 2
        if there and need <= left:
            chosen.append(name)
            left -= need
    return chosen


def _cell(value: Value | None) -> Piece:
    if value is None or value.ns is None:
        return (NA, "dim")
    mark = SUSPECT if "suspect" in value.flags else MODELLED if value.label == "estimated" else " "
    style = "yellow" if mark == SUSPECT else ""
    return (f"{milliseconds(value.ns)}{mark}", style)


_HEADLINES: Final = ("v2v_audible", "commit_to_audio", "create_to_audio")


def _print_remarks(out: Out, turns: Sequence[TurnLatency], names: Sequence[str]) -> None:
    shown = [value for t in turns for n in names if (value := t.values.get(n)) is not None]
    if any(value.label == "estimated" for value in shown):
        out.line((f"{MODELLED} by a model of playback", "dim"))
    if any("suspect" in value.flags for value in shown):
        out.line((f"{SUSPECT} under 50 ms: most likely joined to the wrong turn", "dim"))
    reasons: dict[str, list[str]] = {}
    for t in turns:
        value = t.values.get(_HEADLINES[0])
        if value is not None and value.ns is None:
            reasons.setdefault(value.reason, []).append(str(t.turn))
    for reason, where in reasons.items():
        out.line((f"{NA} v2v_audible of turn {', '.join(where)}: {reason}", "dim"))


_EVIDENCE: Final = (
    Column("turn", right=True),
    Column("metric"),
    Column("ms", right=True),
    Column("label"),
    Column("events or reason", least=16),
)


_TRIPS: Final = {"client_rtt": "client", "ping_rtt": "endpoint"}
"""Round trips by ping and pong, by the end that they lead to."""


def trips(session: Mapping[str, Value]) -> str:
    """How long the way to each end and back is; empty where no ping was answered."""
    seen = [(end, session[name]) for name, end in _TRIPS.items() if name in session]
    return ", ".join(f"{end} {milliseconds(value.ns)} ms" for end, value in seen)


def print_trips(out: Out, session: Mapping[str, Value]) -> None:
    """The legs of the session, where they were measured."""
    if told := trips(session):
        out.line((f"round trips by ping and pong, the shortest: {told}", "dim"))


def _print_evidence(out: Out, turns: Sequence[TurnLatency], session: Mapping[str, Value]) -> None:
    out.heading("Evidence")
    values = [(NA, session), *((str(t.turn), t.values) for t in turns)]
    rows = [
        (turn, name, milliseconds(value.ns), value.label, _why(value))
        for turn, measured in values
        for name, value in measured.items()
    ]
    out.table(_EVIDENCE, rows)


def _why(value: Value) -> str:
    if value.ns is None:
        return value.reason
    return " ".join([*map(str, value.evidence), *value.flags])
