"""`recorder ui`: the recorded sessions in the browser."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from .listening import read_address, until_signalled
from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.sql.store import SqlStore


@in_table("ui")
@click.argument("session", required=False, metavar="[SESSION]")
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True,
              help="Of this machine only. Port 0 takes a free one.")  # fmt: skip
@click.option("--open/--no-open", "opens", default=None,
              help="Open the browser, or do not; else it is opened from a terminal.")  # fmt: skip
def command(shared: Shared, session: str | None, listen: str, opens: bool | None) -> None:
    """The list of sessions, the page of each with its sound, reports, two sessions side by side.
    Sessions that are being recorded grow as one watches. It prints a link that opens it, with a
    token: nobody else on this machine gets in. /api lists its HTTP API. End it with Ctrl-C.
    """
    import trio

    from recorder.ui.serving import check_host

    host, port = read_address(listen)
    check_host(host)
    path = f"/session/{shared.session(session).id}" if session else "/"
    opened = shared.out.watched if opens is None else opens
    trio.run(_serve, shared, shared.store, host, port, path, opened)


async def _serve(
    shared: Shared, store: SqlStore, host: str, port: int, path: str, opened: bool
) -> None:
    import trio

    from recorder.transport import plain_nursery
    from recorder.ui.guarding import Guard
    from recorder.ui.serving import serve

    guard = Guard()
    async with plain_nursery() as nursery:
        address = await nursery.start(partial(serve, store, guard, host=host, port=port))
        link = guard.link(f"http://{address}", path)
        shared.out.as_it_comes()
        shared.out.line(link)
        if opened:
            await trio.to_thread.run_sync(_open, link, abandon_on_cancel=True)
        await until_signalled()
        nursery.cancel_scope.cancel()


def _open(link: str) -> None:
    import webbrowser

    webbrowser.open(link)
