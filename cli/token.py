"""`recorder token`: a short-lived client token on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from recorder.errors import UsageError

from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.live.tokens import Form


@in_table("token")
@click.option("--url", metavar="URL", help="Origin, /v1 base or full URL; else RECORDER_URL.")
@click.option("--model", default="", help="The model that the token is for.")
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the key.")
@click.option(
    "--form",
    type=click.Choice(["auto", "client_secrets", "sessions", "realtime"]),
    default="auto",
    help="client_secrets: GA; sessions: beta; realtime: DGrid's GET /v1/realtime.",
)
@click.option("--ca", "ca_file", metavar="FILE", help="Certificate authority to trust.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Seconds to wait for the answer.",
)
@click.option("--json", "as_json", is_flag=True, help="With its expiry and session.")
def command(shared: Shared, form: str, as_json: bool, **options: Any) -> None:
    """The token is printed on stdout and stored nowhere. Give it to the browser or phone that is
    to connect; it ends by itself.

    DGrid documents GET /v1/realtime as creating a token, while it is the entry point of the
    WebSocket itself: it answers 101, or an error object. What came back is said plainly.
    """
    import trio

    from recorder.live.endpoints import default_url, endpoint, found_key
    from recorder.live.tokens import form_for, get_token

    url = options["url"] or default_url(shared.environ)
    if not url:
        raise UsageError("where from? Give --url https://HOST/v1 or set RECORDER_URL")
    key = found_key(url, shared.environ, options["api_key_env"])
    place = endpoint(url, model=options["model"], api_key=key, dialect="ga")
    chosen: Form = form_for(place.url) if form == "auto" else form  # type: ignore[assignment]
    if chosen != "realtime" and not place.model:
        raise UsageError("which model? Add --model NAME, as in --model gpt-realtime")

    async def ask() -> None:
        token = await get_token(
            place, chosen, timeout=options["timeout"], ca_file=options["ca_file"]
        )
        if as_json:
            body = {"value": token.value, "expires_at": token.expires_at, "session": token.session}
            shared.out.json(body)
        else:
            shared.out.line(token.value)

    trio.run(ask)
