"""Events as other programs write them down: who, when, and the exact message."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.events import Origin
from recorder.importers import Damaged, Remark, Unreadable
from recorder.importers.sides import BY_TYPE
from recorder.wire import redacted
from tests.importing import (
    WALL_NS,
    imported,
    json_lines,
    messages,
    read_items,
    sessions,
    times_ms,
)

UPDATE, UPDATED = {"type": "session.update"}, {"type": "session.updated"}
PAIR = [("client", b'{"type":"session.update"}'), ("server", b'{"type":"session.updated"}')]


def remarks(found: list[Any]) -> str:
    return "\n".join(item.text for item in found if isinstance(item, Remark))


# ---- who


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("client", "server"),
        ("sent", "received"),
        ("send", "receive"),
        ("out", "in"),
        ("c2s", "s2c"),
        ("outgoing", "incoming"),
        ("client_to_server", "server-to-client"),
        ("C->S", "S->C"),
        ("TX", "RX"),
        (">", "<"),
    ],
)
@pytest.mark.parametrize("key", ["direction", "dir", "origin", "from", "source", "type"])
def test_directions_under_their_usual_names(client: str, server: str, key: str) -> None:
    """Whatever the member is called, and whatever the types of the messages are."""
    file = json_lines(
        {key: client, "data": {"type": "vendor.a"}},
        {key: server, "data": {"type": "vendor.b"}},
        {key: server, "data": {"type": "session.update"}},
        {key: client, "data": UPDATE},
        {key: server, "data": UPDATED},
    )
    assert [side for side, _ in messages(read_items(file))] == [
        "client", "server", "server", "client", "server",
    ]  # fmt: skip


def test_a_server_writes_them_the_other_way_round() -> None:
    """`received` is then what the client sent: the types tell, and it is said."""
    file = json_lines(
        {"direction": "received", "data": UPDATE}, {"direction": "sent", "data": UPDATED}
    )
    found = read_items(file)
    assert messages(found) == PAIR
    assert "as the server sees them" in remarks(found)


def test_names_that_mean_the_same_everywhere_are_not_turned_round() -> None:
    """Not even where every type contradicts them: the file has the word."""
    file = json_lines({"origin": "server", "data": UPDATE}, {"origin": "client", "data": UPDATED})
    assert [side for side, _ in messages(read_items(file))] == ["server", "client"]


@pytest.mark.parametrize("record", [{"fromClient": True}, {"from_server": False}])
def test_directions_as_truth_values(record: dict[str, bool]) -> None:
    """As proxies write them."""
    assert messages(read_items(json_lines(record | {"data": {"type": "a"}})))[0][0] == "client"


def test_directions_as_names_of_members() -> None:
    """`{"sent": {…}}`."""
    assert messages(read_items(json_lines({"sent": UPDATE}, {"recv": UPDATED}))) == PAIR


@pytest.mark.parametrize("kind", sorted(BY_TYPE))
def test_where_it_is_not_named_the_type_tells(kind: str) -> None:
    """For every type of the protocol, bare or wrapped."""
    found = messages(read_items(json_lines({"type": kind}, {"data": {"type": kind}})))
    assert [side for side, _ in found] == [BY_TYPE[kind].name.lower()] * 2


def test_what_nothing_tells_is_the_servers_and_said() -> None:
    """A type that nobody knows."""
    found = read_items(json_lines(UPDATE, {"type": "vendor.thing"}))
    assert [side for side, _ in messages(found)] == ["client", "server"]
    assert "nothing tells: 1 events" in remarks(found)


def test_the_types_are_known() -> None:
    """Both sides of the protocol, beta names and those of others."""
    assert BY_TYPE["input_audio_buffer.append"] == Origin.CLIENT
    assert BY_TYPE["response.audio.delta"] == Origin.SERVER
    assert BY_TYPE["transcription_session.update"] == Origin.CLIENT
    assert (BY_TYPE["ping"], BY_TYPE["pong"]) == (Origin.SERVER, Origin.CLIENT)


# ---- what


@pytest.mark.parametrize("key", ["event", "data", "message", "payload", "raw"])
@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"session.update","a":1}',
        b'{ "a" : 1e2, "type" : "session.update", "caf\xc3\xa9": "\\u00e9\\/" }',
        b'{"type":"session.update","direction":"sent","data":{"x":1}}',
    ],
)
def test_the_message_is_the_exact_slice_of_its_line(key: str, message: bytes) -> None:
    """As an object wherever it stands in the wrapper, and as a string."""
    name = key.encode()
    for line in (
        b'{"direction":"sent","%s":%s}' % (name, message),
        b'{"%s" : %s , "direction":"sent","z":{"%s":1}}' % (name, message, name),
        b'{"n":[1,"]}"],"%s":1,"direction":"sent","%s":%s}' % (name, name, message),
        b'{"direction":"sent","%s":%s}' % (name, orjson.dumps(message.decode())),
        b'{"t":1,"log":"x","data":{"direction":"sent","%s":%s}}' % (name, message),
        b"[" + b'{"direction":"sent","%s":%s}' % (name, message) + b"]",
    ):
        assert messages(read_items(line)) == [("client", message)]


def test_bare_events_are_their_lines() -> None:
    """With whatever else stands in them; a key that looks like a payload's is left alone."""
    one = b'{"type": "error", "message": "no", "event": "x"}'
    two = b'{"type":"response.done","data":{"type":"vendor"}}'
    assert [each for _, each in messages(read_items(one + b"\r\n" + two))] == [one, two]


