"""Turns: a trigger and every response that answers it (metrics.md §3).

Laws:

1. A turn begins with speech that was committed, with a client's item or commit and its
   `response.create`, with an idle timeout, or with a greeting: a response before any user item.
2. Tool outputs and the responses after them belong to the turn that is open; so does a response
   that the server begins by itself without new input, and one that is asked for again because
   nothing of those before it reached the user. Out-of-band responses belong to none.
3. A commit whose responses were cancelled before anything of them was heard merges with the next.
   One that got no response at all is a turn of its own, `unanswered`, unless the user went on
   within two seconds.
4. What a client seeds as history (an assistant's item follows) is no turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..audio.formats import SECOND
from .inputs import Moment
from .model import Turn, reckoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .inputs import Commit
    from .memory import Memory
    from .model import Conversation, Item, Playback, Played, Response, Utterance

WENT_ON_NS: Final = 2 * SECOND
"""An unanswered commit and speech that begins so soon after it are one turn."""


@dataclass(slots=True)
class Input:
    """One thing that the user said or wrote."""

    item: str
    key: int
    """Sequence number by which a request counts as made after it."""
    begin_ns: int
    end_ns: int
    commit: Commit | None = None


@dataclass(slots=True)
class Draft:
    """A turn while it is put together."""

    trigger: str
    at: Moment
    inputs: list[Input] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    greeting: bool = False
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that turns are made of."""

    conversation: Conversation
    playback: Playback
    commits: list[Commit]
    utterances: tuple[Utterance, ...]
    timeouts: list[tuple[str, Moment]]
    asked: list[Moment]
    last_ns: int
    first_words: dict[str, Moment] = field(default_factory=dict)


def build_turns(sources: Sources, memory: Memory) -> tuple[list[Draft], tuple[Turn, ...]]:
    """The turns of a session, and the drafts behind them in the same order."""
    kept = memory.kept("drafts", _Before)
    given = _given(sources)
    if given != kept.given:
        kept.given, kept.builder = given, _Builder(sources)
        for _, take, thing in sorted(kept.builder.steps(), key=lambda step: step[0]):
            take(thing)
        kept.drafts, kept.same = kept.builder.finish(), 0
    assert kept.builder is not None
    starts = [_start(draft) for draft in kept.drafts[kept.same :]]
    rows = zip(kept.drafts[kept.same :], starts, [*starts[1:], sources.last_ns], strict=False)
    answers = kept.builder.answers
    turns = [_turn(index, *row, answers) for index, row in enumerate(rows, kept.same + 1)]
    kept.turns = memory.same("turns", [*kept.turns[: kept.same], *turns])
    kept.same = max(len(kept.drafts) - 1, 0)  # the end of the last one is the end of the log
    return kept.drafts, kept.turns


class _Before:
    """What turns were made of the last time, and what was made of it."""

    def __init__(self) -> None:
        self.given: object = None
        self.builder: _Builder | None = None
        self.drafts: list[Draft] = []
        self.turns: tuple[Turn, ...] = ()
        self.same = 0
        """Turns that stay as they are as long as this does."""


def _given(sources: Sources) -> object:
    """All that turns are made of but for the end of the log."""
    conversation, playback = sources.conversation, sources.playback
    heard = [
        (item.response_id, item.heard_samples > 0, item.stopped_by, item.flags)
        for item in playback.items
    ]
    reported = [record["response_id"] for record in playback.reported]
    counts = len(sources.commits), len(sources.timeouts)
    return (conversation.items, conversation.responses, conversation.calls, sources.utterances,
            list(sources.asked), counts, heard, reported)  # fmt: skip


class Answers:
    """What became of responses: whether anything of them reached the user."""

    def __init__(self, conversation: Conversation, playback: Playback) -> None:
        self.played: dict[str, list[Played]] = {}
        for item in playback.items:
            self.played.setdefault(item.response_id, []).append(item)
        self._reported = {record["response_id"] for record in playback.reported}
        self._worded = {item.response_id for item in conversation.items if item.text}

    def reached(self, response: Response) -> bool:
        """Heard; or delivered, where it was text or its audio went another way than this wire."""
        if response.id in self._reported:
            return True
        if any(item.heard_samples for item in self.played.get(response.id, ())):
            return True
        return response.id in self._worded and not response.audio_ns

    def status(self, responses: list[Response]) -> str:
        """What became of a turn with these responses."""
        if not responses:
            return "unanswered"
        if any(self.reached(response) for response in responses):
            return "answered"
        last = responses[-1]
        if last.status == "in_progress":
            return "open"
        return last.status if last.status in ("failed", "cancelled") else "unheard"


