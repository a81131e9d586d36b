"""The summary and the ids: what `ls` and `show` need, without any audio."""

from __future__ import annotations

import orjson

from recorder import wire
from recorder.audio.formats import AudioFormat
from recorder.events import Event
from recorder.projections import PROJECTIONS, fold
from recorder.projections.model import Summary
from tests.building import Talk
from tests.captured import captured


def summary(talk: Talk) -> Summary:
    found: Summary = fold(PROJECTIONS["summary"](), talk.source(audio=False))
    return found


def whole(*, beta: bool = False) -> Talk:
    """A call with a bit of everything."""
    talk = Talk(beta=beta)
    talk.note(0, "opened", url="wss://x/v1", model="m-asked", call="c7", tags=["a", "b"],
              capture="full")  # fmt: skip
    headers = [["X-Request-Id", "req_9"], ["server", "x"]]
    talk.note(5, "handshake", status=101, subprotocol="realtime", headers=headers)
    talk.open(10).mic(20, 1020).heard(1200, "U", start=0, end=900)
    talk.answer(1300, "R", "A", [(1400, 500), (1500, 300)], text="Yes.")
    talk.write(2000, "And?").created(2100, "R2").calls(2200, "R2", "F", "call_1")
    talk.done(2300, "R2", "cancelled", "client_cancelled")
    talk.note(2400, "note", text="hm", at_ns=7).note(2500, "tag", add=["c"], remove=["a"])
    return talk.close(3000)


def test_a_session_is_summed_up() -> None:
    """Who, what, how long, how much."""
    found = summary(whole())

    assert (found.model, found.model_asked, found.voice) == ("gpt-realtime", "m-asked", "marin")
    assert (found.url, found.call, found.capture) == ("wss://x/v1", "c7", "full")
    assert (found.vad, found.modalities) == ("server_vad", ("audio",))
    assert (found.tags, [n.text for n in found.notes]) == (("b", "c"), ["hm"])
    assert found.duration_ns == 3_000_000_000
    assert (found.user_turns, found.responses) == (2, {"completed": 1, "cancelled": 1})
    assert (found.tool_calls, found.server_session) == (1, "sess_1")
    assert (found.user_audio_ns, found.assistant_audio_ns) == (1_000_000_000, 800_000_000)
    assert found.events == found.last_seq == sum(found.by_origin.values()) == len(whole().events)
    assert found.by_type["input_audio_buffer.append"] == 50


def test_both_dialects_are_told_apart() -> None:
    """By names and by shapes."""
    assert summary(whole()).dialect == "ga"
    assert summary(whole(beta=True)).dialect == "beta"
    mixed = whole(beta=True).server(2000, "conversation.item.done", item={"id": "x"})
    assert summary(mixed).dialect == "mixed"
    assert summary(Talk()).dialect == ""


def test_how_it_began_and_ended_is_told() -> None:
    """The request id is that of the 101."""
    found = summary(whole())
    assert found.handshake is not None
    assert found.closed is not None
    assert (found.handshake.status, found.handshake.request_id) == (101, "req_9")
    assert (found.closed.code, found.closed.initiator, found.closed.clean) == (1000, "client", True)


def test_a_session_that_never_ended_has_no_close() -> None:
    """Whether it is live or interrupted is not for the events to say."""
    assert summary(Talk().open()).closed is None


def test_unknown_types_are_counted_by_name() -> None:
    """Known ones that mean nothing are not unknown."""
    talk = Talk().open().server(1, "weird.new").server(2, "weird.new").server(3, "ping")
    assert summary(talk).unknown == {"weird.new": 2}


def test_redactions_and_tombstones_are_counted() -> None:
    """What was replaced, and what is gone and why."""
    (append,) = Talk().append(20, bytes(960)).events
    part = wire.without_audio(wire.Split(*_parts(append)), "erased")
    gone = append._replace(meta=part.meta, audio=None)
    secret = wire.with_redactions(wire.Split("session.update", b"{}", None, None), ["api key"])
    hidden = append._replace(seq=2, type="session.update", head=b"{}", meta=secret.meta)

    found = fold(PROJECTIONS["summary"](), [gone, hidden])

    assert (found.tombstones, found.redactions) == ({"erased": 1}, {"api key": 1})
    assert found.user_audio_ns == 20_000_000


def _parts(event: Event) -> tuple[str, bytes, str | None, bytes | None]:
    return event.type, event.head, event.meta, event.audio


def test_gaps_are_listed() -> None:
    """With their extent and why."""
    talk = Talk().note(5, "gap", count=3, bytes=99, first_ns=1, last_ns=4, why="disk full")
    (gap,) = summary(talk).gaps
    assert (gap.count, gap.bytes, gap.first_ns, gap.last_ns, gap.why) == (3, 99, 1, 4, "disk full")


def test_tokens_are_summed_and_cached_ones_are_a_subset() -> None:
    """Three responses: one reports, one reports nothing, one never ends."""
    usage = {
        "input_tokens": 40,
        "output_tokens": 9,
        "input_token_details": {"text_tokens": 10, "audio_tokens": 30, "cached_tokens": 8},
        "output_tokens_details": {"text_tokens": 9},
    }
    talk = Talk().open().created(1, "R1").created(3, "R2").done(4, "R2").created(5, "R3")
    talk.server(2, "response.done", response={"id": "R1", "status": "completed"}, usage=usage)
    name = "conversation.item.input_audio_transcription.completed"
    talk.server(6, name, item_id="U", transcript="x", usage={"type": "duration", "seconds": 2})
    tokens = summary(talk).tokens

    assert tokens.input == {"total": 40, "text": 10, "audio": 30, "cached": 8}
    assert tokens.output == {"total": 9, "text": 9}
    assert tokens.transcription == {"seconds": 2}
    assert (tokens.responses, tokens.unknown) == (1, 2)


def test_a_done_that_comes_twice_is_counted_once_and_cached_tokens_have_their_kinds() -> None:
    """GA says how much of the cache was text and how much audio."""
    details = {
        "text_tokens": 30,
        "audio_tokens": 60,
        "cached_tokens": 12,
        "cached_tokens_details": {"text_tokens": 8, "audio_tokens": 4},
    }
    usage = {"input_tokens": 90, "output_tokens": 5, "input_token_details": details}
    talk = Talk().open().created(1, "R")
    for ms in (2, 3):
        body = {"id": "R", "status": "completed", "usage": usage}
        talk.server(ms, "response.done", response=body)
    tokens = summary(talk).tokens

    assert tokens.input == {
        "total": 90, "text": 30, "audio": 60, "cached": 12, "cached_text": 8, "cached_audio": 4,
    }  # fmt: skip
    assert (tokens.responses, tokens.unknown) == (1, 0)


def test_formats_that_changed_are_summed_each_by_its_own_rate() -> None:
    """A second of PCM16 and a second of µ-law are two seconds."""
    talk = Talk().open().mic(0, 1000)
    form = {"format": {"type": "audio/pcmu"}}
    talk.client(1001, "session.update", session={"audio": {"input": form}})
    talk.append(1100, bytes(8000))
    found = summary(talk)
    assert found.user_audio_ns == 2_000_000_000
    assert found.input_format == AudioFormat("g711_ulaw", 8000)


def test_real_sessions_are_summed_up() -> None:
    """xAI: another provider, usage at the top level, both shapes of session."""
    found = fold(PROJECTIONS["summary"](), captured("xai-text-tool-round.jsonl"))
    assert (found.model, found.dialect, found.unknown) == ("grok-voice-think-fast-1.0", "mixed", {})
    assert found.tokens.output["audio"] > 0
    orjson.dumps(found)