def test_a_wrapper_may_repeat_the_type() -> None:
    """`{"type": "session.update", "data": {"type": "session.update", …}}`."""
    inner = b'{"type":"session.update","x":1}'
    for held in (inner, orjson.dumps(inner.decode())):
        line = b'{"type":"session.update","direction":"sent","data":%s}' % held
        assert messages(read_items(line)) == [("client", inner)]


def test_text_that_is_no_json_counts_where_a_side_is_named() -> None:
    """It passed, so it is recorded."""
    found = messages(
        read_items(json_lines({"dir": "in", "raw": "hello"}, {"raw": "hello"}, UPDATE))
    )
    assert found == [("server", b"hello"), PAIR[0]]


def test_what_is_no_event_is_skipped_and_counted() -> None:
    """Log lines, headers, numbers."""
    found = read_items(b'{"level":"info"}\n7\n' + json_lines(UPDATE, {"direction": "sent"}))
    assert messages(found) == PAIR[:1]
    assert "no event: 3, the first at line 1" in remarks(found)


def test_secrets_are_replaced() -> None:
    """As in what we record ourselves; keys that are known by their letters too."""
    file = json_lines({"type": "session.update", "api_key": "abc", "x": "my-own-secret"})
    taken = imported(file, secrets=("my-own-secret",))
    assert b"abc" not in taken.events[1].head
    assert b"my-own-secret" not in taken.events[1].head
    assert redacted(taken.events[1]) == ["api_key", "key"]


# ---- when


@pytest.mark.parametrize(
    ("key", "values", "wanted"),
    [
        ("t", [0, 0.02, 0.5], [0, 20, 500]),
        ("ts", [0.0, 12.5, 13.0, 13.02, 13.04, 13.06], [0, 12500, 13000, 13020, 13040, 13060]),
        ("time", [1760000000.25, 1760000000.5, 1760000001.000001], [0, 250, 750.001]),
        ("timestamp", [1760000000250, 1760000000500, 1760000001000], [0, 250, 750]),
        ("ts", [1760000000250000, 1760000000250100, 1760000001000000], [0, 0.1, 750]),
        ("ts", [1760000000250000000, 1760000000250000100, 1760000001000000000], [0, 0.0001, 750]),
        ("at", [5, 25, 505], [5, 25, 505]),
        ("at_ms", [5, 6, 7], [5, 6, 7]),
        ("t_ns", [0, 5, 10], [0, 0.000005, 0.00001]),
        ("timestampMs", [1760000000250, 1760000000500], [0, 250]),
        ("elapsed_us", [1000, 3500], [1, 3.5]),
        ("time", [123456.75, 123456.80, 123457.75], [0, 50, 1000]),
        ("at", ["2025-10-09T08:53:20Z", "2025-10-09T08:53:20.25Z",
                "2025-10-09T09:53:20.623456789+01:00"], [0, 250, 623.456789]),
        ("created_at", ["2025-10-09 08:53:20", "2025-10-09 08:53:21,5"], [0, 1500]),
        ("time", ["1760000000.5", "1760000001.5"], [0, 1000]),
    ],
)  # fmt: skip
def test_times_in_their_usual_forms(key: str, values: list[Any], wanted: list[float]) -> None:
    """By name, by magnitude, by their distances; read without rounding."""
    file = json_lines(*({"dir": "in", key: value, "data": UPDATED} for value in values))
    assert times_ms(read_items(file)) == wanted