class _Builder:
    """Goes through what happened, in order."""

    def __init__(self, sources: Sources) -> None:
        self.answers = Answers(sources.conversation, sources.playback)
        self._sources = sources
        self._turns: list[Draft] = []
        self._waiting: list[Input] = []
        self._outputs = False
        self._timeout: Moment | None = None
        self._user_seen = False

    def steps(self) -> Iterable[tuple[int, Callable[[Any], None], Any]]:
        """(sequence number, what takes it, the thing), in no order."""
        sources, quiet = self._sources, {item for item, _ in self._sources.timeouts}
        committed = {commit.item for commit in sources.commits}
        for commit, utterance in zip(sources.commits, sources.utterances, strict=True):
            if commit.item not in quiet:
                key = commit.asked.seq if commit.asked else commit.at.seq
                given = Input(commit.item, key, utterance.start_ns, commit.at.at_ns, commit)
                yield key, self._input, given
        for item in sources.conversation.items:
            if item.type == "message" and item.id not in committed | quiet:
                if item.role == "user":
                    at_ns = reckoned(item.at_ns)
                    yield item.seq, self._input, Input(item.id, item.seq, at_ns, at_ns)
                elif item.role == "assistant" and item.by == "client":
                    yield item.seq, self._history, item
        for call in sources.conversation.calls:
            if call.output_seq is not None:
                yield call.output_seq, self._output, call
        for response in sources.conversation.responses:
            if not response.out_of_band:
                yield response.asked_seq or response.seq, self._response, response
        yield from ((moment.seq, self._timed_out, moment) for _, moment in sources.timeouts)
        yield from ((moment.seq, self._asked, moment) for moment in sources.asked)

    def _input(self, given: Input) -> None:
        self._waiting.append(given)
        self._user_seen = True

    def _history(self, item: Item) -> None:
        self._waiting = [given for given in self._waiting if given.commit is not None]

    def _output(self, call: object) -> None:
        self._outputs = True

    def _timed_out(self, moment: Moment) -> None:
        self._timeout = moment

    def _asked(self, moment: Moment) -> None:
        """A request that nothing answered: what it was about stays without an answer."""
        self._settle()
        if self._waiting:
            self._turns.append(_draft(self._waiting, moment))
            self._waiting = []

    def _response(self, response: Response) -> None:
        at = Moment(
            response.asked_ns or response.created_ns or 0, response.asked_seq or response.seq
        )
        self._settle()
        if self._waiting:
            self._open(_draft(self._waiting, at if response.asked_seq else None))
        elif self._timeout is not None:
            self._turns.append(Draft("idle_timeout", self._timeout))
        elif not self._turns or not self._goes_on(response):
            self._turns.append(Draft("client_create", at, greeting=not self._user_seen))
        elif self._outputs:
            self._turns[-1].flags.append("tools")
        self._turns[-1].responses.append(response)
        self._turns[-1].calls += response.calls
        self._waiting, self._outputs, self._timeout = [], False, None

    def _goes_on(self, response: Response) -> bool:
        """Without new input: the server's own, after tools, or asked for again after a failure."""
        if response.asked_seq is None or self._outputs:
            return True
        last = self._turns[-1].responses
        return bool(last) and not any(self.answers.reached(each) for each in last)

    def _settle(self) -> None:
        """Commits that waited in vain, before the user spoke again later, stand alone."""
        while len(self._waiting) > 1:
            first, second = self._waiting[:2]
            if first.commit is None or second.begin_ns - first.end_ns <= WENT_ON_NS:
                return
            self._turns.append(_draft([first], None))
            del self._waiting[0]

    def _open(self, draft: Draft) -> None:
        """Begin a turn; one before it of which nothing was heard becomes a part of it."""
        last = self._turns[-1] if self._turns else None
        if last is not None and last.inputs and self._never_heard(last):
            draft.inputs = last.inputs + draft.inputs
            draft.responses, draft.calls = last.responses, last.calls
            draft.flags = [*dict.fromkeys([*last.flags, "merged"])]
            self._turns.pop()
        self._turns.append(draft)

    def _never_heard(self, draft: Draft) -> bool:
        if draft.calls or not draft.responses:
            return False
        cut = all(response.status == "cancelled" for response in draft.responses)
        if not cut or any(given.commit is None for given in draft.inputs):
            return False
        return not any(self.answers.reached(response) for response in draft.responses)

    def finish(self) -> list[Draft]:
        """All turns; speech that still waits is a turn without an answer."""
        turns = list(self._turns)
        waiting = [given for given in self._waiting if given.commit is not None]
        for given in waiting:
            if turns and turns[-1].inputs and not turns[-1].responses:
                last = turns[-1].inputs[-1]
                if last in waiting and given.begin_ns - last.end_ns <= WENT_ON_NS:
                    turns[-1].inputs.append(given)
                    continue
            turns.append(_draft([given], None))
        return turns


def _draft(inputs: list[Input], asked: Moment | None) -> Draft:
    """A turn with these inputs; the last one triggers it, with the request where there is one."""
    last = inputs[-1].commit
    if last is not None and last.asked is None:
        return Draft("vad_commit", last.at, list(inputs))
    at = asked or (last.asked if last and last.asked else None)
    return Draft("client_create", at or Moment(inputs[-1].end_ns, inputs[-1].key), list(inputs))


def _start(draft: Draft) -> int:
    if not draft.inputs:
        return draft.at.at_ns
    return min(draft.inputs[0].begin_ns, draft.at.at_ns)


def _turn(index: int, draft: Draft, start: int, end: int, answers: Answers) -> Turn:
    flags = dict.fromkeys(draft.flags)
    for response in draft.responses:
        if response.reason in ("turn_detected", "client_cancelled"):
            flags["interrupted"] = None
        for item in answers.played.get(response.id, ()):
            if item.stopped_by:
                flags["interrupted"] = None
            flags.update(dict.fromkeys(item.flags))
    return Turn(
        index=index,
        trigger=draft.trigger,
        trigger_ns=draft.at.at_ns,
        trigger_seq=draft.at.seq,
        start_ns=start,
        end_ns=max(end, start),
        status=answers.status(draft.responses),
        user_items=tuple(given.item for given in draft.inputs),
        responses=tuple(response.id for response in draft.responses),
        calls=tuple(draft.calls),
        greeting=draft.greeting,
        flags=tuple(flags),
    )
