"""A report for machines and for others to read: JSON, CSV, Markdown, JUnit XML.

Laws:

1. No figure is rounded but in Markdown. What there is none of is null in JSON, empty in CSV and a
   dash in Markdown: never 0.
2. Names come from sessions: none of them becomes a formula, markup, or a character that XML does
   not have.
3. In JUnit a gate in a group is a testcase: broken is a failure, "could not tell" an error and
   not a skip, because what skips a test passes, and this must not.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from ..projections.transcript_text import markdown, plain
from .differences import LEVEL, MIN_CALLS
from .figures import METHOD, SUSPECT_MS
from .gates import BROKEN, UNTOLD
from .records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .differences import Difference
    from .figures import Figures
    from .gates import Judgement
    from .groups import Label
    from .report import Report

NA: Final = "\u2013"

STATS: Final = ("p50", "p90", "p95", "p99", "max")


# ---- words that several formats share


def in_ms(value: float | None) -> str:
    """Whole milliseconds, or a dash."""
    return NA if value is None else f"{value:.0f}"


def reasons(left_out: Mapping[str, int]) -> str:
    """`greeting 10, unanswered 2`."""
    return ", ".join(f"{reason} {count}" for reason, count in left_out.items())


def name_of(label: Label) -> str:
    """The group's name; the model that was asked for beside the effective one."""
    if label.by == "model" and label.beside:
        return f"{label.name or NA} (asked for {', '.join(label.beside)})"
    return label.name or NA


def change_of(difference: Difference) -> str:
    """`+120 ms`, `-35 ms`, or a dash."""
    value = difference.difference
    return NA if value is None else f"{value:+.0f}"


def interval_of(difference: Difference) -> str:
    """`+20 to +210`, or a dash."""
    if difference.low is None or difference.high is None:
        return NA
    return f"{difference.low:+.0f} to {difference.high:+.0f}"


def verdict_line(judgement: Judgement) -> str:
    """`v2v_audible.p95 > 1200ms in day 2026-11-18: 1,312 ms, 40 turns`."""
    where = f" in {judgement.group}" if judgement.labels else ""
    return f"{judgement.gate.text}{where}: {judgement.why}"


def legend(report: Report) -> Iterator[str]:
    """What has to be known to read the figures."""
    yield f"Milliseconds. Percentiles by {METHOD}."
    for metric, labels in totals(report, lambda figures: figures.labels).items():
        others = [f"{count} {label}" for label, count in labels.items() if label != "measured"]
        if others:
            yield f"{metric}: of {sum(labels.values())} values {', '.join(others)}"
    for label in dict.fromkeys(each for row in report.rows for each in row.labels):
        if label.by == "configuration":
            yield f"{label.name or NA}: {' '.join(label.beside) or 'nothing was stated'}"
    if count := len(report.unread):
        many = "s that" if count > 1 else " that"
        yield f"without {count} session{many} could not be analysed"


