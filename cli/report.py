"""`recorder report`: many calls in few numbers, compared, and judged by gates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .private_file import write_private
from .report_tables import print_report
from .shared import Shared, json_option, selection_argument
from .shared import command as in_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from recorder.reporting.report import Question, Report
    from recorder.reporting.turns import Turns
    from recorder.selecting import Selection

BY: Final = ("model", "day", "tag", "call", "configuration")
"""Those of `recorder.reporting.groups`, which takes too long to import for a line of help."""

FINE, BROKEN, UNTOLD = 0, 1, 2


@in_table("report")
@selection_argument
@click.option("--by", default="", metavar="BY,…", help=f"Groups: {', '.join(BY)}, or several.")
@click.option("--tz", metavar="ZONE", help="Time zone of the days, as in Europe/Berlin.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Only this one; may be given again. `recorder latency` has all names.",
)
@click.option(
    "--vs",
    metavar="previous|SELECTION",
    help="Compare with the same span before (needs since:), or with other sessions.",
)
@click.option(
    "--fail-if",
    "gates",
    multiple=True,
    metavar="CONDITION",
    help="A gate, as in 'v2v_audible.p95 > 1200ms'; may be given again.",
)
@click.option(
    "--min-n",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="N",
    help="From fewer turns a gate could not tell.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the resampling for --vs.",
)
@click.option("--md", is_flag=True, help="A Markdown table, as GitHub shows it.")
@click.option("--csv", is_flag=True, help="For spreadsheets.")
@json_option
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write what became of the gates for a CI system, too.",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
              help="Where --md, --csv or --json go; - is stdout.")  # fmt: skip
def command(
    shared: Shared,
    selection: tuple[str, ...],
    md: bool,
    csv: bool,
    as_json: bool,
    output: str | None,
    junit: str | None,
    vs: str | None,
    **asked: Any,
) -> int:
    """Milliseconds; n turns are measured, the others are left out, and why. Joins under 50 ms are
    left out too: they are nearly always joined to the wrong turn.

    A gate is a percentile, mean or max of any metric, unanswered.rate, failed.rate, excluded.rate,
    overlap.rate or n. The exit code is 1 if one is broken in any group, 2 if it could not be told:
    fewer than --min-n turns. A difference of --vs is given with an interval that resamples calls.
    """  # fmt: skip
    render = _renderer(md=md, csv=csv, as_json=as_json, output=output)
    question = _question(**asked)
    if junit is not None and not question.gates:
        raise UsageError("--junit: there is no gate to tell of; give --fail-if")
    report = _report(shared, selection, question, vs)
    if render is None:
        print_report(shared, report)
    elif output is None or output == "-":
        for piece in render(report):
            shared.out.raw(piece.encode())
    else:
        pieces = (piece.encode() for piece in render(report))
        write_private(Path(output), pieces, force=True)
    if junit is not None:
        from recorder.reporting.formats import render_junit

        write_private(Path(junit), [render_junit(report).encode()], force=True)
    return _exit_code(report)


def _renderer(
    *, md: bool, csv: bool, as_json: bool, output: str | None
) -> Callable[[Report], Iterable[str]] | None:
    """What makes text of the report; None for a table on stdout."""
    from recorder.reporting import formats

    from .text import json_text

    if md + csv + as_json > 1:
        raise UsageError("--md, --csv and --json exclude each other")
    if output is not None and not (md or csv or as_json):
        raise UsageError(f"--output {output}: say in what form, with --md, --csv or --json")
    if as_json:
        return lambda report: [json_text(formats.as_json(report), indent=True) + "\n"]
    return formats.render_md if md else formats.render_csv if csv else None


def _question(
    *,
    by: str,
    tz: str | None,
    metrics: tuple[str, ...],
    gates: tuple[str, ...],
    min_n: int,
    seed: int,
) -> Question:
    from recorder.reporting.figures import check_metric
    from recorder.reporting.gates import parse_gate
    from recorder.reporting.groups import parse_by
    from recorder.reporting.report import Question

    return Question(
        by=_named("--by", parse_by, by),
        metrics=tuple(dict.fromkeys(_named("--metric", check_metric, name) for name in metrics)),
        zone=None if tz is None else _zone(tz),
        gates=tuple(_named("--fail-if", parse_gate, text) for text in gates),
        min_n=min_n,
        seed=seed,
    )


def _named(option: str, read: Callable[[str], Any], word: str) -> Any:
    """What the word means; an error says which option it stands in."""
    try:
        return read(word)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"--tz: {name!r} is no time zone; expected something like Europe/Berlin or UTC"
        ) from None


def _report(shared: Shared, words: Sequence[str], question: Question, vs: str | None) -> Report:
    from recorder.reporting.earlier import check_comparable
    from recorder.reporting.report import make_report

    check_comparable(question.by, vs)
    selection = shared.selection(words)
    other = None if vs is None else _others(shared, selection, vs)
    turns = _turns(shared, selection, question)
    theirs = None if other is None else _turns(shared, other, question)
    with shared.out.progress("resampling") as progress:
        return make_report(turns, question, theirs, vs or "", progress)


def _others(shared: Shared, selection: Selection, vs: str) -> Selection:
    """What is compared with."""
    from recorder.reporting.earlier import PREVIOUS, previous

    if vs == PREVIOUS:
        return previous(selection, shared.now_ns)
    try:
        return shared.selection([vs])
    except UsageError as error:
        raise UsageError(f"--vs: {error}") from None


def _turns(shared: Shared, selection: Selection, question: Question) -> Turns:
    from recorder.sql.reports import turns_of

    with shared.out.progress("reading sessions") as report:
        turns, unread = turns_of(shared.views, selection, question.needed, report)
    for session in unread:
        name = shared.directory.tail(session.id)
        shared.out.say(f"session {name} could not be analysed: {session.why}")
    return turns


def _exit_code(report: Report) -> int:
    from recorder.reporting.gates import BROKEN as BROKE
    from recorder.reporting.gates import UNTOLD as NOT_TOLD

    return {BROKE: BROKEN, NOT_TOLD: UNTOLD}.get(report.verdict, FINE)