def test_times_since_1970_date_the_session() -> None:
    """Others do not: then it is as old as the file says."""
    file = json_lines({"ts": 1700000000.5, "data": UPDATE}, {"ts": 1700000001, "data": UPDATED})
    assert sessions(read_items(file))[0].wall_ns == 1_700_000_000_500_000_000
    file = json_lines({"ts": 0.5, "data": UPDATE}, {"ts": 1, "data": UPDATED})
    assert sessions(read_items(file))[0].wall_ns == WALL_NS


def test_a_person_may_say_what_times_are_in() -> None:
    """Or that they are to be left alone."""
    file = json_lines(*({"t": value, "data": UPDATE} for value in (0, 20, 40)))
    assert times_ms(read_items(file, times="s")) == [0, 20_000, 40_000]
    assert times_ms(read_items(file)) == [0, 20, 40]
    assert times_ms(read_items(file, times="none")) == [0, 0, 0]
    with pytest.raises(Unreadable, match="no member"):
        read_items(json_lines(UPDATE), times="ms")


@pytest.mark.parametrize(
    "values",
    [
        [5, 3, 4, 2, 1],
        ["soon", "later"],
        [True, False],
        [None, None],
        [7] * 30,
        [1e400, "nan"],
        [1e300, 1e300, 1e300],
        ["9" * 40, "9" * 40],
        ["-1e25", "1e25"],
    ],
)
def test_what_does_not_go_forward_is_no_time(values: list[Any]) -> None:
    """The order is then all that is known, and it is said."""
    data = b"".join(
        b'{"time":%s,"data":{"type":"session.update"}}\n'
        % (b"1e300" if value == 1e400 else orjson.dumps(value))
        for value in values
    )
    found = read_items(data)
    assert times_ms(found) == [0] * len(values)
    assert "no times" in remarks(found)


def test_members_of_messages_are_not_times() -> None:
    """xAI's pings carry one; a file in which only they do has none."""
    file = json_lines(UPDATE, {"type": "ping", "timestamp": 1760000000250}, UPDATED, UPDATED)
    assert "no times" in remarks(read_items(file))


def test_times_out_of_order_are_lifted_and_counted() -> None:
    """The order of the file stays; records without a time stand at the last one's."""
    values: list[Any] = [*range(0, 200, 10), 195, 192, None, 300, 310]
    found = read_items(json_lines(*({"at_ms": v, "data": UPDATED} for v in values)))
    assert times_ms(found)[-5:] == [195, 195, 195, 300, 310]
    assert "out of order in time: 1 events" in remarks(found)
    assert "without a time of their own: 1 events" in remarks(found)


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=20), st.sampled_from(["ns", "us", "ms"])
)
def test_units_in_names_are_exact(steps: list[int], unit: str) -> None:
    """Every integer, to the nanosecond."""
    length = {"ns": 1, "us": 1000, "ms": 1_000_000}[unit]
    moments = [sum(steps[: row + 1]) for row in range(len(steps))]
    found = read_items(json_lines(*({f"t_{unit}": m, "data": UPDATE} for m in moments)))
    zero = 0 if moments[0] * length < 60 * 10**9 else moments[0]
    assert [round(ms * 1e6) for ms in times_ms(found)][:1] == [(moments[0] - zero) * length]
    taken = [item for item in found if getattr(item, "origin", None) == Origin.CLIENT]
    assert [item.at_ns for item in taken] == [(m - zero) * length for m in moments]  # type: ignore[union-attr]


