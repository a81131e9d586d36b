"""Rules about what the recording cannot show by itself: clocks that fail it, and what was felt."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from .capture import PAUSE_NS
from .rules import Case, Hit, rule, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import NoteTaken, Turn, TurnLatency

_ONES: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FELT: Final = re.compile(
    rf"(?<![\w.])(\d+(?:[.,]\d+)?|{'|'.join(_ONES)})[ -]?(ms|milliseconds?|s|sec|secs|seconds?)\b",
    re.IGNORECASE,
)
_WAITS: Final = ("v2v_audible", "time_to_answer", "dead_air", "commit_to_audio", "create_to_audio")


@rule("outside_vantage", "notice", "outside this vantage", 500, "ms")
def _outside(case: Case, limit_ms: float) -> Iterator[Hit]:
    """A note tells of a longer wait than the wire saw."""
    for note in case.summary.notes:
        found = _longest_wait(case, note)
        felt_ns = _felt(note.text)
        if felt_ns is None or found is None or felt_ns - found[1] < limit_ms * 1e6:
            continue
        turn, waited_ns, evidence = found
        yield Hit(
            f"the wire saw {seconds(waited_ns)}; the rest lay outside this vantage "
            f"(noted: {seconds(felt_ns)})",
            note.at_ns,
            (*evidence, note.seq),
            turn.index,
        )


def _felt(text: str) -> int | None:
    """The longest time that the words name: `four seconds`, `1.5 s`, `800 ms`."""
    times = []
    for amount, unit in _FELT.findall(text):
        word = amount.lower()
        number = _ONES.index(word) + 1 if word in _ONES else float(word.replace(",", "."))
        times.append(round(number * (1e6 if unit.lower().startswith("m") else 1e9)))
    return max(times, default=None)


def _longest_wait(case: Case, note: NoteTaken) -> tuple[Turn, int, tuple[int, ...]] | None:
    """(turn, wait, evidence): of the turn the note is about; of all where it stands at the end."""
    rows = [(turn, timing) for turn, timing, _ in case.rows()]
    about = [row for row in rows if row[0].holds(note.at_ns)]
    waits = [wait for row in about or rows for wait in _waits(*row)]
    return max(waits, key=lambda wait: wait[1], default=None)


def _waits(turn: Turn, timing: TurnLatency) -> Iterator[tuple[Turn, int, tuple[int, ...]]]:
    for name in _WAITS:
        value = timing.values[name]
        if value.ns is not None:
            yield turn, value.ns, value.evidence


@rule("no_capture_clock", "notice", "application")
def _no_capture_clock(case: Case, _: float) -> Iterator[Hit]:
    """The user's audio was not sent as it was spoken, so that nothing tells when it was."""
    if case.clock is None or case.clock.realtime is not False:
        return
    for anchor in case.clock.anchors:
        if not anchor.realtime:
            yield Hit(
                f"{seconds(anchor.end_ns - anchor.start_ns)} of the user's audio came faster than "
                "they can have been spoken: latencies from the end of speech are N/A, those from "
                "the commit stand",
                int(case.clock.times[anchor.first]),
                (int(case.clock.seqs[anchor.first]), int(case.clock.seqs[anchor.last - 1])),
            )
            return


@rule("clock_drift", "notice", "caller", 100, "ms")
def _clock_drift(case: Case, limit_ms: float) -> Iterator[Hit]:
    """The microphone's clock and the recorder's run apart."""
    if case.clock is None:
        return
    drift, offsets = 0, case.clock.times - case.clock.ends
    for before, after in pairwise(case.clock.anchors):
        jump = int(offsets[after.first] - offsets[before.last - 1])
        if before.realtime and after.realtime and jump <= PAUSE_NS:
            drift += after.offset_ns - before.offset_ns
    if abs(drift) >= limit_ms * 1e6:
        last = case.clock.anchors[-1]
        yield Hit(
            f"the microphone's clock runs {'behind' if drift > 0 else 'ahead of'} the recorder's: "
            f"{seconds(abs(drift))} over {seconds(last.end_ns)} of audio",
            int(case.clock.times[-1]),
            (int(case.clock.seqs[0]), int(case.clock.seqs[-1])),
        )


@rule("offset_beyond_input", "warning", "recorder")
def _beyond(case: Case, _: float) -> Iterator[Hit]:
    """The server speaks of audio that this recording does not have."""
    for said in case.speech.utterances:
        if "offset_beyond_input" in (said.server_onset.reason, said.server_end.reason):
            yield Hit(
                "the server's offsets lie beyond the audio that was recorded: some of what was "
                "sent to it did not pass here",
                said.start_ns,
                tuple(seq for seq in (said.started_seq, said.stopped_seq) if seq is not None),
            )
