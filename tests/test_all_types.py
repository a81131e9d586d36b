"""Every event type of the protocol, beta and GA, client and server: what each is read as.

The table names all types of the protocol's two dialects with a message as small as it may be and
the fact that must come of it. What is known and deliberately means nothing has its reason in
`PASSED_ON`; what nobody knows passes through everything, is counted, and can be looked at.
"""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from recorder import wire
from recorder.dialects import PASSED_ON, TABLES, decode, facts
from recorder.dialects.facts import ContentPart, ErrorBody
from recorder.dialects.names import BETA_NAMES, GA_NAMES, PASSED_ON_PREFIXES
from recorder.events import TEXT, Event, Origin
from recorder.projections import PROJECTIONS, Analyser, analyse, fold
from recorder.sandbox.script import Script
from tests.building import Talk
from tests.captured import captured, names
from tests.cli_kit import Recorder
from tests.golden.kit import Line, answer, says
from tests.wire_types import (
    BETA_CLIENT,
    BETA_SERVER,
    GA_CLIENT,
    GA_SERVER,
    ONLY_IN_DOCUMENTS,
    OTHER_VOCABULARIES,
)

NEVER_SENT = ["response.cancelled", "response.output_item.created"]
"""In the prose of guides, in no schema: unknown, and that is right."""

PLACE = {"response_id": "R", "item_id": "I", "output_index": 0, "content_index": 1}
AUDIO = base64.b64encode(b"\x01\x02\x03\x04").decode()
USER = {"id": "I", "type": "message", "role": "user", "content": []}
ITEM = facts.ItemBody("I", "message", "user", "", (), "", "", None, None, "")
WRONG = {"type": "t", "code": "c", "message": "m", "param": "p", "event_id": "e"}
ERROR = ErrorBody("t", "c", "m", "p", "e")
PART, PART_FACT = {"type": "audio", "transcript": "Hi"}, ContentPart("audio", "Hi")
NO_NAME = ErrorBody("t", "c", "m", "p", "")
HEARD = "conversation.item.input_audio_transcription"

