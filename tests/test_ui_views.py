"""What the list, the reports and the comparison say as JSON, held against the command line."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import SessionNotFound, UsageError
from recorder.selecting import STATUSES, TERMS
from recorder.sql.locating import locate
from recorder.sql.pages import SORTS, page_of
from recorder.sql.store import SqlStore
from recorder.sql.views import Views
from recorder.ui.listing import Asked, asked, language, listed
from recorder.ui.reports import BINS, Wanted, bins, nice, reported, wanted
from recorder.ui.shelf import AT_ONCE, BUDGET, LOOK, Shelf, chosen
from recorder.ui.side_by_side import Beside

from .cli_kit import Recorder
from .talks import MS, NOW, SECOND, Talk, process, refused, spoken, texted, unended

HOUR = 3600 * SECOND
LATER = NOW + 9 * HOUR
"""When it is asked."""

POINT = ("turns", "calls", "n", "mean", "p50", "p90", "p95", "p99", "max", "left_out")


def fill(store: SqlStore) -> None:
    """Two spoken calls of two turns (1,020 and 3,520 ms each), a text, and two that went wrong."""
    spoken(store, seed=1, tags=("new",), call="support-1")
    spoken(store, seed=2, wall_ns=NOW + HOUR, tags=("new", "|odd|"), model="grok-voice")
    texted(store, seed=3, wall_ns=NOW + 2 * HOUR)
    refused(store, seed=4, wall_ns=NOW + 3 * HOUR)
    unended(store, seed=5, wall_ns=NOW + 4 * HOUR)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """The command line on these five sessions; nothing here changes more than read models."""
    made = Recorder(tmp_path_factory.mktemp("ui") / "recorder.db")
    made.filled(fill)
    return made


@pytest.fixture(scope="module")
def shelf(recorder: Recorder) -> Iterator[Shelf]:
    """The same database, as a server has it."""
    store = SqlStore.open(locate(str(recorder.db), {}), create=False)
    yield Shelf(store)
    store.close()


def answer(shelf: Shelf, query: str = "", **want: Any) -> dict[str, Any]:
    """A page of the list."""
    return listed(shelf, LATER, Asked(query=query, **want))


def seeds(shelf: Shelf, query: str = "", **want: Any) -> str:
    """The last digits of the ids on a page, in order: the seeds of the sessions."""
    found = answer(shelf, query, **want)
    assert found["error"] is None
    return "".join(row["id"][-1] for row in found["sessions"])


# ---- the list


def test_a_row_of_the_list_is_that_of_ls(recorder: Recorder, shelf: Shelf) -> None:
    """What both have under a name is the same, for every session there is."""
    told = {row["id"]: row for row in json.loads(recorder("ls", "--json").stdout)}
    listed_rows = json.loads(orjson.dumps(answer(shelf)["sessions"]))
    assert len(listed_rows) == len(told) == 5
    for row in listed_rows:
        theirs = told[row["id"]]
        assert {name: row.get(name) for name in theirs if name != "opened"} == {
            name: value for name, value in theirs.items() if name != "opened"
        }


def test_the_newest_come_first_and_any_column_can(shelf: Shelf) -> None:
    """Falling and rising; what has no value comes last in both."""
    assert seeds(shelf) == "54321"
    assert seeds(shelf, sort="time") == "12345"
    assert seeds(shelf, sort="-turns") == "21354"
    assert seeds(shelf, sort="turns", query="turns>0") == "321"
    assert seeds(shelf, sort="model")[0] == "4"  # asked for gpt-realtime; the others were told more


def test_every_sort_gives_the_same_from_the_database_and_from_memory(
    recorder: Recorder, tmp_path: Path
) -> None:
    """A database that cannot be written is put in order by Python, to the same effect."""
    copy = tmp_path / "frozen.db"
    source = sqlite3.connect(recorder.db)
    source.execute("VACUUM INTO ?", (str(copy),))
    source.close()
    bare = sqlite3.connect(copy)
    for name in ("view_words_in", "view_words_out"):
        bare.execute(f"DROP TRIGGER IF EXISTS {name}")
    kinds = bare.execute("SELECT name FROM sqlite_master WHERE name LIKE 'view_%' AND type='table'")
    for (name,) in kinds.fetchall():
        if not name.startswith("view_words_"):
            bare.execute(f"DROP TABLE IF EXISTS {name}")
    bare.commit()
    bare.close()
    stored = SqlStore.open(locate(str(recorder.db), {}), create=False)
    frozen = SqlStore.open(locate(str(copy), {}), create=False)
    with Shelf(stored).opened(LATER) as one:
        two = Views(frozen, LATER)
        two._outlines.model._writable = False
        two.build()
        assert len(two.unstored) == 5
        for sort in [f"{sign}{name}" for name in SORTS for sign in ("", "-")]:
            for offset, limit in ((0, 9), (1, 2), (9, 3)):
                for query in ("", "text:sundays"):
                    mine = page_of(one, chosen(one, query), sort, offset, limit)
                    theirs = page_of(two, chosen(two, query), sort, offset, limit)
                    assert ([row.id for row in mine.rows], mine.total, mine.found) == (
                        [row.id for row in theirs.rows], theirs.total, theirs.found,
                    ), (sort, offset, query)  # fmt: skip
    stored.close()
    frozen.close()


def test_a_page_says_how_many_there_are_even_beyond_the_end(shelf: Shelf) -> None:
    """Of five sessions, two a page."""
    first = answer(shelf, limit=2)
    assert (first["total"], first["there"], len(first["sessions"])) == (5, 5, 2)
    assert seeds(shelf, limit=2, offset=4) == "1"
    beyond = answer(shelf, limit=2, offset=40)
    assert (beyond["total"], beyond["sessions"]) == (5, [])
    assert answer(shelf, "tag:new")["total"] == 2


def test_what_is_recorded_now_comes_first_and_says_how_far_it_is(database: Path) -> None:
    """A live session is on top of a list that begins with the smallest, and grows by itself."""
    store = SqlStore.open(locate(str(database), {}))
    spoken(store, seed=1)
    store.register(process("rec", LATER + HOUR))
    talk = Talk(store, seed=2, wall_ns=LATER - 2 * SECOND, recorder="rec").opened().created().kept()
    with_live = Shelf(store)
    first = answer(with_live, sort="time")["sessions"][0]
    assert (first["status"], first["last_seq"], first["duration_ns"]) == ("live", 3, 100 * MS)
    talk.server(1500, "rate_limits.updated").kept()
    again = answer(with_live, sort="time")["sessions"][0]
    assert (again["status"], again["last_seq"], again["duration_ns"]) == ("live", 4, 1500 * MS)
    store.close()


def test_a_text_that_is_searched_for_is_shown_where_it_stands(shelf: Shelf) -> None:
    """With the words before and after it on its line; a `*` reaches to the end of the word."""
    found = answer(shelf, "text:nine")["sessions"]
    assert [row["found"] for row in found] == [
        [{"before": "we are open from", "match": "nine", "after": "to five"}]
    ] * 2
    begun = answer(shelf, 'text:"on sund*" -tag:odd')["sessions"][0]["found"]
    assert begun == [{"before": "and", "match": "on sundays", "after": ""}]


def test_a_long_line_is_cut_between_words_around_what_was_found(database: Path) -> None:
    """Of a line of 400 words a little before and after, with an ellipsis where it was cut."""
    store = SqlStore.open(locate(str(database), {}))
    words = [f"word{n}" for n in range(400)]
    texted(store, " ".join([*words[:200], "needle", *words[200:]]), seed=1)
    [found] = answer(Shelf(store), "text:needle")["sessions"][0]["found"]
    assert found["match"] == "needle"
    before, after = found["before"].split(), found["after"].split()
    assert before[0] == after[-1] == "\u2026"
    assert before[1:] == words[200 - len(before) + 1 : 200]
    assert after[:-1] == words[200 : 200 + len(after) - 1]
    assert 8 < len(before) < 30
    store.close()


@pytest.mark.parametrize(
    ("query", "says", "place"),
    [
        ("tag:new since:soon", "'soon' is no time", "soon"),
        ("turns>many", "turns is a count", "turns>many"),
        ("v2v_audible>5", "is a length of time", "v2v_audible>5"),
        ('tag:new text:"open', "not closed", '"'),
        ("modl:gpt", "did you mean model?", None),
        ("ffffffff", "no session answers to", None),
    ],
)
def test_what_was_not_understood_is_told_with_its_place(
    shelf: Shelf, query: str, says: str, place: str | None
) -> None:
    """The parser's own words, without the copy of the query that it underlines on a terminal."""
    error = answer(shelf, query)["error"]
    assert says in error["message"]
    assert query not in error["message"].split("\n")[1:]
    begin, end = error["from"], error["to"]
    assert (None if begin is None else query[begin:end]) == place


