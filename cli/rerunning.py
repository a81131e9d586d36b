"""What `recorder rerun` does once its options are read."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from recorder.errors import RecorderError, UsageError
from recorder.live.client import BUSY_SECONDS, Recording, connect
from recorder.live.rerunning import Budget, Outcome, perform
from recorder.live.writer import WriterOptions, open_writer
from recorder.mocking.cassettes import from_file
from recorder.mocking.faults import read_time
from recorder.projections import analyse
from recorder.rerunning import Options, Plan, Rerun, Rules, make_plan
from recorder.rerunning.checking import (
    check_events,
    check_session,
    configured_before,
    offered,
)
from recorder.rerunning.origin import TAG, Origin, labels_of
from recorder.rerunning.turns import turn_runs
from recorder.rerunning.wording import check_words
from recorder.secrets import redact_url
from recorder.sql.store import SqlStore
from recorder.store import MemoryStore
from recorder.transport import Timeouts, plain_nursery

from .recording import (
    INTERRUPTED,
    LOSS,
    SANDBOX,
    database,
    declared_secrets,
    dialled,
    read_target,
    session_file,
    signals,
)
from .table import COMMANDS
from .text import counted, json_text, one_line
from .unfolding import Unfolding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recorder.events import Session
    from recorder.live.session import RealtimeSession
    from recorder.live.writer import Writer
    from recorder.rerunning.nouns import Read
    from recorder.store import EventStore

    from .recording import Target
    from .shared import Shared

MINUTE: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class _Job:
    """One session that is to be held."""

    plan: Plan
    read: Read
    origin: Origin


@dataclass(slots=True)
class _State:
    """What is known of all of it."""

    interrupted: bool = False
    timed_out: bool = False
    failed: RecorderError | None = None
    lost: int = 0
    stopped: int = 0
    done: int = 0
    sessions: list[str] = field(default_factory=list)


def run(shared: Shared, reference: str | None, options: Mapping[str, Any]) -> int:
    """Run the session again, as often as is asked for; the exit code."""
    store, session = _recorded(shared, reference)
    otherwise = _otherwise(options)
    rules = _rules(options)
    check_session(session)
    read = partial(store.read, session.id)
    notes = check_events(read, session.id, silence=otherwise.silence)
    if "tools" not in otherwise.session:
        notes += configured_before(read)
    for note in notes:
        shared.out.say(one_line(note))
    options = {**options, "model": options["model"] or session.model}
    target = read_target(shared, options)
    jobs = _jobs(shared, session, read, otherwise, rules, options)
    _ask(shared, jobs, target, options)
    shared.out.as_it_comes()
    state = _State()
    runner = _Runner(shared, session, target, options, otherwise, rules, state, jobs)
    try:
        trio.run(runner.main)
    finally:
        _sum_up(shared, session, state)
    if state.failed is not None:
        raise state.failed
    if state.interrupted:
        return INTERRUPTED
    return LOSS if state.lost or state.stopped else 0


def _recorded(shared: Shared, reference: str | None) -> tuple[EventStore, Session]:
    """The session that is meant: of the database, or the only one of a file."""
    is_file = reference is not None and (
        reference.endswith((".jsonl", ".jsonl.gz")) or Path(reference).is_file()
    )
    if reference is None or not is_file:
        return shared.store, shared.session(reference)
    found = from_file(Path(reference))
    if len(found) > 1:
        raise UsageError(
            f"{reference} holds {len(found)} sessions: import it, and name one of them"
        )
    store = MemoryStore()
    store.begin(found[0].session)
    store.append([(found[0].session.id, list(found[0].events()))])
    return store, found[0].session


def _otherwise(options: Mapping[str, Any]) -> Options:
    for name in ("model", "voice", "instructions"):
        if options[name] is not None and not options[name].strip():
            raise UsageError(f"--{name} is empty: name one, or leave it out")
    return Options(
        model=options["model"],
        voice=options["voice"],
        instructions=options["instructions"],
        vad=options["vad"],
        session=session_file(options["session_file"]) if options["session_file"] else {},
        silence=options["silence"],
    )


def _rules(options: Mapping[str, Any]) -> Rules:
    patience_ns = read_time(options["patience"])
    if patience_ns is None:
        raise UsageError(f"--patience {options['patience']}: expected a time such as 500ms or 30s")
    return Rules(speed=options["speed"], patience_ns=patience_ns)


def _jobs(
    shared: Shared,
    session: Session,
    read: Read,
    otherwise: Options,
    rules: Rules,
    options: Mapping[str, Any],
) -> list[_Job]:
    """Every session that is to be held, in the order in which they begin."""
    with shared.out.progress("reading the recording"):
        parts = _parts(shared, read, otherwise, each_turn=options["each_turn"])
    if not any(not plan.empty for _, _, plan in parts):
        raise UsageError(f"in session {session.id} the caller did nothing: nothing to run again")
    for _, _, plan in parts:
        check_words(plan, otherwise, rules)
    speed = f"speed {rules.speed:g}" if rules.speed != 1 else ""
    told = "; ".join(each for each in (str(otherwise), speed) if each)
    return [
        _Job(plan, part, Origin(session.id, turn, number, told))
        for number in range(1, options["times"] + 1)
        for turn, part, plan in parts
    ]


def _parts(
    shared: Shared, read: Read, otherwise: Options, *, each_turn: bool
) -> list[tuple[int | None, Read, Plan]]:
    """The whole session, or every turn: which it is, its events, and what is to be done."""
    analysis = analyse(lambda audio: read(audio=audio))
    if not each_turn:
        return [(None, read, make_plan(read, analysis, otherwise))]
    runs = turn_runs(read, analysis, shared.out.say)
    return [(each.turn, each.read, each.plan(otherwise)) for each in runs]


def _ask(shared: Shared, jobs: list[_Job], target: Target, options: Mapping[str, Any]) -> None:
    """Say what it will send, and ask. Raises `UsageError` where nobody agrees."""
    total = sum(job.plan.audio_ns for job in jobs)
    others = sum(len(job.plan.acts) for job in jobs)
    where = "a sandbox of its own" if target.url == SANDBOX else redact_url(target.url)[0]
    runs = f" in {len(jobs)} sessions" if len(jobs) > 1 else ""
    what = f"{total / MINUTE:.2f} minutes of audio and {counted(others, 'other message')}"
    shared.out.say(f"sends {what}{runs} to {one_line(where)}")
    most = options["max_audio_minutes"]
    if most is not None and total > most * MINUTE:
        raise UsageError(f"that is more than --max-audio-minutes {most:g} allows; nothing was sent")
    if options["yes"] or target.url == SANDBOX:
        return
    if not sys.stdin.isatty():
        raise UsageError("it costs, and nobody is there to ask; add --yes. Nothing was sent")
    if not click.confirm("Send it?", err=True):
        raise UsageError("nothing was sent")


class _Runner:
    """Holds the sessions, some at once."""

    def __init__(
        self,
        shared: Shared,
        session: Session,
        target: Target,
        options: Mapping[str, Any],
        otherwise: Options,
        rules: Rules,
        state: _State,
        jobs: list[_Job],
    ) -> None:
        self._shared, self._session, self._target = shared, session, target
        self._options, self._otherwise, self._rules = options, otherwise, rules
        self._state, self._jobs = state, jobs
        most = options["max_audio_minutes"]
        self._budget = Budget(None if most is None else round(most * MINUTE))
        self._alone = len(jobs) == 1
        self._secrets = declared_secrets(options["headers"], target.headers)

    async def main(self) -> None:
        """All of them; the first that the endpoint refuses ends it."""
        shared, options = self._shared, self._options
        store = SqlStore.open(
            database(shared), durability=shared.durability, busy_seconds=BUSY_SECONDS
        )
        how = WriterOptions(on_trouble=shared.out.say)
        limit = trio.move_on_after(options["max_duration"] or float("inf"))
        try:
            async with (
                open_writer(store, how) as writer,
                signals(self._state),
                dialled(self._target) as url,
            ):
                with limit as scope:
                    await self._all(url, writer)
                self._state.timed_out = scope.cancelled_caught
        finally:
            store.close()

    async def _all(self, url: str, writer: Writer) -> None:
        queue = list(reversed(self._jobs))

        async def work() -> None:
            while queue:
                await self._one(queue.pop(), url, writer)

        try:
            async with plain_nursery() as nursery:
                for _ in range(min(self._options["concurrency"], len(self._jobs))):
                    nursery.start_soon(work)
        except RecorderError as error:
            self._state.failed = error

    async def _one(self, job: _Job, url: str, writer: Writer) -> None:
        options, rerun = self._options, Rerun(job.plan, job.read, self._rules, self._otherwise)
        say = self._shared.out.say
        name = "" if self._alone else f"{_called(job.origin)}: "
        async with connect(
            url,
            model=self._target.model,
            api_key=self._target.key,
            store=writer,
            auth=options["auth"],
            dialect=options["dialect"],
            headers=self._target.headers,
            subprotocols=() if options["auth"] == "subprotocol" else offered(self._session),
            timeouts=Timeouts(connect=options["timeout"], handshake=options["timeout"]),
            ca_file=options["ca_file"],
            recording=self._recording(job),
        ) as session:
            try:
                outcome = await perform(
                    rerun, session, say=lambda told: say(one_line(name + told)), budget=self._budget
                )
            finally:
                self._state.lost += session.lost
        self._tell(job, session, outcome)

    def _recording(self, job: _Job) -> Recording:
        options = self._options
        quiet = options["quiet"] or options["as_json"] or not self._alone
        return Recording(
            call=options["call"] or "",
            tags=tuple(dict.fromkeys((TAG, *options["tags"]))),
            capture=options["capture"],
            on_stall=options["on_stall"],
            labels=labels_of(job.origin),
            secrets=self._secrets,
            opened=self._state.sessions.append,
            listener=None if quiet else Unfolding(self._shared.out.line).feed,
        )

    def _tell(self, job: _Job, session: RealtimeSession, outcome: Outcome) -> None:
        self._state.done += 1
        self._state.stopped += bool(outcome.stopped)
        out = self._shared.out
        if self._options["as_json"]:
            out.line(json_text(_facts(job.origin, session.id, outcome)))
        elif not self._alone:
            out.line(f"{_called(job.origin)}: {session.id}, {outcome.stopped or 'done'}")


def _called(origin: Origin) -> str:
    turn = f", turn {origin.turn}" if origin.turn is not None else ""
    return f"run {origin.number}{turn}"


def _facts(origin: Origin, session_id: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "session": session_id,
        "rerun_of": origin.session_id,
        "turn": origin.turn,
        "number": origin.number,
        "audio_ns": outcome.audio_ns,
        "stopped": outcome.stopped or None,
        "remarks": outcome.remarks,
    }


def _sum_up(shared: Shared, session: Session, state: _State) -> None:
    """Say what was recorded, what was lost, and where to look."""
    say = shared.out.say
    if state.lost:
        say(f"LOST: {counted(state.lost, 'message')} are not in the log")
    if state.timed_out:
        say("stopped at --max-duration")
    if not state.sessions:
        return
    if len(state.sessions) == 1:
        say(f"recorded as {state.sessions[0]}")
        say(f"see: recorder show {state.sessions[0][-8:]}{shared.db_option}")
    else:
        say(f"recorded {counted(len(state.sessions), 'session')}, {state.done} to the end")
        say(f"see: recorder ls tag:{TAG}{shared.db_option}")
    if "diff" in COMMANDS and len(state.sessions) == 1:
        say(f"compare: recorder diff {session.id[-8:]} {state.sessions[0][-8:]}{shared.db_option}")
