"""Real sessions, recorded by others and imported: what was said, by whom, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from recorder.dialects import audio_of, decode
from recorder.dialects.facts import InputAppended
from recorder.events import Origin
from recorder.projections import analyse
from recorder.projections.untimed import NO_TIMES
from recorder.wire import join
from tests.captured import FOLDER, names
from tests.importing import Imported, imported

if TYPE_CHECKING:
    from recorder.projections import Analysis


@dataclass(frozen=True)
class Capture:
    """What the folder's README and the file itself say of it."""

    messages: int
    said: tuple[tuple[str, str], ...]
    """(speaker, words), of a tool (tool, output)."""
    turns: tuple[str, ...]
    """Their triggers."""
    responses: dict[str, int]
    tools: tuple[str, ...] = ()
    user_audio: int = 0
    dialect: str = "ga"


MARCELO = ("user", "Hello, my name is Marcelo.")
CZESC = ("user", "Cze\u015b\u0107, nazywam si\u0119 Marcelo.")
LONDON = ("user", "What is the weather in London?")
FOG = "It is foggy and 12 degrees in London."
NICE = ("assistant", "Hi Marcelo, nice to meet you! How can I help you today?")

CAPTURES = {
    "openai-ga-one-spoken-turn": Capture(
        124,
        (MARCELO,
         ("assistant", "Hello, Marcelo! Great to meet you. How can I help you today?")),
        ("vad_commit",), {"completed": 1}, user_audio=263_424,
    ),
    "azure-ga-spoken-turn-calls-tool": Capture(
        134,
        (MARCELO, ("tool", "Stored Marcelo."),
         ("assistant", "Hello Marcelo, it's great to meet you! How can I help you today?")),
        ("vad_commit",), {"completed": 2}, ("remember_name",), 263_424,
    ),
    "azure-mixed-names-spoken-turn": Capture(
        103, (CZESC, NICE), ("vad_commit",), {"completed": 1}, (), 263_424, "mixed",
    ),
    "openai-ga-history-seeding": Capture(
        34,
        (("user", "My name is Alice and my favorite color is teal."),
         ("assistant", "Nice to meet you, Alice!"),
         ("user", "What is my name and favorite color?"),
         ("assistant", "Your name is Alice, and your favorite color is teal!")),
        ("client_create",), {"completed": 1},
    ),
    "openai-ga-text-in-audio-out": Capture(
        24, (("user", "Say a short greeting."), ("assistant", "Hi there!")),
        ("client_create",), {"completed": 1},
    ),
    "openai-ga-tool-call-round": Capture(
        50, (LONDON, ("tool", FOG), ("assistant", FOG)),
        ("client_create",), {"completed": 2}, ("get_weather",),
    ),
    "xai-text-tool-round": Capture(
        54,
        (LONDON, ("assistant", "I'll check the weather for London."), ("tool", FOG),
         ("assistant", f"{FOG} The weather is foggy with a temperature of 12 degrees.")),
        ("client_create",), {"completed": 2}, ("get_weather",), dialect="mixed",
    ),
    "voice-live-spoken-turn": Capture(
        103, (CZESC, NICE), ("vad_commit",), {"completed": 1}, (), 55 * 33, "mixed",
    ),
    "voice-live-tool-call-round": Capture(
        47,
        (LONDON, ("tool", FOG), ("assistant", "It's foggy and 12 degrees in London right now.")),
        ("client_create",), {"completed": 2}, ("get_weather",), dialect="beta",
    ),
    "openai-beta-webrtc-four-responses": Capture(
        99,
        (("assistant", "Hey there! How can I help you today?"), ("user", ""),
         ("assistant", "I'm doing great, thanks for asking! How about you?"),
         ("user", ""), ("user", ""),
         ("assistant", "I'm here to help with whatever you need. You can think of me as your "
                       "friendly, digital assistant. What's on your mind?")),
        ("client_create", "vad_commit", "vad_commit"), {"completed": 3, "cancelled": 1},
        dialect="beta",
    ),
}  # fmt: skip

every = pytest.mark.parametrize("name", CAPTURES)


