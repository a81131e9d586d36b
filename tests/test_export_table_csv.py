"""Events as a table: exact figures, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import PING, Event, Origin
from recorder.exporters import Source
from recorder.exporters.table_csv import COLUMNS, cell, milliseconds
from recorder.wire import split, without_audio
from tests import talks
from tests.building import Talk
from tests.export_kit import of_events, sources, stored, written
from tests.log_kit import append_message, event


def rows(*what: Source) -> list[dict[str, str]]:
    """The table, read as programs read it."""
    text = written("csv", *what).decode()
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_columns() -> None:
    """Their names stand in the first line, also where nothing follows."""
    assert written("csv").decode() == ",".join(COLUMNS) + "\r\n"


def test_a_row_an_event() -> None:
    """Numbers, exact times, sizes on the wire, and the ids, wherever they stood."""
    talk = Talk().open(0).append(20.5, bytes(960)).committed(30, "U", "I")
    talk.created(40, "R").calls(50, "R", "F", "call_1").done(60, "R", "cancelled")
    talk.server(70, "error", error={"code": "bad", "message": "no"})
    found = rows(of_events(talk.events))
    assert [row["seq"] for row in found] == [str(n) for n in range(1, len(found) + 1)]
    append = found[1]
    assert (append["at_ms"], append["origin"], append["type"], append["opcode"]) == (
        "20.5", "client", "input_audio_buffer.append", "1",
    )  # fmt: skip
    assert (append["audio_bytes"], append["audio_ms"]) == ("960", "20")
    assert int(append["bytes"]) == len('{"type":"input_audio_buffer.append","audio":""}') + 1280
    committed = found[2]
    assert (committed["item_id"], committed["previous_item_id"]) == ("U", "I")
    assert committed["audio_ms"] == ""
    by_type = {row["type"]: row for row in found}
    assert by_type["response.created"]["response_id"] == "R"
    assert by_type["response.output_item.done"]["call_id"] == "call_1"
    assert by_type["response.done"]["status"] == "cancelled"
    assert by_type["error"]["code"] == "bad"


def test_audio_lasts_by_the_format_in_force() -> None:
    """8,000 bytes a second of µ-law, after the session said so, of its input alone."""
    talk = Talk().open(0)
    talk.client(10, "session.update", session={"input_audio_format": "g711_ulaw"})
    talk.append(20, bytes(160)).answer(30, "R", "A", [(40, 100)])
    told = {row["type"]: row["audio_ms"] for row in rows(of_events(talk.events))}
    assert told["input_audio_buffer.append"] == "20"
    assert told["response.output_audio.delta"] == "100"


def test_several_sessions_are_one_table() -> None:
    """One first line; each row names its session."""
    both = sources(stored(talks.texted, talks.refused))
    found = rows(*both)
    assert list(dict.fromkeys(row["session"] for row in found)) == [
        each.session.id for each in both
    ]


def test_what_is_missing_is_said() -> None:
    """Erased audio, redacted secrets; frames that are no messages have their opcode."""
    part = without_audio(split(append_message(bytes(960))), "erased")
    made = [
        Event(1, 0, Origin.CLIENT, part.type, 1, part.head, part.meta, None),
        Event(2, 0, Origin.SERVER, "x", 1, b'{"type":"x"}', '{"redacted":["key","value"]}'),
        Event(3, 0, Origin.SERVER, "", PING, b"\x00\x01"),
    ]
    one, two, three = rows(of_events(made))
    assert (one["missing"], one["audio_bytes"]) == ("erased", "960")
    assert two["redacted"] == "key; value"
    assert (three["opcode"], three["bytes"], three["type"]) == ("9", "2", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\uff1d", "%", "|"])
def test_no_cell_is_a_formula(start: str) -> None:
    """Whatever an id or a type says."""
    body = {"type": f"{start}cmd()", "event_id": f"{start}1+1", "item_id": f'{start}"x",y'}
    (row,) = rows(of_events([event(1, orjson.dumps(body))]))
    for name in ("type", "event_id", "item_id"):
        assert row[name][:1] not in ("=", "+", "-", "@", "\t", "\uff1d", "%", "|")
        assert row[name]


@given(st.text(max_size=20))
def test_a_cell_is_one_cell(text: str) -> None:
    """On one line, whatever is in it, and read back as it was, spaces and the mark apart."""
    made = cell(text)
    assert "\n" not in made
    assert "\r" not in made
    (row,) = csv.reader([f"{made},end"])
    clean = "".join(c if c.isprintable() else " " for c in text)
    assert row in ([clean, "end"], [f"'{clean}", "end"])


@pytest.mark.parametrize(
    ("ns", "told"), [(0, "0"), (1, "0.000001"), (1_500_000, "1.5"), (20_000_000, "20")]
)
def test_milliseconds(ns: int, told: str) -> None:
    """Exact, and no digit too many."""
    assert milliseconds(ns) == told
