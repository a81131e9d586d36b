"""Cassettes: what of a call is in one, that it plays, what is not in it, and how it is read."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import wire
from recorder.errors import UsageError
from recorder.events import NO_FRAME, TEXT, Event, Origin, Session
from recorder.exporters import jsonl
from recorder.mocking.cassettes import from_file
from recorder.pinning import Pinned, Turns, pin, read, read_turns, rehearse, sealed
from recorder.pinning.sidecars import Joiner, Splitter
from recorder.pinning.starter import starter
from recorder.pinning.trimming import trimmed
from recorder.pinning.writing import checked_name, put, remove_stale
from recorder.projections.analysis import Analysis, analyse
from recorder.store import MemoryStore
from tests import log_kit, talks
from tests.building import Talk, tone
from tests.golden import formats, interruptions, tools, trouble, turns  # noqa: F401
from tests.golden.kit import SESSIONS, played
from tests.test_replaying import acts, conversation, replayed

APPEND = "input_audio_buffer.append"


def pinned(talk: Talk, chosen: Turns | None = None, **how: Any) -> Pinned:
    """The cassette of a call that was made up."""
    return pin(
        log_kit.session(1), talk.source, analyse(talk.source), name="call", turns=chosen, **how
    )


def two_turns() -> Talk:
    """Speech that is answered, an item of the application, and speech again; 20 ms chunks."""
    talk = Talk().open(0)
    talk.mic(0, 3000, speech=[(500, 1000), (2000, 2500)])
    talk.heard(1250, "U1", start=500, end=1000).transcript(1300, "U1", "What are your hours?")
    talk.answer(1310, "R1", "A1", [(1400, 300)], text="Nine to five.", done=1450)
    talk.client(20, "session.update", event_id="ev_up", session={"instructions": "be brief"})
    talk.server(30, "session.updated", session={"instructions": "be brief"})
    talk.heard(2750, "U2", start=2000, end=2500, previous="A1").transcript(
        2900, "U2", "And Sunday?"
    )
    talk.answer(2800, "R2", "A2", [(2950, 300)], text="Closed.", done=3100)
    return talk.close(3200)


def types(events: list[Event]) -> list[str]:
    """The types, without appended audio and without our own remarks."""
    return [e.type for e in events if e.type != APPEND and e.origin != Origin.RECORDER]


def bodies(events: list[Event], kind: str) -> list[dict[str, Any]]:
    """The messages of a type."""
    return [orjson.loads(e.head) for e in events if e.type == kind]


def spoken(events: list[Event]) -> bytes:
    """All that was appended."""
    return b"".join(e.audio or b"" for e in events if e.type == APPEND)


# ---- what is in it


def test_a_whole_call_is_in_it_as_it_passed() -> None:
    """Every message byte for byte, but for short pieces of audio, which are put together."""
    talk = two_turns()
    found = pinned(talk)

    def messages(events: list[Event]) -> list[bytes]:
        return [wire.join(e) for e in events if e.opcode == TEXT and e.type != APPEND]

    assert messages(found.events) == messages(talk.events)
    assert spoken(found.events) == spoken(talk.events)
    assert [e.seq for e in found.events] == list(range(1, len(found.events) + 1))
    sizes = [wire.audio_bytes(e) for e in found.events if e.type == APPEND]
    assert max(s for s in sizes if s) == 4800  # 100 ms
    assert len(sizes) < 40  # of 150


def test_chosen_turns_stand_behind_their_history() -> None:
    """How it began, what was configured, what was said as items, and then the turn alone."""
    found = pinned(two_turns(), Turns(2, 2))

    assert types(found.events)[:9] == [
        "session.created",
        "session.update",
        "session.updated",
        "conversation.item.create",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.create",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert [body["item"] for body in bodies(found.events, "conversation.item.create")] == [
        {"id": "U1", "type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "What are your hours?"}]},
        {"id": "A1", "type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Nine to five."}]},
    ]  # fmt: skip
    assert found.history == 2
    rest = types(found.events)[9:]
    assert rest[0] == "input_audio_buffer.speech_started"
    assert rest.count("response.done") == 1
    assert [b["item_id"] for b in bodies(found.events, "input_audio_buffer.committed")] == ["U2"]
    assert found.session.labels["turns"] == "2"


def test_positions_count_from_the_first_sample_that_is_in_it() -> None:
    """The user's audio begins half a second before he speaks; what is said of it moves along."""
    found = pinned(two_turns(), Turns(2, 2))

    (started,) = bodies(found.events, "input_audio_buffer.speech_started")
    (stopped,) = bodies(found.events, "input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] - started["audio_start_ms"] == 500
    assert 400 <= started["audio_start_ms"] <= 520
    heard = analyse(lambda audio: found.events)
    (utterance,) = heard.speech.utterances
    assert utterance.end_ns - utterance.start_ns == pytest.approx(500e6, abs=30e6)


def test_a_tool_of_the_history() -> None:
    """Its call and its output are items too, with the id that ties them."""
    talk = Talk().open(0, vad=None)
    talk.write(100, "how many?", "W1").created(110, "R1").calls(150, "R1", "F1", "call_1")
    talk.done(160, "R1").output(300, "call_1", "42")
    body = {"type": "function_call_output", "id": "O1", "call_id": "call_1", "output": "42"}
    talk.server(301, "conversation.item.added", item=body).created(310, "R2")
    talk.part_of(311, "R2", "A2").done(320, "R2")
    talk.write(900, "thanks", "W2").answer(910, "R3", "A3", [(950, 100)], text="Bye.")
    found = pinned(talk.close(1200), Turns(2, 2))

    items = [each["item"] for each in bodies(found.events, "conversation.item.create")]
    assert [each["type"] for each in items][:3] == [
        "message", "function_call", "function_call_output",
    ]  # fmt: skip
    assert items[1]["call_id"] == items[2]["call_id"] == "call_1"
    assert (items[1]["arguments"], items[2]["output"]) == ('{"a":1}', "42")
    assert rehearse(found.events).sound


def test_beta_history_is_spoken_in_beta() -> None:
    """One `created` an item, and the assistant's words as `text`."""
    (line,) = played("beta_vad_turn")
    events = line.log
    analysis = analyse(lambda audio: events)
    talk_on = _again(events, analysis)
    found = pin(log_kit.session(1), lambda audio: talk_on, analyse(lambda audio: talk_on),
                name="x", turns=Turns(2, 2))  # fmt: skip
    assert "conversation.item.added" not in types(found.events)
    said = [
        b["item"]["content"][0]["type"] for b in bodies(found.events, "conversation.item.create")
    ]
    assert said[:2] == ["input_text", "text"]


def _again(events: list[Event], analysis: Analysis) -> list[Event]:
    """The call, and a written turn after it."""
    kept = [e for e in events if e.origin != Origin.RECORDER or e.type != "recorder.closed"]
    last = kept[-1]
    item = {"id": "item_w", "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "bye"}]}  # fmt: skip
    more = [
        (Origin.CLIENT, {"type": "conversation.item.create", "item": item}),
        (Origin.CLIENT, {"type": "response.create"}),
        (Origin.SERVER, {"type": "conversation.item.created", "item": item}),
        (Origin.SERVER, {"type": "response.created", "response": {"id": "rw"}}),
        (Origin.SERVER, {"type": "response.done", "response": {"id": "rw"}}),
    ]  # fmt: skip
    for row, (origin, body) in enumerate(more, 1):
        part = wire.split(orjson.dumps(body))
        kept.append(Event(last.seq + row, last.at_ns + row, origin, part.type, TEXT, *part[1:]))
    assert analysis.turns
    return kept


def awkward() -> Talk:
    """A turn by hand that begins while the answer before it still comes: its audio and its commit
    lie among events of the turn before; and things happen that belong to no turn."""
    talk = Talk().open(0, vad=None)
    talk.write(100, "one", "W1").answer(
        110, "R1", "A1", [(200, 50), (450, 50)], text="Yes.", done=610
    )
    talk.client(150, "x.early")
    talk.append(300, tone(100)).append(400, tone(100)).client(420, "input_audio_buffer.commit")
    talk.committed(460, "U2").client(620, "response.create")
    talk.answer(630, "R2", "A2", [(650, 300)], text="No.", done=700, status="cancelled",
                reason="client_cancelled")  # fmt: skip
    talk.client(640, "conversation.item.delete", item_id="W1")
    talk.server(645, "conversation.item.deleted", item_id="W1").client(655, "x.unknown")
    talk.client(660, "response.cancel").server(665, "x.noise")
    talk.write(690, "three", "W3").append(750, tone(100)).client(760, "x.later").created(
        810, "R3"
    ).done(830, "R3")
    return talk.close(900)


def test_a_turn_whose_beginning_lies_in_the_turn_before() -> None:
    """Its audio and its commit are in it, and so is all that lies between; no more."""
    found = pinned(awkward(), Turns(2, 2))

    own = [e for e in found.events if e.origin != Origin.RECORDER]
    assert [e.type for e in own] == [
        "session.created",
        *["conversation.item.create", "conversation.item.added", "conversation.item.done"] * 2,
        APPEND, APPEND,
        "input_audio_buffer.commit",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "response.create",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "conversation.item.delete",
        "conversation.item.deleted",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "x.unknown",
        "response.cancel",
        "x.noise",
        "response.done",
    ]  # fmt: skip
    at = [e.at_ns // 1_000_000 for e in own[7:]]
    begin = own[0].at_ns // 1_000_000
    recorded = [300, 400, 420, 460, 460, 620, 630, 631, 631, 640, 645, 650, 650, 655, 660, 665, 700]
    assert at == [ms - 300 + begin for ms in recorded]


def test_turns_from_the_first_on_end_where_they_end() -> None:
    """Nothing of the turns after them, and the audio for those neither; times as they were."""
    found = pinned(awkward(), Turns(1, 2))

    assert [b["response"]["id"] for b in bodies(found.events, "response.done")] == ["R1", "R2"]
    assert len(spoken(found.events)) == 2 * 4800
    before = [e for e in awkward().events if e.at_ns <= 700_000_000 and b"W3" not in e.head]
    sent = [[(e.type, e.at_ns) for e in each if e.origin == Origin.SERVER]
            for each in (found.events, before)]  # fmt: skip
    assert sent[0] == sent[1]
    assert found.history == 0


def test_what_was_deleted_or_cut_before_is_not_history() -> None:
    """An item that is gone is gone, and of a truncated one what the server says is left."""
    talk = Talk().open(0, vad=None)
    talk.write(100, "one", "W1").answer(110, "R1", "A1", [(200, 500)], text="A long story.")
    cut = {"item_id": "A1", "content_index": 0, "audio_end_ms": 100}
    talk.client(300, "conversation.item.truncate", **cut)
    talk.server(310, "conversation.item.truncated", **cut, transcript="A long")
    talk.client(320, "conversation.item.delete", item_id="W1")
    talk.server(330, "conversation.item.deleted", item_id="W1")
    talk.write(800, "two", "W2").created(810, "R2").done(830, "R2")
    found = pinned(talk, Turns(2, 2))

    items = [body["item"] for body in bodies(found.events, "conversation.item.create")]
    assert [item["content"][0]["text"] for item in items] == ["A long", "two"]


def ranges(count: int) -> list[Turns | None]:
    """All turns that can be chosen of so many, and the whole."""
    spans = [Turns(a, b) for a in range(1, count + 1) for b in range(a, count + 1)]
    return [None, *spans]


@pytest.mark.parametrize("name", SESSIONS)
def test_every_range_of_every_golden_call_plays(name: str) -> None:
    """To its own caller, with and without waiting; and nothing of another turn is in it."""
    for line in played(name):
        analysis = analyse(lambda audio, line=line: line.log)
        for chosen in ranges(len(analysis.turns)):
            found = pin(log_kit.session(1), lambda audio, line=line: line.log, analysis,
                        name="x", turns=chosen)  # fmt: skip
            assert rehearse(found.events).sound, chosen
            assert replayed(found.events)[0].outcome().sound, chosen
            assert all(a.at_ns <= b.at_ns for a, b in pairwise(found.events))
            if chosen is not None:
                kept = analysis.turns[chosen.first - 1 : chosen.last]
                others = {r for t in analysis.turns if t not in kept for r in t.responses}
                told = {b["response"]["id"] for b in bodies(found.events, "response.created")
                        if "id" in b.get("response", {})}  # fmt: skip
                assert not told & others


@given(acts)
def test_every_range_of_generated_calls_plays(acts: list[tuple[str, int]]) -> None:
    """Written, spoken, committed by hand, cancelled, and whatever lies between."""
    events = conversation(acts)
    analysis = analyse(lambda audio: events, detect=False)
    for chosen in ranges(len(analysis.turns)):
        found = pin(log_kit.session(1), lambda audio: events, analysis, name="x", turns=chosen)
        assert rehearse(found.events).sound, chosen


def test_barge_in_at_the_border() -> None:
    """The end of an interrupted answer goes with its turn, what interrupted it with the next."""
    talk = Talk().open(0)
    talk.mic(0, 4000, speech=[(500, 1000), (2000, 2500)])
    talk.heard(1250, "U1", start=500, end=1000).transcript(1300, "U1", "one")
    talk.answer(1310, "R1", "A1", [(1400, 800), (1500, 800)], text="a long story", done=2300,
                status="cancelled", reason="turn_detected")  # fmt: skip
    talk.heard(2750, "U2", start=2000, end=2500, began=2200, previous="A1")
    talk.client(2210, "conversation.item.truncate", item_id="A1", content_index=0, audio_end_ms=800)
    talk.server(
        2310, "conversation.item.truncated", item_id="A1", content_index=0, audio_end_ms=800
    )
    talk.answer(2800, "R2", "A2", [(2950, 300)], text="Yes?", done=3100)

    first, second = pinned(talk, Turns(1, 1)), pinned(talk, Turns(2, 2))

    assert [b["response"]["status"] for b in bodies(first.events, "response.done")] == ["cancelled"]
    assert "conversation.item.truncated" in types(first.events)
    assert not bodies(first.events, "input_audio_buffer.committed")[1:]
    assert [b["response"]["id"] for b in bodies(second.events, "response.done")] == ["R2"]
    assert "conversation.item.truncated" not in types(second.events)
    assert [b["item_id"] for b in bodies(second.events, "input_audio_buffer.committed")] == ["U2"]
    assert rehearse(first.events).sound
    assert rehearse(second.events).sound


@pytest.mark.parametrize(
    ("written", "means"),
    [("2", Turns(2, 2)), ("2-3", Turns(2, 3)), ("2-", Turns(2, 4)), (" 1-4 ", Turns(1, 4))],
)
def test_turns_are_read(written: str, means: Turns) -> None:
    """One, a range, and from one on."""
    assert read_turns(written, 4) == means


@pytest.mark.parametrize(
    ("written", "count", "says"),
    [
        ("0", 4, "expected a turn or a range"), ("-3", 4, "expected"), ("a", 4, "expected"),
        ("3-2", 4, "3 comes after 2"), ("5", 4, "turns 1 to 4"), ("3-9", 4, "turns 1 to 4"),
        ("9-", 4, "9 comes after 4"), ("1", 0, "no turns"), ("1,3", 4, "expected"),
        ("99999999999", 4, "expected"),
    ],
)  # fmt: skip
def test_turns_that_are_not_there(written: str, count: int, says: str) -> None:
    """It is said what was wrong."""
    with pytest.raises(UsageError, match=says):
        read_turns(written, count)


# ---- audio


def test_cut_audio_leaves_its_length_and_says_so() -> None:
    """No file of sound, a tombstone for each piece, and silence of the same length is played."""
    talk = two_turns()
    whole, cut = pinned(talk), pinned(talk, audio="cut")

    assert list(cut.files) == ["call.jsonl"]
    assert cut.session.labels["audio"] == "cut"
    assert not any(event.audio for event in cut.events)
    stones = [wire.tombstone(e) for e in cut.events if wire.audio_bytes(e)]
    assert stones
    assert all(stone == {"reason": "cut"} for stone in stones)
    sizes = [[wire.audio_bytes(e) for e in each.events] for each in (whole, cut)]
    assert sizes[0] == sizes[1]
    assert rehearse(cut.events).sound
    assert len(cut.files["call.jsonl"]) < 40_000


def test_a_session_without_audio_says_so() -> None:
    """Nothing was cut where there was nothing."""
    talk = Talk().open(0, vad=None).write(10, "hi", "W1").created(20, "R").done(30, "R")
    assert pinned(talk).session.labels["audio"] == "none"


def event_of(audio: bytes, seq: int = 1, origin: Origin = Origin.CLIENT) -> Event:
    """An event that carries this audio."""
    if origin == Origin.CLIENT:
        body = {"type": APPEND, "audio": base64.b64encode(audio).decode()}
    else:
        body = {"type": "response.output_audio.delta", "delta": base64.b64encode(audio).decode()}
    part = wire.split(orjson.dumps(body))
    return Event(seq, 0, origin, part.type, TEXT, part.head, part.meta, part.audio)


def asking(form: dict[str, Any]) -> Event:
    """A `session.update` that sets the format of what the user says."""
    session = {"type": "realtime", "audio": {"input": {"format": form}}}
    part = wire.split(orjson.dumps({"type": "session.update", "session": session}))
    return Event(1, 0, Origin.CLIENT, part.type, TEXT, part.head, part.meta, part.audio)


forms = st.sampled_from(
    [
        {"type": "audio/pcm", "rate": 24_000},
        {"type": "audio/pcm", "rate": 16_000},
        {"type": "audio/pcm", "rate": 768_000},
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
    ]
)


@given(st.lists(st.tuples(forms, st.binary(max_size=64)), max_size=6))
def test_every_byte_of_sound_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[dict[str, Any], bytes]]
) -> None:
    """Odd bytes, the second zero of a codec, formats that change in mid-session."""
    events = [e for form, data in pieces for e in (asking(form), event_of(data))]
    splitter = Splitter()
    lean = [splitter.split(event) for event in events]
    folder = tmp_path_factory.mktemp("sound")
    files = {}
    for side, sidecar in splitter.sidecars().items():
        (folder / f"x.{side}.flac").write_bytes(sidecar.data)
        files[side] = f"x.{side}.flac {sidecar.told}"
    joiner = Joiner(folder, files)
    assert [wire.join(joiner.joined(event)) for event in lean] == [wire.join(e) for e in events]


def test_both_sides_lie_in_files_of_their_own(tmp_path: Path) -> None:
    """FLAC, far smaller than the text would be, and the cassette itself stays readable."""
    found = pinned(two_turns())
    put(tmp_path, found.files)

    assert sorted(found.files) == ["call.assistant.flac", "call.jsonl", "call.user.flac"]
    assert list(found.files)[-1] == "call.jsonl"
    lines = found.files["call.jsonl"].splitlines()
    assert max(map(len, lines)) < 1000
    assert list(read(tmp_path / "call.jsonl")) == [found.session, *found.events]
    (tape,) = from_file(tmp_path / "call.jsonl")
    assert spoken(list(tape.events())) == spoken(found.events)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "LFS"),
        (lambda path: path.write_bytes(path.with_name("call.assistant.flac").read_bytes()),
         "is not the sound that was pinned"),
    ],
)  # fmt: skip
def test_sound_that_is_not_the_cassettes_own(tmp_path: Path, harm: Any, says: str) -> None:
    """It is refused by its name, and not played as silence."""
    put(tmp_path, pinned(two_turns()).files)
    harm(tmp_path / "call.user.flac")
    with pytest.raises(UsageError, match=says) as error:
        list(read(tmp_path / "call.jsonl"))
    assert "call.user.flac" in str(error.value)


