"""`recorder ui` on PostgreSQL: every view answers as it does on a SQLite file of the same calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.sql.pages import SORTS
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key, TileStore

from .cli_kit import Recorder
from .talks import NOW, SECOND, Talk, process, refused, spoken, texted, tone, unended
from .ui_kit import FOREVER, Served, served

HOUR = 3600 * SECOND


def fill(store: SqlStore) -> None:
    """Two spoken calls, a text with a quote and a per cent sign in it, two that went wrong."""
    spoken(store, seed=1, tags=("new",), call="support-1")
    spoken(store, seed=2, wall_ns=NOW + HOUR, tags=("new", "slow"), model="grok-voice")
    texted(store, "it's 100%_sure", seed=3, wall_ns=NOW + 2 * HOUR)
    refused(store, seed=4, wall_ns=NOW + 3 * HOUR)
    unended(store, seed=5, wall_ns=NOW + 4 * HOUR)


@pytest.fixture
def both(postgres_database: str, tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    """Two servers over the same calls: one on PostgreSQL, one on a SQLite file."""
    with served(postgres_database) as one, served(tmp_path / "calls.db") as other:  # type: ignore[arg-type]
        fill(one.store)
        fill(other.store)
        yield one, other


def answers(server: Served, path: str, **given: str) -> Any:
    """What the API says."""
    with server.client() as client:
        answer = client.get(f"/api/v1{path}", params=given)
    assert answer.status_code == 200, (path, answer.text)
    kind = answer.headers["Content-Type"]
    return answer.json() if "json" in kind else answer.content


def test_lists_reports_and_comparisons_are_the_same(both: tuple[Served, Served]) -> None:
    """Of every sort and kind of search; and a report, with what it is compared with and gates."""
    one, other = both
    ids = [each.id for each in one.store.sessions()]
    searches = ("", "tag:new", "text:100%_sure", "v2v_audible>2s", "model:grok*", "-status:ended")
    asked: list[tuple[str, dict[str, str]]] = [("/sessions", {"q": query}) for query in searches]
    asked += [("/sessions", {"sort": sort}) for sort in SORTS]
    asked += [("/sessions", {"sort": f"-{sort}"}) for sort in SORTS]
    asked += [("/sessions", {"metric": "v2v_audible", "ge": "2000"}), ("/language", {})]
    asked += [("/report", {"by": "model"}), ("/report", {"by": "tag", "per": "hour"})]
    asked += [("/report", {"vs": "model:grok*", "fail-if": "unanswered.rate > 1%"})]
    asked += [("/compare", {"a": ids[0], "b": ids[1]})]

    for path, given in asked:
        assert answers(one, path, **given) == answers(other, path, **given), (path, given)
    assert answers(one, "/sessions", q="text:100%_sure")["total"] == 1


def test_the_page_of_a_call_is_the_same_and_its_tiles_are_kept(
    both: tuple[Served, Served],
) -> None:
    """Facts, outlines, log, states and sound; made once, then read from the database."""
    one, other = both
    session = next(one.store.sessions()).id
    places = ("", "/now", "/peaks/0/0", "/events/0", "/messages/0", "/states/0", "/sound.wav")
    for place in places:
        path = f"/sessions/{session}{place}"
        assert answers(one, path) == answers(other, path), place

    kept = TileStore(one.store)
    assert kept.made_of(one.store.number(session)) == one.store.last_seq(session)
    assert kept.fresh(session, Key("facts")) is not None


def test_notes_and_removal_are_seen_at_once(both: tuple[Served, Served]) -> None:
    """A tag that is written through the page is in the next list; a call that was removed is
    not, nor are its tiles."""
    one, _ = both
    session = next(one.store.sessions())
    number = one.store.number(session.id)
    answers(one, f"/sessions/{session.id}")
    with one.client() as client:
        head = {**client.headers, "Origin": one.base}
        tagged = client.post(
            f"/api/v1/sessions/{session.id}/tags", json={"add": ["odd"]}, headers=head
        )
        assert tagged.status_code == 200, tagged.text
    assert [row["id"] for row in answers(one, "/sessions", q="tag:odd")["sessions"]] == [session.id]

    one.store.remove(session.id)
    assert answers(one, "/sessions", q="tag:odd")["total"] == 0
    assert TileStore(one.store).fresh(session.id, Key("facts")) is None
    assert number not in [one.store.number(each.id) for each in one.store.sessions()]


def test_tiles_of_a_server_are_taken_away_by_a_rebuild(postgres_database: str) -> None:
    """What was wrong in them is gone after `db rebuild`."""
    with served(postgres_database) as server:  # type: ignore[arg-type]
        talk = spoken(server.store, seed=1)
        right = answers(server, f"/sessions/{talk.id}")
        number, last = server.store.number(talk.id), server.store.last_seq(talk.id)
        assert TileStore(server.store).keep(number, last, {Key("facts"): b"wrong"})
        Recorder(postgres_database)("db", "rebuild", "--jobs", "1")  # type: ignore[arg-type]
        assert TileStore(server.store).made_of(number) is None
        assert answers(server, f"/sessions/{talk.id}") == right


def test_a_call_grows_while_it_is_recorded(both: tuple[Served, Served]) -> None:
    """What came since an event, of a call that another process records: told as on SQLite."""
    for server in both:
        server.store.register(process("alive", FOREVER))
        talk = Talk(server.store, recorder="alive", seed=30).opened().created().kept()
        with server.client() as client:
            path = f"/api/v1/sessions/{talk.id}"
            assert client.get(path).json()["last_seq"] == 3
            assert client.get(f"{path}/growth?after=3").status_code == 204
            talk.says(200, tone(300)).kept()
            for _ in range(200):
                if (answer := client.get(f"{path}/growth?after=3")).status_code == 200:
                    break
                time.sleep(0.05)
            found = answer.json()
        assert (found["since"], found["last_seq"]) == (3, 6)
        assert found["sound"]["samples"] == 24_000 // 2