def test_bare_words_that_name_nothing_may_have_been_meant_as_a_text(shelf: Shelf) -> None:
    """And only those: what looks like a term was meant as one."""
    assert answer(shelf, "opening hours")["error"]["instead"] == 'text:"opening hours"'
    assert "instead" not in answer(shelf, "modl:gpt")["error"]
    assert seeds(shelf, 'text:"opening hours"') == "21"


def test_a_query_that_is_still_typed_looks_for_no_id_of_the_server(shelf: Shelf) -> None:
    """To look for one may mean to read everything; entered, it is found."""
    assert answer(shelf, "req_000002", whole=False)["error"]
    assert seeds(shelf, "item_mine") == "3"


def test_parameters_that_cannot_be_meant_are_refused() -> None:
    """With the name of the parameter, and what was expected."""
    for parameters, says in (
        ({"sort": "-size"}, "sort='-size'"),
        ({"offset": "-1"}, "offset='-1'"),
        ({"limit": "501"}, "limit='501'"),
        ({"metric": "v2v"}, "no metric"),
        ({"metric": "v2v_audible", "ge": "nan"}, "ge='nan'"),
        ({"metric": "v2v_audible", "by": "moon"}, "by='moon'"),
        ({"metric": "v2v_audible", "per": "year"}, "per='year'"),
    ):
        with pytest.raises(UsageError, match=re.escape(says)):
            asked(parameters)


