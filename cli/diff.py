"""`recorder diff`: two sessions, or two groups of them, beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from recorder.errors import SessionNotFound, UsageError

from .player import detector_option, player_options
from .private_file import write_private
from .shared import Selecting, Shared, json_option
from .shared import command as in_table
from .text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recorder.comparing import Side
    from recorder.comparing.tolerances import Judgement, Tolerance
    from recorder.events import Session

FINE, BROKEN, UNTOLD = 0, 1, 2


@in_table("diff", Selecting)
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="NAME=±HOW-MUCH",
    help="Fail where B is further from A than this, as in v2v_audible=+20% or tool_calls=+1.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="KIND",
    help="Fail on this kind of difference: turns, words, tools, status, events, configuration.",
)
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="All of this pair of turns.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Of groups only this one; may be given again. `recorder latency` has the names.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the resampling of groups.",
)
@detector_option
@player_options
@json_option
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write what became of tolerances and gates for a CI system, too.",
)
def command(
    shared: Shared,
    a: str,
    b: str | None,
    turn: int | None,
    as_json: bool,
    junit: str | None,
    **asked: Any,
) -> int:
    """A is what B is held against; each is one session, or a selection in quotes: 'tag:new
    since:7d'. Without B, A is a rerun, and what it is a rerun of is held against it.

    Turns are paired by what the user said, then by order. A tolerance is +20%, +200ms, a count, -
    for a fall, or neither for both directions; it holds for every turn, or for the session where
    it names a count; waterfall.PART names a part of the latency. Differences of wording, tools or
    status fail only with --gate. Of groups, medians are compared, and a tolerance is broken only
    by what is more than chance. The exit code is 1 if one is broken, 2 if it could not be told.
    """  # fmt: skip
    question = _question(**asked)
    if junit is not None and not (question.tolerances or question.gates):
        raise UsageError("--junit: there is nothing to tell of; give --tolerance or --gate")
    chosen = _chosen(shared, a, b)
    if chosen.single:
        judgements = _sessions(shared, chosen, question, turn, as_json=as_json)
    else:
        if turn is not None:
            raise UsageError("--turn is for two sessions; of groups the table has all turns")
        judgements = _groups(shared, chosen, question, as_json=as_json)
    if junit is not None:
        from recorder.comparing.formats import render_junit

        text = render_junit(judgements, f"{a} {b or ''}".strip())
        write_private(Path(junit), [text.encode()], force=True)
    return _exit_code(judgements)


class _Question(NamedTuple):
    tolerances: list[Tolerance]
    gates: list[str]
    metrics: list[str]
    seed: int


def _question(
    *,
    tolerances: tuple[str, ...],
    gates: tuple[str, ...],
    metrics: tuple[str, ...],
    seed: int,
) -> _Question:
    from recorder.comparing.tolerances import check_name, parse_gate, parse_tolerance

    return _Question(
        [_named("--tolerance", parse_tolerance, text) for text in tolerances],
        [_named("--gate", parse_gate, text) for text in dict.fromkeys(gates)],
        [_named("--metric", check_name, text) for text in dict.fromkeys(metrics)],
        seed,
    )


def _named(option: str, read: Any, word: str) -> Any:
    """What the word means; an error says which option it stands in."""
    try:
        return read(word)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


# ---- which sessions


class _Chosen(NamedTuple):
    a: list[Session]
    b: list[Session]
    reference: Session | None
    """What all are reruns of, where there is such a session."""

    @property
    def single(self) -> bool:
        """One session on each side."""
        return len(self.a) == len(self.b) == 1


def _chosen(shared: Shared, a: str, b: str | None) -> _Chosen:
    mine = _meant(shared, a)
    if b is None:
        original = _original(shared, mine)
        return _Chosen([original], mine, original)
    yours = _meant(shared, b)
    both = {session.id for session in mine} & {session.id for session in yours}
    if both and not len(mine) == len(yours) == 1:
        names = ", ".join(sorted(map(shared.directory.tail, both)))
        raise UsageError(f"{counted(len(both), 'session')} ({names}) would be in both A and B")
    return _Chosen(mine, yours, _common_original(shared, [*mine, *yours]))


def _meant(shared: Shared, word: str) -> list[Session]:
    """The sessions that a word means; HTTP side calls are left out of a selection."""
    entries = shared.chosen_entries([word], "compare")
    sessions = [shared.store.session(entry.id) for entry in entries]
    talks = [session for session in sessions if session.kind == "websocket"]
    if sessions and not talks:
        raise UsageError(f"{word}: an HTTP side call has no conversation to compare")
    if not talks:
        raise SessionNotFound(f"no session is meant by {word!r}")
    calls = {session.call for session in talks}
    if len(talks) > 1 and len(calls) == 1 and "" not in calls and not any(map(_is_rerun, talks)):
        names = ", ".join(shared.directory.tail(session.id) for session in talks)
        raise UsageError(
            f"{word}: these {len(talks)} sessions are the connections of one call: compare them "
            f"one by one ({names})"
        )
    return talks


def _is_rerun(session: Session) -> bool:
    from recorder.rerunning.origin import original_of

    return original_of(session) is not None


def _original(shared: Shared, sessions: Sequence[Session]) -> Session:
    """What all of these are reruns of."""
    from recorder.rerunning.origin import original_of

    names = set()
    for session in sessions:
        origin = original_of(session)
        if origin is None:
            raise UsageError(
                f"session {shared.directory.tail(session.id)} is no rerun: say what to compare it "
                "with, as in `recorder diff A B`"
            )
        names.add(origin.session_id)
    if len(names) > 1:
        raise UsageError("these are reruns of several sessions: name one group and the other")
    return _stored(shared, names.pop())


def _stored(shared: Shared, name: str) -> Session:
    if _is_there(shared, name):
        return shared.store.session(name)
    raise SessionNotFound(f"session {name}, which this is a rerun of, is not in this database")


def _common_original(shared: Shared, sessions: Iterable[Session]) -> Session | None:
    """What all of these are reruns of, or are, where it is there."""
    from recorder.rerunning.origin import original_of

    found = {session.id: original_of(session) for session in sessions}
    names = {origin.session_id if origin else name for name, origin in found.items()}
    if len(names) != 1 or not any(found.values()):
        return None
    name = names.pop()
    return shared.store.session(name) if _is_there(shared, name) else None


def _is_there(shared: Shared, name: str) -> bool:
    return any(each.id == name for each in shared.directory.known)


def _side(shared: Shared, session: Session) -> Side:
    from recorder.comparing import side_of
    from recorder.rerunning.origin import original_of

    from .analysed import analysed, reported

    origin = original_of(session)
    analysis = analysed(shared, session)
    with shared.out.progress("reading the session") as report:
        return side_of(
            session.id,
            analysis,
            reported(shared, session, report, audio=False),
            turn_of=origin.turn if origin else None,
            call="" if origin else session.call,
        )


# ---- the comparison


def _sessions(
    shared: Shared, chosen: _Chosen, question: _Question, turn: int | None, *, as_json: bool
) -> Sequence[Judgement]:
    from recorder.comparing import compare
    from recorder.comparing.tolerances import judged

    if question.metrics:
        raise UsageError("--metric is for groups; of two sessions --turn shows all metrics")
    one = _side(shared, chosen.a[0])
    two = one if chosen.a[0].id == chosen.b[0].id else _side(shared, chosen.b[0])
    comparison = compare(one, two)
    if turn is not None and turn > len(comparison.turns):
        there = counted(len(comparison.turns), "pair")
        raise UsageError(f"there is no pair of turns {turn}: this comparison has {there}")
    judgements = judged(comparison, question.tolerances, question.gates)
    if as_json:
        from recorder.comparing.formats import as_json as written

        found = written(comparison, judgements)
        if turn is not None:
            found["turns"] = [found["turns"][turn - 1]]
        shared.out.json(found)
    else:
        from .diff_tables import print_comparison

        print_comparison(shared, comparison, judgements, turn)
    return judgements


def _groups(
    shared: Shared, chosen: _Chosen, question: _Question, *, as_json: bool
) -> Sequence[Judgement]:
    from recorder.comparing.groups import compare_groups, judged_groups

    if _apart(chosen):
        shared.out.say(
            "one group was recorded before the other, so what changed with the hour counts too; "
            "recorded in turn, A, B, A, B, they would share it"
        )
    made: dict[str, Side] = {}
    for session in (*chosen.a, *chosen.b, *([chosen.reference] if chosen.reference else [])):
        if session.id not in made:
            made[session.id] = _side(shared, session)
    asked = [each.name for each in question.tolerances]
    with shared.out.progress("resampling") as report:
        comparison = compare_groups(
            [made[session.id] for session in chosen.a],
            [made[session.id] for session in chosen.b],
            reference=made[chosen.reference.id] if chosen.reference else None,
            metrics=question.metrics,
            needed=asked,
            seed=question.seed,
            progress=report,
        )
    judgements = judged_groups(comparison, question.tolerances, question.gates)
    if as_json:
        from recorder.comparing.formats import groups_as_json

        shared.out.json(groups_as_json(comparison, judgements))
    else:
        from .diff_groups import print_groups

        print_groups(shared, comparison, judgements)
    return judgements


def _apart(chosen: _Chosen) -> bool:
    """Whether all of one group were opened before any of the other."""
    if min(len(chosen.a), len(chosen.b)) < 2:
        return False
    one, two = ([session.wall_ns for session in side] for side in (chosen.a, chosen.b))
    return max(one) < min(two) or max(two) < min(one)


def _exit_code(judgements: Sequence[Judgement]) -> int:
    from recorder.comparing.tolerances import verdict_of
    from recorder.reporting.gates import BROKEN as BROKE
    from recorder.reporting.gates import UNTOLD as NOT_TOLD

    verdict = verdict_of(judgements) if judgements else ""
    return {BROKE: BROKEN, NOT_TOLD: UNTOLD}.get(verdict, FINE)
