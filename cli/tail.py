"""`recorder tail`: watch a session that another process records, event by event."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import click

from .events import ORIGINS, Printer, event_as_json
from .shared import Shared, session_argument
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.events import Event, Session

POLL_SECONDS: Final = 0.1
LEASE_SECONDS: Final = 2.0
"""How often it is asked whether the recorder is still there."""
QUIET_SECONDS: Final = 0.5
"""A run of deltas that was not gone on with for so long is printed."""


@in_table("tail")
@session_argument
@click.option("-n", "--lines", type=click.IntRange(min=0), default=10, show_default=True,
              metavar="N", help="Events of what has passed already.")  # fmt: skip
@click.option("--type", "types", multiple=True, metavar="GLOB",
              help="Only these types, as in 'response.*'; any of several.")  # fmt: skip
@click.option("--origin", "origins", multiple=True, type=click.Choice(ORIGINS),
              help="Only from this side.")  # fmt: skip
@click.option("--no-fold", is_flag=True, help="Every delta and append on a line of its own.")
@click.option("--json", "as_json", is_flag=True, help="For machines: an object a line.")
def command(
    shared: Shared,
    session: str | None,
    lines: int,
    types: tuple[str, ...],
    origins: tuple[str, ...],
    no_fold: bool,
    as_json: bool,
) -> None:
    """Ends with the session, when its recorder is gone, or with Ctrl-C. Of a session that is over
    the last events are shown. Without a name it is the newest session.
    """
    found = shared.session(session)
    watch = _Watch(shared, found, types, origins, fold=not no_fold, as_json=as_json)
    shared.out.as_it_comes()
    watch.run(max(0, shared.store.last_seq(found.id) - lines))


class _Watch:
    """Gives what comes, as it comes."""

    def __init__(
        self,
        shared: Shared,
        session: Session,
        types: tuple[str, ...],
        origins: tuple[str, ...],
        *,
        fold: bool,
        as_json: bool,
    ) -> None:
        from .describing import Teller

        self._shared, self._session = shared, session
        self._types, self._origins = types, origins
        self._teller = None if as_json else Teller(fold=fold)
        self._printer = Printer(shared.out, 99_999, fold=fold)
        self._over = False

    def run(self, seq: int) -> None:
        """Until the session is over."""
        last_news, asked = time.monotonic(), 0.0
        while not self._over:
            now = time.monotonic()
            live = True
            if now - asked >= LEASE_SECONDS:
                asked, live = now, self._is_live()
            came = 0
            for event in self._shared.store.read(self._session.id, after=seq, audio=False):
                seq, came = event.seq, came + 1
                self._take(event)
            if came:
                last_news = now
            elif now - last_news > QUIET_SECONDS:
                self._flush()
            if not live and not came:
                break
            if not self._over and not came:
                time.sleep(POLL_SECONDS)
        self._flush()
        if not self._over and not self._was_closed():
            self._shared.out.say("the recording stopped without a close")

    def _was_closed(self) -> bool:
        """Before the events that were shown: notes and tags may have come later."""
        events = self._shared.store.read(self._session.id, types=["recorder.closed"], audio=False)
        return any(True for _ in events)

    def _take(self, event: Event) -> None:
        self._over = self._over or event.type == "recorder.closed"
        if self._types and not any(fnmatchcase(event.type, glob) for glob in self._types):
            return
        if self._origins and event.origin.name.lower() not in self._origins:
            return
        if self._teller is None:
            self._shared.out.json(event_as_json(event), indent=False)
            return
        for told in self._teller.tell(event):
            self._printer.line(told)

    def _flush(self) -> None:
        for told in self._teller.rest() if self._teller else ():
            self._printer.line(told)

    def _is_live(self) -> bool:
        """As of now: the command itself may run for hours."""
        from recorder.sql.views import Views

        views: Any = Views(self._shared.store, time.time_ns())
        return bool(views.is_live(self._session.id))
