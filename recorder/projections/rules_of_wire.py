"""Rules about what passed on the wire: failures, errors, gaps, the user's audio, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .model import reckoned
from .rules import Case, Hit, rule, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator


STOPPED: Final = "the application stopped the session"
"""What the log says of a session whose application was cancelled or interrupted."""


@rule("bad_response", "error", "provider")
def _bad_response(case: Case, _: float) -> Iterator[Hit]:
    """A response failed or was cut by a limit."""
    for response in case.conversation.responses:
        if response.status in ("failed", "incomplete"):
            why = response.error or response.reason or "no reason given"
            yield Hit(
                f"a response ended {response.status}: {why}",
                response.done_ns or response.created_ns or 0,
                (response.done_seq or response.seq,),
                command=f"events --seq {response.done_seq or response.seq}",
                severity="error" if response.status == "failed" else "warning",
            )


@rule("error", "warning", "provider")
def _errors(case: Case, _: float) -> Iterator[Hit]:
    """The server said `error`: survived or fatal, by what followed."""
    words = {
        True: "the session ended",
        False: "the session went on",
        None: "the log ends there",
    }
    harmless = {"response_cancel_not_active"}
    for error in case.conversation.errors:
        name = error.code or error.type or "error"
        told = f": {error.message}" if error.message else ""
        severity = "error" if error.fatal else "notice" if error.code in harmless else "warning"
        yield Hit(
            f"{name}{told} ({words[error.fatal]})",
            reckoned(error.at_ns),
            tuple(seq for seq in (error.about_seq, error.seq) if seq is not None),
            command=f"events --seq {error.seq}",
            severity=severity,
            owner="application" if error.about_seq is not None else "provider",
        )


@rule("tool_without_output", "warning", "application")
def _tools(case: Case, _: float) -> Iterator[Hit]:
    """A tool was called and nothing came back."""
    for call in case.conversation.calls:
        if call.output_ns is None:
            yield Hit(
                f"the tool call {call.name or call.call_id} got no output",
                reckoned(call.at_ns),
                (call.seq,),
                next((t.index for t in case.turns if call.call_id in t.calls), None),
                f"events --seq {call.seq}",
            )


@rule("rate_limit", "warning", "provider", 5, "%")
def _rate_limit(case: Case, percent: float) -> Iterator[Hit]:
    """A rate limit was nearly used up."""
    lowest: dict[str, tuple[float, int, int]] = {}
    for update in case.conversation.rate_limits:
        for limit in update["limits"]:
            whole, left = limit.get("limit"), limit.get("remaining")
            if isinstance(whole, int | float) and isinstance(left, int | float) and whole > 0:
                share = 100 * left / whole
                name = str(limit.get("name", ""))
                if share < lowest.get(name, (percent, 0, 0))[0]:
                    lowest[name] = (share, update["at_ns"], update["seq"])
    for name, (share, at_ns, seq) in lowest.items():
        yield Hit(f"only {share:.1f} % of the {name} limit was left", at_ns, (seq,))


@rule("gap", "error", "recorder")
def _gaps(case: Case, _: float) -> Iterator[Hit]:
    """Events passed that were not recorded."""
    for gap in case.summary.gaps:
        yield Hit(
            gap.words,
            gap.at_ns if gap.first_ns is None else gap.first_ns,
            (gap.seq,),
            command=f"events --seq {gap.seq}",
        )


@rule("no_times", "notice", "recorder")
def _no_times(case: Case, _: float) -> Iterator[Hit]:
    """The session was imported, and its events have no times."""
    if not case.summary.timed:
        yield Hit(
            "imported without times: only the order of events is known, so latencies, overlaps "
            "and playback are N/A",
            0,
            (1,),
        )


@rule("clipping", "notice", "caller", 20, "ms")
def _clipping(case: Case, limit_ms: float) -> Iterator[Hit]:
    """The user's audio stood at full scale."""
    if case.speech.clipped_ns >= limit_ms * 1e6:
        length = seconds(case.speech.clipped_ns)
        yield Hit(f"{length} of the user's audio are clipped", 0, (), command="audio")


@rule("silent_input", "warning", "caller", 2000, "ms")
def _silent_input(case: Case, limit_ms: float) -> Iterator[Hit]:
    """Audio was sent, but no speech was found in it."""
    speech = case.speech
    if speech.detector and not speech.segments and speech.input_ns >= limit_ms * 1e6:
        length = seconds(speech.input_ns)
        yield Hit(f"no speech in {length} of the user's audio", 0, (), command="audio")


@rule("large_chunks", "warning", "application", 200, "ms")
def _large_chunks(case: Case, limit_ms: float) -> Iterator[Hit]:
    """The user's audio was sent in chunks so large that they delay turn detection."""
    cadence = case.quality.input
    if cadence is not None and cadence.chunk_p50_ms > limit_ms and case.speech.realtime:
        yield Hit(
            f"the user's audio comes in chunks of {cadence.chunk_p50_ms:.0f} ms: each adds its "
            "length to every latency",
            0,
            (cadence.gap_max_seq,),
        )


@rule("inconsistent_truncation", "notice", "application", 20, "ms")
def _inconsistent(case: Case, _: float) -> Iterator[Hit]:
    """The client claimed to have played more than can have been played by then."""
    for item in case.playback.items:
        if "inconsistent" in item.flags:
            yield Hit(
                f"the client says that {item.claimed_ms} ms of an item were played, of which "
                f"at most {item.heard_ns / 1e6:.0f} ms can have been",
                item.stop_ns or item.end_ns or 0,
                item.evidence,
                next((t.index for t in case.turns if item.response_id in t.responses), None),
            )


@rule("vad_disagreement", "notice", "vad", 100, "ms")
def _disagreement(case: Case, _: float) -> Iterator[Hit]:
    """The server places the user's speech elsewhere than the audio does."""
    for said in case.speech.utterances:
        if "disagreement" not in said.flags:
            continue
        pairs = ((said.onset.ns, said.server_onset.ns), (said.end.ns, said.server_end.ns))
        apart = [b - a for a, b in pairs if a is not None and b is not None]
        worst = max(apart, key=abs, default=0)
        seqs = tuple(s for s in (said.started_seq, said.stopped_seq) if s is not None)
        yield Hit(
            f"the server's turn detection is {seconds(worst)} away from the audio",
            said.start_ns,
            seqs,
        )


@rule("bad_end", "error", "network and server")
def _bad_end(case: Case, _: float) -> Iterator[Hit]:
    """The session did not end as sessions should."""
    closed, shaken = case.summary.closed, case.summary.handshake
    if shaken is not None and shaken.status not in (None, 101):
        why = shaken.error or shaken.reason
        yield Hit(
            f"the handshake was answered with {shaken.status} {why}", shaken.at_ns, (shaken.seq,)
        )
        return
    if closed is None:
        return
    if closed.initiator == "client":
        # An application that stops or is stopped ends a session as it likes; an error is told.
        if closed.error and closed.error != STOPPED:
            yield Hit(f"the session was given up: {closed.error}", closed.at_ns, (closed.seq,))
        return
    if closed.clean and closed.code in (1000, 1005):
        return
    how = f"closed with {closed.code}" if closed.code else "ended"
    told = closed.reason or closed.error or "no reason given"
    yield Hit(f"the session was {how}: {told}", closed.at_ns, (closed.seq,))