def totals(
    report: Report, counts: Callable[[Figures], Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Counts of each metric, added up over the groups."""
    found: dict[str, dict[str, int]] = {}
    for row in report.rows:
        total = found.setdefault(row.figures.metric, {})
        for name, count in counts(row.figures).items():
            total[name] = total.get(name, 0) + count
    return found


def compared(report: Report) -> str:
    """What the differences are, in a sentence."""
    draws = max((change.difference.resamples for change in report.changes), default=0)
    level = f"{LEVEL * 100:g} % interval"
    if not draws:
        return f"Here minus there. Fewer than {MIN_CALLS} calls: too few for a {level}."
    how = f"from {draws} resamples of whole calls, seed {report.question.seed}"
    return f"Here minus there, with a {level} {how}."


# ---- JSON


def as_json(report: Report) -> dict[str, Any]:
    """The whole report, ready for JSON."""
    question = report.question
    return {
        "sessions": report.sessions,
        "turns": report.turns,
        "by": list(question.by),
        "tz": str(question.zone) if question.zone else None,
        "percentiles": METHOD,
        "left_out_under_ms": SUSPECT_MS,
        "unread": list(report.unread),
        "rows": [{"group": _group(row.labels), **_figures(row.figures)} for row in report.rows],
        "against": _against(report) if report.against else None,
        "min_n": question.min_n,
        "gates": [_judgement(each) for each in report.judgements],
        "verdict": report.verdict if report.judgements else None,
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {**asdict(figures), "worst": figures.worst._asdict() if figures.worst else None}


def _group(labels: Iterable[Label]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for label in labels:
        found[label.by] = label.name or None
        if label.by == "model":
            found["model_asked"] = list(label.beside)
        elif label.by == "configuration":
            found["configuration_says"] = " ".join(label.beside)
    return found


def _against(report: Report) -> dict[str, Any]:
    return {
        "selection": report.against,
        "sessions": report.sessions_against,
        "seed": report.question.seed,
        "level": LEVEL,
        "resampled": "calls",
        "differences": [
            {"group": _group(each.labels), **asdict(each.difference)} for each in report.changes
        ],
    }


def _judgement(judgement: Judgement) -> dict[str, Any]:
    return {
        "gate": judgement.gate.text,
        "group": {name: label or None for name, label in judgement.labels.items()},
        "verdict": judgement.verdict,
        "value": judgement.value,
        "limit": judgement.gate.limit,
        "unit": judgement.gate.unit,
        "n": judgement.n,
        "why": judgement.why,
    }


# ---- CSV


def render_csv(report: Report) -> Iterator[str]:
    """A record for each metric of each group; with a comparison, its columns beside them."""
    beside = {"model": "model_asked", "configuration": "configuration_says"}
    by = [name for each in report.question.by for name in (each, beside.get(each)) if name]
    changes = {(_key(c.labels), c.difference.metric, c.difference.stat): c.difference
               for c in report.changes}  # fmt: skip
    stats = sorted({stat for _, _, stat in changes})
    yield record([*by, *_CSV_COLUMNS, *(f"{s}_{each}" for s in stats for each in _CHANGE_COLUMNS)])
    for row in report.rows:
        more = [changes.get((_key(row.labels), row.figures.metric, stat)) for stat in stats]
        cells: list[Any] = list(_group(row.labels).values())
        cells += _csv_figures(_figures(row.figures))
        cells += [getattr(e, name) if e else None for e in more for name in _CHANGE_COLUMNS]
        yield record(cells)


def _key(labels: Iterable[Label]) -> tuple[str, ...]:
    return tuple(label.name for label in labels)


_CSV_COLUMNS: Final = (
    "metric", "turns", "calls", "n", "mean", "p50", "p90", "p95", "p99", "max", "left_out", "why",
    "unanswered", "failed", "labels", "worst_session", "worst_turn",
)  # fmt: skip
_CHANGE_COLUMNS: Final = ("there", "n_there", "difference", "low", "high")


def _csv_figures(figures: dict[str, Any]) -> list[Any]:
    worst = figures["worst"] or {}
    told = {
        **figures,
        "left_out": sum(figures["left_out"].values()),
        "why": reasons(figures["left_out"]),
        "labels": reasons(figures["labels"]),
        "worst_session": worst.get("session"),
        "worst_turn": worst.get("turn"),
    }
    return [told[name] for name in _CSV_COLUMNS]


# ---- Markdown


def render_md(report: Report) -> Iterator[str]:
    """Tables as GitHub shows them, for a pull request or an issue."""
    counts = f"{report.turns:,} turns of {report.sessions:,} sessions"
    yield f"{counts}\n\n"
    titles = [*report.question.by, "metric", "n", *STATS, "left out", "why", "unanswered", "failed"]
    left = len(report.question.by) + 1
    aligned = ["---" if n < left or title == "why" else "---:" for n, title in enumerate(titles)]
    yield _md_row(titles) + _md_row(aligned)
    for row in report.rows:
        yield _md_row([*_md_labels(row.labels), *_md_figures(_figures(row.figures))])
    yield "\n" + "".join(f"{markdown(line)}  \n" for line in legend(report))
    if report.against:
        yield from _md_changes(report)
    if report.judgements:
        yield "\n" + "".join(
            f"- {_MARKS.get(each.verdict, '')} {each.verdict}: {markdown(verdict_line(each))}\n"
            for each in report.judgements
        )


_MARKS: Final = {BROKEN: "\u274c", UNTOLD: "\u2754", "held": "\u2705"}


def _md_labels(labels: Iterable[Label]) -> list[str]:
    return [markdown(name_of(label)) for label in labels]


def _md_figures(figures: dict[str, Any]) -> list[str]:
    return [
        markdown(figures["metric"]),
        str(figures["n"]),
        *(in_ms(figures[stat]) for stat in STATS),
        str(sum(figures["left_out"].values())),
        markdown(reasons(figures["left_out"])),
        str(figures["unanswered"]),
        str(figures["failed"]),
    ]


def _md_changes(report: Report) -> Iterator[str]:
    yield f"\nAgainst {markdown(report.against)} ({report.sessions_against:,} sessions). "
    yield f"{markdown(compared(report))}\n\n"
    titles = [*report.question.by, "metric", "", "here", "there", "difference", "interval"]
    left = len(report.question.by) + 2
    yield _md_row(titles) + _md_row(["---" if n < left else "---:" for n in range(len(titles))])
    for labels, each in report.changes:
        cells = [markdown(each.metric), each.stat, in_ms(each.here), in_ms(each.there)]
        shown = f"**{change_of(each)}**" if each.clear else change_of(each)
        yield _md_row([*_md_labels(labels), *cells, shown, interval_of(each)])


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


# ---- JUnit


_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """What became of the gates, as CI systems read it."""
    cases = []
    for each in report.judgements:
        where = f" [{each.group}]" if each.labels else ""
        cases.append((f"{each.gate.text}{where}", each.verdict, verdict_line(each)))
    return junit("recorder report", "gates", cases)


def junit(title: str, suite: str, cases: Sequence[tuple[str, str, str]]) -> str:
    """A suite of test cases: (name, verdict, message) of each."""
    verdicts = [verdict for _, verdict, _ in cases]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(BROKEN)),
        "errors": str(verdicts.count(UNTOLD)),
        "skipped": "0",
        "time": "0",
    }
    suites = ET.Element("testsuites", {"name": title, **counts})
    parent = ET.SubElement(suites, "testsuite", {"name": _xml(suite), **counts})
    for name, verdict, message in cases:
        told = {"classname": _xml(suite), "name": _xml(name), "time": "0"}
        case = ET.SubElement(parent, "testcase", told)
        kind = {BROKEN: "failure", UNTOLD: "error"}.get(verdict)
        if kind:
            why = _xml(message)
            ET.SubElement(case, kind, {"message": why, "type": _xml(verdict)}).text = why
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _xml(text: str) -> str:
    """On one line and without the characters that XML 1.0 does not have, escaped or not."""
    return _NO_XML.sub("\ufffd", plain(text))
