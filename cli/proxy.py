"""`recorder proxy`: record whatever an application that points here talks about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .listening import read_address, server_tls
from .shared import Shared
from .shared import command as in_table
from .text import counted

if TYPE_CHECKING:
    import ssl

    from recorder.proxy.keeping import Keeping
    from recorder.proxy.options import ProxyOptions

DEFAULT_LISTEN: Final = "127.0.0.1:8765"
LOSS: Final = 1


@in_table("proxy")
@click.option(
    "--upstream",
    "upstreams",
    metavar="[NAME=]URL",
    multiple=True,
    help="Where sessions are passed on to: origin, API base or full URL. Repeatable with names; "
    "each is then served under /NAME/.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=DEFAULT_LISTEN,
    show_default=True,
    help="Port 0 takes a free one.",
)
@click.option(
    "--howto",
    metavar="CLIENT",
    help="Print the lines to paste for a client, and end; `list` names them.",
)
@click.option(
    "--api-key-env",
    metavar="NAME",
    help="Variable with the upstream's key: the proxy "
    "adds it, applications need none, and only realtime paths are served.",
)
@click.option(
    "--api-key-header",
    metavar="HEADER",
    default=None,
    help="Header for that key: Authorization (as Bearer), or api-key for Azure.",
)
@click.option(
    "--client-auth",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Tokens that clients must show, one a line; they can get short-lived ones "
    "with POST .../realtime/client_secrets.",
)
@click.option(
    "--mint",
    type=click.Choice(["auto", "proxy", "upstream"]),
    default="auto",
    show_default=True,
    help="Who makes those short-lived tokens.",
)
@click.option(
    "--token-uses",
    type=click.IntRange(1, 10_000),
    default=5,
    show_default=True,
    help="Sessions that a short-lived token opens.",
)
@click.option("--only-realtime", is_flag=True, help="Refuse other paths with 404.")
@click.option(
    "--capture",
    type=click.Choice(["full", "no-audio", "metadata"]),
    default="full",
    show_default=True,
    help="What is kept of each message.",
)
@click.option(
    "--sample",
    metavar="SHARE",
    default="100%",
    show_default=True,
    help="How many sessions are recorded.",
)
@click.option("--call", default="", metavar="LABEL", help="Call label of sessions that name none.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Tag of every session.")
@click.option("--keep", metavar="TIME", help="Remove sessions older than this: 30d, 12h.")
@click.option(
    "--max-db-size",
    metavar="SIZE",
    help="Remove the oldest closed sessions beyond this: 50GB, 500MB.",
)
@click.option(
    "--on-stall",
    type=click.Choice(["gap", "wait"]),
    default="gap",
    show_default=True,
    help="When the database does not keep up: lose messages and say so, or hold the "
    "session back (pings too: after some 40 s a client may then give up).",
)
@click.option(
    "--store-down",
    type=click.Choice(["open", "closed"]),
    default="open",
    show_default=True,
    help="When the database does not take a new session: carry it "
    "unrecorded, or refuse it with 503.",
)
@click.option(
    "--ca",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Authority (PEM) that the upstream's certificate may come from.",
)
@click.option(
    "--cert",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Serve TLS with this certificate (PEM).",
)
@click.option("--key", metavar="FILE", type=click.Path(dir_okay=False), help="Its private key.")
@click.option(
    "--dev-cert",
    is_flag=True,
    help="Serve TLS with an authority of its own, and say how to trust it.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Web pages that may connect, as in https://app.example; * for all.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Names that the proxy goes by, beside those of this machine.",
)
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without TLS and tokens.")
@click.option(
    "--metrics-listen", metavar="HOST:PORT", help="Serve /healthz, /readyz and /metrics there."
)
@click.option(
    "--grace",
    metavar="TIME",
    default="60m",
    show_default=True,
    help="How long open sessions may go on after SIGTERM; a second signal ends them.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Open at once.",
)
@click.option(
    "--max-per-client",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Open at once from one address.",
)
@click.option(
    "--idle",
    metavar="TIME",
    default="30m",
    show_default=True,
    help="End sessions in which nothing passes for so long.",
)
def command(shared: Shared, howto: str | None, upstreams: tuple[str, ...], **given: Any) -> int:
    """Set the base URL of an application to the proxy, and every session that it holds is in the
    log, byte for byte, while it notices nothing. HTTP passes on the same port; of it, only the
    side calls of the Realtime API are recorded.

    An application can say more with headers (or in the query, as recorder.call= and so on):
    X-Recorder-Call and X-Recorder-Tag label the session, X-Recorder-Record: off leaves it out.
    """
    import trio

    if howto is not None:
        _print_howto(shared, howto, given)
        return 0
    plan = _plan(shared, upstreams, given)
    return trio.run(_serve, shared, plan)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the options say."""

    options: ProxyOptions
    host: str
    port: int
    tls: ssl.SSLContext | None
    authority: Path | None
    metrics: tuple[str, int] | None
    keeping: Keeping
    grace: float


