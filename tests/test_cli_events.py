"""`recorder events`: what passed, in words, for machines, and to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson
import pytest

from recorder.cli.events import squeezed
from recorder.events import BINARY, CLOSE, PING, PONG, Origin

from .cli_kit import Recorder, plain
from .talks import Talk, spoken, texted, tone

HOSTILE = "\x1b[31mred\x1b]0;x\x07 [bold]b[/bold] \u202egnp"


@pytest.fixture
def recorder(database: Path) -> Recorder:
    """The command line on a database that is not there yet."""
    return Recorder(database)


def test_events_are_told_one_a_line_and_runs_as_one(recorder: Recorder) -> None:
    """Sound is told by its length, deltas by what they say; long runs take one line."""
    (talk,) = recorder.filled(spoken)
    lines = recorder("events").stdout.splitlines()

    assert len(lines) < talk.recorder.last_seq
    sound = next(line for line in lines if "input_audio_buffer.append" in line)
    assert sound.split()[:3] == ["4-21", "00:00.300", "\u2192"]
    assert sound.endswith("\u00d718 1.8 s of audio")
    assert any(line.endswith("\u00d78 1.5 s of audio") for line in lines)
    assert any(line.endswith('"We are open from nine to five."') for line in lines)
    assert any("response.done" in line and "completed, 130 tokens" in line for line in lines)
    numbers = [int(line.split()[0].split("-")[0]) for line in lines]
    assert numbers == sorted(numbers)


def test_every_event_stands_alone_if_asked(recorder: Recorder) -> None:
    """As many lines as events."""
    (talk,) = recorder.filled(spoken)
    lines = recorder("events", "--no-fold").stdout.splitlines()

    assert [int(line.split()[0]) for line in lines] == list(range(1, talk.recorder.last_seq + 1))
    assert lines[3].endswith("  100 ms of audio") or lines[3].endswith(" 100 ms of audio")


def test_streams_that_alternate_are_runs_of_their_own(recorder: Recorder) -> None:
    """Sound, its transcript and the microphone, event by event: three lines."""

    def mixed(store: object) -> None:
        talk = Talk(store).created()  # type: ignore[arg-type]
        ids = {"response_id": "r", "item_id": "i", "content_index": 0, "output_index": 0}
        for n, word in enumerate(("How ", "are ", "you?")):
            talk.server(200 + n, "response.output_audio_transcript.delta", delta=word, **ids)
            talk.client(200 + n, "input_audio_buffer.append", audio="AAAA" * 400)
            talk.server(200 + n, "response.output_audio.delta", delta="AAAA" * 800, **ids)
        talk.closed(300).kept()

    recorder.filled(mixed)
    _, *lines, _ = recorder("events").stdout.splitlines()

    assert [line.split(maxsplit=4)[0] for line in lines] == ["2-8", "3-9", "4-10"]
    assert lines[0].endswith('\u00d73 "How are you?"')
    assert lines[1].endswith("\u00d73 75 ms of audio")
    assert lines[2].endswith("\u00d73 150 ms of audio")


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        (["--seq", "3"], [3]),
        (["--seq", "2-4"], [2, 3, 4]),
        (["--seq", "10-"], [10, 11]),
        (["--seq", "-2"], [1, 2]),
        (["--origin", "recorder"], [1, 2, 11]),
        (["--origin", "client", "--origin", "recorder"], [1, 2, 4, 6, 11]),
        (["--type", "response.*"], [6, 7, 8, 9, 10]),
        (["--type", "response.done", "--type", "session.*"], [3, 10]),
        (["--from", "0.3", "--to", "400ms"], [7, 8]),
        (["--from", "0:00.41"], [9, 10, 11]),
        (["--grep", "HELLO"], [4, 5]),
        (["--grep", "resp_t", "--to", "0.35s"], [7]),
        (["--seq", "5-9", "--origin", "server", "--grep", "delta"], [8]),
        (["--seq", "100-"], []),
    ],
)
def test_events_are_filtered(recorder: Recorder, words: list[str], seqs: list[int]) -> None:
    """By number, side, type, time and text, and by all of these together."""
    recorder.filled(texted)
    for how in (["--json"], ["--no-fold"], []):
        lines = recorder("events", *words, *how).stdout.splitlines()
        if how == ["--json"]:
            assert [json.loads(line)["seq"] for line in lines] == seqs
        else:
            assert [int(line.split()[0]) for line in lines] == seqs


def test_text_is_found_behind_its_escapes(recorder: Recorder) -> None:
    """Whatever way the message spelt it."""

    def escaped(store: object) -> None:
        talk = Talk(store)  # type: ignore[arg-type]
        talk.raw(Origin.SERVER, 1, b'{"type":"x","text":"Gr\\u00fc\\u00dfe"}').kept()

    recorder.filled(escaped)
    assert recorder("events", "--grep", "gr\u00fc\u00dfe").stdout.count("\n") == 1
    assert recorder("events", "--grep", "u00fc").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seq", "0"], "no sequence number"),
        (["--seq", "x"], "'x'"),
        (["--from", "-1s"], "'-1s' lies before the session"),
        (["--to", "noon"], "'noon' is no position"),
        (["--raw", "--json"], "name one"),
    ],
)
def test_filters_that_make_no_sense_are_refused(
    recorder: Recorder, words: list[str], told: str
) -> None:
    """With the word, and exit code 2."""
    recorder.filled(texted)
    assert told in recorder("events", *words, code=2).stderr


ODD = b' {"type" : "odd", "audio":"AAA=", "n": 1.0,\n"e":"\\u00e9\xff"} '


def odd(store: object) -> Talk:
    """Messages of every kind: spaced, cut, binary, hostile, a ping, no JSON at all."""
    talk = Talk(store).opened()  # type: ignore[arg-type]
    talk.raw(Origin.SERVER, 100, ODD)
    talk.client(110, "input_audio_buffer.append", audio="AQID" * 100)
    talk.raw(Origin.SERVER, 120, b"\x00\x01\xff", BINARY)
    talk.raw(Origin.SERVER, 130, b"beat", PING)
    talk.raw(Origin.SERVER, 140, HOSTILE.encode())
    talk.raw(Origin.SERVER, 150, b"")
    return talk.closed(200).kept()


def test_raw_gives_the_exact_bytes_of_every_message(recorder: Recorder) -> None:
    """One a line, sound joined in again; what the recorder noted and pings are no messages."""
    recorder.filled(odd)
    append = orjson.dumps({"type": "input_audio_buffer.append", "audio": "AQID" * 100})

    assert recorder("events", "--raw").stdout_bytes == b"".join(
        message + b"\n" for message in (ODD, append, b"\x00\x01\xff", HOSTILE.encode(), b"")
    )


@pytest.mark.parametrize("seq", range(1, 10))
def test_one_message_raw_is_that_message_and_no_more(recorder: Recorder, seq: int) -> None:
    """No newline added, whatever kind of event it is."""
    from recorder.wire import join

    (talk,) = recorder.filled(odd)
    events = recorder.filled(lambda s: list(s.read(talk.id)))[0]

    assert recorder("events", "--seq", str(seq), "--raw").stdout_bytes == join(events[seq - 1])


def test_what_cannot_be_given_back_is_a_loss(recorder: Recorder) -> None:
    """Its number and the reason on stderr, the others on stdout, exit code 1."""

    def silent(store: object) -> None:
        talk = Talk(store, capture="no-audio").opened()  # type: ignore[arg-type]
        talk.says(100, tone(200)).client(400, "response.create").closed(500).kept()

    recorder.filled(silent)
    result = recorder("events", "--raw", code=1)

    assert result.stdout == '{"type":"response.create"}\n'
    assert result.stderr.count("cannot be given back whole: not captured (no-audio)") == 2
    assert "[not captured (no-audio)]" in recorder("events").stdout


def test_events_for_machines(recorder: Recorder) -> None:
    """One object a line: the message without its sound, and what is known of that."""
    recorder.filled(odd)
    rows = [json.loads(line) for line in recorder("events", "--json").stdout.splitlines()]

    assert [row["seq"] for row in rows] == list(range(1, 10))
    assert rows[3] | {"at_ns": 0} == {
        "seq": 4, "at_ns": 0, "origin": "client", "type": "input_audio_buffer.append", "opcode": 1,
        "audio_bytes": 300, "redacted": [], "tombstone": None,
        "message": {"type": "input_audio_buffer.append", "audio": ""},
    }  # fmt: skip
    assert rows[4]["message"] is None
    assert rows[4]["text"] == "\x00\x01\\xff"


VERBATIM = (
    b'{"type":"x","n":123456789012345678901234567890}',
    b'{"type":"x","n":1E300,"small":1e-7,"f":1.10,"neg":-0.0}',
    b'{ "type" : "x" ,\t"twice":1, "twice":2 }',
    b'{"type":"x","t":"\\u00e9\\/"}',
)


@pytest.mark.parametrize("message", VERBATIM)
def test_a_message_for_machines_stands_as_it_passed(recorder: Recorder, message: bytes) -> None:
    """Numbers beyond 64 bits, exponents, spaces, doubled keys and escapes: no character differs."""
    recorder.filled(lambda s: Talk(s).raw(Origin.SERVER, 1, message).kept())
    (line,) = recorder("events", "--json").stdout_bytes.splitlines()

    assert line.endswith(b'"message":' + message + b"}")
    assert json.loads(line)["seq"] == 1


def test_a_message_of_several_lines_is_still_one_line_for_machines(recorder: Recorder) -> None:
    """Line ends between its tokens become spaces; one inside a text is escaped there anyway."""
    message = b'{\r\n  "type": "x",\n  "t": "a\\nb"\n}'
    recorder.filled(lambda s: Talk(s).raw(Origin.SERVER, 1, message).kept())
    (line,) = recorder("events", "--json").stdout.splitlines()

    assert json.loads(line)["message"] == {"type": "x", "t": "a\nb"}


def test_frames_that_are_no_messages_are_named(recorder: Recorder) -> None:
    """Pings, closes with their code and reason, binary ones with their size."""

    def frames(store: object) -> None:
        talk = Talk(store)  # type: ignore[arg-type]
        talk.raw(Origin.SERVER, 1, b"beat", PING).raw(Origin.CLIENT, 2, b"beat", PONG)
        talk.raw(Origin.SERVER, 3, b"\x00\x01", BINARY).raw(Origin.SERVER, 4, b"{}")
        talk.raw(Origin.SERVER, 5, b"\x03\xe9an hour", CLOSE).raw(Origin.CLIENT, 6, b"", CLOSE)
        talk.kept()

    recorder.filled(frames)
    told = [line.split(maxsplit=3)[3] for line in recorder("events").stdout.splitlines()]
    assert [" ".join(line.split()) for line in told] == [
        "(ping)", "(pong)", "(binary) 2 B, binary", "(no type) \"{}\"", "(close) 1001, an hour",
        "(close)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "room", "shown"),
    [
        ("response.done", 28, "response.done"),
        ("input_audio_buffer.committed", 28, "input_audio_buffer.committed"),
        ("response.output_audio_transcript.delta", 28, "\u2026audio_transcript.delta"),
        ("conversation.item.input_audio_transcription.completed", 44,
         "\u2026item.input_audio_transcription.completed"),
        ("x" * 50, 28, "\u2026" + "x" * 27),
        ("vendor." + "x" * 50, 10, "\u2026" + "x" * 9),
    ],
)  # fmt: skip
def test_a_long_type_keeps_its_last_words(kind: str, room: int, shown: str) -> None:
    """Whole ones, as many as fit behind an ellipsis."""
    assert squeezed(kind, room) == shown


@pytest.mark.parametrize(("width", "most"), [(80, 28), (120, 44)])
def test_words_get_all_the_room_that_numbers_and_types_leave(
    recorder: Recorder, width: int, most: int
) -> None:
    """Numbers take what the last one needs, types at most their room, and no line is broken."""
    recorder.filled(lambda s: texted(s, "word " * 100))
    lines = plain(recorder.on_a_terminal("events", "--no-fold", width=width))

    (said,) = (line for line in lines if " → conversation.item.create " in line)
    before = "11 mm:ss.mmm  → " + "x" * most + " "
    assert said.startswith(" 4 00:00.200  → conversation.item.create")
    assert said[len(before) :].startswith('user "word word')
    assert len(said) == width


@pytest.mark.parametrize("command", ["events", "transcript", "show", "ls", "events --json"])
def test_hostile_text_reaches_no_terminal(recorder: Recorder, command: str) -> None:
    """Escapes, titles, marks that reorder: shown, never obeyed; markup is text."""

    def nasty(store: object) -> None:
        talk = texted(store, HOSTILE, call=HOSTILE, model=HOSTILE, tags=(HOSTILE,))  # type: ignore[arg-type]
        talk.server(600, HOSTILE, **{HOSTILE: HOSTILE})
        talk.server(610, "error", error={"code": HOSTILE, "message": HOSTILE, "type": HOSTILE})
        talk.own("note", 620, text=HOSTILE, at_ns=0)
        talk.created(630, model=HOSTILE, id=HOSTILE).kept()

    recorder.filled(nasty)
    for seen in (recorder.on_a_terminal(*command.split(), width=200),
                 recorder(*command.split()).stdout):  # fmt: skip
        assert "[bold]" in seen
        rest = re.sub(r"\x1b\[[0-9;]*m", "", seen)
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", rest)
        assert "\x1b[31mred" not in seen


def test_events_on_a_terminal_take_one_line_each(recorder: Recorder) -> None:
    """Cut at its width, whatever they say."""
    recorder.filled(lambda s: texted(s, "word " * 100))
    for width in (80, 140):
        lines = plain(recorder.on_a_terminal("events", width=width))
        assert len(lines) == 11
        assert max(map(len, lines)) <= width
