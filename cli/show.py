"""`recorder show`: what a session was, what happened in it, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .output import Out, Piece
from .player import detector_option, player_options
from .shared import Shared, json_option, session_argument
from .shared import command as in_table
from .text import counted, iso, length, one_line, position, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recorder.events import Session
    from recorder.projections import Analysis
    from recorder.projections.model import Finding, Summary, Tokens, Value


@in_table("show")
@session_argument
@detector_option
@player_options
@json_option
def command(shared: Shared, session: str | None, as_json: bool) -> None:
    """It ends with what was wrong in this call, worst first: who can do something about it, when
    it was, the events that show it, and what to type to see more.
    """
    from .analysed import analysed

    found = shared.session(session)
    analysis = analysed(shared, found)
    status = shared.views.status(found, analysis.summary)
    findings = _findings(analysis, status)
    if as_json:
        told = {"session": _plain(found), "status": status, "summary": analysis.summary}
        told["times"] = analysis.latency.session
        shared.out.json(told | {"turns": analysis.turns, "findings": findings})
        return
    name = shared.directory.tail(found.id)
    out, summary = shared.out, analysis.summary
    _print_head(out, name, found, status, summary)
    _print_events(out, len(analysis.turns), summary)
    _print_trips(out, analysis.latency.session)
    print_findings(out, name, findings, shared.db_option)
    _print_missing(out, found, summary)
    _print_next(out, name + shared.db_option, summary)


def _findings(analysis: Analysis, status: str) -> tuple[Finding, ...]:
    """What the events show, and that they stop, where that is only known from the recorder."""
    from recorder.projections.findings import with_interruption
    from recorder.selecting import INTERRUPTED

    if status != INTERRUPTED:
        return analysis.findings
    return with_interruption(analysis.findings, analysis.summary)


def _plain(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "opened_ns": session.wall_ns,
        "opened": iso(session.wall_ns),
        "kind": session.kind,
        "vantage": session.vantage,
        "url": session.url,
        "model": session.model,
        "call": session.call,
        "capture": session.capture,
        "headers": session.headers,
        "versions": dict(session.versions),
        "labels": dict(session.labels),
    }


def _said(parts: Iterable[object]) -> str:
    """One after the other; what somebody said may end with a full stop."""
    return ", ".join(str(part).rstrip(".") for part in parts if part)


def _print_head(out: Out, name: str, session: Session, status: str, summary: Summary) -> None:
    out.line(("session ", "dim"), (name, "bold"), f"  {session.id}")
    duration = length(summary.duration_ns) if summary.timed else "without times"
    _row(out, "when", f"{iso(session.wall_ns)}, {duration}, {_status(status, summary)}")
    asked = summary.model_asked
    other = asked and summary.model and asked != summary.model
    _row(out, "model", _said([summary.model or asked, other and f"asked for {asked}",
                              summary.voice and f"voice {summary.voice}",
                              summary.dialect and f"{summary.dialect} names"]))  # fmt: skip
    _row(out, "setup", _setup(summary))
    _row(out, "url", session.url)
    _row(out, "server id", _said([summary.server_session, _handshake(summary)]))
    _row(out, "call", session.call)
    _row(out, "rerun of", _rerun_of(session))
    _row(out, "tags", " ".join(summary.tags))
    _row(out, "closed", _closing(status, summary))


def _rerun_of(session: Session) -> str:
    from recorder.rerunning.origin import original_of

    origin = original_of(session)
    if origin is None:
        return ""
    turn = origin.turn is not None and f"turn {origin.turn} alone"
    other = origin.overrides and f"with {origin.overrides}"
    return _said([origin.session_id, turn, f"number {origin.number}", other])


def _row(out: Out, title: str, words: str) -> None:
    if words:
        out.hanging([(f"  {title:<9}", "dim")], one_line(words))


def _status(status: str, summary: Summary) -> str:
    if status == "interrupted":
        return f"interrupted: the last good event is {summary.last_seq}"
    return status


def _setup(summary: Summary) -> str:
    if summary.handshake is not None and summary.handshake.status not in (None, 101):
        return ""
    vad = {"none": "turns ended by the client", "": ""}.get(summary.vad, summary.vad)
    heard, spoken = str(summary.input_format), str(summary.output_format)
    formats = heard if heard == spoken else f"in {heard}, out {spoken}"
    heard_by = summary.transcription and f"transcribed by {summary.transcription}"
    return _said([vad, "+".join(summary.modalities), formats, heard_by])


def _handshake(summary: Summary) -> str:
    shake = summary.handshake
    if shake is None:
        return ""
    refused = shake.status not in (None, 101)
    return _said([
        refused and f"upgrade answered with {shake.status} {shake.reason}".strip(),
        shake.request_id and f"request {shake.request_id}",
        shake.subprotocol and f"subprotocol {shake.subprotocol}",
    ])  # fmt: skip


def _closing(status: str, summary: Summary) -> str:
    close = summary.closed
    if close is None:
        return "" if status == "live" else "no close was recorded"
    by = close.initiator and f"by the {close.initiator}"
    return _said([close.code, close.reason, by, close.error])


def _print_events(out: Out, turns: int, summary: Summary) -> None:
    out.heading("What happened")
    responses = ", ".join(f"{count} {status}" for status, count in summary.responses.items())
    _row(out, "talk", _said([
        (turns or responses) and counted(turns, "turn"),
        responses and f"responses: {responses}",
        summary.tool_calls and counted(summary.tool_calls, "tool call"),
    ]))  # fmt: skip
    user, assistant = summary.user_audio_ns, summary.assistant_audio_ns
    if user or assistant:
        _row(out, "audio", f"user {length(user)}, assistant {length(assistant)}")
    sides = ", ".join(f"{count:,} {side}" for side, count in summary.by_origin.items() if count)
    _row(out, "events", f"{summary.events:,} ({sides})" if sides else str(summary.events))
    if summary.unknown:
        _row(out, "unknown", _counts(summary.unknown))
    _row(out, "tokens", _tokens(summary.tokens))
    for note in summary.notes:
        _row(out, "note", f"{position(note.at_ns)} {note.text}")


def _print_trips(out: Out, session: Mapping[str, Value]) -> None:
    """Both legs of the way, as far as pings and pongs measured them."""
    from .latency import trips

    numbers = [n for name in ("client_rtt", "ping_rtt") if name in session
               for n in session[name].evidence]  # fmt: skip
    if told := trips(session):
        _row(out, "trips", f"there and back: {told} ({_evidence(numbers)})")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or '(no type)'} \u00d7{count}" for name, count in counts.items())


def _tokens(tokens: Tokens) -> str:
    if not tokens.responses:
        return "not reported" if tokens.unknown else ""
    told = [_side("in", tokens.input), _side("out", tokens.output)]
    if tokens.transcription:
        spent = ", ".join(f"{value:g} {name}" for name, value in tokens.transcription.items())
        told.append(f"transcription {spent}")
    if tokens.unknown:
        told.append(f"unknown for {counted(tokens.unknown, 'response')}")
    return "; ".join(told)


def _side(title: str, counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{n:,} {name}" for name, n in counts.items() if name != "total" and n)
    return f"{counts.get('total', 0):,} {title}" + (f" ({parts})" if parts else "")


INDENT: Final = 22
"""Where the words of a finding begin."""

_SEVERITIES: Final = {"error": "bold red", "warning": "yellow", "notice": "cyan"}


def print_findings(out: Out, name: str, findings: Sequence[Finding], db_option: str = "") -> None:
    """What was wrong, worst first, each with its owner, time, evidence, and what shows more."""
    out.heading("What went wrong")
    if not findings:
        out.line("  nothing that the rules know of")
    for finding in findings:
        style = _SEVERITIES.get(finding.severity, "")
        marks: list[Piece] = [(f"  {finding.severity:<7}", style), position(finding.at_ns)]
        owner = finding.owner and f"owner: {finding.owner}"
        evidence = finding.evidence and _evidence(finding.evidence)
        out.hanging(marks, one_line(finding.sentence), one_line(_said([owner, evidence])))
        if finding.command:
            words = f"recorder {_with_session(finding.command, name)}{db_option}"
            out.line(" " * INDENT, (words, "dim"))


def _evidence(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:6]))
    more = f" and {len(numbers) - 6} more" if len(numbers) > 6 else ""
    return f"{'event' if len(numbers) == 1 else 'events'} {shown}{more}"


def _with_session(command: str, name: str) -> str:
    """`latency --turn 7` with the session in its place."""
    verb, _, rest = command.partition(" ")
    return f"{verb} {name} {rest}".rstrip()


def _print_missing(out: Out, session: Session, summary: Summary) -> None:
    rows = [("capture", f"{session.capture}: the rest was not kept")] if (
        session.capture != "full"
    ) else []  # fmt: skip
    for gap in summary.gaps:
        told = f"{counted(gap.count, 'event')} ({size(gap.bytes)}) up to {position(gap.at_ns)}"
        rows.append(("lost", f"{told}: {gap.why}"))
    rows += [("audio", f"gone from {counted(n, 'event')}: {why}")
             for why, n in summary.tombstones.items()]  # fmt: skip
    if summary.redactions:
        rows.append(("redacted", _counts(summary.redactions)))
    if rows:
        out.heading("What is not as it passed")
    for title, words in rows:
        _row(out, title, words)


def _print_next(out: Out, name: str, summary: Summary) -> None:
    out.heading("Next")
    shake = summary.handshake
    if summary.responses or summary.user_turns:
        out.line(f"  recorder transcript {name}")
        out.line(f"  recorder latency {name}")
    if summary.user_audio_ns or summary.assistant_audio_ns:
        out.line(f"  recorder audio {name}")
    out.line(f"  recorder events {name}")
    if shake is not None and shake.status not in (None, 101):
        out.line(f"  recorder events {name} --seq {shake.seq} --raw")
