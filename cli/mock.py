"""`recorder mock`: an endpoint that behaves as a recorded one did."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .listening import read_address, server_tls, until_signalled
from .shared import Shared
from .shared import command as in_table
from .text import counted, json_text

if TYPE_CHECKING:
    import ssl

    from recorder.mocking.choosing import Played, Recorded
    from recorder.mocking.serving import Mock, Options

DIFFERED: Final = 1


class _Explaining(click.Command):
    """Its help lists the faults that there are."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from recorder.mocking.faults import KINDS

        super().format_options(context, formatter)
        with formatter.section("Faults: ACTION[=VALUE][@WHERE][#N][%P]"):
            formatter.write_dl([(kind.example, kind.help) for kind in KINDS.values()])
            formatter.write_text(
                "WHERE is a type of server event, with * and ?, or a time since the connection. "
                "#N: only the Nth of them; %P: each with a chance of P percent."
            )


@in_table("mock", _Explaining)
@click.argument("sessions", nargs=-1, metavar="[SESSION|FILE]...")
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True,
              help="Port 0 takes a free one.")  # fmt: skip
@click.option("--match", type=click.Choice(["strict", "lenient", "free"]), default="strict",
              show_default=True, help="strict ends at the first difference, lenient notes it and "
              "goes on, free only waits for something to answer.")  # fmt: skip
@click.option("--speed", type=float, default=1.0, show_default=True,
              help="How many times as fast as it was recorded.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Without the recorded delays.")
@click.option("--patience", metavar="TIME", default="60s", show_default=True,
              help="How much longer than the recorded client this one may take.")  # fmt: skip
@click.option("--once", is_flag=True, help="Play each session once, then end.")
@click.option("--fault", "faults", metavar="FAULT", multiple=True,
              help="Let something go wrong; see below. Repeatable.")  # fmt: skip
@click.option("--seed", default="0", show_default=True, help="Of what faults leave to chance.")
@click.option(
    "--key-env",
    metavar="NAME",
    multiple=True,
    help="Variable with a key that clients must present; else none is asked for.",
)
@click.option("--cert", type=click.Path(dir_okay=False), help="TLS certificate (PEM).")
@click.option("--key", type=click.Path(dir_okay=False), help="Its private key (PEM).")
@click.option("--json", "as_json", is_flag=True, help="What was played, one JSON object a line.")
def command(shared: Shared, sessions: tuple[str, ...], **options: Any) -> int:
    """Any client connects to it and gets the recorded server events: each when the client has
    caused it, as it caused it in the recording, and after the recorded delay. Ids, metadata and
    configuration are this client's own. Sessions come from the database (the latest, where none
    is named) or from files of `recorder export jsonl`; a client gets the one whose id or tag its
    URL names (?session=, ?tag=), else one with the model that it asks for, in turn.

    When a client leaves, it is said what was played and what was not. Exit code 1: under strict,
    a client did something else, or left something unplayed. End it with Ctrl-C.
    """
    import trio

    from recorder.mocking.serving import Mock

    host, port = read_address(options["listen"])
    context = server_tls(options["cert"], options["key"])
    settings = _settings(shared, options)
    recorded = _checked(shared, _recorded(shared, sessions or ("latest",)))
    tally = _Tally(shared, as_json=options["as_json"])
    mock = Mock(recorded, settings, tally.add)
    trio.run(_serve, shared, mock, host, port, context)
    return tally.code(mock, settings)


def _settings(shared: Shared, options: dict[str, Any]) -> Options:
    from recorder.mocking.faults import parse_fault, read_time
    from recorder.mocking.serving import Options
    from recorder.replaying import Rules

    patience_ns = read_time(options["patience"])
    if patience_ns is None:
        raise UsageError(f"--patience {options['patience']}: expected a time such as 500ms or 60s")
    return Options(
        rules=Rules(
            match=options["match"],
            speed=None if options["no_wait"] else options["speed"],
            patience_ns=patience_ns,
        ),
        once=options["once"],
        faults=tuple(parse_fault(each) for each in options["faults"]),
        seed=options["seed"],
        api_keys=frozenset(_variable(shared, name) for name in options["key_env"]) or None,
    )


def _variable(shared: Shared, name: str) -> str:
    value = shared.environ.get(name)
    if not value:
        raise UsageError(f"--key-env {name}: this variable is not set in the environment")
    return value


