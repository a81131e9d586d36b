"""One assistant message: when which of its deltas comes, and the events around them.

`plan` is the whole schedule, as data. Times count from the beginning of the message.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from recorder.sandbox import signals, voices
from recorder.sandbox.agenda import MS
from recorder.sandbox.formats import AudioFormat, encode, resample
from recorder.sandbox.script import Say
from recorder.sandbox.usage import ASSISTANT_MS, audio_tokens, text_tokens

TEXT, TRANSCRIPT, AUDIO = "output_text", "output_audio_transcript", "output_audio"
"""Kinds of delta, as GA names them."""

_PIECE = re.compile(r"\s*\S+")


class Cue(NamedTuple):
    """One delta."""

    at_ns: int
    part: int
    """Content index."""
    kind: str
    piece: str | bytes


def plan(say: Say, words: str, sound: bytes, audio: AudioFormat, *, speaks: bool) -> list[Cue]:
    """All deltas of a message in order; at the same time, words come before sound."""
    pieces = _PIECE.findall(words)
    if not speaks:
        return _written(say, pieces)
    heard = _audible(say, sound, audio, part=int(say.both))
    first_ns = say.first_delta_ms * MS
    window_ns = max((heard[-1].at_ns if heard else 0) - first_ns, 0)
    spoken = [
        Cue(first_ns + i * window_ns // len(pieces), int(say.both), TRANSCRIPT, piece)
        for i, piece in enumerate(pieces)
        if say.transcript
    ]
    written = _written(say, pieces) if say.both else []
    return sorted([*written, *spoken, *heard], key=lambda cue: cue.at_ns)


def limited(cues: list[Cue], audio: AudioFormat, budget: float) -> list[Cue]:
    """As many of them as so many tokens allow; the last piece of sound is cut to measure."""
    kept = []
    for cue in cues:
        price = cost(cue, audio)
        if price > budget:
            if isinstance(cue.piece, bytes) and budget > 0:
                cut = cue.piece[: audio.bytes_in(int(budget) * ASSISTANT_MS)]
                kept.append(cue._replace(piece=cut))
            break
        kept.append(cue)
        budget -= price
    return kept


def words_of(say: Say, user: str, output: str) -> str:
    """What is said, with the user's words or the tool's output where the script wants them."""
    said = say.say or " ".join(
        voices.TEXTS[each.clip] for each in say.sound if isinstance(each, signals.Clip)
    )
    return said.replace("{user}", user).replace("{output}", output)


def sound_of(say: Say, words: str, audio: AudioFormat) -> bytes:
    """What is heard, in that format."""
    segments = (signals.Silence(say.lead_silence_ms), *(say.sound or (signals.Hum(words),)))
    return encode(resample(signals.joined(segments), signals.RATE, audio.rate), audio)


def _written(say: Say, pieces: list[str]) -> list[Cue]:
    return [
        Cue((say.first_delta_ms + i * say.text_gap_ms) * MS, 0, TEXT, piece)
        for i, piece in enumerate(pieces)
    ]


def _audible(say: Say, sound: bytes, audio: AudioFormat, part: int) -> list[Cue]:
    """Audio deltas, each due when what was sent before it has been made."""
    cues: list[Cue] = []
    at = 0
    while at < len(sound):
        length_ms = say.chunks_ms[min(len(cues), len(say.chunks_ms) - 1)]
        made_ns = round(at / audio.width / audio.rate / say.speed * 1e9)
        piece = sound[at : at + max(audio.bytes_in(length_ms), audio.width)]
        cues.append(Cue(say.first_audio_ms * MS + made_ns, part, AUDIO, piece))
        at += len(piece)
    return cues


def cost(cue: Cue, audio: AudioFormat) -> int:
    """The output tokens of one delta."""
    if isinstance(cue.piece, str):
        return text_tokens(cue.piece.strip())
    return audio_tokens(audio.milliseconds(len(cue.piece)), ASSISTANT_MS)
