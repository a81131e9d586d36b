"""The player, its keys and its pictures: fed with times and keys, no clock and no terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from recorder.cli.describing import Told
from recorder.cli.replay_happenings import Happening
from recorder.cli.replay_keys import Decoder
from recorder.cli.replay_player import Axis, Player
from recorder.cli.replay_sound import InStep
from recorder.cli.replay_view import Frame, draw
from recorder.events import TEXT, Event, Origin
from recorder.projections.model import Line

S = 1_000_000_000
AT = (0, 1 * S, 1 * S, 3 * S, 10 * S)
"""Five cues, two of them at the same moment; the session ends at 12 s."""


def axis(due: Sequence[int] = AT, end_due: int = 12 * S) -> Axis:
    return Axis(at_ns=AT, due_ns=due, end_ns=12 * S, end_due_ns=end_due)


def player(**more: object) -> Player:
    """All cues can be stepped to; the clock stands at 100 s."""
    made = Player(**{"axis": axis(), "steps": range(5), **more})  # type: ignore[arg-type]
    made.tick(100 * S)
    return made


def place(it: Player) -> tuple[int, float]:
    """(cues passed, seconds)."""
    return it.cursor, it.position_ns / S


def test_it_plays_with_the_recorded_timing() -> None:
    """The first cue is at 0, the next two at 1 s; at the end it stands."""
    it = player()
    assert place(it) == (1, 0)
    it.tick(100 * S + S // 2)
    assert place(it) == (1, 0.5)
    assert it.wait_ns() == S // 2
    it.tick(101 * S)
    assert place(it) == (3, 1)
    it.tick(500 * S)
    assert place(it) == (5, 12)
    assert (it.at_end, it.paused, it.wait_ns()) == (True, True, None)


def test_pause_and_go_on() -> None:
    """The time of a pause does not count."""
    it = player()
    it.tick(101 * S)
    it.press("space")
    it.tick(200 * S)
    assert place(it) == (3, 1)
    it.press("space")
    it.tick(202 * S)
    assert place(it) == (4, 3)


def test_speed_changes_from_here_on() -> None:
    """1 s at once, then 2 s at 1.25, then 4 s at half."""
    it = player()
    it.tick(101 * S)
    it.press("]")
    it.tick(103 * S)
    assert place(it) == (4, 3.5)
    for _ in range(3):
        it.press("[")
    assert it.speed == 0.5
    it.tick(107 * S)
    assert place(it) == (4, 5.5)


def test_stepping_passes_one_cue_even_of_two_at_one_moment() -> None:
    """On and back again, and no further than to before the first."""
    it = player(paused=True)
    seen = []
    for key in "....,,,,,":
        it.press(key)
        seen.append(place(it))
    assert seen[:4] == [(1, 0), (2, 1), (3, 1), (4, 3)]
    assert seen[4:] == [(3, 1), (2, 1), (1, 0), (0, 0), (0, 0)]


def test_stepping_off_the_end_is_the_end() -> None:
    """After the last cue there is only time."""
    it = player(paused=True)
    for _ in range(6):
        it.press(".")
    assert place(it) == (5, 12)


def test_a_step_goes_to_events_only() -> None:
    """What happens between them is passed on the way, and is not there after a step back."""
    it = player(steps=(0, 3), paused=True)
    it.press(".")
    it.press(".")
    assert it.cursor == 4
    it.press(",")
    assert it.cursor == 1


def test_seeking_keeps_playing_and_stays_within_the_session() -> None:
    """5 s on and back, a minute on and back, the ends."""
    it = player()
    it.press("right")
    assert place(it) == (4, 5)
    assert not it.paused
    it.tick(101 * S)
    it.press("left")
    assert place(it) == (3, 1)
    it.press("up")
    assert (place(it), it.paused) == ((5, 12), True)
    it.press("down")
    assert place(it) == (1, 0)
    it.press("end")
    it.press("home")
    assert place(it) == (1, 0)


def test_space_at_the_end_begins_again() -> None:
    """From before the first cue."""
    it = player()
    it.press("end")
    it.press("space")
    assert (it.cursor, it.paused) == (0, False)
    it.tick(101 * S)
    assert place(it) == (3, 1)


def test_it_stops_right_behind_what_it_is_to_stop_at() -> None:
    """Even of two at one moment; then it goes on, to the next one."""
    it = player(breaks=(1, 4))
    it.tick(110 * S)
    assert (place(it), it.paused, it.stopped_at) == ((2, 1), True, 1)
    it.press("space")
    assert it.stopped_at is None
    it.tick(130 * S)
    assert (place(it), it.stopped_at) == ((5, 10), 4)


def test_it_stops_at_a_moment_once() -> None:
    """Then it can be played on."""
    it = player(stop_ns=2 * S)
    it.tick(120 * S)
    assert (place(it), it.paused) == ((3, 2), True)
    it.press("space")
    it.tick(122 * S)
    assert place(it) == (4, 4)


def test_a_stop_at_a_moment_comes_before_a_later_cue() -> None:
    """Whichever comes first."""
    it = player(breaks=(4,), stop_ns=2 * S)
    it.tick(120 * S)
    assert place(it) == (3, 2)
    both = player(breaks=(3,), stop_ns=5 * S)
    both.tick(120 * S)
    assert (place(both), both.stopped_at) == ((4, 3), 3)


def test_squeezed_gaps_are_gone_through_in_proportion() -> None:
    """7 s became 1 s: after half of it, half of the 7 s have passed."""
    it = player(axis=axis((0, S, S, 3 * S, 4 * S), 6 * S))
    it.tick(103 * S + S // 2)
    assert place(it) == (4, 6.5)
    it.tick(104 * S)
    assert place(it) == (5, 10)


def test_the_state_is_shown_in_a_pause_and_scrolls() -> None:
    """`s` and ESC leave it; keys that mean nothing do nothing."""
    it = player()
    it.press("j")
    assert it.scrolled == 0
    it.press("s")
    assert (it.state_shown, it.paused) == (True, True)
    for key in ("j", "j", "k", "x", "\x1b"):
        it.press(key)
    assert it.scrolled == 1
    it.press("escape")
    assert (it.state_shown, it.over) == (False, False)
    it.press("q")
    assert it.over


_ACTS = st.lists(
    st.one_of(
        st.integers(0, 4 * S),
        st.sampled_from(
            ["space", ".", ",", "left", "right", "up", "down", "home", "end", "[", "]", "s", "k"]
        ),
    ),
    max_size=40,
)


@given(_ACTS, st.booleans())
def test_wherever_it_goes_it_is_where_it_says(acts: list[int | str], squeezed: bool) -> None:
    """What lies before the moment has been passed, what lies after it has not."""
    due = (0, S, S, 3 * S, 4 * S) if squeezed else AT
    it, now = player(axis=axis(due, 6 * S if squeezed else 12 * S)), 100 * S
    for act in acts:
        if isinstance(act, str):
            it.press(act)
        else:
            now += act
            it.tick(now)
        assert 0 <= it.position_ns <= 12 * S
        assert all(at <= it.position_ns + 1 for at in AT[: it.cursor])
        assert all(at >= it.position_ns - 1 for at in AT[it.cursor :])


# Keys.


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ([b" ", b".,"], ["space", ".", ","]),
        ([b"\x1b[C\x1b[D"], ["right", "left"]),
        ([b"\x1bOA\x1bOB"], ["up", "down"]),
        ([b"\x1b", b"[", b"C"], ["right"]),
        ([b"\x1b[1;2C"], ["right"]),
        ([b"\x1b[5~\x1b[6~\x1b[H\x1b[4~"], ["pageup", "pagedown", "home", "end"]),
        ([b"\x1b[99~q"], ["q"]),
        ([b"\x1bq"], ["escape", "q"]),
        ([b"\xff\xc3\xa9q"], ["\u00e9", "q"]),
    ],
)
def test_bytes_are_keys_however_they_are_split(data: list[bytes], keys: list[str]) -> None:
    """Arrows in both modes, with modifiers too; what is unknown is left out whole."""
    decoder = Decoder()
    assert [key for part in data for key in decoder.feed(part)] == keys


def test_an_escape_that_nothing_follows_was_the_key() -> None:
    """Until then it could be the beginning of another."""
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.waiting
    assert decoder.flush() == ["escape"]
    assert not decoder.waiting


# Pictures.


def said(text: str, heard: str | None) -> Happening:
    line = Line("speech", "assistant", 10 * S, 14 * S, text, heard=heard)
    return Happening(10 * S, "assistant", text, 7, "green", line)


def test_words_appear_as_they_are_heard() -> None:
    """Half of the time, half of the words; what was not heard only once that is known."""
    it = said("one two three four", "one two three")
    assert it.so_far(10 * S) == ("\u2026", "")
    assert it.so_far(12 * S) == ("one\u2026", "")
    assert it.so_far(14 * S) == ("one two three", "four")
    assert said("one two", None).so_far(20 * S) == ("one two", "")


def frame(**more: object) -> Frame:
    event = Event(7, 11 * S, Origin.SERVER, "response.\x1b[2Jdone", TEXT, b"{}")
    values = {
        "title": "session abc \x1b]0;x\x07",
        "status": "playing",
        "speed": 1.5,
        "position_ns": 30 * S,
        "end_ns": 60 * S,
        "seq": 7,
        "last_seq": 960,
        "turn": 1,
        "turns": 5,
        "happened": [said("Hello you \x1b[31mred", "Hello")],
        "told": [Told(event, event, 1, '"\x9b2J"')],
    }
    return Frame(**{**values, **more})  # type: ignore[arg-type]


def lines(one: Frame, width: int, height: int) -> list[str]:
    """What stands on a screen of this size."""
    console = Console(width=width, height=height, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(draw(one, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize("size", [(80, 24), (120, 24), (40, 8), (200, 60), (20, 4), (1, 1)])
def test_a_picture_fills_the_screen_and_no_more(size: tuple[int, int]) -> None:
    """Whatever its size; nothing that a terminal would obey is in it."""
    width, height = size
    shown = lines(frame(), width, height)
    assert len(shown) <= height
    assert height < 10 or len(shown) == height
    assert all(len(line) <= width for line in shown)
    assert not any(c in "".join(shown) for c in "\x1b\x07\x9b")


def test_what_stands_on_it() -> None:
    """One above the other at 80 columns, side by side at 120."""
    narrow = lines(frame(), 80, 24)
    assert narrow[0].split() == [
        "session", "abc", "\\x1b]0;x\\x07", "\u25b6", "playing", "1.5\u00d7",
    ]  # fmt: skip
    assert narrow[2].rstrip() == "00:10.000 assistant    Hello [not heard: you \\x1b[31mred]"
    assert narrow[12].split()[:4] == ["7", "00:11.000", "\u2190", "response.\\x1b[2Jdone"]
    assert narrow[-2].endswith(" 00:30.000 / 01:00.000  event 7/960  turn 1/5")
    bar = narrow[-2].split()[0]
    assert set(bar) == {"\u2501"}
    wide = lines(frame(), 120, 24)
    left, right = wide[2].split("\u2502")
    assert "Hello" in left
    assert "\\x9b2J" in right


# Sound.


def test_sound_is_where_the_player_is() -> None:
    """Silent until it moves; from the player's place on; twice as fast takes every other sample."""
    sound = InStep(np.array([(n, -n) for n in range(1000)], "<i2"), 1000)

    def pulled(frames: int) -> list[int]:
        return np.frombuffer(sound.pull(frames), "<i2").reshape(-1, 2)[:, 0].tolist()

    assert pulled(3) == [0, 0, 0]
    sound.follow(S // 2, 1.0)
    assert pulled(3) == [500, 501, 502]
    sound.follow(S // 2 + 50_000_000, 1.0)
    assert pulled(2) == [503, 504]
    sound.follow(S // 10, 1.0)
    assert pulled(2) == [100, 101]
    sound.follow(S // 10, 0.0)
    assert pulled(2) == [0, 0]
    sound.follow(998_000_000, 2.0)
    assert pulled(3) == [998, 0, 0]