def _plan(shared: Shared, upstreams: tuple[str, ...], given: dict[str, Any]) -> _Plan:
    from recorder.proxy.guarding import Doors, Tokens, read_tokens
    from recorder.proxy.keeping import Keeping
    from recorder.proxy.options import Bounds, ProxyOptions
    from recorder.proxy.routes import Routes, parse_upstream
    from recorder.proxy.running import check_listening
    from recorder.transport.urls import is_loopback

    host, port = read_address(given["listen"])
    hosts = frozenset(name.lower() for name in given["hosts"])
    origins = frozenset(origin.lower().rstrip("/") for origin in given["origins"])
    tls, authority = _tls(shared, given, [host, *hosts])
    guarded = given["client_auth"] is not None
    check_listening(host, secure=tls is not None, guarded=guarded, insecure=given["insecure"])
    places = tuple(parse_upstream(each) for each in upstreams)
    Routes(places)
    options = ProxyOptions(
        upstreams=places,
        doors=Doors(is_loopback(host), hosts, origins),
        credential=_credential(shared, places, given),
        tokens=Tokens(read_tokens(given["client_auth"])) if guarded else None,
        mint=given["mint"],
        token_uses=given["token_uses"],
        only_realtime=given["only_realtime"],
        capture=given["capture"],
        sample=_share(given["sample"]),
        call=given["call"],
        tags=given["tags"],
        on_stall=given["on_stall"],
        store_down=given["store_down"],
        ca_file=given["ca"],
        bounds=Bounds(
            connections=given["max_connections"],
            per_client=given["max_per_client"],
            idle_seconds=_seconds(given["idle"], "--idle"),
        ),
    )
    keeping = Keeping(
        _seconds(given["keep"], "--keep") if given["keep"] else None,
        _size(given["max_db_size"]) if given["max_db_size"] else None,
    )
    metrics = given["metrics_listen"]
    return _Plan(
        options, host, port, tls, authority,
        read_address(metrics, "--metrics-listen") if metrics else None,
        keeping, _seconds(given["grace"], "--grace"),
    )  # fmt: skip


def _tls(
    shared: Shared, given: dict[str, Any], names: list[str]
) -> tuple[ssl.SSLContext | None, Path | None]:
    if not given["dev_cert"]:
        return server_tls(given["cert"], given["key"]), None
    if given["cert"] or given["key"]:
        raise UsageError("--dev-cert makes a certificate; leave --cert and --key out")
    from platformdirs import user_data_path

    from recorder.proxy.authority import dev_context
    from recorder.sql.opening import make_private_folder

    folder = user_data_path("realtime-recorder")
    make_private_folder(folder)
    return dev_context(folder, [name for name in names if name not in ("0.0.0.0", "::")])


def _credential(shared: Shared, places: tuple[Any, ...], given: dict[str, Any]) -> Any:
    from recorder.live.endpoints import is_loopback
    from recorder.proxy.heads import Credential

    name, header = given["api_key_env"], given["api_key_header"]
    if name is None:
        if header is not None:
            raise UsageError("--api-key-header goes with --api-key-env NAME")
        return None
    key = shared.environ.get(name)
    if not key:
        raise UsageError(f"--api-key-env {name}: this variable is not set in the environment")
    if any(ord(c) < 33 or ord(c) > 126 for c in key):
        raise UsageError(f"--api-key-env {name}: spaces or other characters that no key has")
    if len(places) > 1:
        raise UsageError("--api-key-env: one key goes to one upstream; run a proxy for each")
    for place in places:
        if not place.secure and not is_loopback(place.host):
            raise UsageError(f"{place}: a key is not sent over plain http:// to another machine")
    azure = any(place.host.endswith(".openai.azure.com") for place in places)
    return Credential(key, header or ("api-key" if azure else "Authorization"))


def _share(word: str) -> float:
    text = word.strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--sample {word!r}: expected a share such as 5% or 0.05")
    return share


def _seconds(word: str, option: str) -> float:
    from recorder.selecting import parse_offset

    try:
        return parse_offset(word) / 1e9
    except UsageError:
        raise UsageError(f"{option} {word!r}: expected a time such as 30d, 12h or 90s") from None


_SIZES: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
                 "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip


def _size(word: str) -> int:
    text = word.strip().upper()
    for unit, size in _SIZES.items():
        number = text.removesuffix(unit).strip()
        if number != text and number.replace(".", "", 1).isdigit():
            return int(float(number) * size)
    raise UsageError(f"--max-db-size {word!r}: expected a size such as 50GB or 500MB")