CLIENT_FACTS: dict[str, tuple[dict[str, Any], facts.Fact]] = {
    "input_audio_buffer.append": ({"audio": AUDIO}, facts.InputAppended(4)),
    "input_audio_buffer.commit": ({"event_id": "e"}, facts.CommitAsked("e")),
    "input_audio_buffer.clear": ({"event_id": "e"}, facts.ClearAsked("e")),
    "output_audio_buffer.clear": ({"event_id": "e"}, facts.OutputClearAsked("e")),
    "conversation.item.create": (
        {"item": USER, "previous_item_id": "P", "event_id": "e"},
        facts.ItemAsked(ITEM, "P", "e", 0),
    ),
    "conversation.item.retrieve": ({"item_id": "I"}, facts.RetrieveAsked("I")),
    "conversation.item.truncate": (
        {"item_id": "I", "content_index": 1, "audio_end_ms": 70},
        facts.TruncateAsked("I", 1, 70),
    ),
    "conversation.item.delete": ({"item_id": "I"}, facts.DeleteAsked("I")),
    "response.create": (
        {"response": {"conversation": "none", "modalities": ["text"], "metadata": {"a": "b"}}},
        facts.ResponseAsked(True, None, ("text",), {"a": "b"}, ""),
    ),
    "response.cancel": ({"response_id": "R"}, facts.CancelAsked("R")),
}
SERVER_FACTS: dict[str, tuple[dict[str, Any], facts.Fact]] = {
    "error": ({"error": WRONG}, facts.ErrorSeen(ERROR)),
    "conversation.created": ({"conversation": {"id": "C"}}, facts.ConversationCreated("C")),
    "conversation.item.created": (
        {"item": USER, "previous_item_id": "P"}, facts.ItemAdded(ITEM, "P")),
    "conversation.item.added": (
        {"item": USER, "previous_item_id": "P"}, facts.ItemAdded(ITEM, "P")),
    "conversation.item.done": ({"item": USER, "previous_item_id": "P"}, facts.ItemDone(ITEM, "P")),
    "conversation.item.retrieved": ({"item": USER}, facts.ItemRetrieved(ITEM, 0)),
    "conversation.item.truncated": (
        {"item_id": "I", "content_index": 1, "audio_end_ms": 70},
        facts.ItemTruncated("I", 1, 70, None),
    ),
    "conversation.item.deleted": ({"item_id": "I"}, facts.ItemDeleted("I")),
    f"{HEARD}.delta": (
        {"item_id": "I", "content_index": 1, "delta": "x"}, facts.TranscriptionDelta("I", 1, "x")),
    f"{HEARD}.completed": (
        {"item_id": "I", "content_index": 1, "transcript": "x"},
        facts.TranscriptionCompleted("I", 1, "x", True, None),
    ),
    f"{HEARD}.failed": (
        {"item_id": "I", "content_index": 1, "error": {**WRONG, "event_id": None}},
        facts.TranscriptionFailed("I", 1, NO_NAME),
    ),
    f"{HEARD}.segment": (
        {"item_id": "I", "content_index": 1, "text": "x", "speaker": "A", "start": 0.5, "end": 1},
        facts.TranscriptionSegment("I", 1, "x", "A", 0.5, 1),
    ),
    "input_audio_buffer.committed": (
        {"item_id": "I", "previous_item_id": "P"}, facts.InputCommitted("I", "P")),
    "input_audio_buffer.cleared": ({}, facts.InputCleared()),
    "input_audio_buffer.speech_started": (
        {"item_id": "I", "audio_start_ms": 32}, facts.SpeechStarted("I", 32)),
    "input_audio_buffer.speech_stopped": (
        {"item_id": "I", "audio_end_ms": 64}, facts.SpeechStopped("I", 64)),
    "input_audio_buffer.timeout_triggered": (
        {"item_id": "I", "audio_start_ms": 32, "audio_end_ms": 64},
        facts.TimeoutTriggered("I", 32, 64),
    ),
    "input_audio_buffer.dtmf_event_received": (
        {"event": "9", "received_at": 1}, facts.DtmfReceived("9")),
    **{
        f"output_audio_buffer.{state}": ({"response_id": "R"}, facts.OutputBuffer("R", state))
        for state in ("started", "stopped", "cleared")
    },
    "rate_limits.updated": (
        {"rate_limits": [{"name": "tokens"}]}, facts.RateLimits(({"name": "tokens"},))),
    "response.output_item.added": (
        {"response_id": "R", "item": USER}, facts.OutputItemAdded("R", ITEM)),
    "response.output_item.done": (
        {"response_id": "R", "item": USER}, facts.OutputItemDone("R", ITEM)),
    "response.content_part.added": (
        {**PLACE, "part": PART}, facts.PartAdded("R", "I", 1, PART_FACT)),
    "response.content_part.done": ({**PLACE, "part": PART}, facts.PartDone("R", "I", 1, PART_FACT)),
    **{
        f"response.{name}.delta": ({**PLACE, "delta": "x"}, facts.TextDelta("R", "I", 1, "x"))
        for name in ("text", "output_text")
    },
    **{
        f"response.{name}.done": ({**PLACE, "text": "x"}, facts.TextDone("R", "I", 1, "x"))
        for name in ("text", "output_text")
    },
    **{
        f"response.{name}.delta": ({**PLACE, "delta": AUDIO}, facts.AudioDelta("R", "I", 1, 4))
        for name in ("audio", "output_audio")
    },
    **{
        f"response.{name}.done": (PLACE, facts.AudioDone("R", "I", 1))
        for name in ("audio", "output_audio")
    },
    **{
        f"response.{name}.delta": ({**PLACE, "delta": "x"}, facts.TranscriptDelta("R", "I", 1, "x"))
        for name in ("audio_transcript", "output_audio_transcript")
    },
    **{
        f"response.{name}.done": (
            {**PLACE, "transcript": "x"}, facts.TranscriptDone("R", "I", 1, "x"))
        for name in ("audio_transcript", "output_audio_transcript")
    },
    "response.function_call_arguments.delta": (
        {**PLACE, "call_id": "c", "delta": "{"}, facts.ArgumentsDelta("R", "I", "c", "{")),
    "response.function_call_arguments.done": (
        {**PLACE, "call_id": "c", "name": "f", "arguments": "{}"},
        facts.ArgumentsDone("R", "I", "c", "f", "{}"),
    ),
    "response.mcp_call_arguments.delta": (
        {**PLACE, "delta": "{"}, facts.ArgumentsDelta("R", "I", "", "{")),
    "response.mcp_call_arguments.done": (
        {**PLACE, "arguments": "{}"}, facts.ArgumentsDone("R", "I", "", "", "{}")),
    **{
        f"response.mcp_call.{state}": ({"item_id": "I"}, facts.McpCallState("I", state))
        for state in ("in_progress", "completed", "failed")
    },
    **{
        f"mcp_list_tools.{state}": ({"item_id": "I"}, facts.McpToolsState("I", state))
        for state in ("in_progress", "completed", "failed")
    },
}  # fmt: skip
WITH_OBJECTS = {
    "session.update": facts.SessionAsked,
    "transcription_session.update": facts.SessionAsked,
    "session.created": facts.SessionStated,
    "session.updated": facts.SessionStated,
    "transcription_session.created": facts.SessionStated,
    "transcription_session.updated": facts.SessionStated,
    "response.created": facts.ResponseCreated,
    "response.done": facts.ResponseDone,
}
"""Types whose object has many members: what those mean has tests of its own (`test_dialects`)."""

