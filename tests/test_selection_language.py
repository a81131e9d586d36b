"""The selection language: what its words mean, and what is said of words that mean nothing."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import SessionNotFound, UsageError
from recorder.projections.metrics import METRICS, QUALITIES
from recorder.selecting import (
    MEASURES,
    SECOND,
    STATUSES,
    TERMS,
    Among,
    AnyTurn,
    Directory,
    Figure,
    InState,
    Known,
    Labelled,
    Moment,
    Named,
    Need,
    Opened,
    Said,
    Selection,
    guide,
    is_exclusion,
    parse,
    resolved,
)
from recorder.selecting.conditions import Test

DAY = 86_400 * SECOND
NOON = int(datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()) * SECOND
NOW = Moment(NOON, timezone(timedelta(hours=1)))

SINCE = Opened(since_ns=NOON - 7 * DAY)
GPT, GROK = Labelled("model", "gpt*"), Labelled("model", "grok")
SLOW = Labelled("tag", "slow")


def one(*tests: Test) -> Need:
    """A need for any of these."""
    return Need(tests)


def none(test: Test) -> Need:
    """The need that this does not hold."""
    return Need((test,), wanted=False)


@pytest.mark.parametrize(
    ("word", "test"),
    [
        ("since:7d", SINCE),
        ("Since:7d", SINCE),
        ("until:2026-11-22T12:00Z", Opened(until_ns=NOON)),
        ("model:GPT*", GPT),
        ("tag:slow", SLOW),
        ("call:support-17", Labelled("call", "support-17")),
        ("call:support 17", Labelled("call", "support 17")),
        ('call:"support 17"', Labelled("call", "support 17")),
        ("call:Stra\u00dfe", Labelled("call", "strasse")),
        ("status:Live", InState("live")),
        ("error:rate_limit*", Labelled("error", "rate_limit*")),
        ("text:refund", Said(("refund",))),
        ("text:opening hours", Said(("opening", "hours"))),
        ('text:"Opening, HOURS!"', Said(("opening", "hours"))),
        ("text:'since:7d'", Said(("since", "7d"))),
        ("text:don't", Said(("don", "t"))),
        ("text:open*", Said(("open",), begun=True)),
        ("text:\u6771\u4eac", Said(("\u6771", "\u4eac"))),
        ("v2v_audible>2s", AnyTurn("v2v_audible", ">", 2000.0)),
        ("v2v_audible >= 1.5 s", AnyTurn("v2v_audible", ">=", 1500.0)),
        ("overlap<=500ms", AnyTurn("overlap", "<=", 500.0)),
        ("overlap=0", AnyTurn("overlap", "=", 0.0)),
        ("dead_air<1m", AnyTurn("dead_air", "<", 60_000.0)),
        ("turns>5", Figure("turns", ">", 5)),
        ("errors=0", Figure("errors", "=", 0)),
        ("duration>10m", Figure("duration", ">", 600 * SECOND)),
        ("duration<1.5s", Figure("duration", "<", 1_500_000_000)),
        ("latest~2", Named("latest~2")),
        ("4f09a2", Named("4f09a2")),
        ("support:17", Named("support:17")),
        ("'support 17'", Named("support 17")),
    ],
)
def test_what_each_word_means(word: str, test: Test) -> None:
    """Every term, every kind of figure, every spelling; alone and excluded by a minus."""
    assert parse([word], NOW) == Selection((one(test),))
    assert parse([f"-{word}"], NOW) == Selection((none(test),))


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        ([], []),
        (["since:7d", "tag:slow"], [one(SINCE), one(SLOW)]),
        (["since:7d tag:slow"], [one(SINCE), one(SLOW)]),
        (["  since:7d \n tag:slow "], [one(SINCE), one(SLOW)]),
        (["tag:slow", "tag:a"], [one(SLOW), one(Labelled("tag", "a"))]),
        (["model:gpt*", "tag:slow", "model:grok"], [one(SLOW), one(GPT, GROK)]),
        (["-model:gpt*", "-model:grok"], [none(GPT), none(GROK)]),
        (["model:gpt* -model:grok"], [none(GROK), one(GPT)]),
        (["status:live status:ended"], [one(InState("live"), InState("ended"))]),
        (["text:a b since:7d c"], [one(Said(("a", "b"))), one(SINCE), one(Named("c"))]),
        (['text:"a b" c'], [one(Said(("a", "b"))), one(Named("c"))]),
        (["text:a -b"], [one(Said(("a",))), none(Named("b"))]),
        (["text:a 'b c'"], [one(Said(("a",))), one(Named("b c"))]),
        (["text:a turns > 5"], [one(Said(("a",))), one(Figure("turns", ">", 5))]),
        (["turns>5 latest"], [one(Figure("turns", ">", 5)), one(Named("latest"))]),
        (["tag:slow latest"], [one(SLOW), one(Named("latest"))]),
        (["a", "tag:slow", "b"], [one(SLOW), one(Named("a"), Named("b"))]),
    ],
)
def test_words_together(words: list[str], needs: list[Need]) -> None:
    """All must hold; several models, calls, statuses or references mean any of them; what a
    shell took the quotes from goes on until the next term."""
    assert parse(words, NOW) == Selection(tuple(needs))


def test_options_are_terms_too() -> None:
    """`--since 7d` says what `since:7d` does; spaces and quotes in an option are its own."""
    options = [("since", "7d"), ("text", "two words"), ("model", "gpt*")]
    assert parse([], NOW, options) == parse(["since:7d", "text:two words", "model:gpt*"], NOW)


def test_no_words_mean_all_and_are_false() -> None:
    """`rm` must know whether anything was chosen at all."""
    assert not parse([], NOW)
    assert parse(["latest"], NOW)


# ---- mistakes


@pytest.mark.parametrize(
    ("word", "told", "marked"),
    [
        ("tag:slow status:lvie", "'lvie' is no status", "lvie"),
        ("status:lvie", "did you mean live?", "lvie"),
        ("since:soon tag:slow", "'soon' is no time; expected something like 7d", "soon"),
        ("tag: since:7d", "expected GLOB", "tag:"),
        ('text:"" since:7d', "expected WORDS", 'text:""'),
        ("text:...", "holds no word", "..."),
        ("text:a*b", "only stand at the end", "a*b"),
        ('text:"two words', "not closed", '"'),
        ("since:7d v2v_audible>2", "expected something like 800ms or 2.5s", "v2v_audible>2"),
        ("v2v_audible>fast", "'fast' is not", "v2v_audible>fast"),
        ("v2v_audible>", "'' is not", "v2v_audible>"),
        ("turns>1.5", "expected a whole number", "turns>1.5"),
        ("turns>-1", "expected a whole number", "turns>-1"),
        ("turns!=3", "write -turns=3", "turns!=3"),
        ("turns==3", "write turns=3", "turns==3"),
        ("v2v_audible.p95>2s", "recorder report --fail-if", "v2v_audible.p95>2s"),
        ("tag:slow -", "named by nothing", "-"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(word: str, told: str, marked: str) -> None:
    """What was wrong, what was expected, and the place underlined."""
    with pytest.raises(UsageError) as caught:
        parse(["latest", word], NOW)
    message, line, marks = str(caught.value).rsplit("\n", 2)
    assert told in message
    assert line == f"  {word}"
    underlined = "".join(c for c, mark in zip(line, marks.ljust(len(line)), strict=True)
                         if mark == "^")  # fmt: skip
    assert underlined == marked


@pytest.mark.parametrize("word", ["", "  ", "\t"])
def test_an_empty_word_does_not_mean_everything(word: str) -> None:
    """`rm "$name"` with an empty variable must not be taken for no words at all."""
    with pytest.raises(UsageError, match="empty word"):
        parse([word], NOW)


def test_an_option_is_named_in_its_error() -> None:
    """As it was typed."""
    with pytest.raises(UsageError, match=r"^--status: 'open' is no status"):
        parse([], NOW, [("status", "open")])
    with pytest.raises(UsageError, match=r"^--tag: an empty word"):
        parse([], NOW, [("tag", " ")])


# ---- references


A = "01934b1e-7f00-7abc-8def-0000aaaa1111"
B = "01934b1e-7f01-7abc-8def-0000aaaa2222"


def directory(asked: list[str] | None = None) -> Directory:
    """Two sessions, one of a call with a space in its label."""

    def find(name: str) -> list[str]:
        (asked if asked is not None else []).append(name)
        return [B] if name == "resp_1" else []

    return Directory([Known(A, 1, "support 17"), Known(B, 2, "v:2")], find)


def looked_up(*words: str) -> Selection:
    """What these words mean in that store."""
    return resolved(parse(words, NOW), directory())


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["latest"], {B}),
        (["aaaa1111"], {A}),
        (["support 17"], {A}),
        (["v:2"], {B}),
        (["resp_1"], {B}),
        (["latest aaaa1111"], {A, B}),
    ],
)
def test_references_are_looked_up(words: list[str], ids: set[str]) -> None:
    """By every name; several words in one string are several names, unless a call is called so."""
    assert looked_up(*words) == Selection((one(Among(frozenset(ids))),))


def test_several_references_mean_any_of_them() -> None:
    """And one that is excluded means that it is not."""
    assert looked_up("latest", "-1111", "support 17") == Selection(
        (none(Among(frozenset({A}))), one(Among(frozenset({B})), Among(frozenset({A}))))
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], "'nobody'"),
        (["modle:gpt*"], "'modle' is nothing to choose by; did you mean model?"),
        (["v2v_audibel>2s"], "did you mean v2v_audible?"),
        (["colour=red"], "there are since:, until:, model:"),
        (["v2v_audible"], "in quotes because of the shell"),
        (["status"], "status:interrupted"),
        (["text:opening", "hours"], "put quotes around the term"),
    ],
)
def test_a_word_that_names_nothing_may_have_been_meant_otherwise(
    words: list[str], told: str
) -> None:
    """Misspelt terms, a comparison that the shell took apart, quotes that were forgotten."""
    with pytest.raises(SessionNotFound) as caught:
        looked_up(*words)
    assert told in str(caught.value)
    assert words[-1] in str(caught.value)


def test_nothing_is_read_for_a_misspelt_term() -> None:
    """An id of the server may have to be looked for in all sessions; `modle:` is none."""
    asked: list[str] = []
    with pytest.raises(SessionNotFound):
        resolved(parse(["modle:gpt"], NOW), directory(asked))
    assert asked == []


def test_what_was_not_looked_up_cannot_be_asked() -> None:
    """A reference alone tells nothing of a session."""
    with pytest.raises(ValueError, match="looked up"):
        parse(["latest"], NOW).matches(None)  # type: ignore[arg-type]


# ---- the tables, and everything


def test_everything_that_is_explained_can_be_typed() -> None:
    """Every example of the guide means something."""
    for line in guide():
        assert parse([line.example.replace(",", "")], NOW), line
        assert line.meaning.endswith(".")


def test_every_metric_and_measure_compares() -> None:
    """The language knows what the tables of metrics know."""
    for name in (*METRICS, *QUALITIES):
        assert parse([f"{name}>1s"], NOW) == Selection((one(AnyTurn(name, ">", 1000.0)),))
    assert not set(MEASURES) & set(METRICS | QUALITIES)
    assert not set(TERMS) & set(MEASURES)
    assert set(STATUSES) == {"live", "interrupted", "ended", "refused", "imported"}


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("-tag:x", True),
        ("-v2v_audible>2s", True),
        ("-latest", True),
        ("-latest~3 tag:x", True),
        ("-4f09a2", True),
        ("-text:two words", True),
        ("--tag", False),
        ("-h", False),
        ("-d", False),
        ("-o", False),
        ("tag:x", False),
        ("-verbose", False),
    ],
)
def test_which_words_of_a_command_line_are_exclusions(word: str, ours: bool) -> None:
    """The others are options, and stay that."""
    assert is_exclusion(word) is ours


@given(
    st.text(alphabet=st.sampled_from("abt:-\"' ><=!*1s\u00e9_.x") | st.characters(), max_size=30)
)
def test_words_are_understood_or_refused_and_nothing_else(word: str) -> None:
    """No word raises anything but our own error, whatever it holds."""
    with contextlib.suppress(UsageError):
        resolved(parse([word, f"text:{word}", f"tag:{word}"], NOW), directory())
    is_exclusion(word)


terms = st.sampled_from(
    ["since:7d", "model:gpt*", "-tag:slow", "status:live", "v2v_audible>2s", "turns>5",
     'text:"two words"', "-text:'a b'", "overlap <= 5 ms", "call:c"]
)  # fmt: skip


@given(st.lists(terms, min_size=1, max_size=6))
def test_one_string_means_the_same_as_many(words: list[str]) -> None:
    """Law 2, for terms."""
    assert parse([" ".join(words)], NOW) == parse(words, NOW)
