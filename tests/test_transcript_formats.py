"""The formats of a transcript: each valid by its own rules, whatever was said."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.projections import RENDERERS
from recorder.projections.model import Connection, Line, Transcript
from recorder.projections.transcript_cues import cues

MS = 1_000_000


def said(speaker: str, start: int, end: int | None, text: str, **more: object) -> Line:
    """A line of speech, in milliseconds."""
    line = Line("speech", speaker, start * MS, None if end is None else end * MS, text)
    return replace(line, **more)  # type: ignore[arg-type]


def rendered(name: str, *lines: Line) -> str:
    return "".join(RENDERERS[name](Transcript(lines)))


HELLO = said("user", 500, 2000, "How are you?")
FINE = said("assistant", 2600, 3600, "Fine, thanks.")
CUT = said("assistant", 4000, 5450, "One two three four five six", heard="One two three")
TOOL = replace(
    said("tool", 300, 550, 'look_up({"a":1})'),
    kind="tool",
    detail={"output": "Foggy, `mild`", "error": "", "exec_ms": 250.0},
)


# WebVTT (W3C): blocks between blank lines; `-->` only in timings; `<` and `&` only as ours.

TIMING = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})")


def milliseconds(timing: str) -> tuple[int, int]:
    found = TIMING.fullmatch(timing)
    assert found is not None, timing
    h1, m1, s1, f1, h2, m2, s2, f2 = map(int, found.groups())
    return ((h1 * 60 + m1) * 60 + s1) * 1000 + f1, ((h2 * 60 + m2) * 60 + s2) * 1000 + f2


def read_vtt(text: str) -> list[tuple[int, int, str, list[str]]]:
    """(start, end, voice, lines), read strictly."""
    head, *blocks = text.removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        timing, *lines = block.split("\n")
        assert lines
        words = "\n".join(lines)
        voice = re.match(r"<v (\w+)>", words)
        assert voice is not None
        words = words[voice.end() :]
        assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", words)
        plain = words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        found.append((*milliseconds(timing), voice.group(1), plain.split("\n")))
    return found


def read_srt(text: str) -> list[tuple[int, int, list[str]]]:
    """(start, end, lines), read strictly: numbered from 1, a blank line after each."""
    found = []
    for number, block in enumerate(text.split("\n\n")[:-1], 1):
        index, timing, *lines = block.split("\n")
        assert index == str(number)
        assert lines
        found.append((*milliseconds(timing), lines))
    return found


def test_webvtt_names_the_speaker_and_stands_on_the_calls_clock() -> None:
    """To the character."""
    assert rendered("vtt", HELLO, FINE) == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.000\n<v User>How are you?\n\n"
        "00:00:02.600 --> 00:00:03.600\n<v Assistant>Fine, thanks.\n"
    )


def test_subrip_numbers_its_cues() -> None:
    """To the character; a comma before the milliseconds."""
    assert rendered("srt", HELLO, FINE) == (
        "1\n00:00:00,500 --> 00:00:02,000\nUser: How are you?\n\n"
        "2\n00:00:02,600 --> 00:00:03,600\nAssistant: Fine, thanks.\n\n"
    )


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_hold_what_was_heard_and_nothing_else(name: str) -> None:
    """Not what was cut, not what was typed, no tools, nothing out of band, nothing unheard."""
    typed = replace(HELLO, kind="text", text="typed")
    apart = replace(FINE, out_of_band=True, text="apart")
    never = replace(FINE, heard="", text="never")
    text = rendered(name, CUT, typed, apart, never, TOOL)
    assert "One two three\n" in text
    assert not any(word in text for word in ("four", "typed", "apart", "never", "look_up"))


def test_untranscribed_speech_is_a_cue_of_its_length() -> None:
    """There was something to be heard."""
    line = said("user", 0, 2000, "", transcribed=False, speech_ns=2000 * MS)
    assert read_vtt(rendered("vtt", line))[0][3] == ["[2.0 s of speech, not transcribed]"]


def test_long_text_is_divided_at_words_and_its_time_with_it() -> None:
    """192 characters in 24 s: four cues of about 6 s, none of more than two lines of 42."""
    words = " ".join(["seven77"] * 24)
    found = read_vtt(rendered("vtt", said("assistant", 1000, 25_000, words)))
    assert len(found) == 4
    assert (found[0][0], found[-1][1]) == (1000, 25_000)
    assert all(one[1] == two[0] for one, two in pairwise(found))
    assert " ".join(line for cue in found for line in cue[3]) == words
    assert all(len(cue[3]) <= 2 and all(len(line) <= 42 for line in cue[3]) for cue in found)
    assert {round((cue[1] - cue[0]) / 1000) for cue in found} == {6}


def test_who_talks_over_whom_is_seen_in_webvtt_and_one_after_the_other_in_subrip() -> None:
    """The user begins 1 s before the answer ends."""
    over = said("user", 2600, 3400, "Stop.")
    answer = said("assistant", 1000, 3600, "On and on")
    assert [cue[:2] for cue in read_vtt(rendered("vtt", answer, over))] == [
        (1000, 3600),
        (2600, 3400),
    ]
    assert read_srt(rendered("srt", answer, over)) == [
        (1000, 2600, ["Assistant: On and on"]),
        (2600, 3400, ["User: Stop."]),
    ]


def test_two_who_begin_together_share_a_subrip_cue() -> None:
    """300 ms apart: neither could be read alone."""
    both = rendered("srt", said("user", 1000, 2000, "No"), said("assistant", 1300, 2500, "Yes"))
    assert read_srt(both) == [(1000, 2500, ["User: No", "Assistant: Yes"])]


def test_nothing_said_ends_a_cue_or_begins_a_tag() -> None:
    """Arrows, tags, blank lines, and the overrides that some players obey."""
    bad = said("user", 0, 9000, "a\n\n00:00:00.000 --> 9 <b>x</b> &amp; {\\an8}z")
    words = [line for cue in read_vtt(rendered("vtt", bad)) for line in cue[3]]
    assert " ".join(words) == "a 00:00:00.000 --> 9 <b>x</b> &amp; {\\an8}z"
    text = rendered("srt", bad)
    assert text.count("-->") == len(read_srt(text))
    assert not any(sign in text.replace("-->", "") for sign in ("<", ">", "{\\"))


HOSTILE = st.text(
    st.one_of(st.sampled_from("<>&-{}\\\n\r\t \x00\u2028\u202e\x85'\"=+@|*_`#:.,"), st.characters())
)
SPOKEN = st.builds(
    said,
    st.sampled_from(["user", "assistant"]),
    st.integers(0, 5000),
    st.one_of(st.none(), st.integers(0, 20_000)),
    st.one_of(HOSTILE, st.text("ab ", max_size=400)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(SPOKEN, max_size=6))
def test_subtitles_are_valid_whatever_was_said(lines: list[Line]) -> None:
    """In order, with a length; in WebVTT no speaker over himself, in SubRip nobody over anybody."""
    tracks = read_vtt(rendered("vtt", *lines))
    numbered = read_srt(rendered("srt", *lines))
    assert [cue[0] for cue in tracks] == sorted(cue[0] for cue in tracks)
    assert all(cue[0] < cue[1] for cue in (*tracks, *numbered))
    assert all(len(cue[3]) <= 2 for cue in tracks)
    assert all(one[1] <= two[0] for one, two in pairwise(numbered))
    for voice in ("User", "Assistant"):
        mine = [cue for cue in tracks if cue[2] == voice]
        starts = {line.start_ns for line in lines if line.speaker == voice.lower()}
        if len(starts) == sum(line.speaker == voice.lower() for line in lines):
            assert all(one[1] <= two[0] for one, two in pairwise(mine))


@settings(max_examples=50, deadline=None)
@given(st.text("ab \n", min_size=1, max_size=300), st.integers(1, 30_000))
def test_no_word_of_a_cue_is_lost(words: str, length: int) -> None:
    """Words longer than a line are cut, but all their letters stand."""
    found = cues(Transcript((said("user", 0, length, words),)))
    letters = "".join("".join(cue.lines) for cue in found if words.strip())
    assert letters.replace(" ", "") == "".join(words.split())


# CSV (RFC 4180).


def test_csv_has_a_header_and_crlf() -> None:
    """Read back by the standard library, strictly."""
    text = rendered("csv", replace(HELLO, turn=1, seq=7), TOOL, CUT)
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["kind"] for row in rows] == ["speech", "tool", "speech"]
    assert (rows[0]["start_s"], rows[0]["end_s"], rows[0]["turn"]) == ("0.500", "2.000", "1")
    assert (rows[1]["text"], rows[1]["result"]) == ('look_up({"a":1})', "Foggy, `mild` [250 ms]")
    assert (rows[2]["text"], rows[2]["heard"]) == ("One two three four five six", "One two three")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", '"=1', " '=cmd|' /C calc'!A0", "\uff1d1"],
)
def test_a_spreadsheet_computes_nothing(text: str) -> None:
    """An apostrophe makes it text."""
    row = next(csv.DictReader(io.StringIO(rendered("csv", replace(HELLO, text=text)))))
    assert row["text"].startswith("'")
    assert row["text"][1:] == " ".join(text.split())


@settings(max_examples=80, deadline=None)
@given(HOSTILE)
def test_csv_is_one_record_a_line_whatever_was_said(text: str) -> None:
    """And no field begins as a formula does."""
    rows = list(csv.reader(io.StringIO(rendered("csv", replace(HELLO, text=text)), newline="")))
    assert [len(row) for row in rows] == [14, 14]
    assert not any(field.lstrip(' \t"`')[:1] in set("=+-@") for field in rows[1] if field)


# Markdown and JSON.


def test_markdown_shows_what_was_said_and_strikes_what_was_not_heard() -> None:
    """To the character."""
    connection = Connection("abc-1", 1_795_000_000_000_000_000, 0, 61_000 * MS, model="gpt_x")
    text = "".join(RENDERERS["md"](Transcript((HELLO, CUT, TOOL), (connection,))))
    assert text == (
        "# Transcript\n\n"
        "- `abc-1`, 2026-11-18 11:06:40 UTC, 1 min 01 s, gpt\\_x\n\n"
        "**User** `00:00.500` How are you?\n\n"
        "**Assistant** `00:04.000` One two three ~~four five six~~ *(not heard)*\n\n"
        '**Tool** `00:00.300` `look_up({"a":1})` \u2192 ``Foggy, `mild` [250 ms]``\n\n'
    )


def test_markdown_takes_nothing_said_for_markup() -> None:
    """Emphasis, HTML, links, entities, mentions, bare addresses, headings."""
    bad = "*a* _b_ <i>c</i> [d](e) &lt; `f` | @g\n\n# h\n\nhttp://x www.y"
    line = rendered("md", replace(HELLO, text=bad)).split("` ", 1)[1]
    assert line == (
        r"\*a\* \_b\_ \<i\>c\</i\> \[d\]\(e\) \&lt; \`f\` \| \@g \# h http\://x www\.y" + "\n\n"
    )


@settings(max_examples=80, deadline=None)
@given(HOSTILE)
def test_json_reads_back_what_was_said(text: str) -> None:
    """Nothing is lost, and nothing is invisible."""
    told = rendered("json", replace(HELLO, text=text))
    assert orjson.loads(told)["lines"][0]["text"] == text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", told)


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_takes_an_empty_transcript_and_says_what_it_is(name: str) -> None:
    """The first line of the docstring is what help shows."""
    assert isinstance(rendered(name), str)
    assert (RENDERERS[name].__doc__ or "").strip()
