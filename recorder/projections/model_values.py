"""A measured length of time, and an error: what every other noun is made with. Part of `model`."""

from __future__ import annotations

from dataclasses import dataclass, field

MEASURED, REPORTED, ESTIMATED = "measured", "reported", "estimated"


@dataclass(frozen=True, slots=True)
class Value:
    """A length of time with its label and evidence, or the reason why there is none."""

    ns: int | None
    label: str = MEASURED
    evidence: tuple[int, ...] = ()
    reason: str = ""
    """Why it is N/A: `text_only`, `non_realtime_input`, `unanswered` …; empty otherwise."""
    flags: tuple[str, ...] = ()
    """`suspect`: under 50 ms, nearly always a mis-joined turn; left out of percentiles."""
    value_ms: float | None = field(init=False)
    """The same in milliseconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_ms", None if self.ns is None else self.ns / 1e6)

    @classmethod
    def missing(cls, reason: str) -> Value:
        """N/A, and why."""
        return cls(None, "", (), reason)


def reckoned(at_ns: int | None) -> int:
    """A moment as one reckons with it. Where a session has no times it is 0 like all others, and
    what comes of it is taken out in the end (`untimed`)."""
    return 0 if at_ns is None else at_ns


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """Something that went wrong and was said on the wire, and what followed it."""

    seq: int
    at_ns: int | None
    code: str
    type: str
    message: str
    fatal: bool | None = None
    """True: the session ended with it; False: it went on; None: the log ends too soon to say."""
    about_seq: int | None = None
    """The client event that caused it, where the error names one."""
