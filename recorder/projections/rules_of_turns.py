"""Rules about turns: waits, interruptions, answers that never came."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .model import reckoned
from .quality import BACKCHANNEL_NS
from .rules import Case, Hit, rule, seconds
from .spans import speech_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..dialects import SessionConfig
    from .model import Turn, Waterfall

_WORDS = {
    "endpointing_window": "silence window",
    "endpointing_rest": "endpointing",
    "app_wait": "app",
    "input_backlog": "uplink",
    "tool_resume": "model after tool",
    "tool_call": "model to call",
    "response_start": "response start",
    "model_first_audio": "model",
    "leading_silence": "leading silence",
    "failed_response": "failed response",
}


def in_words(fall: Waterfall) -> str:
    """The waterfall as a sum: `4.1 s = 0.5 endpointing + 2.9 tool + 0.7 model`."""
    parts = [p for p in fall.parts if abs(p.ns) >= 5e7] or list(fall.parts)
    terms = " + ".join(f"{p.ns / 1e9:.1f} {_WORDS.get(p.name, p.name)}" for p in parts)
    return f"{fall.total_ns / 1e9:.1f} s = {terms}"


@rule("slow_turn", "warning", "provider", 2000, "ms")
def _slow_turn(case: Case, limit_ms: float) -> Iterator[Hit]:
    """The user waited long for the first audible sample."""
    for turn, timing, _ in case.rows():
        value = timing.values["v2v_audible"]
        fall = timing.waterfall
        if value.ns is None or value.ns < limit_ms * 1e6 or "suspect" in value.flags:
            continue
        sentence = f"turn {turn.index}: answered after {seconds(value.ns)}"
        owner = "provider"
        if fall is not None and fall.parts:
            sentence = f"turn {turn.index}: {in_words(fall)}"
            owner = max(fall.parts, key=lambda part: part.ns).owner
        yield Hit(sentence, reckoned(turn.start_ns), value.evidence, turn.index, owner=owner)


@rule("talk_over", "warning", "application", 500, "ms")
def _talk_over(case: Case, limit_ms: float) -> Iterator[Hit]:
    """The assistant went on playing while the user spoke, and nothing stopped it."""
    for item in case.playback.items:
        if "not_stopped" not in item.flags or item.end_ns is None:
            continue
        turn = next((t for t in case.turns if item.response_id in t.responses), None)
        over = _overlap_with(case, item.start_ns or 0, item.end_ns)
        if over is None or over[1] < limit_ms * 1e6:
            continue
        at_ns, length = over
        yield Hit(
            f"the assistant talked over the user for {seconds(length)}: the user spoke, and "
            "nothing says that playback stopped",
            at_ns,
            item.evidence,
            turn.index if turn else None,
        )


def _overlap_with(case: Case, start_ns: int, end_ns: int) -> tuple[int, int] | None:
    """(begin, length) of the user's speech within this stretch, backchannels left out."""
    spans = [
        (max(span.start_ns, start_ns), min(span.end_ns, end_ns))
        for span in speech_spans(case.speech)
        if span.length >= BACKCHANNEL_NS and span.end_ns > start_ns and span.start_ns < end_ns
    ]
    if not spans:
        return None
    return spans[0][0], sum(end - begin for begin, end in spans)


@rule("slow_stop", "warning", "application", 800, "ms")
def _slow_stop(case: Case, limit_ms: float) -> Iterator[Hit]:
    """Playback stopped late after the user began to interrupt."""
    for turn, _, good in case.rows():
        value = good.values["barge_in_stop"]
        if value.ns is not None and value.ns >= limit_ms * 1e6:
            sentence = (
                f"turn {turn.index}: the assistant went on for {seconds(value.ns)} after the user "
                "had begun to speak over it"
            )
            yield Hit(sentence, reckoned(turn.start_ns), value.evidence, turn.index)


@rule("false_barge_in", "warning", "vad")
def _false_barge_in(case: Case, _: float) -> Iterator[Hit]:
    """Playback was cut by something that was no turn of the user's."""
    for turn, _timing, good in case.rows():
        if "false_barge_in" in good.flags:
            value = good.values["barge_in_stop"]
            yield Hit(
                f"turn {turn.index}: the assistant was cut off, but what cut it is empty or "
                "repeats its own words (noise or echo)",
                reckoned(turn.start_ns),
                value.evidence or (turn.trigger_seq,),
                turn.index,
            )


@rule("premature_response", "warning", "vad", 1000, "ms")
def _premature(case: Case, _: float) -> Iterator[Hit]:
    """The answer began while the user was going on."""
    for turn, timing, good in case.rows():
        if "premature_response" in good.flags:
            yield Hit(
                f"turn {turn.index}: the answer began, and the user went on within 1 s",
                reckoned(turn.start_ns),
                timing.values["v2v_wire"].evidence or (turn.trigger_seq,),
                turn.index,
            )


