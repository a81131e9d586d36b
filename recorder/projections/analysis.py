"""Everything that can be said of one session, in one pass over its events.

    analysis = analyse(lambda audio: store.read(session_id, audio=audio))
    analysis.turns, analysis.latency, analysis.findings, analysis.transcript …

One pass feeds all folds, each event decoded once; what builds on their results is computed
when they are all there. With `detect=False` the audio is not read at all: the user's speech is
then what the server said it was, and leading silence is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import untimed
from .base import Together
from .conversation import ConversationFold
from .facets import facets
from .findings import findings
from .inputs import Inputs
from .latency import latency
from .memory import Memory
from .playback import PlaybackFold
from .quality import Call, quality
from .rules import Case
from .session_times import FirstWords, SessionTimes
from .speech import ENERGY, SpeechFold
from .summary import SummaryFold
from .transcript import TranscriptMaker
from .turns import Sources, build_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from ..events import Event
    from .capture import CaptureClock
    from .model import (
        Conversation,
        Finding,
        Latency,
        Playback,
        Quality,
        Speech,
        Summary,
        Transcript,
        Turn,
    )

    EventSource: TypeAlias = Callable[[bool], Iterable[Event]]
    """Gives the session's events from the start, with or without their audio."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one session amounts to. All but `clock` and `inputs` are ready for JSON."""

    summary: Summary
    conversation: Conversation
    speech: Speech
    playback: Playback
    turns: tuple[Turn, ...]
    latency: Latency
    quality: Quality
    findings: tuple[Finding, ...]
    transcript: Transcript
    clock: CaptureClock
    """Translates positions in the user's audio into the session's time."""
    inputs: Inputs
    """The user's side as it passed. Clock and inputs are for `tracks`."""


class Analyser(Together):
    """All projections of a session side by side."""

    def __init__(
        self,
        *,
        detect: bool = True,
        detector: str = ENERGY,
        prebuffer_ms: int = 0,
        assume_stop_on_speech: bool = False,
    ) -> None:
        self._summary = SummaryFold()
        self._conversation = ConversationFold()
        self._speech = SpeechFold(detect=detect, detector=detector)
        self._playback = PlaybackFold(
            prebuffer_ms=prebuffer_ms, assume_stop_on_speech=assume_stop_on_speech
        )
        self._times = SessionTimes()
        self._words = FirstWords()
        self._memory = Memory()
        super().__init__(
            self._summary,
            self._conversation,
            self._speech,
            self._playback,
            self._times,
            self._words,
        )

    @property
    def inputs(self) -> Inputs:
        """The user's side, for folds that run beside this one."""
        return self._speech.inputs

    @property
    def playback(self) -> PlaybackFold:
        """The playback queue, for folds that run beside this one."""
        return self._playback

    def analysis(self) -> Analysis:
        """Everything, as it stands. May be asked again, and after more events."""
        heard = self._speech.heard()
        summary, conversation = self._summary.summary(), self._conversation.conversation()
        speech, playback = heard.speech(), self._playback.result()
        if not summary.timed:
            speech, playback = untimed.speech(speech), untimed.playback(self._playback)
        inputs: Inputs = heard.inputs
        sources = Sources(
            conversation,
            playback,
            inputs.commits,
            speech.utterances,
            inputs.timeouts,
            self._conversation.unanswered(),
            summary.duration_ns,
            self._words.result(),
        )
        memory = self._memory
        drafts, turns = build_turns(sources, memory)
        views = facets(sources, drafts, turns, memory)
        timing = latency(views, self._times.result(), memory)
        queue = list(self._playback.items.values())
        good = quality(Call(conversation, speech, playback, views, inputs, queue, memory))
        if not summary.timed:
            timing, good = untimed.latency(timing), untimed.quality(good)
        clock = heard.clock if summary.timed else None
        asked = frozenset(moment.seq for moment in sources.asked)
        case = Case(summary, conversation, speech, playback, turns, timing, good, clock, asked)
        found = findings(case)
        maker = TranscriptMaker(conversation, speech, playback, turns, summary, memory)
        words = maker.transcript()
        if not summary.timed:
            summary, conversation = untimed.summary(summary), untimed.conversation(conversation)
            turns, found = untimed.turns(turns), untimed.findings(found)
            speech = untimed.parted(speech)
        return Analysis(
            summary,
            conversation,
            speech,
            playback,
            turns,
            timing,
            good,
            found,
            words,
            heard.clock,
            inputs,
        )


def analyse(
    events: EventSource,
    *,
    detect: bool = True,
    detector: str = ENERGY,
    prebuffer_ms: int = 0,
    assume_stop_on_speech: bool = False,
) -> Analysis:
    """Everything that can be said of the session that `events` gives.

    `events(audio)` is called once, with `audio=detect`; `detector` is one of `speech.DETECTORS`.
    `prebuffer_ms` is what the player waits
    before it begins; `assume_stop_on_speech` takes `speech_started` for evidence that playback
    stopped.
    """
    analyser = Analyser(
        detect=detect,
        detector=detector,
        prebuffer_ms=prebuffer_ms,
        assume_stop_on_speech=assume_stop_on_speech,
    )
    analyser.feed_all(events(detect))
    return analyser.analysis()
