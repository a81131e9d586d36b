"""The nouns of a comparison: two sessions laid beside each other, ready for JSON.

Everything here is frozen data; `orjson.dumps` takes every one of these as it is. `a` is what is
compared with (the original, the baseline), `b` is what is looked at: a difference is b less a.

Laws:

1. N/A is never 0 and never subtracted: a `Measure` has a `difference` only if both sides have
   a value, and a side without one says why.
2. `compare(a, a)` finds nothing: `differs` is empty, in every turn and of the whole.
3. `compare(b, a)` is `compare(a, b)` with the sides changed and every difference negated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

TURNS, WORDS, TOOLS, STATUS = "turns", "words", "tools", "status"
LATENCY, USAGE, EVENTS, CONFIGURATION = "latency", "usage", "events", "configuration"

KINDS: Final = {
    TURNS: "a turn that only one side has",
    WORDS: "what was said, by user or assistant; of the assistant what was heard",
    TOOLS: "which tools were called, with which arguments, and what they gave back",
    STATUS: "how a turn ended, how its responses did, and whether it was interrupted",
    LATENCY: "any length of time: latencies, their parts, qualities",
    USAGE: "tokens",
    EVENTS: "which types of events came, in which order",
    CONFIGURATION: "what was in force: instructions, tools, voice, turn detection, model",
}
"""The kinds of differences: what `differs` holds, in this order."""

SAME, CHANGED, ONLY_A, ONLY_B = "same", "changed", "only_a", "only_b"

LANES: Final = {
    "client": "what the client sent, but for the audio of the microphone",
    "input": "what the server said of the user's input",
    "output": "everything else that the server said",
}
"""Events are compared lane by lane: between lanes their order is chance."""

TOKENS: Final = {
    "input_tokens": "tokens of input, cached ones included",
    "input_text_tokens": "those of text",
    "input_audio_tokens": "those of audio",
    "cached_tokens": "those that were cached",
    "output_tokens": "tokens of output",
    "output_text_tokens": "those of text",
    "output_audio_tokens": "those of audio",
}
"""What responses cost, by name."""

COUNTS: Final = {
    "turns": "turns",
    "responses": "responses, those apart from the conversation left out",
    "tool_calls": "tool calls",
    "interruptions": "turns that were interrupted",
    "user_words": "words of the user",
    "assistant_words": "words of the assistant that were heard",
    "errors": "errors that the server reported",
    **TOKENS,
}
"""What is counted of a whole session, by name."""

FACTS: Final = {
    "model": CONFIGURATION,
    "model_asked": CONFIGURATION,
    "dialect": CONFIGURATION,
    "voice": CONFIGURATION,
    "turn_detection": CONFIGURATION,
    "modalities": CONFIGURATION,
    "transcription": CONFIGURATION,
    "input_format": CONFIGURATION,
    "output_format": CONFIGURATION,
    "handshake": STATUS,
    "ended": STATUS,
    "errors": STATUS,
    "gaps": STATUS,
}
"""What is said of a whole session, by name, and which kind of difference it is."""


# ---- one side


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one side, or the reason why there is none."""

    value: float | None
    """Milliseconds, or a count."""
    label: str = ""
    """`measured`, `estimated`, `reported`."""
    reason: str = ""
    """Why it is N/A."""
    suspect: bool = False
    """Nearly always joined to the wrong turn: shown, but nothing is judged by it."""
    evidence: tuple[int, ...] = ()
    """Sequence numbers in its own session."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call, as it can be compared."""

    name: str
    arguments: str
    """Canonical JSON: members sorted, no spaces. As it came where it is no JSON."""
    is_json: bool
    output: str | None
    """None: none was sent."""
    error: str
    seq: int


@dataclass(frozen=True, slots=True)
class Run:
    """One kind of event, or a run of deltas, at its place in the order of events."""

    types: tuple[str, ...]
    """One type; of a run of deltas all that were in it, sorted. Names are those of GA."""
    count: int
    """How many in a row. Not compared: how audio is cut into pieces is chance."""