FOR_NOBODY = {
    facts.AudioDone: "says that no more audio comes; what came is known",
    facts.ConversationCreated: "an id that nothing refers to",
    facts.DtmfReceived: "a digit of the telephone: to be seen in `events`",
    facts.McpToolsState: "the tools stand in the item that follows",
    facts.RetrieveAsked: "asks for what was said already",
    facts.TranscriptionSegment: "who spoke; where its times count from is nowhere said",
    facts.Mark: "a free mark of the application: to be seen in `events`",
    facts.CloseSeen: "the recorder notes the close itself, with more",
    facts.PassedOn: "knowingly passed on",
}
"""Facts that no part of the analysis takes, and why."""


def stored(kind: str, body: dict[str, Any], origin: Origin = Origin.SERVER) -> Event:
    """The message as it is recorded."""
    part = wire.split(orjson.dumps({"type": kind, **body}))
    return Event(1, 0, origin, part.type, TEXT, part.head, part.meta, part.audio)


def test_the_lists_are_complete() -> None:
    """As many as the protocol counts: 11 and 46 in GA, 12 and 34 in beta."""
    counts = [len(set(kinds)) for kinds in (GA_CLIENT, GA_SERVER, BETA_CLIENT, BETA_SERVER)]
    assert counts == [11, 46, 12, 34]
    assert set(BETA_SERVER) - set(GA_SERVER) == {
        name for name in BETA_NAMES if not name.endswith((".created", "update"))
    }
    assert set(GA_SERVER) - set(BETA_SERVER) >= GA_NAMES


@pytest.mark.parametrize("kind", BETA_CLIENT)
def test_every_client_event_is_read(kind: str) -> None:
    """The smallest message of the type, and what it means."""
    if kind in WITH_OBJECTS:
        assert isinstance(decode(stored(kind, {}, Origin.CLIENT)), WITH_OBJECTS[kind])
    else:
        body, fact = CLIENT_FACTS[kind]
        found = decode(stored(kind, body, Origin.CLIENT))
        assert (type(found), found) == (type(fact), fact)


@pytest.mark.parametrize("kind", sorted({*GA_SERVER, *BETA_SERVER, *ONLY_IN_DOCUMENTS}))
def test_every_server_event_is_read(kind: str) -> None:
    """Under both names; the recorder's table holds nothing that is not in the protocol's."""
    if kind in WITH_OBJECTS:
        assert isinstance(decode(stored(kind, {})), WITH_OBJECTS[kind])
    else:
        body, fact = SERVER_FACTS[kind]
        found = decode(stored(kind, body))
        assert (type(found), found) == (type(fact), fact)


