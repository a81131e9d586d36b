"""An independent check of the sound: known signals, at known times, found again in the file.

The caller and the sandbox say chirps and tones at times that are written here; the call is
recorded into a database and exported by the command line as one stereo file; numpy finds where
each signal begins. Chirps are found by correlation, the ends of a sound by its loudest samples;
nothing of the recorder's own detection is used. Every onset is where the times below put it, to
the sample, and `v2v_audible` is the gap that can be measured in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recorder.projections import Analysis, analyse
from recorder.sandbox.formats import ALAW, PCM24, decode, encode, resample
from recorder.sandbox.script import Say, Script
from recorder.sandbox.signals import Chirp, Silence, Tone, joined
from recorder.sql.store import SqlStore
from tests.cli_kit import Recorder
from tests.golden.interruptions import truncate
from tests.golden.kit import Line, answer

RATE = 24_000
QUESTION, AGAIN = Chirp((300, 2500), 700, 0.4), Chirp((2600, 500), 610, 0.4)
ANSWER, LAST = Chirp((400, 4000), 900), Tone(440, 350)
LOUD = 184
"""-45 dBFS as a sample: below it nothing counts as sound."""


class Check:
    """A call that was made, its file, and what the recorder says of it."""

    def __init__(self, sound: np.ndarray, rate: int, found: Analysis) -> None:
        self.user, self.assistant = sound[:, 0].astype(float), sound[:, 1].astype(float)
        self.rate, self.found = rate, found

    def gap_ms(self, after_ms: float, before_ms: float) -> float:
        """From the user's last loud sample before to the assistant's first after this time."""
        heard = np.flatnonzero(np.abs(self.user[: self._at(before_ms)]) >= LOUD)
        said = np.flatnonzero(np.abs(self.assistant[self._at(after_ms) :]) >= LOUD)
        first = int(said[0]) + self._at(after_ms)
        return (first - int(heard[-1]) - 1) / self.rate * 1000

    def _at(self, ms: float) -> int:
        return round(ms * self.rate / 1000)


def onset(channel: np.ndarray, signal: np.ndarray) -> int:
    """Where the signal begins: the best correlation there is, of equals with equals."""
    size = 1 << (len(channel) + len(signal)).bit_length()
    spectrum = np.fft.rfft(channel, size) * np.conj(np.fft.rfft(signal.astype(float), size))
    return int(np.fft.irfft(spectrum, size)[: len(channel)].argmax())


def samples(signal: Chirp | Tone) -> np.ndarray:
    """As it is said, at 24 kHz."""
    return signal.samples()


def spoken(line: Line, *sounds: Chirp | Tone | Silence) -> None:
    """What the caller says, live, in chunks of 20 ms."""
    line.speak(np.concatenate([sound.samples() for sound in sounds]))


def saying(*sounds: Chirp | Tone, lead: int = 0, first: int = 200) -> Say:
    """A message whose audio begins with `lead` of silence, in deltas of 70, 130, 250 … ms."""
    return Say(
        "Something.", sounds, lead_silence_ms=lead, first_delta_ms=10, first_audio_ms=first,
        chunks_ms=(70, 130, 250),
    )  # fmt: skip


@pytest.fixture
def check(tmp_path: Path) -> Iterator[Callable[..., Check]]:
    """Plays a call, exports it, reads the file."""

    def play(act: Callable[[Line], None], rate: int = RATE) -> Check:
        line = Line(script=Script(), name="check", number=7)
        act(line)
        session = line.recorder.session
        recorder = Recorder(tmp_path / "check.db")

        def fill(store: SqlStore) -> Analysis:
            store.begin(session)
            store.append([(session.id, line.log)])
            return analyse(lambda audio: store.read(session.id, audio=audio))

        (found,) = recorder.filled(fill)
        file = tmp_path / "call.wav"
        words = ("audio", session.id, "--track", "stereo", "--rate", str(rate), "-o", str(file))
        recorder(*words)
        sound, told = soundfile.read(file, dtype="int16", always_2d=True)
        assert told == rate
        return Check(sound, rate, found)

    return play


def two_turns(line: Line) -> None:
    """The microphone is on from 1007; QUESTION at 1340, AGAIN at 4040."""
    line.answers(answer(saying(ANSWER, lead=137, first=213)), answer(saying(LAST, lead=41))).dial()
    line.wait(1007)
    spoken(line, Silence(333), QUESTION, Silence(2000), AGAIN, Silence(500))
    line.wait(1500)
    line.hang_up()


def test_every_onset_is_where_it_must_be(check: Callable[..., Check]) -> None:
    """The caller's by the clock of the microphone, the assistant's by the times of its deltas.

    QUESTION ends at 2040, 1033 on the axis: in step 33, so that seven quiet steps end at 1280, in
    the chunk that ends there: 2287. Created 10 later, its audio 213 after that.
    AGAIN ends at 4650, 3643 on the axis: in step 114; seven more end at 3872, in the chunk that
    ends at 3880: 4887. Created 10 later, its audio 200 after that.
    """
    made = check(two_turns)

    assert onset(made.user, samples(QUESTION)) == 1340 * 24
    assert onset(made.user, samples(AGAIN)) == 4040 * 24
    assert onset(made.assistant, samples(ANSWER)) == (2287 + 10 + 213 + 137) * 24
    last = 4887 + 10 + 200 + 41
    assert np.flatnonzero(np.abs(made.assistant[4000 * 24 :]) >= LOUD)[0] == (last - 4000) * 24


def test_the_headline_is_the_gap_in_the_file(check: Callable[..., Check]) -> None:
    """To the sample: a chirp's last sample may happen to be quiet, and is so in both."""
    made = check(two_turns)
    first, second = (turn.values["v2v_audible"].value_ms for turn in made.found.latency.turns)

    assert first == pytest.approx(made.gap_ms(after_ms=2287, before_ms=2287), abs=1e-6)
    assert second == pytest.approx(made.gap_ms(after_ms=4887, before_ms=4887), abs=1e-6)
    assert first == pytest.approx(2647 - 2040, abs=0.05)
    assert second == pytest.approx(5138 - 4650, abs=0.05)