def test_the_language_of_the_search_box_is_that_of_the_parser(shelf: Shelf) -> None:
    """Every term, and the labels that there are, the most frequent first; nothing of shells."""
    told = language(shelf, LATER)
    assert [term["name"] for term in told["terms"]] == list(TERMS)
    assert told["values"]["tag"] == ["new", "|odd|"]
    assert told["values"]["status"] == list(STATUSES)
    assert "shell" not in told["rules"]
    assert "All that is named must hold." in told["rules"]
    for term in told["terms"]:
        assert answer(shelf, term["example"])["error"] is None


def test_many_new_sessions_are_read_bit_by_bit_the_newest_first(database: Path) -> None:
    """A request that has no time reads a few; the next one goes on, and in the end all are read."""
    store = SqlStore.open(locate(str(database), {}))
    count = AT_ONCE + 5
    for seed in range(count):
        texted(store, seed=seed, wall_ns=NOW + seed * SECOND)
    ticks = iter([0.0, 0.0, BUDGET, 1.0, 1.0, 1.0, 1.0])
    slow = Shelf(store, lambda: next(ticks))
    first = answer(slow)
    assert (first["unread"], first["total"]) == (5, AT_ONCE)
    assert first["sessions"][0]["opened_ns"] == NOW + (count - 1) * SECOND
    second = answer(slow)
    assert (second["unread"], second["total"]) == (0, count)
    store.close()


def test_it_is_not_looked_for_news_with_every_request(database: Path) -> None:
    """Within a second the read models are taken as they are; after it the new one is there."""
    store = SqlStore.open(locate(str(database), {}))
    texted(store, seed=1)
    clock = [0.0]
    steady = Shelf(store, lambda: clock[0])
    assert seeds(steady) == "1"
    texted(store, seed=2)
    clock[0] = LOOK / 2
    assert seeds(steady) == "1"
    steady.changed()
    assert seeds(steady) == "21"
    texted(store, seed=3)
    clock[0] = 2 * LOOK
    assert seeds(steady) == "321"
    store.close()


# ---- reports


@pytest.mark.parametrize("by", ["", "model", "tag", "day,model", "configuration"])
def test_a_report_is_that_of_the_command_line(recorder: Recorder, shelf: Shelf, by: str) -> None:
    """Every figure of every row, to the last bit."""
    theirs = json.loads(recorder("report", "--by", by, "--json").stdout)
    found = reported(shelf, LATER, wanted({"by": by}))
    assert json.loads(orjson.dumps(found["report"])) == theirs


