"""Keeping things in order: `note`, `tag`, `rm`, `db`."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from recorder.cli.afterwards import append_fact
from recorder.errors import SequenceConflict
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key
from recorder.ui.sheets import Sheets

from .cli_kit import Recorder
from .talks import NOW, SECOND, Talk, refused, spoken, texted, unended

DAY = 86_400 * SECOND


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def last_event(recorder: Recorder) -> dict[str, object]:
    """The newest event of the newest session."""
    found: dict[str, object] = json.loads(recorder("events", "--json").stdout.splitlines()[-1])
    return found


# ---- note


@pytest.mark.parametrize(
    ("words", "at_ns"),
    [
        ([], 500_000_000),
        (["--at", "0.25s"], 250_000_000),
        (["--at", "0"], 0),
        (["--at", "500ms"], 500_000_000),
    ],
)
def test_a_note_becomes_an_event_about_its_moment(
    recorder: Recorder, words: list[str], at_ns: int
) -> None:
    """After the last one, at its time, so that the log stays in order."""
    recorder.filled(texted)
    result = recorder("note", "latest", "the caller\nhears an echo", *words)

    event = last_event(recorder)
    assert (event["seq"], event["at_ns"], event["type"]) == (12, 500_000_000, "recorder.note")
    assert event["message"] == {
        "type": "recorder.note", "text": "the caller\nhears an echo", "at_ns": at_ns,
    }  # fmt: skip
    assert "event 12" in result.stderr
    assert "the caller hears an echo" in recorder("show").stdout
    assert "the caller hears an echo" in recorder("transcript").stdout
    assert "as recorded" in recorder("db", "verify").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--at", "-1s", "x"], "lies before the session"),
        (
            ["--at", "0.6s", "x"],
            "--at 0.6s lies after the end of the session, which is at 00:00.500",
        ),
        (["--at", "soon", "x"], "'soon' is no position"),
        (["  "], "needs a text"),
    ],
)
def test_a_note_that_makes_no_sense_is_refused(
    recorder: Recorder, words: list[str], told: str
) -> None:
    """And nothing is written."""
    recorder.filled(texted)
    assert told in recorder("note", "latest", *words, code=2).stderr
    assert last_event(recorder)["seq"] == 11


def test_a_secret_in_a_note_is_replaced(recorder: Recorder) -> None:
    """As in everything else that is written."""
    recorder.filled(texted)
    recorder("note", "latest", "used sk-" + "a1" * 20)

    assert b"a1a1a1" not in recorder.db.read_bytes()


def test_a_note_to_a_session_without_events(recorder: Recorder) -> None:
    """It becomes the first."""
    recorder.filled(Talk)
    recorder("note", "latest", "nothing ever came")
    assert last_event(recorder)["seq"] == 1


def test_who_was_beaten_to_it_tries_again(sqlite_store: SqlStore, database: Path) -> None:
    """Two people note something at the same time: both notes are there."""
    talk = texted(sqlite_store)

    class Slow(SqlStore):
        """Somebody else appends once, just before us."""

        beaten = False

        def append(self, groups: object) -> None:
            if not self.beaten:
                self.beaten = True
                append_fact(sqlite_store, talk.session, "note", {"text": "first"})
            super().append(groups)  # type: ignore[arg-type]

    slow = Slow.open(locate(str(database), {}))
    assert append_fact(slow, talk.session, "note", {"text": "second"}) == 13
    assert sqlite_store.verify(talk.id) == 13
    slow.close()


def test_who_is_always_beaten_gives_up(sqlite_store: SqlStore) -> None:
    """With the conflict, not after forever."""
    talk = texted(sqlite_store)

    class Never(SqlStore):
        def append(self, groups: object) -> None:
            raise SequenceConflict(talk.id, 1, 2)

    store = Never(sqlite_store.engine, sqlite_store.location)
    with pytest.raises(SequenceConflict):
        append_fact(store, talk.session, "note", {})


# ---- tag


def test_tags_are_added_taken_off_and_shown(recorder: Recorder) -> None:
    """Each command prints those there are now; `ls` finds by them."""
    recorder.filled(lambda s: texted(s, tags=("first",)))

    assert recorder("tag", "latest").stdout == "first\n"
    assert recorder("tag", "latest", "slow", "b-7", "slow").stdout == "first\nslow\nb-7\n"
    assert recorder("tag", "latest", "--remove", "first", "absent").stdout == "slow\nb-7\n"
    assert last_event(recorder)["message"] == {
        "type": "recorder.tag", "add": [], "remove": ["first", "absent"],
    }  # fmt: skip
    assert len(recorder("ls", "--tag", "b-*").stdout.splitlines()) == 2


@pytest.mark.parametrize("tag", ["", "  ", "two words", "a\tb"])
def test_a_tag_is_one_word(recorder: Recorder, tag: str) -> None:
    """Else no selection could name it."""
    recorder.filled(texted)
    assert "one word" in recorder("tag", "latest", tag, code=2).stderr
    assert last_event(recorder)["seq"] == 11


# ---- rm


def four(recorder: Recorder) -> list[Talk]:
    """Two sessions of one call, and two others, a day apart."""
    return list(recorder.filled(
        lambda s: texted(s, "PLANTED one", seed=1, wall_ns=NOW - 3 * DAY, call="c"),
        lambda s: spoken(s, seed=2, wall_ns=NOW - 2 * DAY, call="c", tags=("test",)),
        lambda s: refused(s, seed=3, wall_ns=NOW - DAY),
        lambda s: unended(s, seed=4, wall_ns=NOW, tags=("test",)),
    ))  # fmt: skip


def left(recorder: Recorder) -> list[int]:
    """Which of the four are still there."""
    rows = json.loads(recorder("ls", "--json", "--sort", "time").stdout)
    return [int(row["id"][-6:]) for row in rows]


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["latest"], [1, 2, 3]),
        (["000003", "resp_t"], [2, 4]),
        (["c"], [3, 4]),
        (["c", "--tag", "test"], [1, 3, 4]),
        (["--tag", "test"], [1, 3]),
        (["--until", "2026-11-17"], [4]),
        (["--status", "refused", "--status", "interrupted"], [1, 2]),
        (["latest", "latest"], [1, 2, 3]),
    ],
)
def test_rm_removes_what_is_named_and_meant(
    recorder: Recorder, words: list[str], rest: list[int]
) -> None:
    """References, filters, or those that are both; it shows what it removes."""
    talks = four(recorder)
    result = recorder("rm", "--yes", *words)

    assert left(recorder) == rest
    gone = [talk.id for n, talk in enumerate(talks, 1) if n not in rest]
    assert sorted(line.split()[0] for line in result.stdout.splitlines()[1:]) == gone
    assert f"removed {len(gone)} session" in result.stderr


def test_nothing_of_a_removed_session_stays_on_disk(recorder: Recorder) -> None:
    """Neither in the database nor in its WAL, nor in what was derived from it."""
    four(recorder)
    recorder("ls")
    recorder("show", "resp_t")
    recorder("note", "latest~3", "PLANTED too")
    assert any(b"PLANTED" in f.read_bytes() for f in recorder.db.parent.iterdir())

    recorder("rm", "latest~3", "--yes")

    assert not any(b"PLANTED" in f.read_bytes() for f in recorder.db.parent.iterdir())


@pytest.mark.parametrize("answer", ["n\n", "\n", None])
def test_rm_removes_nothing_without_a_yes(recorder: Recorder, answer: str | None) -> None:
    """Not when nobody is there to ask, and not when the answer is no."""
    four(recorder)
    result = recorder("rm", "latest", code=2, input=answer)

    assert "nothing was removed" in result.stderr.lower()
    assert left(recorder) == [1, 2, 3, 4]


def test_rm_asks_on_a_terminal(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the number of sessions in the question."""
    import io

    four(recorder)

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    recorder.on_a_terminal("rm", "c", code=2)
    assert left(recorder) == [1, 2, 3, 4]
    monkeypatch.setattr("sys.stdin", Keyboard("y\n"))
    assert "000002" in recorder.on_a_terminal("rm", "c")
    assert left(recorder) == [3, 4]
    monkeypatch.setattr("sys.stdin", Keyboard(""))
    recorder.on_a_terminal("rm", "latest", code=130)
    assert left(recorder) == [3, 4]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say which sessions to remove"),
        (["--yes"], "say which sessions to remove"),
        (["nobody", "--yes"], "'nobody'"),
        (["0000", "--yes"], "fits several sessions"),
        (["--since", "x", "--yes"], "--since: 'x'"),
    ],
)
def test_rm_guesses_nothing(recorder: Recorder, words: list[str], told: str) -> None:
    """No `latest` of its own, no part that fits several."""
    four(recorder)
    assert told in recorder("rm", *words, code=2).stderr
    assert left(recorder) == [1, 2, 3, 4]