def test_each_channel_holds_one_voice_to_the_sample(check: Callable[..., Check]) -> None:
    """What was said, bit for bit, at its place, and nothing anywhere else."""
    made = check(two_turns)
    expected = np.zeros(len(made.user))
    for at, signal in ((1340, QUESTION), (4040, AGAIN)):
        expected[at * 24 : at * 24 + len(samples(signal))] = samples(signal)
    assert np.array_equal(made.user, expected)

    expected = np.zeros(len(made.assistant))
    for at, said in ((2647, ANSWER), (5138, LAST)):
        expected[at * 24 : at * 24 + len(samples(said))] = samples(said)
    assert np.array_equal(made.assistant, expected)


def interrupted(line: Line) -> None:
    """A long answer from 2287 + 210 on; the caller is back at 3440, and at 3640 it is cut."""
    line.answers(answer(saying(Chirp((500, 3000), 3000))), answer(saying(LAST))).dial()
    line.wait(1007)
    spoken(line, Silence(333), QUESTION, Silence(1400), Tone(300, 200))
    truncate(line, 3640 - 2497)
    spoken(line, Tone(300, 400), Silence(500))
    line.wait(1500)
    line.hang_up()


def test_an_answer_is_cut_where_playback_was(check: Callable[..., Check]) -> None:
    """Both sound from 3440 to 3640, and in the file for as long."""
    made = check(interrupted)
    chirp = Chirp((500, 3000), 3000).samples()
    heard = (3640 - 2497) * 24

    assert onset(made.assistant[: 3640 * 24], chirp[:heard]) == 2497 * 24
    assert np.array_equal(made.assistant[2497 * 24 : 3640 * 24], chirp[:heard])
    assert not made.assistant[3640 * 24 : 4040 * 24].any()
    overlap = made.found.quality.turns[1].values["overlap"].value_ms
    assert overlap == 200
    assert np.flatnonzero(np.abs(made.user[3000 * 24 :]) >= LOUD)[0] == (3440 - 3000) * 24