@pytest.mark.parametrize(
    "told",
    [
        "../x.flac pcm16 24000 sha256:0", "/etc/passwd pcm16 24000 sha256:0", "x.flac",
        ".x pcm16 24000 sha256:0", "x.flac mp3 24000 sha256:0", "",
    ],
)  # fmt: skip
def test_a_cassette_names_only_files_beside_it(tmp_path: Path, told: str) -> None:
    """Whatever somebody wrote into one, no other file is opened."""
    with pytest.raises(UsageError, match="names no sound beside"):
        Joiner(tmp_path, {"user": told})


def test_pieces_of_audio_that_are_put_together() -> None:
    """Only neighbours, only up to 100 ms, at the time of the last; the rest stays as it is."""
    talk = Talk().open(0)
    for ms in range(20, 161, 20):
        talk.append(ms, tone(20))
    talk.server(165, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="U")
    talk.append(180, tone(20)).append(400, tone(200))
    events = list(trimmed(talk.events, cut=False))
    appended = [(e.at_ns // 1_000_000, wire.audio_bytes(e)) for e in events if e.type == APPEND]
    assert appended == [(100, 4800), (160, 2880), (180, 960), (400, 9600)]


# ---- what is not in it

PLANTED = {
    "header": "planted-header-value-1",
    "url": "planted-url-value-2",
    "error": "sk-proj-Planted3Key4Bearer5",
    "client secret": "ek_planted68af296e8e408191a1120ab6383263c2",
    "mcp": "planted-mcp-credential-6",
    "mcp url": "planted-url-password-7",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJlcGxhbnRlZA",
    "known": "not-shaped-like-a-key-8",
    "in the history": "sk-proj-Planted9History8Key7",
    "host": "gateway.planted.internal",
    "phone": "+49 30 planted",
    "set-cookie": "planted-cookie-10",
}


def leaky() -> tuple[Session, list[Event]]:
    """A log that nobody redacted: every kind of secret stands in it."""
    session = Session(
        id=log_kit.session(1).id, wall_ns=1, mono_ns=1, model="m", call=PLANTED["phone"],
        url=f"wss://{PLANTED['host']}/v1/realtime?api-key={PLANTED['url']}",
        headers=(("Authorization", f"Bearer {PLANTED['header']}"),),
        labels={"note": PLANTED["known"]},
    )  # fmt: skip
    talk = Talk()
    talk.note(0, "opened", url=session.url, call=session.call, tags=[PLANTED["phone"]])
    talk.note(1, "handshake", status=101, headers=[["Set-Cookie", PLANTED["set-cookie"]]])
    talk.note(2, "note", text=PLANTED["known"])
    server = f"https://u:{PLANTED['mcp url']}@mcp.test/"
    tool = {"type": "mcp", "server_url": server, "authorization": PLANTED["mcp"]}
    secret = {"value": PLANTED["client secret"], "expires_at": 1}
    created = {"id": "s", "model": "m", "tools": [tool], "client_secret": secret}
    talk.server(10, "session.created", session=created)
    talk.write(100, f"my key is {PLANTED['in the history']}", "W1")
    talk.created(110, "R1").done(120, "R1")
    talk.write(200, f"and {PLANTED['known']}", "W2")
    talk.server(205, "error", error={"code": "x", "message": f"bad key: {PLANTED['error']}"})
    talk.server(206, "error", error={"code": "x", "message": f"token {PLANTED['jwt']}"})
    talk.created(210, "R2").done(220, "R2")
    return session, talk.events


@pytest.mark.parametrize("chosen", [None, Turns(2, 2)])
def test_no_secret_is_in_it(chosen: Turns | None) -> None:
    """Planted in a log as no recorder writes it: neither in the lines nor in the facts."""
    session, events = leaky()
    found = pin(session, lambda audio: events, analyse(lambda audio: events), name="x",
                turns=chosen, secrets=(PLANTED["known"],))  # fmt: skip

    text = b"".join(found.files.values()).decode()
    for what, secret in PLANTED.items():
        assert secret not in text, what
    assert "[redacted:" in text
    assert "bad key" in text
    assert rehearse(found.events).sound


def test_sealing_what_is_sealed_changes_nothing() -> None:
    """So a cassette that is written holds nothing that would be redacted once more."""
    session, events = leaky()
    once = sealed(session, events, (PLANTED["known"],))
    assert sealed(*once, (PLANTED["known"],)) == once
    assert once[1] != events


# ---- files


def test_the_same_session_gives_the_same_bytes() -> None:
    """So a diff shows what has changed, and nothing else; other turns are another session."""
    one, two = pinned(two_turns()), pinned(two_turns())
    assert one.files == two.files
    part = pinned(two_turns(), Turns(1, 1))
    assert part.session.id != one.session.id
    assert re.fullmatch(r"[0-9a-f-]{36}", part.session.id)


def test_an_older_cassette_is_brought_up_to_date(tmp_path: Path) -> None:
    """Version 1 was a plain export: it plays, with the labels of today."""
    store = MemoryStore()
    talk = talks.spoken(store)
    events = list(store.read(talk.id))
    path = tmp_path / "old.jsonl"
    path.write_bytes(b"".join(jsonl.lines(talk.session, events)))

    session, *back = read(path)

    assert isinstance(session, Session)
    assert session.labels == {
        "cassette": "2", "pinned_from": talk.id, "turns": "all", "history": "0", "audio": "kept",
    }  # fmt: skip
    assert back == events


def header(**changes: Any) -> bytes:
    """A cassette of which the first line says something else."""
    data = pinned(two_turns(), audio="cut").files["call.jsonl"]
    first, _, rest = data.partition(b"\n")
    told = orjson.loads(first)
    told["session"]["labels"] |= changes.pop("labels", {})
    return orjson.dumps(told | changes) + b"\n" + rest


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (header(labels={"cassette": "3"}), "version 3, from a newer realtime-recorder.*update it"),
        (header(version=2), "a newer realtime-recorder wrote it"),
        (header(labels={"cassette": "two"}), "'two' is no version"),
        (header(labels={"history": "many"}), "history is 'many'"),
        (b"", "no session in it"),
        (b"{}\n", "line 1"),
        (b"\x00\x01", "line 1"),
    ],
)
def test_what_is_no_cassette_of_ours(tmp_path: Path, data: bytes, says: str) -> None:
    """A newer one, and anything else, is refused with the name of the file."""
    path = tmp_path / "strange.jsonl"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=says) as error:
        from_file(path)
    assert "strange.jsonl" in str(error.value)


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What stands in the way of one leaves all as they were, and nothing half beside them."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UsageError, match="b is a folder"):
        put(tmp_path, {"a": b"new", "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    put(tmp_path / "deep" / "er", {"a": b"1"})
    assert (tmp_path / "deep" / "er" / "a").stat().st_mode & 0o777 == 0o600


def test_sound_of_an_older_cassette_goes(tmp_path: Path) -> None:
    """Cut now, kept before: no sound is left lying about that nobody names."""
    put(tmp_path, pinned(two_turns()).files)
    cut = pinned(two_turns(), audio="cut").files
    put(tmp_path, cut)
    remove_stale(tmp_path, "call", cut)
    assert [p.name for p in tmp_path.iterdir()] == ["call.jsonl"]


@pytest.mark.parametrize("name", ["..", "a b", "-x", "ä", "a;rm", "x" * 101, "x."])
def test_names_are_checked(name: str) -> None:
    """A name that no file, module or shell minds."""
    with pytest.raises(UsageError):
        checked_name(Path("tests/cassettes") / name)


hostile = st.text(max_size=60) | st.sampled_from(['"', "'", "\\", "'\"", '"""', "\n", "\ud800"])


@given(st.lists(hostile, max_size=5))
def test_the_test_that_is_written_is_python(lines: list[str]) -> None:
    """Whatever was said in the session stands in it as a literal, and as nothing else."""
    source = starter("a-b.c", "a-b.c", "A call.", lines, history=True)

    assert source.isascii()
    space: dict[str, Any] = {}
    exec(compile(source, "test_x.py", "exec"), space)

    class Run:
        transcript = lines

    class Mock:
        run = Run

        def repeat_caller(self) -> None:
            """He said it."""

    space["test_a_b_c"](Mock())


def test_remarks_of_our_own_are_bare() -> None:
    """Of the recorder's own events only what a replay needs."""
    _, events = leaky()
    found = list(trimmed([e for e in events if e.opcode == NO_FRAME], cut=False))
    told = [orjson.loads(e.head) for e in found]
    assert told[0] == {"type": "recorder.opened"}
    assert told[1] == {"type": "recorder.handshake", "status": 101}


def test_a_gap_and_an_open_turn_are_said() -> None:
    """What the cassette cannot hold, and what a person should know of it."""
    talk = Talk().open(0).mic(0, 1500, speech=[(500, 1000)])
    talk.heard(1250, "U1", start=500, end=1000).created(1300, "R1")
    talk.note(1400, "gap", events=2, reason="x", count=2, bytes=10)
    notes = " ".join(pinned(talk).notes)
    assert "turn 1 is not over" in notes
    assert "gap" in notes


def test_speech_without_transcript_is_marked_in_the_history() -> None:
    """It is neither left out nor made up."""
    talk = two_turns()
    events = [e for e in talk.events if "transcription" not in e.type]
    analysis = analyse(lambda audio: events)
    found = pin(log_kit.session(1), lambda audio: events, analysis, name="x", turns=Turns(2, 2))
    (first, _) = bodies(found.events, "conversation.item.create")
    assert first["item"]["content"] == [
        {"type": "input_text", "text": "[speech without a transcript]"}
    ]
    assert any("without a transcript" in note for note in found.notes)