def test_rm_of_what_is_not_there_is_done_already(recorder: Recorder) -> None:
    """A filter that means nothing removes nothing, and that is fine."""
    four(recorder)
    assert "nothing was removed" in recorder("rm", "--tag", "absent", "--yes").stderr


def test_rm_says_when_bytes_stay_behind(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that holds the WAL: the session is gone, its bytes are not yet; exit code 1."""
    four(recorder)
    monkeypatch.setattr("recorder.sql.erasing.free_pages", lambda _store: False)
    assert "still in its write-ahead log" in recorder("rm", "latest", "--yes", code=1).stderr
    assert left(recorder) == [1, 2, 3]


# ---- db


def test_db_path_prints_where_it_is_or_would_be(recorder: Recorder) -> None:
    """So that it can be used in other commands; nothing is made."""
    assert recorder("db", "path").stdout == f"{recorder.db}\n"
    assert not recorder.db.exists()


def test_db_verify_finds_everything_as_it_was_recorded(recorder: Recorder) -> None:
    """All sessions, or those that are named."""
    talks = four(recorder)
    total = sum(talk.recorder.last_seq for talk in talks)

    assert recorder("db", "verify").stdout == f"{total} events of 4 sessions: as recorded\n"
    assert recorder("db", "verify", "000003").stdout == "3 events of 1 session: as recorded\n"
    assert "of 2 sessions" in recorder("db", "verify", "c").stdout


def test_db_verify_names_the_damage(recorder: Recorder) -> None:
    """Exit code 1, the session, the events; the sound ones are still counted as sound."""
    talks = four(recorder)
    connection = sqlite3.connect(recorder.db)
    text = "replace(CAST(head AS TEXT), 'PLANTED', 'CHANGED')"
    connection.execute(f"UPDATE events SET head = CAST({text} AS BLOB)")
    connection.commit()
    connection.close()

    result = recorder("db", "verify", code=1)
    assert f"DAMAGED session {talks[0].id}: events 1 to 11" in result.stderr
    assert "1 of 4 sessions damaged" in result.stderr
    recorder("db", "verify", "000002", "000003", "000004")


def test_db_info_tells_what_there_is(recorder: Recorder) -> None:
    """For people and for machines."""
    talks = four(recorder)
    told = json.loads(recorder("db", "info", "--json").stdout)

    assert told["database"] == str(recorder.db)
    assert told["sessions"] == 4
    assert told["events"] == sum(talk.recorder.last_seq for talk in talks)
    assert told["page_bytes"] == 32768
    assert told["mode"] == "0600"
    assert "sessions  4" in recorder("db", "info").stdout


def test_db_rebuild_builds_the_read_models_again(recorder: Recorder) -> None:
    """Or takes them away with `--drop`; either way lists are the same."""
    four(recorder)
    before = recorder("ls").stdout
    connection = sqlite3.connect(recorder.db)
    connection.execute("UPDATE view_sessions SET turns = 99")
    connection.commit()
    connection.close()
    assert recorder("ls").stdout != before

    assert "4 sessions" in recorder("db", "rebuild").stderr
    assert recorder("ls").stdout == before
    recorder("db", "rebuild", "--drop")
    assert recorder("ls").stdout == before


@pytest.mark.parametrize("how", [(), ("--drop",)])
def test_db_rebuild_takes_the_tiles_of_pages_away(recorder: Recorder, how: tuple[str, ...]) -> None:
    """What was wrong in them is right for whoever opens the page next."""
    name = four(recorder)[0].session.id
    store = SqlStore.open(locate(str(recorder.db), {}))
    tiles, facts = Sheets(store), Key("facts")
    right = tiles.tile(name, facts)
    tiles._tiles.keep(store.number(name), store.last_seq(name), {facts: b"wrong"})
    assert tiles.tile(name, facts) == b"wrong"

    recorder("db", "rebuild", *how)
    assert Sheets(store).tile(name, facts) == right
    store.close()


def test_what_is_written_is_private(recorder: Recorder) -> None:
    """The database stays 0600 through everything."""
    four(recorder)
    recorder("ls")
    recorder("tag", "latest", "x")
    for file in recorder.db.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_commands_work_on_a_server_too(postgres_database: str) -> None:
    """PostgreSQL by its URL: look, tag, verify, remove; its password is never shown."""
    recorder = Recorder(postgres_database)  # type: ignore[arg-type]
    store = SqlStore.open(locate(postgres_database, {}))
    talk = texted(store, tags=("first",))
    store.close()

    assert talk.id in recorder("ls").stdout
    assert "1 turn" in recorder("show", "resp_t").stdout
    assert recorder("tag", "latest", "second").stdout == "first\nsecond\n"
    assert recorder("db", "verify").stdout == "12 events of 1 session: as recorded\n"
    assert "PostgreSQL" in recorder("db", "info").stdout
    recorder("db", "rebuild")
    recorder("rm", "latest", "--yes")
    assert "nothing was recorded yet" in recorder("ls").stderr