def held_up(line: Line) -> None:
    """What is said from 1540 on waits in the network until 3540."""
    line.answers(answer(saying(ANSWER))).dial()
    line.wait(1000)
    spoken(line, Silence(540))
    held = np.concatenate([sound.samples() for sound in (Silence(160), QUESTION, Silence(1140))])
    line.wait(2000)
    for chunk in line.chunks(held):
        line.append(chunk)
    spoken(line, Silence(400))
    line.wait(2000)
    line.hang_up()


def test_what_a_link_held_up_lies_where_it_was_said(check: Callable[..., Check]) -> None:
    """QUESTION was said from 1700 to 2400 and came at 3540: answered then, 10 and 200 later."""
    made = check(held_up)

    assert onset(made.user, samples(QUESTION)) == 1700 * 24
    assert onset(made.assistant, samples(ANSWER)) == 3750 * 24
    value = made.found.latency.turns[0].values["v2v_audible"].value_ms
    assert value == pytest.approx(made.gap_ms(after_ms=3000, before_ms=3000), abs=1e-6)
    assert value == pytest.approx(3750 - 2400, abs=0.05)


def muted(line: Line) -> None:
    """The microphone is off from 2740 to 4000, in the middle of nothing."""
    line.answers(answer(saying(ANSWER)), answer(saying(LAST))).dial()
    line.wait(1000)
    spoken(line, Silence(340), QUESTION, Silence(700))
    line.wait(1260)
    spoken(line, Silence(100), AGAIN, Silence(500))
    line.wait(1500)
    line.hang_up()


def test_a_muted_microphone_moves_nothing(check: Callable[..., Check]) -> None:
    """1,260 ms in which nothing was sent are silence in the file."""
    made = check(muted)
    assert onset(made.user, samples(QUESTION)) == 1340 * 24
    assert onset(made.user, samples(AGAIN)) == 4100 * 24


def telephone(line: Line) -> None:
    """A-law both ways, 8,000 samples a second."""
    form = {"format": {"type": "audio/pcma"}}
    line.answers(answer(saying(Tone(440, 600), lead=137))).dial(
        audio={"input": form, "output": form}
    )
    line.wait(1000)
    line.hush(340, ALAW)
    line.talk(700, ALAW)
    line.hush(500, ALAW)
    line.wait(1500)
    line.hang_up()


@pytest.mark.parametrize("rate", [8000, RATE])
def test_a_call_of_the_telephone(check: Callable[..., Check], rate: int) -> None:
    """The voice sounds from 1340 to 2040, 1040 on the axis: in step 32, seven quiet ones end at
    1280, in the chunk that ends there: 2280; audio 210 later, the tone 137 after that.

    Resampled, a sharp edge rings around its place: it is looked for at half its height.
    """
    made = check(telephone, rate)
    slack = 0 if rate == 8000 else rate // 8000  # one sample of the call's own
    for channel, at in ((made.user, 1340), (made.assistant, 2280 + 210 + 137)):
        level = np.abs(channel).max() / 2
        found = int(np.flatnonzero(np.abs(channel) >= level)[0])
        assert abs(found - at * rate // 1000) <= slack


def test_the_headline_of_a_call_of_the_telephone(check: Callable[..., Check]) -> None:
    """At its own rate the file holds what passed, and the gap in it is the figure."""
    made = check(telephone, 8000)
    sound = resample(joined((Silence(137), Tone(440, 600))), RATE, 8000)
    passed = decode(encode(sound, ALAW), ALAW)

    assert np.array_equal(made.assistant[2490 * 8 : 2490 * 8 + len(passed)], passed)
    value = made.found.latency.turns[0].values["v2v_audible"].value_ms
    assert value == pytest.approx(made.gap_ms(after_ms=2300, before_ms=2300), abs=1e-6)
    assert value == pytest.approx(2627 - 2040, abs=1)  # the sandbox's own resampling rings


def test_the_measuring_itself_can_fail() -> None:
    """A signal one sample later is found one sample later."""
    channel = np.zeros(RATE * 3)
    channel[10_001 : 10_001 + len(samples(QUESTION))] = samples(QUESTION)
    assert onset(channel, samples(QUESTION)) == 10_001
    assert PCM24.rate == RATE
