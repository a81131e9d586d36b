"""A transcript as subtitles: WebVTT and SubRip, with times on the call's clock.

Only what was heard is a cue: speech of either side, and of an answer that was cut only the words
that were heard of it. Typed text, tools and out-of-band answers make no sound.

Laws:

1. Every cue has a length, cues stand in order of their starts, and one speaker's never overlap.
2. In WebVTT the cues of both sides overlap where both spoke. SubRip has one place on the screen:
   there nothing overlaps; the earlier cue ends, or both share one.
3. No cue has more than two lines of 42 characters (BBC and Netflix guidelines); long text
   is divided at words, and its time in proportion to its length.
4. Nothing said can end a cue or begin a tag: WebVTT has escapes for that; SubRip has none, so
   there `<`, `>` and `{\\` are written with characters that look like them.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UsageError
from .transcript_text import plain, untranscribed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import Line, Transcript

WIDTH: Final = 42
"""Characters a line."""
LINES: Final = 2
LONGEST_MS: Final = 7_000
"""A cue stands no longer, if there are words enough for several."""
LEAST_MS: Final = 500
"""In SubRip a cue that would stand for less is shown together with the one that follows."""
READ_MS: Final = 60
"""A character's share of time, where the length of the speech is not known."""


class Cue(NamedTuple):
    """Words on the screen for some time."""

    start_ms: int
    end_ms: int
    speaker: str
    lines: tuple[str, ...]


def cues(transcript: Transcript) -> list[Cue]:
    """What was heard, in order of time, in pieces that can be read."""
    found: list[Cue] = []
    spoken = sorted(_spoken(transcript.lines), key=lambda entry: entry[0])
    for speaker in dict.fromkeys(name for _, _, name, _ in spoken):
        mine = [entry for entry in spoken if entry[2] == speaker]
        for entry, following in pairwise([*mine, None]):
            assert entry is not None
            found += _pieces(*_fitted(entry, following[0] if following else None))
    return sorted(found)


_Entry = tuple[int, int, str, str]
"""(start, end, speaker, words), in milliseconds."""


def _spoken(lines: Iterable[Line]) -> Iterator[_Entry]:
    for line in lines:
        if line.kind != "speech" or line.out_of_band:
            continue
        words = plain(line.text if line.heard is None else line.heard)
        if not words:
            if line.heard is not None or line.transcribed:
                continue  # nothing of it was heard, or there was nothing to understand
            words = untranscribed(line)
        if line.start_ns is None:
            raise UsageError("subtitles need times, and this session was imported without any")
        start = max(line.start_ns, 0) // 1_000_000
        end = start if line.end_ns is None else line.end_ns // 1_000_000
        if end <= start:
            end = start + max(1_000, READ_MS * len(words))
        yield start, end, line.speaker, words


def _fitted(entry: _Entry, following: int | None) -> _Entry:
    """The entry, ended where the same speaker goes on."""
    start, end, speaker, words = entry
    if following is not None and following > start:
        end = min(end, following)
    return start, end, speaker, words


def _pieces(start: int, end: int, speaker: str, words: str) -> Iterator[Cue]:
    """The entry as cues; never more of them than there are milliseconds."""
    room = WIDTH * LINES - len(speaker) - 2
    wanted = max(-(-len(words) // room), -(-(end - start) // LONGEST_MS))
    shares = _shared(_broken(words, WIDTH - len(speaker) - 2), min(wanted, end - start))
    total = sum(len(share) for share in shares)
    passed = 0
    for share in shares:
        begun = start + (end - start) * passed // total
        passed += len(share)
        ended = start + (end - start) * passed // total
        yield from _wrapped(Cue(begun, max(ended, begun + 1), speaker, ()), share)


def _broken(words: str, most: int) -> list[str]:
    """The words, those that fill more than a line cut into pieces."""
    return [word[n : n + most] for word in words.split() for n in range(0, len(word), most)]


def _shared(words: list[str], count: int) -> list[str]:
    """The words in about equal shares, at most so many; never an empty one."""
    length = sum(len(word) + 1 for word in words)
    shares: list[list[str]] = [[]]
    passed = 0
    for word in words:
        if shares[-1] and passed * count >= length * len(shares):
            shares.append([])
        shares[-1].append(word)
        passed += len(word) + 1
    return [" ".join(share) for share in shares]


def _wrapped(cue: Cue, text: str) -> Iterator[Cue]:
    """The text on lines; what does not fit on two goes into cues of their own."""
    lines: list[str] = []
    for word in text.split():
        indent = len(cue.speaker) + 2 if len(lines) % LINES == 1 else 0
        if lines and len(lines[-1]) + 1 + len(word) + indent <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    groups = [tuple(lines[n : n + LINES]) for n in range(0, len(lines), LINES)]
    length = cue.end_ms - cue.start_ms
    for row, group in enumerate(groups):
        begun = cue.start_ms + length * row // len(groups)
        ended = cue.start_ms + length * (row + 1) // len(groups)
        yield Cue(begun, max(ended, begun + 1), cue.speaker, group)


def stamp(ms: int, point: str) -> str:
    """`01:02:03.456`; hours always, because SubRip wants them."""
    seconds, millis = divmod(ms, 1000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{millis:03d}"


# WebVTT.


def render_vtt(transcript: Transcript) -> Iterator[str]:
    """WebVTT: a cue for each piece of what was heard, the speaker as its voice."""
    yield "WEBVTT\n"
    for cue in cues(transcript):
        voice = _vtt(cue.speaker.capitalize())
        words = "\n".join(_vtt(line) for line in cue.lines)
        yield f"\n{stamp(cue.start_ms, '.')} --> {stamp(cue.end_ms, '.')}\n<v {voice}>{words}\n"


def _vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# SubRip.

_OVERRIDE: Final = re.compile(r"\{(?=\s*\\)")


def render_srt(transcript: Transcript) -> Iterator[str]:
    """SubRip: numbered cues that never overlap, the speaker's name before the words."""
    for number, cue in enumerate(_alone(cues(transcript)), 1):
        words = "\n".join(map(_srt, cue.lines))
        yield f"{number}\n{stamp(cue.start_ms, ',')} --> {stamp(cue.end_ms, ',')}\n{words}\n\n"


def _srt(text: str) -> str:
    return _OVERRIDE.sub("\uff5b", text).replace("<", "\u2039").replace(">", "\u203a")


def _named(cue: Cue) -> Cue:
    first, *more = cue.lines
    return cue._replace(lines=(f"{cue.speaker.capitalize()}: {first}", *more))


def _alone(found: Iterable[Cue]) -> Iterator[Cue]:
    """The cues without overlaps: one ends where the next begins, or takes it in."""
    waiting: Cue | None = None
    for cue in map(_named, found):
        if waiting is None:
            waiting = cue
        elif cue.start_ms >= waiting.end_ms:
            yield waiting
            waiting = cue
        elif cue.start_ms - waiting.start_ms >= LEAST_MS:
            yield waiting._replace(end_ms=cue.start_ms)
            waiting = cue
        else:
            end = max(waiting.end_ms, cue.end_ms)
            waiting = waiting._replace(end_ms=end, lines=waiting.lines + cue.lines)
    if waiting is not None:
        yield waiting
