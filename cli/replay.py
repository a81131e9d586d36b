"""`recorder replay`: a session once more, as it happened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from recorder.errors import UsageError

from .player import detector_option, player_options
from .shared import Shared, session_argument
from .shared import command as in_table
from .text import counted, position

if TYPE_CHECKING:
    from recorder.events import Session

    from .replay_score import Choice, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said about the playing."""

    speed: float | None
    idle_limit: str | None
    start: str | None
    until: str | None
    turn: int | None
    step: bool
    audio: bool

    @property
    def about_time(self) -> str:
        """The first option that makes sense only where there are times."""
        given = {"--speed": self.speed, "--idle-limit": self.idle_limit, "--start": self.start,
                 "--until": self.until, "--turn": self.turn, "--audio": self.audio}  # fmt: skip
        return next((name for name, value in given.items() if value), "")


@in_table("replay")
@session_argument
@click.option("--speed", type=click.FloatRange(0.01, 1000), metavar="X",
              help="So many times as fast; 1 on a terminal.")  # fmt: skip
@click.option("--idle-limit", metavar="TIME",
              help="Wait at most so long where nobody speaks and nothing happens.")  # fmt: skip
@click.option("--start", metavar="TIME", help="From this moment on: 12.5s, 850ms, 1:02.")
@click.option("--until", metavar="TIME", help="Stop at this moment.")
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only this turn.")
@click.option("--step", is_flag=True, help="Stand before the first event; . goes one on.")
@click.option("--only", multiple=True, metavar="WHAT",
              help="Show only this: an origin or a type; any of several.")  # fmt: skip
@click.option("--without", multiple=True, metavar="WHAT", help="Do not show this.")
@click.option("--break-on", "breaks", multiple=True, metavar="WHAT",
              help="Stop there: error (whatever failed or was lost), or as --only.")  # fmt: skip
@click.option("--audio", is_flag=True,
              help="Play the call too, user left, assistant right (the extra sound).")  # fmt: skip
@click.option("--plain", is_flag=True, help="Lines without keys, on a terminal too.")
@detector_option
@player_options
def command(
    shared: Shared,
    session: str | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    breaks: tuple[str, ...],
    plain: bool,
    **said: object,
) -> None:
    """On a terminal it plays with the recorded timing: the conversation as it was heard, with
    interruptions, tool calls, latencies and findings, and the events. Keys: space plays and
    pauses, . and , go one event on and back, arrows seek by 5 s and by a minute, [ and ] change
    the speed, s shows the state at this point, q ends.

    Without a terminal, and with --plain, it prints lines: all at once, unless --speed asks for
    the recorded timing. --break-on then ends it.

    WHAT is an origin (client, server, recorder, or conversation for what is no event), a type
    ('response.*', interruption, finding), or both, as in 'client:response.create'.
    """
    from .replay_score import choice, read

    options = Options(**said)  # type: ignore[arg-type] # click made them of these types
    chosen = choice(only, without, breaks)
    on_screen = shared.out.terminal and not plain
    _refuse_contradictions(options, on_screen=on_screen)
    idle_ns, span = _times(options)
    if options.audio:
        from recorder.live.sound import require

        require("--audio needs")
    found = shared.session(session)
    reading = read(shared, found)
    _refuse_without_times(reading, options, on_screen=on_screen)
    span = _span(reading, options.turn, span)
    _say_what_is_missing(shared, found, reading)
    if on_screen:
        _play(shared, found, reading, chosen, options, idle_ns, span)
    else:
        _print(shared, found, reading, chosen, options.speed, idle_ns, span)


LEAST_IDLE_NS: Final = 10_000_000
"""A shorter limit would be less than a picture."""

_INSTEAD: Final = {
    "--step": "it waits for keys",
    "--audio": "`recorder audio` writes sound files",
}