@dataclass(frozen=True, slots=True)
class SideTurn:
    """One turn of one side."""

    index: int
    """1, 2, 3 … in its session."""
    kind: str
    """`user`, `greeting`, `idle_timeout`, `asked` (a request without new input)."""
    trigger: str
    start_ns: int | None
    """On its session's clock; None where the session has no times."""
    end_ns: int | None
    user: str | None
    """What the user said or wrote; None: spoken and not transcribed."""
    heard: str | None
    """What was heard of the assistant's words; None: it spoke, and nothing tells the words."""
    generated: str | None
    """All of the assistant's words, heard or not."""
    tools: tuple[ToolUse, ...]
    status: str
    """As of `Turn.status`."""
    interrupted: bool
    flags: tuple[str, ...]
    responses: tuple[str, ...]
    """How each ended: `completed`, `cancelled (turn_detected)`."""
    latencies: dict[str, Figure]
    """By name, of `METRICS` and `QUALITIES`. Milliseconds."""
    waterfall: str
    """What its parts are of: `v2v_audible` …; empty where there are none."""
    parts: dict[str, Figure]
    """Parts of the waterfall, by name. Milliseconds."""
    usage: dict[str, Figure]
    """Tokens, by name."""


@dataclass(frozen=True, slots=True)
class Behind:
    """What else a turn is compared by; not repeated in results."""

    lanes: dict[str, tuple[Run, ...]]
    """Events in order, by the names of `LANES`."""
    settings: dict[str, Any]
    """The configuration that the turn was answered under, by path."""


@dataclass(frozen=True, slots=True)
class About:
    """What a session is, without its turns."""

    session: str
    """Its id."""
    turns: int
    facts: dict[str, Any]
    """Model, dialect, how it ended …, by the names of `FACTS`."""
    counts: dict[str, Figure]
    """Of the whole session, by the names of `COUNTS`."""
    turn_of: int | None = None
    """Of a rerun of a single turn: which turn of the original it is."""
    call: str = ""
    """The call that it is a part of; empty where it is one by itself."""


@dataclass(frozen=True, slots=True)
class Side:
    """One session, as far as it is compared. `side_of` makes it."""

    about: About
    turns: tuple[SideTurn, ...]
    behind: tuple[Behind, ...]
    """Of each turn."""
    before: Behind
    """The events before the first turn, and the configuration at the end."""
    latencies: dict[str, Figure]
    """Of the whole session: `connect`, `ready` … Milliseconds."""


# ---- differences


@dataclass(frozen=True, slots=True)
class Measure:
    """One number on both sides."""

    name: str
    unit: str
    """`ms`, or empty for a count."""
    a: Figure
    b: Figure
    difference: float | None
    """b less a; None where either has no value, or where they measure different things."""
    why: str = ""
    """Why there is no difference although both have a value."""

    @property
    def differs(self) -> bool:
        """Whether the sides do not say the same."""
        return self.a.value != self.b.value or self.a.reason != self.b.reason


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not the same on both sides."""

    path: str
    """`status`, `responses`, `audio.output.voice`, `arguments.city` …"""
    kind: str
    """`changed`, `only_a`, `only_b`."""
    a: Any = None
    b: Any = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words that follow each other and are the same, or only on one side."""

    kind: str
    """`same`, `only_a`, `only_b`."""
    a: str
    """As this side spells them; empty for `only_b`."""
    b: str


@dataclass(frozen=True, slots=True)
class Wording:
    """Two texts, word by word. Case and punctuation do not make another word."""

    a: str | None
    """None: it is not known what was said."""
    b: str | None
    same: bool | None
    """None: one side is not known, so it cannot be told."""
    stretches: tuple[Stretch, ...]
    """All of both texts, in order; empty where it cannot be told."""
    words_a: int
    words_b: int
    only_a: int
    """Words that only this side has."""
    only_b: int