# ---- the session, and files that break off


def test_the_session_says_where_it_is_from() -> None:
    """Vantage, source, times; its first event says so too, and carries the tags."""
    taken = imported(json_lines(UPDATE), name="a.jsonl", tags=("x",), call="c", model="m")
    facts = taken.report.taken[0].session
    assert (facts.vantage, facts.call, facts.model) == ("imported", "c", "m")
    assert facts.labels == {
        "imported_from": "a.jsonl", "format": "events", "times": "none", "text": "parsed",
    }  # fmt: skip
    opened = orjson.loads(taken.events[0].head)
    assert (opened["type"], opened["times"], opened["tags"]) == ("recorder.opened", "none", ["x"])
    assert [event.type for event in taken.events[1:]] == ["session.update"]


def test_text_that_stood_as_text_is_exact() -> None:
    """The label tells which files hold what passed, and which may have been written anew."""
    found = read_items(json_lines({"dir": "out", "raw": '{"type":"session.update"}'}))
    assert sessions(found)[0].labels["text"] == "exact"


@pytest.mark.parametrize(
    ("end", "line", "byte", "told"),
    [
        (b'{"type":"sess', 2, 39, "no JSON"),
        (b'{"type":"a"}}', 2, 38, "no JSON"),
        (b"\x00\x00\x00", 2, 26, "no JSON"),
        (b'{"type":"\xff"}', 2, 26, "UTF-8"),
        (b'{"type":NaN}', 2, 34, "no JSON"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 2, 1055, "no JSON"),
    ],
)
def test_damaged_lines_end_the_import(end: bytes, line: int, byte: int, told: str) -> None:
    """What stood before is there, with a note of where it broke off."""
    taken = imported(json_lines(UPDATE) + end + b"\n" + json_lines(UPDATED))
    damage = taken.report.damage
    assert damage is not None
    assert (damage.line, damage.byte) == (line, byte)
    assert told in str(damage)
    assert [event.type for event in taken.events] == [
        "recorder.opened", "session.update", "recorder.note",
    ]  # fmt: skip
    assert "damaged at line 2" in taken.events[-1].head.decode()


def test_damage_far_into_a_file() -> None:
    """Behind the records by which it was understood."""
    many = json_lines(UPDATE) * 1000
    taken = imported(many + b"{")
    assert len(taken.events) == 1002
    assert taken.report.damage is not None
    assert taken.report.damage.line == 1001


@pytest.mark.parametrize(
    "end", [b",", b"", b"] x", b"],", b'{"type":"session.updated"}]']
)  # fmt: skip
def test_damaged_arrays(end: bytes) -> None:
    """The same, by byte."""
    taken = imported(b'[{"type":"session.update"}' + end)
    assert taken.report.damage is not None
    assert taken.report.damage.line is None
    assert len(taken.events) == 3


@pytest.mark.parametrize(
    ("file", "error"),
    [
        (b"[]", Unreadable),
        (b'{"a":1}\n', Unreadable),
        (b"[1,2]", Unreadable),
        (b'{"type":', Damaged),
        (b"[" * 10_000, Damaged),
    ],
)
def test_files_without_any_event(file: bytes, error: type[UsageError]) -> None:
    """Nothing is begun."""
    with pytest.raises(error):
        read_items(file)


def test_arrays_over_many_lines() -> None:
    """Pretty-printed, with a mark of byte order before them."""
    text = orjson.dumps([UPDATE, {"dir": "in", "data": UPDATED}], option=orjson.OPT_INDENT_2)
    found = messages(read_items(b"\xef\xbb\xbf" + text, 7))
    assert [(side, orjson.loads(each)) for side, each in found] == [
        ("client", UPDATE), ("server", UPDATED),
    ]  # fmt: skip


@given(st.binary(max_size=40), st.integers(0, 60))
def test_any_bytes_are_read_or_refused(junk: bytes, at: int) -> None:
    """Never a traceback."""
    file = json_lines({"t": 1, "dir": "in", "data": UPDATED}, UPDATE)
    try:
        events = imported(file[:at] + junk + file[at:]).events
    except UsageError:
        events = []
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
