"""`recorder sandbox`: a Realtime endpoint on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.errors import UsageError

from .listening import read_address, server_tls
from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    import ssl


@in_table("sandbox")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Port 0 takes a free one.",
)
@click.option(
    "--script",
    metavar="NAME-OR-FILE",
    default="small-talk",
    show_default=True,
    help="What it answers: small-talk, demo, or a JSON file.",
)
@click.option(
    "--dialect",
    type=click.Choice(["auto", "ga", "beta", "mixed"]),
    default="auto",
    help="auto: beta for clients that carry its marker.",
)
@click.option(
    "--key-env",
    metavar="NAME",
    multiple=True,
    help="Variable with a key that clients must present; without, all are let in.",
)
@click.option(
    "--late-auth",
    is_flag=True,
    help="Refuse a bad key as OpenAI does: 101, an error event, close 3000.",
)
@click.option("--cert", type=click.Path(dir_okay=False), help="TLS certificate (PEM).")
@click.option("--key", type=click.Path(dir_okay=False), help="Its private key (PEM).")
@click.option("--seed", help="Makes all ids the same from run to run.")
def command(
    shared: Shared,
    listen: str,
    script: str,
    dialect: str,
    key_env: tuple[str, ...],
    late_auth: bool,
    cert: str | None,
    key: str | None,
    seed: str | None,
) -> None:
    """It answers as a Realtime endpoint does (GA and beta names, voice detection, tools, errors,
    tokens), from a script instead of a model. End it with Ctrl-C.
    """
    import trio

    from recorder.sandbox.builtin import SCRIPTS
    from recorder.sandbox.script_file import load_script
    from recorder.sandbox.server import Options

    host, port = read_address(listen)
    keys = frozenset(_variable(shared, name) for name in key_env)
    options = Options(
        script=SCRIPTS[script] if script in SCRIPTS else load_script(Path(script)),
        api_keys=keys or None,
        dialect=dialect,
        late_auth=late_auth,
        seed=seed,
    )
    context = server_tls(cert, key)
    trio.run(_serve, shared, options, host, port, context)


async def _serve(
    shared: Shared, options: object, host: str, port: int, context: ssl.SSLContext | None
) -> None:
    import signal

    import trio

    from recorder.sandbox.server import Options, serve_sandbox
    from recorder.transport import plain_nursery

    assert isinstance(options, Options)
    async with plain_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

            async def serve(task_status: trio.TaskStatus[object]) -> None:
                await serve_sandbox(
                    options, host=host, port=port, ssl_context=context, task_status=task_status
                )

            address = await nursery.start(serve)
            shared.out.as_it_comes()
            web = "https" if context else "http"
            socket = "wss" if context else "ws"
            shared.out.line(f"listening on {socket}://{address.host}:{address.port}/v1/realtime")
            shared.out.line(f"try: recorder record --url {socket}://{address.host}:{address.port} "
                            "--model sandbox --text hello")  # fmt: skip
            shared.out.line(f"  or: OPENAI_BASE_URL={web}://{address.host}:{address.port}/v1")
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


def _variable(shared: Shared, name: str) -> str:
    value = shared.environ.get(name)
    if not value:
        raise UsageError(f"--key-env {name}: this variable is not set in the environment")
    return value