@dataclass(frozen=True, slots=True)
class ToolPair:
    """A tool call on both sides, or only on one."""

    kind: str
    """`same`, `changed`, `only_a`, `only_b`."""
    a: ToolUse | None
    b: ToolUse | None
    changes: tuple[Change, ...]
    """In arguments (`arguments.city`), `output`, `error`."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Runs of events that are the same, or only on one side."""

    kind: str
    """`same`, `only_a`, `only_b`."""
    runs: tuple[Run, ...]
    """Of `same`, those of a."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """Which events came in which order, those of one lane."""

    lane: str
    """One of `LANES`."""
    same: bool
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class TurnPair:
    """One turn as both sides had it, or as the only side that has it did."""

    number: int
    """1, 2, 3 … in the comparison."""
    a: SideTurn | None
    b: SideTurn | None
    user: Wording
    heard: Wording
    generated: Wording
    tools: tuple[ToolPair, ...]
    reordered: bool
    """The same tools were called in another order."""
    status: tuple[Change, ...]
    """Of `status`, `interrupted`, `trigger`, `responses`."""
    latencies: tuple[Measure, ...]
    """In the order of `METRICS` and `QUALITIES`, those that either side has or names."""
    parts: tuple[Measure, ...]
    """Of the waterfall, in the order of `PARTS`."""
    usage: tuple[Measure, ...]
    grammar: tuple[Grammar, ...]
    """By lane."""
    settings: tuple[Change, ...]
    """In the configuration that it was answered under, by path."""
    differs: tuple[str, ...]
    """Which kinds of differences there are, of `KINDS`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sessions beside each other, turn by turn."""

    a: About
    b: About
    turns: tuple[TurnPair, ...]
    """In the order of both; a turn that only a has before one that only b has."""
    facts: tuple[Change, ...]
    settings: tuple[Change, ...]
    """Of the configuration at the end."""
    counts: tuple[Measure, ...]
    """Of the whole sessions, in the order of `COUNTS`."""
    latencies: tuple[Measure, ...]
    """Of the whole sessions: `connect`, `ready` …"""
    grammar: tuple[Grammar, ...]
    """Before the first turn, by lane."""
    differs: tuple[str, ...]
    """Which kinds of differences there are anywhere, of `KINDS`."""


# ---- groups


@dataclass(frozen=True, slots=True)
class GroupMeasure:
    """One number in two groups of sessions, and how far chance alone may have made it."""

    name: str
    unit: str
    a: float | None
    """The median over the turns that both groups have; of a count, over the sessions."""
    b: float | None
    n_a: int
    """Values."""
    n_b: int
    calls_a: int
    """Calls that these come from."""
    calls_b: int
    difference: float | None
    """Median of b less median of a, each value less the middle of its turn: so that a turn which
    is slow in both groups weighs in neither."""
    low: float | None
    """Of the interval, which resamples calls; None where there are too few of them."""
    high: float | None
    resamples: int
    verdict: str
    """`more than chance`, `no more than chance`, `could not tell`."""
    sentence: str
    """The same, for people."""


@dataclass(frozen=True, slots=True)
class GroupTurn:
    """One turn of the reference, in both groups."""

    number: int
    """Its number in the reference."""
    kind: str
    user: str | None
    n_a: int
    """Sessions that have it."""
    n_b: int
    measure: GroupMeasure | None
    """The headline metric; None where nobody has a value."""
    statuses_a: dict[str, int]
    """How it ended, and how often."""
    statuses_b: dict[str, int]
    tools_a: dict[str, int]
    """Which tools were called with which arguments, and how often; the empty text is none."""
    tools_b: dict[str, int]
    answers_a: int
    """How many different wordings of the answer were heard."""
    answers_b: int
    new: tuple[str, ...]
    """In which kinds of differences b has something that never was in a."""


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """Two groups of sessions beside each other, paired by turn."""

    a: tuple[About, ...]
    b: tuple[About, ...]
    reference: str
    """The session whose turns all others are laid beside."""
    headline: str
    turns: tuple[GroupTurn, ...]
    measures: tuple[GroupMeasure, ...]
    """Over all turns that both groups have."""
    counts: tuple[GroupMeasure, ...]
    """By session."""
    settings: tuple[Change, ...]
    """What of model and configuration is not the same in both groups; where sessions of a group
    had several values, a list of them."""
    extra_a: int
    """Turns of a that the reference does not have."""
    extra_b: int
    new: tuple[str, ...]
    """In which kinds of differences b has something that never was in a, in any turn."""
    min_calls: int
    """From fewer calls on either side it could not be told."""
    seed: int
