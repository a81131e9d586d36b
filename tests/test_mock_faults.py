"""The language of faults, and what each does to what is sent."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from recorder.errors import UsageError
from recorder.mocking.faults import KINDS, Faults, parse_fault, refusal
from recorder.mocking.line import FOREVER_NS, Line, Stall
from recorder.replaying import Close, Send

MS = 1_000_000


def sent(*faults: str, events: list[tuple[int, str]], until: int = 10_000, seed: str = "0") -> Any:
    """What goes out, and at which millisecond, of events that are put in at theirs."""
    line = Line(Faults(tuple(parse_fault(each) for each in faults), random.Random(seed).random))
    line.open(0)
    out: list[tuple[int, str]] = []
    waiting = list(events)
    for now in range(until):
        while waiting and waiting[0][0] <= now:
            at, kind = waiting.pop(0)
            audio = 100 * MS if "audio" in kind else 0
            line.put(Send(at * MS, kind.encode(), kind, audio_ns=audio), now * MS)
        for deed in line.take(now * MS):
            told = {Send: "", Close: "close", Stall: "stall"}[type(deed)]
            out.append((now, told or deed.type))  # type: ignore[union-attr]
    return out


A, B, C = (1, "a"), (2, "b"), (3, "c")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("delay=5ms@a", [B, C, (6, "a")]),
        ("drop@b", [A, C]),
        ("duplicate@b", [A, B, B, C]),
        ("reorder@a", [B, (2, "a"), C]),
        ("reorder@c", [A, B, (1003, "c")]),
        ("error=oops@b", [A, B, (2, "error"), C]),
        ("close=1011@b", [A, B, (2, "close")]),
        ("close=1011@2ms", [A, (2, "close")]),
        ("abort@a", [A, (1, "close")]),
        ("stall=7ms@a", [A, (1, "stall"), (8, "b"), (8, "c")]),
        ("stall@a", [A, (1, "stall")]),
        ("drop@?#2", [A, C]),
        ("drop@*", []),
    ],
)
def test_each_fault(fault: str, expected: list[tuple[int, str]]) -> None:
    """What goes out, and when."""
    assert sent(fault, events=[A, B, C]) == expected


def test_slow_audio_holds_up_what_follows() -> None:
    """At half of real time 100 ms of audio take 200; the text after it waits."""
    events = [(0, "response.output_audio.delta")] * 3 + [(0, "done")]
    assert [at for at, _ in sent("slow=0.5", events=events)] == [0, 200, 400, 400]


def test_the_beta_name_is_found_by_the_ga_name() -> None:
    """A fault that names the GA type strikes the same event of a beta recording."""
    assert sent("drop@response.output_audio.delta", events=[(1, "response.audio.delta")]) == []


def test_chance_is_the_same_with_the_same_seed() -> None:
    """Half of a hundred are dropped, always the same ones; with another seed, others."""
    events = [(row, f"e{row}") for row in range(100)]
    first, again, other = (sent("drop@*%50", events=events, seed=s) for s in ("1", "1", "2"))
    assert first == again != other
    assert 30 < len(first) < 70


def test_who_is_refused() -> None:
    """The second connection only."""
    faults = (parse_fault("refuse=429#2"),)
    assert [refusal(faults, n, lambda: 0.0) for n in (1, 2, 3)] == [None, 429, None]


def test_for_ever_is_for_ever() -> None:
    """A stall without a time does not end, and asks for nothing."""
    line = Line(Faults((parse_fault("stall@a"),), lambda: 0.0))
    line.put(Send(0, b"a", "a"), 0)
    assert line.take(0)[-1] == Stall(FOREVER_NS)
    assert line.next_at() is None
    assert line.is_full(1)


@pytest.mark.parametrize("example", [kind.example for kind in KINDS.values()])
def test_the_examples_of_the_help_are_understood(example: str) -> None:
    """Each is a fault of the kind it stands for."""
    assert parse_fault(example).do == example.split("=")[0].split("@")[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("explode@a", "there is no 'explode'; there are: delay"),
        ("delay@a", "a time is missing"),
        ("delay=soon@a", "'soon' is no time"),
        ("delay=3s@12s", "not at a time"),
        ("drop", "at which event"),
        ("drop=1@a", "takes no value"),
        ("close=99@a", "'99' is no code"),
        ("close=1006@a", "abort@… cuts off"),
        ("refuse=200", "'200' is no status"),
        ("refuse=401@a", "at no event"),
        ("slow=fast", "fraction of real time"),
        ("drop@a#0", "counts from 1"),
        ("drop@a%0", "above 0"),
        ("drop@a%101", "at most 100"),
        ("abort@3s#2", "a time comes once"),
        ("", "expected ACTION"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, says: str) -> None:
    """The message names the fault and what is wrong with it."""
    with pytest.raises(UsageError, match=f"--fault {re.escape(text)}: .*") as told:
        parse_fault(text)
    assert says in str(told.value)
