"""Long calls: no sample of drift, and memory that does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recorder import wire
from recorder.audio.codecs import Samples
from recorder.events import TEXT, Event, Origin
from recorder.tracks import lay_out, stereo, streaming
from recorder.tracks.layout import Layout
from tests.building import MS, Talk, hush, tone
from tests.log_kit import append_message, delta_message

RATE = 24_000
CHUNK_MS = 200
MINUTE_MS = 60_000
CLICK = 20_000


def event(seq: int, at_ns: int, message: bytes, origin: Origin) -> Event:
    part = wire.split(message)
    return Event(seq, at_ns, origin, part.type, TEXT, part.head, part.meta, part.audio)


def clicking(size: int, offset: int) -> bytes:
    samples = np.zeros(size, "<i2")
    samples[offset] = CLICK
    return samples.tobytes()


def an_hour(audio: bool, minutes: int = 60) -> Iterator[Event]:
    """A microphone with jitter in its network; an answer a minute. Each minute a click of one
    sample on either side: the user's in the middle of a chunk, the assistant's at its beginning.
    """
    size = CHUNK_MS * RATE // 1000
    quiet = event(1, 0, append_message(bytes(2 * size)), Origin.CLIENT)
    click = event(1, 0, append_message(clicking(size, 7)), Origin.CLIENT)
    answer = event(1, 0, delta_message(clicking(RATE // 3, 0)), Origin.SERVER)
    answer = answer._replace(head=answer.head.replace(b"item_01", b"item_%02d"))
    seq = 0
    for row in range(minutes * MINUTE_MS // CHUNK_MS):
        end_ms = (row + 1) * CHUNK_MS
        seq += 1
        made = click if end_ms % MINUTE_MS == CHUNK_MS else quiet
        jitter = 0 if row % 50 in (0, 49) else row * 7919 % 90
        yield made._replace(seq=seq, at_ns=(end_ms + jitter) * MS)
        if end_ms % MINUTE_MS == 30_000:
            seq += 1
            head = answer.head % (end_ms // MINUTE_MS)
            yield answer._replace(seq=seq, at_ns=(end_ms + 100) * MS, head=head)


def clicks(blocks: Iterator[Samples], level: int) -> tuple[list[int], list[int], int]:
    """Where there is anything louder than that on either side, and the length."""
    places: tuple[list[int], list[int]] = ([], [])
    position = 0
    for block in blocks:
        for side in (0, 1):
            if (block[:, side] > level).any():
                places[side].extend((np.flatnonzero(block[:, side] > level) + position).tolist())
        position += len(block)
    return (*places, position)


def test_an_hour_drifts_by_no_sample() -> None:
    """Every click of sixty minutes stands on its very sample, on both sides."""
    left, right, length = clicks(stereo(an_hour, lay_out(an_hour), RATE), 0)

    assert length == 3600 * RATE
    assert left == [minute * 60 * RATE + 7 for minute in range(60)]
    assert right == [minute * 60 * RATE + 30_100 * RATE // 1000 for minute in range(60)]


def test_nothing_drifts_when_it_is_resampled() -> None:
    """At 16 kHz each click peaks where its time says, rounded to the sample."""

    def source(audio: bool) -> Iterator[Event]:
        return an_hour(audio, 15)

    left, right, length = clicks(stereo(source, lay_out(source), 16_000), CLICK // 2)

    assert length == 900 * 16_000
    # 7 samples of 24 kHz are 4.67 of 16 kHz, so the peak is the fifth.
    assert {minute * 960_000 + 5 for minute in range(15)} <= set(left)
    assert {minute * 960_000 + 481_600 for minute in range(15)} <= set(right)
    assert all(abs((place + 100) % 960_000 - 105) <= 1 for place in left)


def far_ahead() -> Talk:
    """Two minutes of a file, sent within two seconds; and an answer."""
    talk = Talk().open()
    for row in range(120):
        talk.append(100 + 15 * row, tone(1000) if row % 10 == 3 else hush(1000))
    return talk.answer(3000, "R", "A", [(4000, 500), (4100, 700)]).close(9000)


def short() -> Talk:
    return Talk().open().mic(0, 2500, speech=[(500, 1000)]).answer(900, "R", "A", [(1300, 777)])


@pytest.mark.parametrize("talk", [far_ahead(), short()], ids=["far ahead", "short"])
def test_two_readers_give_what_one_gives(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound that lies far behind its arrival is not kept in memory meanwhile."""
    layout = lay_out(talk.source)

    def all_of_it(limit: int) -> tuple[Samples, int]:
        monkeypatch.setattr(streaming, "AHEAD_NS", limit)
        readers = 0

        def source(audio: bool) -> list[Event]:
            nonlocal readers
            readers += 1
            return talk.source(audio)

        return np.concatenate(list(stereo(source, layout, RATE))), readers

    (one, first), (other, second) = all_of_it(10**15), all_of_it(-1)
    assert (first, second) == (1, 2)
    assert np.array_equal(one, other)


def test_a_file_sent_at_once_is_read_twice_and_never_held() -> None:
    """The layout knows; a live call needs one reader only."""
    assert streaming.ahead(lay_out(far_ahead().source)) > streaming.AHEAD_NS
    live: Layout = lay_out(short().source)
    assert streaming.ahead(live) < streaming.AHEAD_NS


def peak_mb(turns: int, folder: Path) -> float:
    """What writing so many turns of a real database as stereo takes in a process of its own."""
    words = [sys.executable, "-m", "tests.benchmarks.hour", "--child"]
    path, target = folder / f"{turns}.db", folder / str(turns)
    subprocess.run([*words, "make", path, target], check=True, capture_output=True)
    told = subprocess.run(
        [*words, "wav", path, target], check=True, capture_output=True, text=True
    ).stdout
    assert target.stat().st_size == 44 + (turns * 12_000 + 1) * RATE // 1000 * 4
    return float(json.loads(told)[1]) / 1e6


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Five times the call: a few megabytes more, for where its chunks lie."""
    small, large = peak_mb(5, tmp_path), peak_mb(25, tmp_path)
    assert large - small < 12