def test_a_report_of_a_selection_and_a_metric_is_that_of_the_command_line(
    recorder: Recorder, shelf: Shelf
) -> None:
    """The words and the names are understood alike."""
    words = ["tag:new", "--metric", "endpointing", "--metric", "overlap"]
    theirs = json.loads(recorder("report", *words, "--json").stdout)
    found = reported(shelf, LATER, wanted({"q": "tag:new", "metric": "endpointing,overlap"}))
    assert json.loads(orjson.dumps(found["report"])) == theirs
    assert found["chart"]["metric"] == "endpointing"


@pytest.mark.parametrize(("query", "vs"), [("model:gpt*", "model:grok*"), ("", "previous")])
def test_a_comparison_and_its_gates_are_those_of_the_command_line(
    recorder: Recorder, shelf: Shelf, query: str, vs: str
) -> None:
    """Differences with their intervals, and a gate that holds, breaks and cannot be told."""
    if vs == "previous":
        begin, end = (datetime.fromtimestamp(ns / 1e9, UTC) for ns in (NOW + HOUR, NOW + 9 * HOUR))
        query = f"since:{begin.isoformat()} until:{end.isoformat()}"
    gates = ["unanswered.rate > 50%", "v2v_audible.p95 > 1200ms", "ttft.p95 > 1s"]
    words = [word for gate in gates for word in ("--fail-if", gate)]
    told = recorder("report", *query.split(), "--vs", vs, "--min-n", "2", *words, "--json", code=1)
    theirs = json.loads(told.stdout)
    want = wanted({"q": query, "vs": vs, "min-n": "2", "fail-if": "; ".join(gates)})
    found = reported(shelf, LATER, want)

    assert json.loads(orjson.dumps(found["report"])) == theirs
    assert theirs["against"]["differences"]
    assert "broken" in {gate["verdict"] for gate in theirs["gates"]}
    assert found["compared"].startswith("Here minus there")


def test_a_comparison_that_cannot_be_is_told_of(shelf: Shelf) -> None:
    """What is wrong with it stands beside it, and not at the search; a gate is refused."""
    found = reported(shelf, LATER, wanted({"vs": "v2v_audble>2s"}))
    assert found["error"] is None
    assert "v2v_audible" in found["vs_error"]["message"]
    without_since = reported(shelf, LATER, wanted({"vs": "previous"}))
    assert "since:7d" in without_since["vs_error"]["message"]
    by_day = reported(shelf, LATER, wanted({"q": "since:7d", "vs": "previous", "by": "day"}))
    assert "leave day out" in by_day["vs_error"]["message"]
    with pytest.raises(UsageError, match="fail-if: "):
        wanted({"fail-if": "v2v_audible.p95 > moon"})
    with pytest.raises(UsageError, match="min-n"):
        wanted({"min-n": "-1"})


def test_the_points_over_time_are_the_figures_of_a_report_by_day(
    recorder: Recorder, shelf: Shelf
) -> None:
    """Model by model, day by day: the same turns, the same percentiles."""
    words = ["--by", "model,day", "--metric", "v2v_audible"]
    rows = json.loads(recorder("report", *words, "--json").stdout)["rows"]
    theirs = {
        (row["group"]["model"], row["group"]["day"]): [row[name] for name in POINT]
        for row in rows if row["n"]
    }  # fmt: skip
    chart = reported(shelf, LATER, wanted({"by": "model", "per": "day"}))["chart"]
    mine = {
        (group["name"], point["at"]): [point[name] for name in POINT]
        for group in chart["over_time"]["groups"] for point in group["points"] if point["n"]
    }  # fmt: skip
    assert mine == theirs
    assert len(mine) == 1


def test_a_chart_says_its_n_and_what_was_left_out(shelf: Shelf) -> None:
    """Two spoken calls of two turns are measured; the text turn is not, and it is said why."""
    chart = reported(shelf, LATER, Wanted())["chart"]
    assert (chart["n"], chart["turns"], chart["left_out"]) == (4, 5, {"text_input": 1})
    [group] = chart["distribution"]["groups"]
    assert sum(group["counts"]) == 4


