"""The player on a terminal: draws where it is, and hands it keys and the time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.text import Text

from .output import Out
from .replay_keys import keyboard
from .replay_view import Frame, draw, rows_for, scroll_room
from .state import print_state
from .text import one_line, position

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Group

    from recorder.events import Session

    from .replay_player import Player
    from .replay_score import Score
    from .replay_sound import InStep
    from .shared import Shared

FRAME_SECONDS: Final = 1 / 15
"""Between two pictures while it plays."""
STILL_SECONDS: Final = 0.25
"""The same while it stands: the window may be resized."""


def play_on_screen(
    shared: Shared,
    session: Session,
    score: Score,
    player: Player,
    sound: AbstractContextManager[InStep] | None,
) -> None:
    """Until `q`. Whatever happens, the terminal is as it was afterwards.

    Raises `UsageError` where there is no keyboard, or no loudspeaker though one is wanted.
    """
    picture = Picture(shared, session, score)
    with ExitStack() as stack:
        loud = stack.enter_context(sound) if sound is not None else None
        keys = stack.enter_context(keyboard())
        live = stack.enter_context(_whole_screen(shared.out))
        while not player.over:
            player.tick(time.monotonic_ns())
            if loud is not None:
                loud.follow(player.position_ns, player.moving_at)
            if (drawn := picture.of(player)) is not None:
                live.update(drawn, refresh=True)
            try:
                pressed = keys.pressed(_patience(player))
            except EOFError:
                break
            for key in pressed:
                player.tick(time.monotonic_ns())
                player.press(key)
    seq = score.log_seq(player.cursor, player.position_ns)
    where = f"{position(player.position_ns)} of {position(player.axis.end_ns)}"
    shared.out.line((f"stopped at {where}, after event {seq} of {score.last_seq}", "dim"))


def _patience(player: Player) -> float:
    coming = player.wait_ns()
    if coming is None:
        return STILL_SECONDS
    return min(max(coming / 1e9, FRAME_SECONDS), STILL_SECONDS)


def _whole_screen(out: Out) -> Live:
    return Live(
        Text(),
        console=out.console(),
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )


class Picture:
    """Pictures of a player's place; made anew only where something changed."""

    def __init__(self, shared: Shared, session: Session, score: Score) -> None:
        self._console = shared.out.console()
        # A console of its own: the other one is busy with the screen.
        self._beside = Out(color=shared.color)
        self._name, self._score = shared.directory.tail(session.id), score
        summary = score.reading.analysis.summary
        model = summary.model or summary.model_asked
        self._title = " \u00b7 ".join(filter(None, (f"session {self._name}", one_line(model))))
        self._starts = [turn.start_ns or 0 for turn in score.reading.analysis.turns]
        self._shown: object = None

    def of(self, player: Player) -> Group | None:
        """The picture; None where it is the same as before."""
        size = self._console.size
        now = (size, player.cursor, player.position_ns // 10_000_000, player.paused, player.speed,
               player.state_shown, player.scrolled, player.stopped_at)  # fmt: skip
        if now == self._shown:
            return None
        self._shown = now
        return draw(self._frame(player, size.width, size.height), size.width, size.height)

    def _frame(self, player: Player, width: int, height: int) -> Frame:
        score, at_ns = self._score, player.position_ns
        has_events = len(score.told_at) < len(score)
        has_talk = bool(score.happenings)
        talk, events = rows_for(height, width, talk=has_talk, events=has_events)
        state = self._state(player) if player.state_shown else None
        if state is not None:
            player.scrolled = min(player.scrolled, scroll_room(len(state), height))
        return Frame(
            title=self._title,
            status=self._status(player),
            speed=player.speed,
            position_ns=at_ns,
            end_ns=player.axis.end_ns,
            seq=score.log_seq(player.cursor, at_ns),
            last_seq=score.last_seq,
            turn=sum(start <= at_ns for start in self._starts),
            turns=len(self._starts),
            happened=score.happened(player.cursor, talk),
            told=() if player.state_shown else score.told(player.cursor, events),
            state=state,
            scrolled=player.scrolled,
            timed=score.reading.analysis.summary.timed,
            talk=has_talk,
            events=has_events,
        )

    def _status(self, player: Player) -> str:
        if not player.paused:
            return "playing"
        if player.stopped_at is not None:
            return f"stopped at {self._score.name_of(player.stopped_at)}"
        return "end" if player.at_end else "paused"

    def _state(self, player: Player) -> list[Text]:
        """The state as `recorder state` prints it, line by line."""
        at_ns = player.position_ns
        seq = self._score.log_seq(player.cursor, at_ns)
        state = self._score.state(seq, at_ns)
        with self._beside.console().capture() as captured:
            print_state(self._beside, self._name, state, self._score.last_seq)
        return [Text.from_ansi(line) for line in captured.get().splitlines()]
