"""Selections in SQL: they mean what the language says, on every database and without any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.selecting import MEASURES, STATUSES, TURN_METRICS, Moment, Selection, parse
from recorder.selecting.conditions import OPERATORS
from recorder.sql import text_index
from recorder.sql.selections import of_the_log
from recorder.sql.store import SqlStore
from recorder.sql.views import Views

from .talks import NOW, SECOND, Talk, process, refused, spoken, texted, unended

DAY = 86_400 * SECOND
ERROR = {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow down"}


def limited(store: SqlStore, **given: object) -> Talk:
    """One turn in words that need care, and an error."""
    talk = Talk(store, **given).opened().created()  # type: ignore[arg-type]
    words = "Stra\u00dfe \u6771\u4eac 100% don't_do it"
    item = {"id": "item_l", "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": words}]}  # fmt: skip
    talk.client(200, "conversation.item.create", item=item)
    talk.server(210, "conversation.item.added", item=item)
    talk.server(300, "error", error=ERROR)
    return talk.closed(400).kept()


def fill(store: SqlStore) -> list[Talk]:
    """Seven sessions, a day apart, of every kind; the first is the oldest."""
    store.register(process("alive", NOW + SECOND))
    store.register(process("dead", NOW - SECOND))
    return [
        spoken(store, seed=1, wall_ns=NOW - 6 * DAY, call="Support-17", tags=("slow", "A_b")),
        texted(store, "A refund, please: 100%!", seed=2, wall_ns=NOW - 5 * DAY, model="grok-voice"),
        refused(store, seed=3, wall_ns=NOW - 4 * DAY, call="support 18"),
        unended(store, seed=4, wall_ns=NOW - 3 * DAY, recorder="dead", call="Support-17"),
        unended(store, seed=5, wall_ns=NOW - 2 * DAY, recorder="alive", tags=("slow",)),
        limited(store, seed=6, wall_ns=NOW - DAY, vantage="imported", tags=("a%b",)),
        Talk(store, seed=7, wall_ns=NOW, model=""),
    ]


def without_views(store: SqlStore) -> Views:
    """Read models on a store that cannot be written: everything is folded, nothing asked in SQL."""

    @sa.event.listens_for(store.engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=ON")

    return Views(store, NOW)


@pytest.fixture(scope="module", params=["sqlite", "no index", "postgres", "folded"])
def views(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Views]:
    """Each way in which a selection can be answered."""
    where: object = tmp_path_factory.mktemp("selections") / "a.db"
    if request.param == "postgres":
        where = request.getfixturevalue("module_database")
    store = SqlStore.open(str(where))
    fill(store)
    patch = pytest.MonkeyPatch()
    if request.param == "no index":
        patch.setattr(text_index, "has_fts5", lambda: False)
    found = without_views(store) if request.param == "folded" else Views(store, NOW)
    found.build()
    assert bool(found._outlines.unstored) is (request.param == "folded")
    yield found
    store.close()
    patch.undo()


@pytest.fixture(scope="module")
def module_database(postgres: str) -> Iterator[str]:
    """A database of this module's own."""
    from .conftest import _new_database

    with _new_database(postgres) as url:
        yield url


def numbers(views: Views, *words: str) -> list[int]:
    """Which of the seven sessions these words mean."""
    return [int(row.id[-6:], 16) for row in views.selected(parse(words, Moment(NOW)))]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], [1, 2, 3, 4, 5, 6, 7]),
        (["since:3d"], [4, 5, 6, 7]),
        (["until:3d"], [1, 2, 3]),
        (["since:4d", "until:1d"], [3, 4, 5]),
        (["-since:3d"], [1, 2, 3]),
        (["model:GROK*"], [2]),
        (["model:gpt-realtime-2025"], [1, 2, 4, 5, 6]),
        (["model:gpt-realtime"], [1, 3, 4, 5, 6]),
        (["model:gr?k*", "model:*2025"], [1, 2, 4, 5, 6]),
        (["-model:*"], [7]),
        (["call:support*"], [1, 3, 4]),
        (["call:support 18"], [3]),
        (["call:SUPPORT-17"], [1, 4]),
        (["tag:slow"], [1, 5]),
        (["tag:slow", "tag:a*"], [1]),
        (["tag:a_b"], [1]),
        (["tag:a%b"], [6]),
        (["tag:a?b"], [1, 6]),
        (["-tag:*"], [2, 3, 4, 7]),
        (["status:ended"], [1, 2]),
        (["status:refused"], [3]),
        (["status:interrupted"], [4, 7]),
        (["status:live", "status:imported"], [5, 6]),
        (["error:rate_limit*"], [6]),
        (["error:tokens"], [6]),
        (["error:401"], [3]),
        (["error:ratelimit*"], []),
        (["text:refund"], [2]),
        (["text:REFUND please 100"], [2]),
        (["text:please refund"], []),
        (["text:refund", "text:hi"], [2]),
        (["text:refund hi"], []),
        (["text:ref"], []),
        (["text:ref*"], [2]),
        (["text:a ref*"], [2]),
        (["text:opening hours"], [1]),
        (["text:strasse"], [6]),
        (["text:\u4eac"], [6]),
        (["text:don't_do"], [6]),
        (["text:100"], [2, 6]),
        (["-text:100"], [1, 3, 4, 5, 7]),
        (["turns=2"], [1]),
        (["turns>0"], [1, 2]),
        (["turns<=1"], [2, 3, 4, 5, 6, 7]),
        (["errors>0"], [6]),
        (["events=0"], [7]),
        (["duration>=11s"], [1]),
        (["duration<400ms"], [3, 7]),
        (["duration=400ms"], [6]),
        (["lost>0"], []),
        (["v2v_audible>2s"], [1]),
        (["v2v_audible>1h"], []),
        (["-v2v_audible>1h"], [1, 2, 3, 4, 5, 6, 7]),
        (["text:hours status:ended -model:grok*"], [1]),
    ],
)
def test_a_selection_means_what_it_says(views: Views, words: list[str], meant: list[int]) -> None:
    """Every term on seven sessions, worked out by hand."""
    assert numbers(views, *words) == meant


