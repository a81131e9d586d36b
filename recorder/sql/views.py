"""Read models: what lists, selections and look-ups need of sessions, kept beside the log.

Laws:

1. Everything here can be dropped and is then built again; the log alone is the truth.
2. Nothing is built by a process that records: folding would hold the interpreter against live
   calls. Whoever first asks builds, and only what the question needs.
3. A database that cannot be written still answers: what would be stored is computed and lives
   as long as the `Views`.
4. What depends on the time (whether a session is live) is never stored.
5. A live session may be behind by a twentieth of its length in lists, and by nothing else: that it
   ended, a tag or a note is seen at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from recorder.errors import SessionNotFound
from recorder.selecting import Among, Known, Need, Selection

from . import selections
from .entries import ENTRIES, ROWS, Folded, row_of, stale, status_of
from .entries import Entry as Entry
from .entries import Row as Row
from .folding import read_all
from .id_index import IdIndex
from .outline_store import OutlineStore
from .outlines import made_of, outcome
from .schema import sessions
from .tiles import TileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recorder.events import Session
    from recorder.projections.model import Summary

    from .outlines import Outline
    from .store import SqlStore

    Report = Callable[[int, int], None]

EVERYTHING = Selection()


class Views:
    """The read models of one store, as they are at one moment."""

    def __init__(self, store: SqlStore, now_ns: int) -> None:
        """`now_ns` is the wall clock: it decides which sessions are live."""
        self.store, self.now_ns = store, now_ns
        self._outlines = OutlineStore(store)
        self._ids = IdIndex(store)
        self._entries: dict[int, Entry] = {}
        """Of those outlines that could not be stored."""

    # ---- without reading events

    def known(self) -> list[Known]:
        """All sessions, as references name them."""
        columns = (sessions.c.id, sessions.c.wall_ns, sessions.c.call, sessions.c.kind)
        with self.store.reading() as connection:
            return [Known(*row) for row in connection.execute(sa.select(*columns))]

    def count(self) -> int:
        """How many sessions there are."""
        with self.store.reading() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(sessions)).scalar_one()

    def entries(
        self, selection: Selection = EVERYTHING, report: Report | None = None
    ) -> list[Entry]:
        """The sessions that are meant as the log's own tables have them, in order of entry.

        Read models are asked, and built, only if the selection needs them.
        """
        if selection != selections.of_the_log(selection):
            return [row.entry for row in self.selected(selection, report)]
        with self.store.reading() as connection:
            rows = connection.execute(ENTRIES.where(self._sql(selection)))
            return [Entry._make(row) for row in rows]

    def is_live(self, session_id: str) -> bool:
        """Whether the session is still being recorded. Raises `SessionNotFound`."""
        entry = self._entry(session_id)
        if entry.lease_ns is None or entry.lease_ns <= self.now_ns:
            return False
        closed = self.store.read(session_id, types={"recorder.closed"}, audio=False, limit=1)
        return next(closed, None) is None

    def status(self, session: Session, summary: Summary) -> str:
        """What became of a session that was folded already, as of now."""
        return status_of(self._entry(session.id), outcome(session, summary), self.now_ns)

    # ---- outlines

    def build(self, report: Report | None = None, selection: Selection = EVERYTHING) -> None:
        """Bring the rows of all sessions up to date: outlines, turns, labels, words.

        Of a selection only those needs are looked at that the log can tell (ids, times).
        """
        behind = self._stale(selections.of_the_log(selection))
        for done, entry in enumerate(behind, 1):
            try:
                made = made_of(self.store, entry.id, entry.number, entry.last_seq)
            except SessionNotFound:
                continue  # removed while we looked
            self._entries[entry.number] = entry
            self._outlines.add(made)
            if report:
                report(done, len(behind))
        self._outlines.flush()

    def rebuild(self, report: Report | None = None, jobs: int = 1) -> int:
        """Build all read models anew, in several processes; of how many sessions."""
        self.drop()
        entries = self.entries()
        for done, read in enumerate(read_all(self.store, entries, jobs), 1):
            if read is not None:
                self._entries[read.entry.number] = read.entry
                self._outlines.add(read.made)
                self._ids.add(read.seen)
            if report:
                report(done, len(entries))
        self._outlines.flush()
        self._ids.flush()
        return len(entries)

    def rows(self, report: Report | None = None) -> list[Row]:
        """Every session, in the order in which they were entered."""
        return self.selected(EVERYTHING, report)

    def selected(self, selection: Selection, report: Report | None = None) -> list[Row]:
        """The sessions that are meant, in the order in which they were entered."""
        kept, folded = self.read(ROWS, selection, report)
        found = [row_of(tuple(row), self.now_ns) for row in kept]
        return sorted([*found, *(each.row for each in folded)], key=lambda row: row.entry.number)

    def read(
        self, query: sa.Select[Any], selection: Selection, report: Report | None = None
    ) -> tuple[list[sa.Row[Any]], list[Folded]]:
        """What a query on the read models gives of the sessions that are meant, brought up to date;
        and those of them that could not be stored. Its first column is a session's number.
        """
        self.build(report, selection)
        kept = self._outlines.read(query.where(self._sql(selection)))
        if kept is None:  # another version has taken over, now or long ago
            self.build(report, selection)
        unstored = self._outlines.unstored
        folded = [each for each in self._folded() if selection.matches(each)]
        return [row for row in kept or () if row[0] not in unstored], folded

    def row(self, session_id: str, report: Report | None = None) -> Row:
        """One session. Raises `SessionNotFound`."""
        self._entry(session_id)
        found = self.selected(only(session_id), report)
        if not found:
            raise SessionNotFound(f"session {session_id} was removed meanwhile")
        return found[0]

    def ask(self, query: sa.Executable) -> Sequence[sa.Row[Any]]:
        """What a query on the read models gives as they are, without anything being built."""
        return self._outlines.read(query) or ()

    @property
    def unstored(self) -> list[Folded]:
        """Those sessions that were folded and could not be stored."""
        return self._folded()

    def stale(self, selection: Selection = EVERYTHING) -> list[Entry]:
        """Those of the sessions of whose events something was not folded yet."""
        return self._stale(selections.of_the_log(selection))

    def _stale(self, selection: Selection) -> list[Entry]:
        condition = self._sql(selection)
        found = self._outlines.read(stale(self.now_ns).where(condition))
        entries = self.entries(selection) if found is None else [Entry._make(row) for row in found]
        unstored = self._outlines.unstored
        return [
            entry
            for entry in entries
            if (made := unstored.get(entry.number)) is None
            or made.outline.last_seq != entry.last_seq
        ]

    def _folded(self) -> list[Folded]:
        """What could not be stored."""
        return [
            Folded(self._row(self._entries[number], made.outline), made)
            for number, made in self._outlines.unstored.items()
        ]

    def _row(self, entry: Entry, outline: Outline) -> Row:
        return Row(entry, outline, status_of(entry, outline.outcome, self.now_ns))

    def _sql(self, selection: Selection) -> sa.ColumnElement[bool]:
        return selections.condition(selection, self.now_ns, self.store.engine.dialect.name)

    # ---- ids

    def find(self, server_id: str, report: Report | None = None) -> list[str]:
        """The sessions in which this id was seen, in the order in which they were entered."""
        return [session_id for session_id, _ in self.where(server_id, report)]

    def where(self, server_id: str, report: Report | None = None) -> list[tuple[str, int]]:
        """The sessions in which this id was seen, each with the event that had it first."""
        entries = {entry.number: entry for entry in self.entries()}
        found = self._ids.find(list(entries.values()), server_id, report)
        return [(entries[n].id, found[n]) for n in sorted(found) if n in entries]

    # ---- upkeep

    def engine_facts(self) -> dict[str, str | int]:
        """What the database engine says of itself."""
        with self.store.reading() as connection:
            if connection.dialect.name != "sqlite":
                return {"engine": str(connection.exec_driver_sql("SELECT version()").scalar())}
            pragmas = ("page_size", "journal_mode", "freelist_count")
            page, journal, free = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas
            )
            version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
        return {
            "engine": f"SQLite {version}",
            "page_bytes": int(page),
            "journal": str(journal),
            "free_bytes": int(free) * int(page),
        }

    def drop(self) -> None:
        """Take all read models away; they are built again when somebody asks."""
        self._outlines.drop()
        self._ids.model.drop()
        TileStore(self.store).model.drop()

    def _entry(self, session_id: str) -> Entry:
        found = self.entries(only(session_id))
        if not found:
            raise SessionNotFound(f"no session {session_id} in {self.store.location}")
        return found[0]


def only(session_id: str) -> Selection:
    """The selection of one session by its whole id."""
    return Selection((Need((Among(frozenset({session_id})),)),))