@rule("unanswered", "error", "application", 5000, "ms")
def _unanswered(case: Case, patience_ms: float) -> Iterator[Hit]:
    """The user said something and got no response, in all the time there was for it."""
    for turn in case.turns:
        if turn.status != "unanswered" or _only_transcribes(case, turn):
            continue
        left = _left_alone(case, turn, patience_ms * 1e6)
        yield Hit(
            f"turn {turn.index}: no response answered the user{left.why}",
            reckoned(turn.start_ns),
            (turn.trigger_seq, *left.evidence),
            turn.index,
            f"transcript --turn {turn.index}",
            left.severity,
            left.owner,
        )


class _Left(NamedTuple):
    """Who left a user without an answer, and how."""

    owner: str
    why: str = ""
    evidence: tuple[int, ...] = ()
    severity: str = ""


_ENDED_BY = {
    "client": ("application", "the application closed the session"),
    "server": ("provider", "the server closed the session"),
    "network": ("network and server", "the connection broke"),
    "recorder": ("recorder", "the recorder ended the session"),
}


def _left_alone(case: Case, turn: Turn, patience_ns: float) -> _Left:
    """Whoever had to act next; unless somebody ended the session before that was due."""
    for error in case.conversation.errors:
        if error.about_seq == turn.trigger_seq:
            name = error.code or error.type or "error"
            return _Left("application", f": the request was refused ({name})", (error.seq,))
    owner = "provider" if _server_was_to_answer(case, turn) else "application"
    closed = case.summary.closed
    end_ns = case.summary.duration_ns if closed is None else closed.at_ns
    waited = end_ns - reckoned(turn.trigger_ns)
    if turn is not case.turns[-1] or (closed is None and waited >= patience_ns):
        return _Left(owner)
    if closed is None:
        told = f" in the {seconds(waited)} before the recording stops"
        return _Left("recorder", told, severity="notice")
    ender, words = _ENDED_BY.get(closed.initiator, _ENDED_BY["network"])
    told = f": {words} {seconds(waited)} later"
    return _Left(ender if waited < patience_ns else owner, told, (closed.seq,))


def _server_was_to_answer(case: Case, turn: Turn) -> bool:
    """It was asked to, or its own turn detection was set to answer by itself."""
    if turn.trigger_seq in case.asked:
        return True
    config = _config_at(case, turn.trigger_seq)
    by_itself = config is None or config.create_response is not False
    return turn.trigger == "vad_commit" and by_itself


def _only_transcribes(case: Case, turn: Turn) -> bool:
    config = _config_at(case, turn.trigger_seq)
    return config is not None and config.kind == "transcription"


def _config_at(case: Case, seq: int) -> SessionConfig | None:
    """What the server had stated by then."""
    stated = [c for c in case.conversation.configs if c.by == "server" and c.seq <= seq]
    return stated[-1].config if stated else None


@rule("not_heard", "warning", "provider")
def _not_heard(case: Case, _: float) -> Iterator[Hit]:
    """A turn's answer was cancelled or ended before anything of it reached the user."""
    words = {
        "cancelled": "the answer was cancelled before anything of it was heard",
        "unheard": "there were responses, but nothing of them reached the user",
    }
    for turn in case.turns:
        if turn.status in words:
            yield Hit(
                f"turn {turn.index}: {words[turn.status]}",
                reckoned(turn.start_ns),
                (turn.trigger_seq,),
                turn.index,
            )


@rule("dead_air", "warning", "provider", 3000, "ms")
def _dead_air(case: Case, limit_ms: float) -> Iterator[Hit]:
    """A long silence inside a turn, beyond the wait for its first word."""
    for turn, timing, _ in case.rows():
        value, waited = timing.values["dead_air"], timing.values["v2v_audible"]
        if value.ns is None or value.ns < limit_ms * 1e6 or value.ns == waited.ns:
            continue
        sentence = f"turn {turn.index}: {seconds(value.ns)} of silence inside the turn"
        owner = "tool" if turn.calls else "provider"
        yield Hit(sentence, reckoned(turn.start_ns), value.evidence, turn.index, owner=owner)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


@rule("underruns", "warning", "network and server", 200, "ms")
def _underruns(case: Case, limit_ms: float) -> Iterator[Hit]:
    """Audio arrived too late to be played without breaks."""
    for item in case.playback.items:
        if item.stalled_ns >= limit_ms * 1e6:
            turn = next((t.index for t in case.turns if item.response_id in t.responses), None)
            yield Hit(
                f"playback ran dry {_times(item.stalls)}, {seconds(item.stalled_ns)} in all",
                item.start_ns or 0,
                item.evidence[:2],
                turn,
            )
