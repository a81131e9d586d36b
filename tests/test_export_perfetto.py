"""A trace that Perfetto opens: the right things on the right tracks at the right times."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import orjson

from recorder.exporters import Source
from recorder.exporters.perfetto import NAMES
from tests import talks
from tests.building import Talk
from tests.export_kit import of_events, sources, stored, written

Line = dict[str, Any]


def trace(*what: Source) -> list[Line]:
    """The events of the trace, after they were held against the Trace Event Format."""
    document = orjson.loads(written("perfetto", *what))
    assert document["displayTimeUnit"] == "ms"
    for line in document["traceEvents"]:
        assert isinstance(line["name"], str)
        assert isinstance(line["pid"], int)
        assert isinstance(line["tid"], int)
        assert line["ph"] in "XiMsf"
        if line["ph"] != "M":
            assert line["ts"] >= 0
        if line["ph"] == "X":
            assert line["dur"] >= 0
        if line["ph"] == "i":
            assert line["s"] == "t"
        if line["ph"] == "f":
            assert line["bp"] == "e"
    events: list[Line] = document["traceEvents"]
    return events


def tracks(lines: list[Line]) -> dict[str, list[Line]]:
    """Slices and instants by the name of their thread."""
    names = {(each["pid"], each["tid"]): each["args"]["name"] for each in lines
             if each["name"] == "thread_name"}  # fmt: skip
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line["ph"] in "Xi":
            found[names[line["pid"], line["tid"]]].append(line)
    return found


def spoken() -> Talk:
    """A question of 1.5 s, an answer with a tool before it."""
    talk = Talk().open(0).mic(0, 3000, speech=[(500, 2000)])
    talk.heard(2250, "U", start=200, end=2200).transcript(2600, "U", "Where is it?")
    talk.created(2300, "R1").calls(2400, "R1", "F", "call_1").done(2410, "R1")
    talk.output(2700, "call_1", "here")
    return talk.answer(2750, "R2", "A", [(3000, 1000)], text="It is here.").close(9000)


def test_what_happened_when() -> None:
    """Microseconds since the session was opened, on a track for each kind of thing."""
    found = tracks(trace(of_events(spoken().events)))
    (speech,) = found["user speech"]
    assert (speech["name"], speech["ts"], speech["dur"]) == ("Where is it?", 500_000, 1_500_000)
    (heard,) = found["assistant heard"]
    assert (heard["name"], heard["ts"], heard["dur"]) == ("It is here.", 3_000_000, 1_000_000)
    (tool,) = found["tools"]
    assert (tool["name"], tool["ts"], tool["dur"]) == ("look_up", 2_400_000, 300_000)
    assert tool["args"]["output"] == "here"
    assert [(each["ts"], each["dur"]) for each in found["responses"]] == [
        (2_300_000, 110_000), (2_750_000, 251_000),
    ]  # fmt: skip
    (delta,) = found["assistant audio received"]
    assert delta["ts"] == 3_000_000
    (sent,) = found["user audio sent"]
    assert (sent["ts"], sent["dur"]) == (20_000, 2_980_000)
    assert [each["name"] for each in found["client events"]] == [
        "conversation.item.create", "response.create",
    ]  # fmt: skip


def test_the_waterfall_adds_up() -> None:
    """Its parts lie end to end, from the end of the speech to the first sample."""
    parts = tracks(trace(of_events(spoken().events)))["latency"]
    assert sum(part["dur"] for part in parts) == 1_000_000
    assert parts[0]["ts"] == 2_000_000
    assert parts[-1]["ts"] + parts[-1]["dur"] == 3_000_000


def test_everything_names_its_evidence() -> None:
    """Sequence numbers, in every slice and every instant."""
    talk = spoken()
    last = talk.events[-1].seq
    for line in trace(of_events(talk.events)):
        if line["ph"] in "Xi" and line["cat"] != "latency":
            args = line["args"]
            seqs = args.get("evidence") or [args["seq"]]
            assert all(1 <= seq <= last for seq in seqs)


def test_arrows_lead_from_the_question_to_the_answer() -> None:
    """Each from the beginning of one slice to that of another."""
    lines = trace(of_events(spoken().events))
    ends = {(each["tid"], each["ts"]) for each in lines if each["ph"] == "X"}
    arrows = defaultdict(list)
    for line in lines:
        if line["ph"] in "sf":
            assert (line["tid"], line["ts"]) in ends
            arrows[line["id"]].append((line["ph"], line["name"], line["ts"]))
    assert list(arrows.values()) == [
        [("s", "answered by", 500_000), ("f", "answered by", 2_300_000)],
        [("s", "played", 2_750_000), ("f", "played", 3_000_000)],
    ]


def test_slices_of_a_track_never_overlap() -> None:
    """Responses side by side get a track of the same name each."""
    talk = Talk().open(0)
    talk.created(100, "R1").created(200, "R2", conversation_id=None).created(300, "R3")
    talk.done(400, "R1").done(500, "R2").done(600, "R3").created(650, "R4").done(700, "R4")
    lines = trace(of_events(talk.events))
    ends: dict[int, float] = {}
    for line in lines:
        if line["ph"] == "X":
            assert line["ts"] >= ends.get(line["tid"], 0)
            ends[line["tid"]] = line["ts"] + line["dur"]
    assert {"responses", "responses (2)", "responses (3)"} <= set(tracks(lines))


def test_sessions_are_processes_on_one_clock() -> None:
    """The second was opened twenty seconds later; no two share a thread."""
    lines = trace(*sources(stored(talks.texted, talks.texted)))
    names = [each["args"]["name"] for each in lines if each["name"] == "process_name"]
    assert names == ["session 000001 gpt-realtime", "session 000002 gpt-realtime"]
    first = {line["pid"]: line["ts"] for line in reversed(lines) if line["ph"] == "i"}
    assert first == {1: 0, 2: 20_000_000}
    owners: dict[int, int] = {}
    for line in lines:
        if line["tid"]:
            assert owners.setdefault(line["tid"], line["pid"]) == line["pid"]


def test_threads_are_named() -> None:
    """By the table, and only those in which something is."""
    lines = trace(*sources(stored(talks.spoken)))
    names = {each["args"]["name"] for each in lines if each["name"] == "thread_name"}
    assert names <= set(NAMES)
    assert "tools" not in names


def test_an_empty_session() -> None:
    """Is a process without anything in it."""
    assert [line["name"] for line in trace(of_events([]))] == [
        "process_name", "process_sort_index",
    ]  # fmt: skip
