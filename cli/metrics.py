"""`recorder metrics`: latencies and failures of the recorded calls, for Prometheus."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from .listening import read_address, until_signalled
from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.sql.store import SqlStore


@in_table("metrics")
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:9465", show_default=True,
              help="Port 0 takes a free one.")  # fmt: skip
def command(shared: Shared, listen: str) -> None:
    """Histograms of v2v_audible and time_to_answer by model, turns that failed or got no answer,
    overlap: of every session that is over. It follows the database and stands beside whatever
    records; a scrape folds what is new. /metrics is for Prometheus, /healthz for probes.
    """
    import trio

    host, port = read_address(listen)
    trio.run(_serve, shared, shared.store, host, port)


async def _serve(shared: Shared, store: SqlStore, host: str, port: int) -> None:
    from recorder.live import frontdoor
    from recorder.proxy.guarding import Doors
    from recorder.proxy.voice import Scrapes
    from recorder.transport import plain_nursery
    from recorder.transport.urls import is_loopback

    doors = Doors(loopback=is_loopback(host))
    async with plain_nursery() as nursery:
        address = await nursery.start(
            partial(frontdoor.serve, Scrapes(store, doors), host=host, port=port)
        )
        shared.out.as_it_comes()
        shared.out.line(f"metrics at http://{address}/metrics")
        await until_signalled()
        nursery.cancel_scope.cancel()