def _refuse_contradictions(options: Options, *, on_screen: bool) -> None:
    if options.turn is not None and (options.start or options.until):
        raise UsageError("--turn says from when to when; leave --start and --until out")
    if options.speed is not None and math.isnan(options.speed):
        raise UsageError("--speed nan is no speed; expected something like 2 or 0.5")
    for name, given in (("--step", options.step), ("--audio", options.audio)):
        if given and not on_screen:
            instead = (
                "`recorder audio` writes sound files" if name == "--audio" else "it waits for keys"
            )
            raise UsageError(f"{name} needs a terminal: {instead}")


def _times(options: Options) -> tuple[int | None, tuple[int, int | None]]:
    """The idle limit, and from when to when, in nanoseconds. Raises `UsageError`."""
    from recorder.selecting import parse_offset

    start = parse_offset(options.start) if options.start else 0
    until = parse_offset(options.until) if options.until else None
    if until is not None and until < start:
        raise UsageError(f"--until {options.until} lies before --start {options.start}")
    idle = parse_offset(options.idle_limit) if options.idle_limit else None
    if idle is not None and idle < LEAST_IDLE_NS:
        raise UsageError(
            f"--idle-limit {options.idle_limit} leaves no time at all; expected something like 1s"
        )
    return idle, (start, until)


def _refuse_without_times(reading: Reading, options: Options, *, on_screen: bool) -> None:
    if reading.analysis.summary.timed:
        return
    if options.about_time:
        raise UsageError(
            f"{options.about_time}: this session was imported without times; only the order of "
            "its events is known"
        )
    if on_screen and not options.step:
        raise UsageError(
            "this session was imported without times: there is no pace to play it at. --step goes "
            "through it event by event, --plain prints it"
        )


def _span(
    reading: Reading, turn: int | None, span: tuple[int, int | None]
) -> tuple[int, int | None]:
    """From when to when. Raises `UsageError` for what is not there."""
    if turn is not None:
        turns = reading.analysis.turns
        if turn > len(turns):
            there = counted(len(turns), "turn")
            raise UsageError(f"there is no turn {turn}: this session has {there}")
        return turns[turn - 1].start_ns or 0, turns[turn - 1].end_ns
    if span[0] > reading.end_ns:
        raise UsageError(
            f"{position(span[0])} lies after the end: this session is {position(reading.end_ns)} "
            "long"
        )
    return span


def _say_what_is_missing(shared: Shared, session: Session, reading: Reading) -> None:
    from recorder.selecting import INTERRUPTED, LIVE

    name = shared.directory.tail(session.id)
    if reading.status == LIVE:
        shared.out.say(
            f"session {name} is still being recorded: this is what there is so far; "
            f"`recorder tail {name}{shared.db_option}` follows it"
        )
    elif reading.status == INTERRUPTED:
        shared.out.say(f"session {name} was interrupted: its recording just stops")


def _play(
    shared: Shared,
    session: Session,
    reading: Reading,
    chosen: Choice,
    options: Options,
    idle_ns: int | None,
    span: tuple[int, int | None],
) -> None:
    from .replay_player import Player
    from .replay_score import Score
    from .replay_screen import play_on_screen
    from .replay_sound import loudspeaker

    score = Score(shared, session, reading, chosen)
    if not len(score):
        raise UsageError("nothing of this session is meant: there is nothing to play")
    player = Player(
        axis=score.axis(idle_ns),
        steps=score.steps,
        breaks=score.breaks,
        stop_ns=span[1],
        speed=options.speed or 1.0,
        paused=options.step,
    )
    if span[0]:
        player.seek_to(span[0])
    sound = loudspeaker(shared, session, reading.analysis) if options.audio else None
    play_on_screen(shared, session, score, player, sound)


def _print(
    shared: Shared,
    session: Session,
    reading: Reading,
    chosen: Choice,
    speed: float | None,
    idle_ns: int | None,
    span: tuple[int, int | None],
) -> None:
    from .replay_plain import Pace, print_plainly

    pace = None if speed is None else Pace(speed=speed, idle_ns=idle_ns)
    print_plainly(shared, session, reading, chosen, span, pace)