needs = st.one_of(
    st.sampled_from(["since", "until"]).flatmap(
        lambda name: st.integers(0, 7).map(lambda days: f"{name}:{days}d")
    ),
    st.sampled_from(["model", "tag", "call", "error"]).flatmap(
        lambda name: st.text("aAbgpst*?_%1-", min_size=1, max_size=4).map(lambda g: f"{name}:x{g}")
    ),
    st.sampled_from(["model", "tag", "call", "error"]).flatmap(
        lambda name: st.sampled_from(["*o*", "s*", "?*_*", "*%*", "gpt*", "*5"]).map(
            lambda glob: f"{name}:{glob}"
        )
    ),
    st.sampled_from(STATUSES).map(lambda status: f"status:{status}"),
    st.sampled_from(["a", "refund", "hours", "we are", "on s*", "*", "h*", "\u6771*", "hi"]).map(
        lambda words: f"text:{words}"
    ),
    st.tuples(
        st.sampled_from([*MEASURES, *TURN_METRICS]),
        st.sampled_from(list(OPERATORS)),
        st.sampled_from(["0", "1", "2", "11", "400ms", "1.5s", "11s"]),
    ).map("".join),
)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    """What `Selection.matches` says, of the same sessions."""
    store = SqlStore.open(str(tmp_path_factory.mktemp("folded") / "b.db"))
    fill(store)
    yield without_views(store)
    store.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(words=st.lists(st.tuples(st.sampled_from(["", "-"]), needs).map("".join), max_size=3))
def test_sql_and_the_language_agree(views: Views, folded: Views, words: list[str]) -> None:
    """Law 2 of `conditions`, on every database."""
    from recorder.errors import UsageError

    try:
        selection = parse(words, Moment(NOW))
    except UsageError:
        return
    found = [row.id for row in views.selected(selection)]
    assert found == [row.id for row in folded.selected(selection)]


def test_only_what_the_log_can_tell_is_asked_before_folding() -> None:
    """`ls since:1d` must not fold what is older."""
    selection = parse(["since:1d", "-tag:x", "-until:2d", "turns>1"], Moment(NOW))
    log = parse(["since:1d", "-until:2d"], Moment(NOW))
    assert of_the_log(selection) == log
    assert of_the_log(Selection()) == Selection()


def test_only_what_may_be_meant_is_folded(sqlite_store: SqlStore) -> None:
    """The others are left for whoever asks for them."""
    fill(sqlite_store)
    asked: list[tuple[int, int]] = []
    views = Views(sqlite_store, NOW)

    selection = parse(["since:3d", "turns<9"], Moment(NOW))
    views.selected(selection, lambda done, total: asked.append((done, total)))

    assert asked == [(n, 4) for n in (1, 2, 3, 4)]
    assert [entry.number for entry in views.entries(parse(["until:5d"], Moment(NOW)))] == [1]
    assert len(asked) == 4


Open = Callable[..., SqlStore]


def test_a_session_that_goes_on_is_judged_by_what_it_is_now(
    open_store: Open, database: Path
) -> None:
    """A tag that was given a moment ago counts."""
    store = open_store(database)
    talk = unended(store, seed=1)
    views = Views(store, NOW)
    tagged = parse(["tag:new"], Moment(NOW))
    assert views.selected(tagged) == []

    talk.own("tag", 900, add=["new"], remove=[]).kept()

    assert [row.id for row in views.selected(tagged)] == [talk.id]