def _recorded(shared: Shared, words: tuple[str, ...]) -> list[Recorded]:
    """The sessions that are meant: files by their path, all else as it is called."""
    from recorder.mocking.cassettes import from_file, from_store

    found: list[Recorded] = []
    for word in words:
        if word.endswith((".jsonl", ".jsonl.gz")) or Path(word).is_file():
            found += from_file(Path(word))
            continue
        rows = shared.chosen([word])
        if not rows:
            raise UsageError(f"no session is meant by {word!r}; `recorder ls` shows what is there")
        for row in rows:
            session = shared.store.session(row.id)
            found.append(from_store(shared.store, session, model=row.model, tags=row.tags))
    return found


def _checked(shared: Shared, recorded: list[Recorded]) -> list[Recorded]:
    from recorder.mocking.choosing import check_playable

    for each in recorded:
        for note in check_playable(each):
            shared.out.say(note)
    return recorded


async def _serve(
    shared: Shared, mock: Mock, host: str, port: int, context: ssl.SSLContext | None
) -> None:
    from recorder.mocking.serving import serve_mock
    from recorder.transport import plain_nursery

    async with plain_nursery() as nursery:
        address = await nursery.start(
            partial(serve_mock, mock, host=host, port=port, ssl_context=context)
        )
        nursery.start_soon(_until_done, mock, nursery.cancel_scope.cancel)
        shared.out.as_it_comes()
        web, socket = ("https", "wss") if context else ("http", "ws")
        shared.out.say(f"listening on {socket}://{address}/v1/realtime")
        shared.out.say(f"try: OPENAI_BASE_URL={web}://{address}/v1")
        await until_signalled()
        nursery.cancel_scope.cancel()


async def _until_done(mock: Mock, stop: Any) -> None:
    await mock.done.wait()
    stop()


class _Tally:
    """What came of every connection."""

    def __init__(self, shared: Shared, *, as_json: bool) -> None:
        self._shared, self._as_json = shared, as_json
        self._played = 0
        self._sound = True

    def add(self, played: Played) -> None:
        """Say what came of one."""
        self._played += 1
        self._sound = self._sound and played.sound
        if self._as_json:
            self._shared.out.line(json_text(_facts(played)))
            return
        for line in _told(played):
            self._shared.out.line(line)

    def code(self, mock: Mock, options: Options) -> int:
        """The exit code; says what was left of the sessions."""
        unplayed = mock.chooser.unplayed
        if not self._played:
            self._shared.out.say("no client came: nothing was played")
        elif unplayed:
            names = ", ".join(each.id for each in unplayed[:5])
            self._shared.out.say(f"{counted(len(unplayed), 'session')} not played: {names}")
        strict = options.rules.match == "strict"
        missed = not self._played or (options.once and bool(unplayed))
        return DIFFERED if strict and (missed or not self._sound) else 0


def _facts(played: Played) -> dict[str, Any]:
    outcome = played.outcome
    return {
        "connection": played.number,
        "session": played.session.id,
        "sent": outcome.sent,
        "left": dict(outcome.left),
        "not_asked_for": list(outcome.unasked),
        "divergences": [
            {
                "at_ns": each.at_ns,
                "expected": each.expected,
                "came": each.came,
                "nearest": each.nearest or None,
                "differences": list(each.differences),
            }
            for each in outcome.divergences
        ],
        "notes": list(outcome.notes),
        "broken": played.broken or None,
    }


def _told(played: Played) -> list[str]:
    """One connection for people."""
    outcome = played.outcome
    name = f"connection {played.number}, session {played.session.id}"
    total = outcome.sent + sum(outcome.left.values())
    lines = [f"{name}: {outcome.sent} of {counted(total, 'event')} played"]
    for divergence in outcome.divergences:
        first, *more = divergence.lines()
        lines += [f"  diverged {first}", *(f"  {each}" for each in more)]
    if outcome.left:
        kinds = Counter(outcome.left).most_common(6)
        told = ", ".join(f"{count} {kind or '(no type)'}" for kind, count in kinds)
        others = len(outcome.left) - len(kinds)
        lines.append(f"  not played: {told}" + (f" and {others} other types" if others > 0 else ""))
    lines += [f"  the client never sent: {each}" for each in outcome.unasked[:10]]
    if played.broken:
        lines.append(f"  the recording cannot be read to its end: {played.broken}")
    return lines + [f"  {each}" for each in outcome.notes]
