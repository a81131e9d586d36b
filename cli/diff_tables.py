"""The comparison of two sessions for people: what differs, in tables and marked words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .output import Column
from .text import NA, counted, json_text, one_line, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recorder.comparing import Comparison, SideTurn, TurnPair
    from recorder.comparing.nouns import (
        About,
        Change,
        Figure,
        Grammar,
        Measure,
        Run,
        ToolPair,
        ToolUse,
        Wording,
    )
    from recorder.comparing.tolerances import Judgement

    from .output import Out, Piece
    from .shared import Shared

HEADLINES: Final = ("v2v_audible", "commit_to_audio", "create_to_audio", "ttft")
"""The metric of the table of turns is the first of these that has a value."""

GONE, NEW, DIM = "red", "green", "dim"
AROUND: Final = 4
"""Words that are shown of a stretch that is the same, at each of its ends."""
LONGEST: Final = 160
"""Characters of a value that are shown."""


def print_comparison(
    shared: Shared, comparison: Comparison, judgements: Sequence[Judgement], turn: int | None
) -> None:
    """All of it; with `turn` everything of that pair, what is the same too."""
    out = shared.out
    _print_heads(shared, comparison)
    pairs = [pair for pair in comparison.turns if turn is None or pair.number == turn]
    if turn is None:
        _print_whole(out, comparison)
    if pairs:
        _print_turns(out, pairs, comparison.settings)
        _print_wordings(out, pairs, all_of_it=turn is not None)
        _print_tools(out, pairs)
        _print_statuses(out, pairs)
        _print_latencies(out, pairs, all_of_it=turn is not None)
        _print_events(out, comparison if turn is None else None, pairs)
    if judgements:
        print_judgements(out, judgements)


def _print_heads(shared: Shared, comparison: Comparison) -> None:
    out = shared.out
    out.table(
        [Column("", least=1), Column("session"), Column("turns", right=True), Column("model")],
        [_head(shared, "A", comparison.a), _head(shared, "B", comparison.b)],
    )
    single = comparison.a.turn_of or comparison.b.turn_of
    if single is not None:
        out.line((f"a rerun of turn {single} alone: only that turn is compared", DIM))
    if comparison.differs:
        out.line("differs: ", (", ".join(comparison.differs), "bold"))
    else:
        out.line("no difference")


def _head(shared: Shared, name: str, about: About) -> list[Piece]:
    model = about.facts.get("model")
    tail = shared.directory.tail(about.session)
    return [(name, "bold"), tail, str(about.turns), str(model) if model else NA]


# ---- the whole sessions


def _print_whole(out: Out, comparison: Comparison) -> None:
    changes = [*comparison.facts, *comparison.settings]
    if changes:
        out.heading("Of the sessions")
        print_changes(out, changes)
    numbers = [each for each in (*comparison.counts, *comparison.latencies) if each.differs]
    if numbers:
        out.heading("In numbers")
        out.table(
            [Column(""), *(Column(name, right=True) for name in ("A", "B", "B less A"))],
            [[in_unit(each.name, each.unit), *_figures(each)] for each in numbers],
        )


def in_unit(name: str, unit: str) -> str:
    """The name, and what it is counted in."""
    return f"{name}, {unit}" if unit else name


def print_changes(out: Out, changes: Iterable[Change]) -> None:
    """Values beside each other; long texts as words. Nothing is told twice, as a fact of the
    session and by its path."""
    given: list[Change] = []
    given += (each for each in changes if each not in given)
    told = [(each.a, each.b) for each in given if "." in each.path]
    rows: list[list[Piece]] = []
    texts: list[tuple[str, str, str]] = []
    for each in given:
        if "." not in each.path and (each.a, each.b) in told:
            continue
        if isinstance(each.a, str) and isinstance(each.b, str) and _long(each.a, each.b):
            texts.append((each.path, each.a, each.b))
        else:
            rows.append([each.path, _value(each.a, GONE), _value(each.b, NEW)])
    if rows:
        columns = [Column("", least=16), Column("A", least=12), Column("B", least=12)]
        out.table(columns, rows)
    for path, a, b in texts:
        from recorder.comparing.wording import wording

        out.hanging([path], _marked(wording(a, b), out))


def _long(a: str, b: str) -> bool:
    return max(len(a), len(b)) > 40 and " " in a and " " in b


def _value(value: Any, style: str) -> Piece:
    if value is None:
        return (NA, DIM)
    text = value if isinstance(value, str) else json_text(value)
    return (shortened(one_line(text), LONGEST), style)


# ---- turns


def _print_turns(out: Out, pairs: Sequence[TurnPair], known: tuple[Change, ...]) -> None:
    """A row for each pair. What is `known` of the whole sessions is not told of each again."""
    headline = _headline(pairs)
    out.heading("Turn by turn")
    columns = [
        Column("pair", right=True),
        Column("A", right=True),
        Column("B", right=True),
        Column("user", least=12),
        Column("also differs", least=10),
        Column(f"{headline} A", right=True),
        Column("B", right=True),
        Column("B less A", right=True),
    ]
    out.table(columns, [_turn_row(pair, headline, known) for pair in pairs])
    for pair in pairs:
        if pair.a is None or pair.b is None:
            side = "B" if pair.a is None else "A"
            out.line((f"pair {pair.number}: only {side} has this turn", "yellow"))


def _headline(pairs: Sequence[TurnPair]) -> str:
    """The first that can be compared somewhere; else the first that either side has."""
    measures = [each for pair in pairs for each in pair.latencies]
    compared = {each.name for each in measures if each.difference is not None}
    there = {each.name for each in measures if _any(each)}
    found = [name for names in (compared, there) for name in HEADLINES if name in names]
    return next(iter(found), HEADLINES[0])


def _turn_row(pair: TurnPair, headline: str, known: tuple[Change, ...]) -> list[Piece]:
    found = next((each for each in pair.latencies if each.name == headline), None)
    cells = _figures(found) if found else [(NA, DIM)] * 3
    beside = {"latency"} | ({"configuration"} if pair.settings == known else set())
    differs = ", ".join(kind for kind in pair.differs if kind not in beside)
    return [
        str(pair.number),
        str(pair.a.index) if pair.a else (NA, DIM),
        str(pair.b.index) if pair.b else (NA, DIM),
        shortened(_who(pair.a or pair.b), 60),
        (differs, "yellow") if differs else (NA, DIM),
        *cells,
    ]


def _who(turn: SideTurn | None) -> str:
    """What the user said, or what else set the turn off."""
    if turn is None:
        return ""
    if turn.kind != "user":
        return f"({turn.kind.replace('_', ' ')})"
    return "(not transcribed)" if turn.user is None else one_line(turn.user) or "(nothing)"


def _figures(each: Measure) -> list[Piece]:
    """Both values and the difference."""
    style = ""
    if each.difference:
        style = ("red" if each.difference > 0 else "green") if each.unit else "yellow"
    return [_figure(each.a), _figure(each.b), (_difference(each), style or DIM)]


def _figure(figure: Figure) -> Piece:
    if figure.value is None:
        return (NA, DIM)
    return (f"{figure.value:,.0f}{'?' if figure.suspect else ''}", "")


def _difference(each: Measure) -> str:
    if each.difference is None:
        return NA
    share = ""
    if each.a.value and each.a.value > 0:
        share = f" ({signed(each.difference / each.a.value * 100)} %)"
    return f"{signed(each.difference)}{share}"


def signed(value: float) -> str:
    """A whole number with its sign; nothing is neither more nor less."""
    whole = round(value)
    return f"{whole:+,}" if whole else "0"


# ---- what was said and done


def _print_wordings(out: Out, pairs: Sequence[TurnPair], *, all_of_it: bool) -> None:
    rows = [
        (pair, who, each)
        for pair in pairs
        if pair.a and pair.b
        for who, each in _wordings(pair)
        if each.same is False or (all_of_it and (each.a or each.b))
    ]
    if not rows:
        return
    out.heading("What was said")
    margin = max(len(f"pair {pair.number} {who}") for pair, who, _ in rows)
    for pair, who, each in rows:
        out.hanging([f"pair {pair.number} {who}".ljust(margin)], _marked(each, out))


def _wordings(pair: TurnPair) -> Iterator[tuple[str, Wording]]:
    yield "user", pair.user
    yield "assistant", pair.heard
    if (pair.generated.a, pair.generated.b) != (pair.heard.a, pair.heard.b):
        yield "generated", pair.generated


def _marked(wording: Wording, out: Out) -> list[Piece]:
    """The words, those of one side only in `[-A-]` and `{+B+}`."""
    if wording.same is None:
        one, two = (NA if text is None else quoted(text) for text in (wording.a, wording.b))
        return [(f"A {one}  B {two}", DIM)]
    pieces: list[Piece] = []
    for stretch in wording.stretches:
        match stretch.kind:
            case "only_a":
                pieces.append((f"[-{one_line(stretch.a)}-]", GONE))
            case "only_b":
                pieces.append((f"{{+{one_line(stretch.b)}+}}", NEW))
            case _:
                pieces.append(_folded(stretch.b, out))
        pieces.append(" ")
    return pieces[:-1]


def _folded(text: str, out: Out) -> str:
    """A stretch that is the same, its middle left out on a terminal."""
    words = one_line(text).split(" ")
    if not out.terminal or len(words) <= 2 * AROUND + 1:
        return " ".join(words)
    return " ".join([*words[:AROUND], "\u2026", *words[-AROUND:]])


def _print_tools(out: Out, pairs: Sequence[TurnPair]) -> None:
    rows = [
        (pair, each) for pair in pairs if pair.a and pair.b for each in pair.tools
        if each.kind != "same"
    ]  # fmt: skip
    reordered = [pair.number for pair in pairs if pair.reordered]
    if not rows and not reordered:
        return
    out.heading("Tools")
    for pair, each in rows:
        out.hanging([f"pair {pair.number}"], list(_tool(each)))
    for number in reordered:
        out.line(f"pair {number}: called in another order")


def _tool(pair: ToolPair) -> Iterator[Piece]:
    if pair.a is None or pair.b is None:
        use = pair.a or pair.b
        name, style = ("only A", GONE) if pair.b is None else ("only B", NEW)
        yield (f"{name}: {_use(use)}" if use else name, style)
        return
    yield f"{one_line(pair.a.name)}: "
    for place, change in enumerate(pair.changes):
        yield f"{'; ' if place else ''}{one_line(change.path)} "
        yield _value(change.a, GONE)
        yield " \u2192 "
        yield _value(change.b, NEW)


def _use(use: ToolUse) -> str:
    return f"{one_line(use.name)}({shortened(one_line(use.arguments), LONGEST)})"


def _print_statuses(out: Out, pairs: Sequence[TurnPair]) -> None:
    rows: list[list[Piece]] = [
        [str(pair.number), each.path, _value(each.a, GONE), _value(each.b, NEW)]
        for pair in pairs
        for each in pair.status
    ]
    if rows:
        out.heading("How turns ended")
        out.table([Column("pair", right=True), Column(""), Column("A"), Column("B")], rows)


# ---- how long it took


def _print_latencies(out: Out, pairs: Sequence[TurnPair], *, all_of_it: bool) -> None:
    """Where the time went, part by part; of a single pair every metric too."""
    rows: list[list[Piece]] = []
    for pair in pairs:
        if pair.a is None or pair.b is None:
            continue
        if all_of_it:
            rows += [_latency_row(pair, each.name, each) for each in pair.latencies if _any(each)]
            rows += [_latency_row(pair, each.name, each) for each in pair.usage if _any(each)]
        rows += [
            _latency_row(pair, f"waterfall.{each.name}", each)
            for each in pair.parts
            if all_of_it or each.differs
        ]
    if not rows:
        return
    out.heading("How long it took" if all_of_it else "Where the time went")
    columns = [Column("pair", right=True), Column("")]
    columns += [Column(name, right=True) for name in ("A", "B", "B less A")]
    out.table([*columns, Column("why", least=10, optional=True)], rows)


def _any(each: Measure) -> bool:
    return each.a.value is not None or each.b.value is not None


def _latency_row(pair: TurnPair, name: str, each: Measure) -> list[Piece]:
    reasons = dict.fromkeys([each.why, each.a.reason, each.b.reason])
    return [str(pair.number), name, *_figures(each), (", ".join(filter(None, reasons)), DIM)]


# ---- events


def _print_events(out: Out, comparison: Comparison | None, pairs: Sequence[TurnPair]) -> None:
    rows = [("before", each) for each in (comparison.grammar if comparison else ())]
    rows += [(f"pair {pair.number}", each) for pair in pairs for each in pair.grammar]
    rows = [(where, each) for where, each in rows if not each.same]
    if not rows:
        return
    out.heading("Events")
    margin = max(len(f"{where} {each.lane}") for where, each in rows)
    for where, each in rows:
        out.hanging([f"{where} {each.lane}".ljust(margin)], list(_order(each)))


def _order(grammar: Grammar) -> Iterator[Piece]:
    """The order of events: what is the same as a count, the rest by name."""
    for place, shift in enumerate(grammar.shifts):
        lead = " " if place else ""
        if shift.kind == "same":
            yield (f"{lead}({counted(len(shift.runs), 'event')} alike)", DIM)
            continue
        names = " ".join(map(_run, shift.runs))
        gone = shift.kind == "only_a"
        yield (f"{lead}[-{names}-]" if gone else f"{lead}{{+{names}+}}", GONE if gone else NEW)


def _run(run: Run) -> str:
    names = ", ".join(one_line(name) for name in run.types)
    return f"({names}) \u00d7{run.count}" if run.count > 1 else names


# ---- tolerances


_STYLES: Final = {"broken": "red", "could not tell": "yellow", "held": "green"}


def print_judgements(out: Out, judgements: Sequence[Judgement]) -> None:
    """What became of tolerances and gates."""
    out.heading("Tolerances")
    for each in judgements:
        mark = (each.verdict, _STYLES.get(each.verdict, ""))
        out.hanging([mark], f"{each.text}: {each.why}")