def taken(name: str) -> Imported:
    """The capture, imported; skips where it is absent."""
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no captures in {FOLDER}")
    return imported(path.read_bytes(), name=path.name)


def analysed(name: str) -> tuple[Imported, Analysis]:
    """It and what it amounts to."""
    found = taken(name)
    return found, analyse(found.source)


def test_all_of_them_are_looked_at() -> None:
    """A file that comes to the folder comes into the table."""
    if not FOLDER.exists():
        pytest.skip(f"no captures in {FOLDER}")
    assert {name.removesuffix(".jsonl") for name in names()} == set(CAPTURES)


@every
def test_every_message_stands_as_in_the_file(name: str) -> None:
    """In order, byte for byte, by the one who sent it; nothing was guessed or skipped."""
    found = taken(name)
    passed = [event for event in found.events if event.origin != Origin.RECORDER]
    file = (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    assert found.report.remarks == ["it has no times: only the order of its events is known"]
    assert len(passed) == CAPTURES[name].messages == len(file)
    for event, line in zip(passed, file, strict=True):
        whole = orjson.loads(line)
        assert join(event) in line
        assert orjson.loads(join(event)) == whole.get("data", whole)
        if "direction" in whole:
            assert event.origin == (whole["direction"] == "received")
        assert event.at_ns == 0


@every
def test_what_was_said(name: str) -> None:
    """In order, tool calls in their places; heard as far as it was received."""
    _, analysis = analysed(name)
    lines = [line for line in analysis.transcript.lines if line.kind in ("speech", "text", "tool")]
    said = [
        (line.speaker, str((line.detail or {})["output"]) if line.kind == "tool" else line.text)
        for line in lines
    ]
    assert tuple(said) == CAPTURES[name].said
    assert [line.start_ns for line in lines] == [None] * len(lines)
    assert all(line.heard is None for line in lines)


@every
def test_turns_responses_and_tools(name: str) -> None:
    """Every turn is answered, and every call has its output."""
    wanted, (_, analysis) = CAPTURES[name], analysed(name)
    assert tuple(turn.trigger for turn in analysis.turns) == wanted.turns
    assert {turn.status for turn in analysis.turns} == {"answered"}
    assert analysis.summary.responses == wanted.responses
    assert tuple(call.name for call in analysis.conversation.calls) == wanted.tools
    assert all(call.output is not None for call in analysis.conversation.calls)
    assert analysis.summary.dialect == wanted.dialect


@every
def test_the_users_audio(name: str) -> None:
    """Its size, as complete as the file has it."""
    found = taken(name)
    facts = [decode(event) for event in found.events]
    size = sum(fact.size for fact in facts if isinstance(fact, InputAppended))
    assert size == CAPTURES[name].user_audio


@pytest.mark.parametrize("name", [name for name, c in CAPTURES.items() if c.user_audio > 10_000])
def test_the_users_audio_is_the_voice_that_was_sent(name: str) -> None:
    """Bit for bit, and speech is found in it."""
    found, analysis = analysed(name)
    pieces = [
        audio_of(event, "audio") or b""
        for event in found.events
        if isinstance(decode(event), InputAppended)
    ]
    voice = (FOLDER / "speech" / "marcelo_24khz.pcm").read_bytes()
    assert b"".join(pieces) == voice
    (said,) = analysis.speech.utterances
    assert said.anchor == "audio"
    assert 1.5e9 < said.end_ns - said.start_ns < 3e9


@every
def test_without_times_nothing_is_measured(name: str) -> None:
    """Every latency is N/A with a reason, none is 0; and it is said."""
    _, analysis = analysed(name)
    values = [value for turn in analysis.latency.turns for value in turn.values.values()]
    values += [value for turn in analysis.quality.turns for value in turn.values.values()]
    assert values
    assert all(value.ns is None and value.reason for value in values)
    assert NO_TIMES in {value.reason for value in values}
    assert "no_times" in {finding.rule for finding in analysis.findings}
    assert "no_capture_clock" not in {finding.rule for finding in analysis.findings}