def test_nothing_is_in_the_table_that_is_not_in_the_protocol() -> None:
    """But for xAI's own name for a partial transcript."""
    assert set(TABLES[Origin.CLIENT]) == set(BETA_CLIENT)
    known = {*GA_SERVER, *BETA_SERVER, *ONLY_IN_DOCUMENTS}
    assert set(TABLES[Origin.SERVER]) - known == {f"{HEARD}.updated"}


@pytest.mark.parametrize("kind", [*OTHER_VOCABULARIES, "transport.connected"])
@pytest.mark.parametrize("origin", [Origin.CLIENT, Origin.SERVER])
def test_other_vocabularies_are_passed_on_with_a_reason(kind: str, origin: Origin) -> None:
    """Known, and deliberately without meaning: not counted as unknown."""
    assert decode(stored(kind, {}, origin)) == facts.PassedOn(kind)
    prefix = kind.partition(".")[0] + "."
    assert len(PASSED_ON.get(kind) or PASSED_ON_PREFIXES[prefix]) > 10


@pytest.mark.parametrize("kind", [*NEVER_SENT, "gateway.hello", "Response.Created"])
def test_everything_else_is_unknown_by_its_name(kind: str) -> None:
    """Names of a document's prose, of a gateway, in the wrong case."""
    assert decode(stored(kind, {})) == facts.Unknown(kind)


def test_every_meaning_is_used_or_knowingly_not() -> None:
    """No fact is decoded for nobody without a reason."""
    all_facts = {
        kind for name, kind in vars(facts).items()
        if isinstance(kind, type) and issubclass(kind, tuple) and kind.__module__ == facts.__name__
        and name != "Fact"
    }  # fmt: skip
    taken = set(Analyser().handlers)
    assert all_facts - taken - {facts.Unknown} == set(FOR_NOBODY) - taken
    assert all(len(reason) > 10 for reason in FOR_NOBODY.values())


def test_the_unknown_passes_through_everything_and_is_counted() -> None:
    """Every projection takes it, and none of them changes but for its counts."""
    talk = Talk().open().write(10, "Hi").answer(20, "R", "A", [(30, 500)], text="Hello.")
    odd = Talk().open().write(10, "Hi").answer(20, "R", "A", [(30, 500)], text="Hello.")
    for ms in (40, 50):
        odd.server(ms, "gateway.hello", response_id="R", delta="x")
        talk.server(ms, "ping")
    odd.client(60, "gateway.bye")
    talk.client(60, "ping")

    for name in set(PROJECTIONS) - {"summary"}:
        assert fold(PROJECTIONS[name](), odd.events) == fold(PROJECTIONS[name](), talk.events), name
    assert analyse(odd.source).summary.unknown == {"gateway.hello": 2, "gateway.bye": 1}
    assert analyse(talk.source).summary.unknown == {}


def test_the_unknown_can_be_looked_at(tmp_path: Path) -> None:
    """`show` counts it, `events` shows it as it came."""
    line = Line(script=Script(), name="odd", number=8)
    line.answers(answer(says("Hello."))).dial()
    line.says_itself('{"type":"gateway.hello","room":  7}').hang_up()
    recorder = Recorder(tmp_path / "odd.db")
    recorder.filled(
        lambda store: store.begin(line.recorder.session),
        lambda store: store.append([(line.recorder.session.id, line.log)]),
    )

    assert "gateway.hello" in recorder("show").stdout
    assert '"room":  7' in recorder("events", "--type", "gateway.hello", "--raw").stdout


@pytest.mark.parametrize("name", names())
def test_nothing_that_other_providers_say_is_unknown(name: str) -> None:
    """Azure, xAI and Voice Live, as they were captured: each event decodes to something."""
    kinds = Counter(type(decode(event)).__name__ for event in captured(name))
    assert kinds["Unknown"] == 0
    assert kinds["PassedOn"] == (kinds["PassedOn"] if name.startswith("xai") else 0)
