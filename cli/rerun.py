"""`recorder rerun`: the recorded caller again, before a live endpoint."""

from __future__ import annotations

from typing import Any

import click

from .shared import Shared
from .shared import command as in_table

_WHERE = (
    click.option("--url", metavar="URL", help="Origin, /v1 base or full URL; sandbox: starts one. "
                 "Else RECORDER_URL; else DGrid where DGRID_API_KEY is the only key."),
    click.option("--model", help="Another model than the recorded one."),
    click.option("--api-key-env", metavar="NAME", help="Variable that holds the key, for a host "
                 "that is not the key's own."),
    click.option("--auth", type=click.Choice(["auto", "bearer", "api-key", "subprotocol", "none"]),
                 default="auto", help="How the key is presented; auto: api-key on Azure."),
    click.option("--dialect", type=click.Choice(["auto", "ga", "beta"]), default="auto",
                 help="auto: the beta marker only where the endpoint documents it."),
    click.option("--header", "headers", metavar="NAME=VALUE", multiple=True,
                 help="One more header; secret ones as NAME=env:VARIABLE."),
    click.option("--ca", "ca_file", metavar="FILE", help="Certificate authority to trust."),
    click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0,
                 help="Seconds to wait for the connection and for the handshake."),
)  # fmt: skip

_OTHERWISE = (
    click.option("--voice", help="Another voice."),
    click.option("--instructions", metavar="TEXT", help="Other instructions."),
    click.option("--vad", type=click.Choice(["none", "server", "semantic"]),
                 help="Another turn detection; none: the caller commits where the server did."),
    click.option("--session", "session_file", metavar="FILE", type=click.Path(dir_okay=False),
                 help="JSON session object, laid over what was recorded and the other options."),
    click.option("--silence", is_flag=True,
                 help="Send silence where the recorded audio was erased or never kept."),
)  # fmt: skip

_HOW = (
    click.option("--each-turn", is_flag=True,
                 help="Every user turn by itself, after the recorded history."),
    click.option("--times", type=click.IntRange(min=1), default=1, help="So many times."),
    click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True,
                 help="So many at once."),
    click.option("--speed", type=float, default=1.0, show_default=True,
                 help="Faster than real time: a server that listens hears it otherwise."),
    click.option("--patience", metavar="TIME", default="30s", show_default=True,
                 help="How long the endpoint may do nothing while it is waited for; then the "
                 "caller goes on, and that is said and noted."),
    click.option("--max-audio-minutes", type=click.FloatRange(min=0, min_open=True),
                 help="Send no more audio than this, in all."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)  # fmt: skip

_KEEPING = (
    click.option("--capture", type=click.Choice(["full", "no-audio", "metadata"]), default="full",
                 help="What is kept; lengths and times always are."),
    click.option("--on-stall", type=click.Choice(["gap", "wait"]), default="gap",
                 help="When the database does not keep up: lose messages and say so, or hold the "
                 "session back."),
    click.option("--call", metavar="LABEL", help="Ties the reruns into one call."),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="Beside `rerun`. Repeatable."),
    click.option("--max-duration", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True),
                 help="End after so long."),
    click.option("--json", "as_json", is_flag=True, help="What came of it, a JSON object a run."),
    click.option("--quiet", is_flag=True, help="Do not show the conversation as it unfolds."),
)  # fmt: skip


def _all_options(function: Any) -> Any:
    for option in reversed((*_WHERE, *_OTHERWISE, *_HOW, *_KEEPING)):
        function = option(function)
    return function


@in_table("rerun")
@click.argument("session", required=False, metavar="[SESSION|FILE]")
@_all_options
def command(shared: Shared, /, session: str | None, **options: Any) -> int:
    """The client's events go to a live endpoint once more: its audio by its own clock, everything
    else as long after what it reacted to as it did then, with this run's ids. Tools get the
    recorded outputs, by name and arguments; the run stops where one is asked for that was never
    recorded. What was recorded in the beta's dialect is translated for GA endpoints.

    Recorded headers are not sent again: what the endpoint needs, give with --header. Subprotocols
    are offered again, but for those that hold a key or name somebody.

    The new session is recorded, tagged `rerun`, and knows whose rerun it is. Speaking to a live
    endpoint costs: it says first how much audio it will send, and asks. Keys go only to their own
    host, as with `recorder record`.

    Exit code 1: it had to stop before its end, or messages are not in the log; 3: the endpoint
    refused or failed.
    """
    from .rerunning import run

    return run(shared, session, options)
