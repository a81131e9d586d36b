"""Keys from a terminal, one by one, and a terminal that is as it was afterwards."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from recorder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCES: Final = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end",
    "1~": "home", "4~": "end", "5~": "pageup", "6~": "pagedown", "7~": "home", "8~": "end",
}  # fmt: skip
"""What terminals send after ESC [ or ESC O."""
_SEQUENCE: Final = re.compile(r"\x1b[\[O]([0-9;]*)([A-Za-z~])")
_BEGUN: Final = re.compile(r"\x1b(?:[\[O][0-9;]*)?")
ESCAPE_SECONDS: Final = 0.05
"""An ESC that nothing follows for so long was the key itself."""


class Decoder:
    """Bytes into keys: `space`, `left`, `q`. What a terminal splits is put together."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def waiting(self) -> bool:
        """Something that could be a longer key has begun."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete."""
        text, keys = self._rest + data.decode("utf-8", "ignore"), []
        self._rest = ""
        while text:
            if found := _SEQUENCE.match(text):
                count, last = found.groups()
                keys.append(_SEQUENCES.get(count + last if last == "~" else last, ""))
                text = text[found.end() :]
            elif _BEGUN.fullmatch(text):
                self._rest, text = text, ""
            else:
                keys.append({" ": "space", "\x1b": "escape"}.get(text[0], text[0]))
                text = text[1:]
        return [key for key in keys if key]

    def flush(self) -> list[str]:
        """Nothing more came: an ESC was the key itself."""
        rest, self._rest = self._rest, ""
        return ["escape"] if rest == "\x1b" else []


class Keyboard:
    """The keys of a terminal in cbreak mode."""

    def __init__(self, fd: int) -> None:
        self._fd, self._decoder = fd, Decoder()

    def pressed(self, timeout: float) -> list[str]:
        """The keys that were pressed, after waiting at most so many seconds for one.

        Raises `EOFError` when the terminal is gone.
        """
        import select

        patience = ESCAPE_SECONDS if self._decoder.waiting else timeout
        ready, _, _ = select.select([self._fd], [], [], patience)
        if not ready:
            return self._decoder.flush()
        try:
            data = os.read(self._fd, 1024)
        except OSError as error:  # EIO: hung up
            raise EOFError from error
        if not data:
            raise EOFError
        return self._decoder.feed(data)


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The terminal's keys, unseen and at once; afterwards the terminal is as it was.

    That holds for every way out, SIGTERM and a hang-up included: they raise `SystemExit`.
    Raises `UsageError` where there is no such thing as a terminal's keys.
    """
    try:
        import termios
        import tty
    except ImportError:
        raise UsageError(
            "keys cannot be read on this system; `recorder replay --plain` plays without"
        ) from None
    with ExitStack() as undo:
        fd = _terminal(undo)
        before: list[Any] = termios.tcgetattr(fd)
        undo.callback(termios.tcsetattr, fd, termios.TCSADRAIN, before)
        _end_in_order(undo)
        tty.setcbreak(fd)
        mode: list[Any] = termios.tcgetattr(fd)
        mode[6][termios.VSUSP] = b"\0"  # a stopped process would leave the screen as it is
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)
        yield Keyboard(fd)


def _terminal(undo: ExitStack) -> int:
    """Stdin, or where that is something else, the terminal that the command was started from."""
    if sys.stdin.isatty():
        return sys.stdin.fileno()
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise UsageError(
            "there is no keyboard here, only a screen; `recorder replay --plain` plays without"
        ) from None
    undo.callback(os.close, fd)
    return fd


def _end_in_order(undo: ExitStack) -> None:
    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        undo.callback(signal.signal, number, signal.signal(number, end))