def _print_howto(shared: Shared, name: str, given: dict[str, Any]) -> None:
    from recorder.proxy.howto import HOWTOS, told

    if name == "list":
        for howto in HOWTOS.values():
            shared.out.line(f"{howto.name:<22} {howto.what}")
        return
    if name not in HOWTOS:
        raise UsageError(f"--howto {name}: no such client; there are {', '.join(HOWTOS)}")
    secure = bool(given["dev_cert"] or given["cert"])
    for line in told(HOWTOS[name], given["listen"], secure=secure):
        shared.out.line(line)


async def _serve(shared: Shared, plan: _Plan) -> int:

    from recorder.live.writer import open_writer
    from recorder.proxy.running import BUSY_SECONDS, serve_proxy, writer_options
    from recorder.sql.store import SqlStore

    out = shared.out
    store = SqlStore.open(
        shared.location(), durability=shared.durability, busy_seconds=BUSY_SECONDS
    )
    try:
        async with open_writer(store, writer_options(out.say)) as writer:
            serving = serve_proxy(
                plan.options, writer, host=plan.host, port=plan.port, ssl_context=plan.tls
            )
            async with serving as (proxy, address):
                await _until_told(shared, plan, proxy, str(address))
            lost = proxy.counts.lost
        return _account(shared, lost + writer.lost, proxy.counts.unrecorded)
    finally:
        store.close()


async def _until_told(shared: Shared, plan: _Plan, proxy: Any, address: str) -> None:
    """Serve until a signal says to end, and then end in order."""
    import signal

    import trio

    from recorder.proxy.running import drain
    from recorder.proxy.sweeping import settle, sweep

    settle()
    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, hangup) as signals:
        async with trio.open_nursery() as nursery:
            health = await _beside(nursery, plan, proxy)
            nursery.start_soon(sweep)
            _greet(shared, plan, address, health)
            await anext(signals)
            shared.out.say(_ending(len(proxy.live), plan.grace))
            async with trio.open_nursery() as ending:
                ending.start_soon(_hurry, signals, proxy)
                await drain(proxy, plan.grace)
                ending.cancel_scope.cancel()
            nursery.cancel_scope.cancel()


async def _beside(nursery: Any, plan: _Plan, proxy: Any) -> str:
    """Start what runs beside the sessions; where the probes are served."""
    from functools import partial

    from recorder.live import frontdoor
    from recorder.proxy.guarding import Doors
    from recorder.proxy.keeping import keep
    from recorder.proxy.measuring import Health
    from recorder.transport.urls import is_loopback

    if plan.keeping:
        nursery.start_soon(keep, proxy.writer.store, plan.keeping)
    if plan.metrics is None:
        return ""
    host, port = plan.metrics
    probes = Health(proxy, Doors(is_loopback(host), plan.options.doors.hosts))
    return str(await nursery.start(partial(frontdoor.serve, probes, host=host, port=port)))


async def _hurry(signals: Any, proxy: Any) -> None:
    """A second signal: do not wait any longer."""
    from recorder.proxy.running import end_now

    await anext(signals)
    end_now(proxy)


def _ending(count: int, grace: float) -> str:
    if not count:
        return "ending"
    return (
        f"taking no new sessions; {counted(count, 'session')} may go on for {grace:g} s "
        "(Ctrl-C again ends them now)"
    )


def _account(shared: Shared, lost: int, unrecorded: int) -> int:
    if unrecorded:
        shared.out.say(f"{counted(unrecorded, 'session')} passed and could not be recorded")
    if lost:
        shared.out.say(f"{counted(lost, 'message')} passed and are not in the log")
    return LOSS if lost or unrecorded else 0


def _greet(shared: Shared, plan: _Plan, address: str, health: str) -> None:
    from recorder.proxy.howto import HOWTOS, told

    out, secure = shared.out, plan.tls is not None
    web = "https" if secure else "http"
    out.as_it_comes()
    out.line(f"listening on {web}://{address}")
    names = {f"/{place.name}/" if place.name else "/": place for place in plan.options.upstreams}
    for name, place in names.items():
        out.line(f"  {name} passes on to {place}")
    if health:
        out.line(f"  probes and metrics at http://{health}/metrics")
    if plan.authority is not None:
        out.line(
            f"  trust {plan.authority}: NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, REQUESTS_CA_BUNDLE"
        )
    out.line(f"try: OPENAI_BASE_URL={web}://{address}/v1")
    for name in ("openai-python", "openai-node") if secure else ("openai-python",):
        for line in told(HOWTOS[name], address, secure=secure):
            out.line(line)
    out.line("`recorder proxy --howto list` has the lines for other clients")