def test_every_bar_leads_to_the_sessions_that_it_counts(shelf: Shelf) -> None:
    """As many as it says, and those in the list that the link opens."""
    shape = reported(shelf, LATER, Wanted(by=("model",)))["chart"]["distribution"]
    [group] = shape["groups"]
    led = []
    for low, high, count in zip(
        shape["edges"], shape["edges"][1:], group["sessions"], strict=False
    ):
        given = {"metric": "v2v_audible", "ge": str(low), "by": "model", "is": group["name"]}
        given |= {} if high is None else {"lt": str(high)}
        found = listed(shelf, LATER, asked(given))
        assert found["total"] == count
        led.append("".join(row["id"][-1] for row in found["sessions"]))
    assert [each for each in led if each] == ["21", "21"]


def test_a_bar_is_of_one_turn_and_not_of_two(shelf: Shelf) -> None:
    """A call with turns of 1,020 and 3,520 ms has none of 2,000 to 3,000 ms: the words of the
    selection language could not say this, because each of them asks for any turn."""
    given = {"metric": "v2v_audible", "ge": "2000", "lt": "3000"}
    assert listed(shelf, LATER, asked(given))["total"] == 0
    assert seeds(shelf, "v2v_audible>=2s v2v_audible<3s") == "21"


def test_a_point_in_time_leads_to_the_calls_of_that_time(shelf: Shelf) -> None:
    """By hour each of the two calls is a point of its own."""
    chart = reported(shelf, LATER, Wanted(per="hour"))["chart"]
    points = chart["over_time"]["groups"][0]["points"]
    led = []
    for point in (point for point in points if point["n"]):
        given = {"metric": "v2v_audible", "per": "hour", "at": point["at"]}
        found = listed(shelf, LATER, asked(given))["sessions"]
        led.append("".join(row["id"][-1] for row in found))
    assert led == ["1", "2"]


def test_without_turns_there_is_an_empty_report(database: Path) -> None:
    """Of a database without a session nothing is 0, and nothing fails."""
    store = SqlStore.open(locate(str(database), {}))
    found = reported(Shelf(store), LATER, Wanted(by=("model",)))
    assert (found["report"]["turns"], found["chart"]["n"]) == (0, 0)
    assert found["chart"]["distribution"] == {"edges": [], "open": False, "groups": []}
    store.close()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_every_value_is_in_exactly_one_bar(values: list[float]) -> None:
    """Edges ascend, the first is no larger than the least value, and there are not too many."""
    edges, is_open = bins(np.array(values))
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= min(values)
    assert max(values) < edges[-1]
    assert len(edges) <= 2 * BINS
    assert bool(np.isinf(edges[-1])) == is_open


def test_round_numbers_are_one_two_five_and_ten() -> None:
    """The next that is no less."""
    assert [nice(each) for each in (0.2, 1.5, 3, 7, 12, 26, 51, 100)] == [
        1, 2, 5, 10, 20, 50, 100, 100,
    ]  # fmt: skip


# ---- side by side


def test_turns_that_belong_together_begin_at_the_same_place(shelf: Shelf) -> None:
    """On the axis; before the first turn both begin at 0. Each stretch is as long as the longer."""
    found = Beside(shelf.store).compared("latest~3", "latest~2", LATER)
    axis = found["axis"]
    assert [each["pair"] for each in axis] == [0, *range(1, len(axis))]
    at = 0.0
    for each in axis:
        assert each["at_ms"] == at
        lengths = [side[1] - side[0] for side in (each["a"], each["b"]) if side]
        assert each["length_ms"] == max(lengths)
        at += each["length_ms"]
    for side in ("a", "b"):
        assert sum(s[1] - s[0] for s in (each[side] for each in axis) if s) == pytest.approx(
            found[side]["end_ms"]
        )


def test_a_session_beside_itself_differs_in_nothing(shelf: Shelf) -> None:
    """And its lanes are those of itself: what was said, played, and when."""
    found = Beside(shelf.store).compared("support-1", "support-1", LATER)
    assert found["comparison"]["differs"] == []
    assert found["a"] == found["b"]
    assert [index for index, _, _ in found["a"]["turns"]] == [1, 2]
    assert len(found["a"]["played"]) == 2
    orjson.dumps(found)


def test_a_session_that_is_not_there_is_not_compared(shelf: Shelf) -> None:
    """Nor is one that is not named."""
    beside = Beside(shelf.store)
    with pytest.raises(SessionNotFound, match="ffff"):
        beside.compared("ffffffff", "latest", LATER)
    with pytest.raises(UsageError, match="b: say which session"):
        beside.compared("latest", " ", LATER)
