"""Sides to compare: from calls written down by hand, from golden calls, and made up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from recorder.comparing import Side, SideTurn, side_of
from recorder.comparing.nouns import LANES, TOKENS, About, Behind, Figure, Run, ToolUse
from recorder.projections import analyse
from recorder.projections.metrics import METRICS, PARTS

from .building import Talk
from .golden.shelf import Shelf


def side(talk: Talk, name: str = "a", **how: Any) -> Side:
    """The side that this call is."""
    return side_of(name, analyse(talk.source), talk.source(False), **how)


def golden_side(shelf: Shelf, name: str, row: int = 0) -> Side:
    """The side that a golden call is."""
    return side_of(name, shelf.analysis(name, row), shelf.events(name, row, audio=False))


def call(
    *turns: tuple[str, str],
    start: float = 0,
    late: float = 0,
    tool: str | None = None,
    **opened: Any,
) -> Talk:
    """Spoken turns of (question, answer), 4 s each; every answer `late` ms later than 350 after
    the end of detection, which is 250 ms after that of speech: v2v_audible is 600 + `late`."""
    talk = Talk().open(0, **opened)
    end = start + 4000 * len(turns)
    stretches = [(4000 * n + 500, 4000 * n + 2000) for n in range(len(turns))]
    talk.mic(0, end, speech=stretches)
    for n, (question, answer) in enumerate(turns):
        at = 4000 * n
        talk.heard(at + 2250, f"U{n}", start=at + 200, end=at + 2200)
        if question:
            talk.transcript(at + 2400, f"U{n}", question)
        talk.answer(at + 2300, f"R{n}", f"A{n}", [(at + 2600 + late, 1000)], text=answer)
    return talk.close(end)


# ---- made up

WORDS = ("we", "We", "open", "at", "nine,", "ten.", "\u65e5\u672c", "--", "\x1b[31m")
dice = random.Random(5)
"""What sides are made of is drawn once: hypothesis then only chooses, which it does fast."""


def _text() -> str | None:
    return None if dice.random() < 0.2 else " ".join(dice.choices(WORDS, k=dice.randrange(7)))


def _figure() -> Figure:
    if dice.random() < 0.3:
        return Figure(None, reason=dice.choice(["unanswered", "text_only"]))
    return Figure(dice.randrange(-3_000_000, 3_000_000) / 1000, suspect=dice.random() < 0.2)


def _figures(names: Iterable[str]) -> dict[str, Figure]:
    return {name: _figure() for name in names if dice.random() < 0.3}


def _json(depth: int = 2) -> Any:
    kind = dice.randrange(7 if depth else 5)
    if kind == 5:
        return [_json(depth - 1) for _ in range(dice.randrange(3))]
    if kind == 6:
        names = dice.sample(["a", "b", "name", "x.y"], dice.randrange(4))
        return {name: _json(depth - 1) for name in names}
    return dice.choice([None, True, False, 0, 1, 1.0, 0.5, "a", ""])


def _object() -> dict[str, Any]:
    return {name: _json() for name in ("voice", "tools", "audio", "a.b") if dice.random() < 0.5}


def _tool() -> ToolUse:
    arguments = dice.choice(['{"a":1}', '{"a":2,"b":[1]}', "{}", "not json"])
    output = dice.choice([None, "42", '{"ok":true}', '{"ok":false}'])
    name, error = dice.choice(["find", "book"]), dice.choice(["", "", "boom"])
    return ToolUse(name, arguments, arguments != "not json", output, error, 1)


def _behind() -> Behind:
    kinds = (("a",), ("b",), ("a.delta", "b.delta"), ("c",))
    lanes = {
        lane: tuple(Run(dice.choice(kinds), dice.randrange(1, 4)) for _ in range(dice.randrange(5)))
        for lane in LANES
    }
    return Behind(lanes, _object())


def _many(make: Callable[[], Any], count: int = 40) -> Any:
    return st.sampled_from([make() for _ in range(count)])


TEXTS, TOOLS, BEHIND, FACTS = _many(_text), _many(_tool), _many(_behind), _many(_json)
LATENCIES = _many(lambda: _figures(METRICS))
PARTS_OF = _many(lambda: _figures(PARTS))
USAGE = _many(lambda: _figures(TOKENS))
COUNTED = _many(lambda: _figures(["turns", *TOKENS]))
OPENING = _many(lambda: _figures(["connect", "ready"]))


@st.composite
def turns(draw: st.DrawFn, index: int) -> SideTurn:
    """Any turn."""
    return SideTurn(
        index=index,
        kind=draw(st.sampled_from(["user", "user", "user", "greeting", "idle_timeout"])),
        trigger=draw(st.sampled_from(["vad_commit", "client_create"])),
        start_ns=index,
        end_ns=index + 1,
        user=draw(TEXTS),
        heard=draw(TEXTS),
        generated=draw(TEXTS),
        tools=tuple(draw(st.lists(TOOLS, max_size=3))),
        status=draw(st.sampled_from(["answered", "unanswered"])),
        interrupted=draw(st.booleans()),
        flags=(),
        responses=draw(st.sampled_from([(), ("completed",), ("cancelled (turn_detected)",)])),
        latencies=draw(LATENCIES),
        waterfall=draw(st.sampled_from(["", "v2v_audible", "commit_to_audio"])),
        parts=draw(PARTS_OF),
        usage=draw(USAGE),
    )


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """Any session of up to four turns."""
    count = draw(st.integers(0, 4))
    made = tuple(draw(turns(index)) for index in range(1, count + 1))
    facts = {"model": draw(st.sampled_from([None, "m1", "m2"])), "errors": draw(FACTS)}
    return Side(
        about=About("s", count, facts, draw(COUNTED)),
        turns=made,
        behind=tuple(draw(BEHIND) for _ in made),
        before=draw(BEHIND),
        latencies=draw(OPENING),
    )


def renamed(given: Side, name: str, **more: Any) -> Side:
    """The same under another name."""
    return replace(given, about=replace(given.about, session=name, **more))
