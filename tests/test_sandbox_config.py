"""The session object and `session.update`, in both dialects."""

from __future__ import annotations

import pytest

from recorder.sandbox.dialect import BETA, GA, MIXED
from recorder.sandbox.script import Script
from tests.sandbox_driver import Talk, of, one, types


def test_the_ga_session_is_nested_and_whole():
    """`session.created` carries every setting, with the GA defaults."""
    talk = Talk(options={"model": "gpt-realtime", "wall_s": 1000})

    session = one(talk.events, "session.created")["session"]

    assert list(session)[:5] == ["type", "object", "id", "model", "expires_at"]
    assert (session["type"], session["object"]) == ("realtime", "realtime.session")
    assert (session["model"], session["expires_at"]) == ("gpt-realtime", 4600)
    assert session["output_modalities"] == ["audio"]
    assert session["max_output_tokens"] == "inf"
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert session["audio"]["output"]["voice"] == "marin"
    assert "modalities" not in session
    assert "temperature" not in session


def test_the_beta_session_is_flat_and_whole():
    """The beta has its own names and defaults, and says that a conversation was created."""
    talk = Talk(dialect=BETA)

    session = one(talk.events, "session.created")["session"]

    assert types(talk.events) == ["session.created", "conversation.created"]
    assert session["modalities"] == ["audio", "text"]
    assert (session["input_audio_format"], session["output_audio_format"]) == ("pcm16", "pcm16")
    assert session["turn_detection"]["silence_duration_ms"] == 500
    assert "idle_timeout_ms" not in session["turn_detection"]
    assert (session["temperature"], session["max_response_output_tokens"]) == (0.8, "inf")
    assert "audio" not in session
    assert "type" not in session


def test_an_update_changes_what_it_names_and_nothing_else():
    """The answer is the whole configuration, in which the rest stands as before."""
    talk = Talk()
    before = one(talk.events, "session.created")["session"]

    after = one(
        talk.update(
            instructions="Be brief.",
            audio={"input": {"format": {"type": "audio/pcmu"}}, "output": {"voice": "cedar"}},
        ),
        "session.updated",
    )["session"]

    assert after["instructions"] == "Be brief."
    assert after["audio"]["input"].pop("format") == {"type": "audio/pcmu"}
    assert after["audio"]["output"].pop("voice") == "cedar"
    del before["audio"]["input"]["format"], before["audio"]["output"]["voice"]
    assert after == {**before, "instructions": "Be brief."}


def test_turn_detection_is_filled_up_with_defaults():
    """A bare object has the dialect's defaults; null switches it off."""
    talk = Talk()

    def detection(value):
        update = talk.update(audio={"input": {"turn_detection": value}})
        return one(update, "session.updated")["session"]["audio"]["input"]["turn_detection"]

    assert detection({"type": "server_vad", "threshold": 0.9})["silence_duration_ms"] == 200
    assert detection(None) is None
    assert detection({"type": "semantic_vad", "eagerness": "low"}) == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }


def test_a_beta_update_speaks_beta():
    """Flat names in, flat names out; the other event name of transcription sessions too."""
    talk = Talk(dialect=BETA)
    session = {
        "modalities": ["text"],
        "input_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"type": "server_vad"},
        "max_response_output_tokens": 99,
        "temperature": 0.7,
    }

    after = one(talk.send("session.update", session=session), "session.updated")["session"]
    other = talk.send("transcription_session.update", session={"input_audio_format": "pcm16"})

    assert {name: after[name] for name in session} == {
        **session,
        "input_audio_transcription": {"model": "whisper-1", "language": None, "prompt": None},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert types(other) == ["transcription_session.updated"]


def test_the_mixed_gateway_takes_both_shapes():
    """It shows the flat session whichever shape it was sent."""
    talk = Talk(dialect=MIXED)

    ga = talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    beta = talk.send("session.update", session={"modalities": ["text", "audio"]})

    assert one(ga, "session.updated")["session"]["modalities"] == ["text"]
    assert one(beta, "session.updated")["session"]["modalities"] == ["audio", "text"]


@pytest.mark.parametrize(
    ("dialect", "session", "code", "param"),
    [
        (GA, {}, "missing_required_parameter", "session.type"),
        (GA, {"type": "quantum"}, "invalid_value", "session.type"),
        (
            GA,
            {"type": "realtime", "modalities": ["text"]},
            "unknown_parameter",
            "session.modalities",
        ),
        (GA, {"type": "realtime", "temperature": 1}, "unknown_parameter", "session.temperature"),
        (
            GA,
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (GA, {"type": "realtime", "audio": 1}, "invalid_type", "session.audio"),
        (
            GA,
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/opus"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            GA,
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "telepathy"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            GA,
            {
                "type": "realtime",
                "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}},
            },
            "integer_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            GA,
            {"type": "realtime", "max_output_tokens": 0},
            "integer_below_min_value",
            "session.max_output_tokens",
        ),
        (
            GA,
            {"type": "realtime", "tools": [{"type": "function"}]},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (BETA, {"type": "realtime"}, "unknown_parameter", "session.type"),
        (BETA, {"modalities": ["audio"]}, "invalid_value", "session.modalities"),
        (BETA, {"input_audio_format": "mp3"}, "invalid_value", "session.input_audio_format"),
        (
            BETA,
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}},
            "unknown_parameter",
            "session.turn_detection.idle_timeout_ms",
        ),
        (BETA, {"instructions": None}, "invalid_type", "session.instructions"),
    ],
)
def test_a_bad_update_is_refused_whole(dialect, session, code, param):
    """One error with code and parameter; nothing of the update holds."""
    talk = Talk(dialect=dialect)
    good = {"type": "realtime"} if dialect is GA else {}

    came = talk.send("session.update", event_id="e1", session={"instructions": "new", **session})

    error = one(came, "error")["error"]
    assert len(came) == 1
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert (error["param"], error["event_id"]) == (param, "e1")
    after = one(talk.send("session.update", session=good), "session.updated")["session"]
    assert after["instructions"] != "new"


def test_the_voice_is_locked_once_it_was_heard():
    """After the first audio another voice is refused, the same one is not."""
    talk = Talk()
    talk.say("hello")
    talk.wait(1000)

    refused = talk.update(audio={"output": {"voice": "cedar"}})
    same = talk.update(audio={"output": {"voice": "marin"}})

    assert one(refused, "error")["error"]["code"] == "cannot_update_voice"
    assert types(same) == ["session.updated"]


def test_a_script_can_set_the_session_from_the_start():
    """In GA form, for every dialect."""
    script = Script(session={"output_modalities": ["text"], "instructions": "x"})

    for dialect, name in ((GA, "output_modalities"), (BETA, "modalities")):
        session = one(Talk(script, dialect).events, "session.created")["session"]
        assert (session[name], session["instructions"]) == (["text"], "x")


def test_mcp_servers_are_looked_up_and_their_secrets_kept():
    """`mcp_list_tools.*` follows; authorization and headers are not echoed."""
    talk = Talk()
    server = {"type": "mcp", "server_label": "files", "server_url": "https://example.test/mcp"}

    came = talk.update(tools=[{**server, "authorization": "secret", "headers": {"x": "secret"}}])
    later = talk.wait(1000)

    assert one(came, "session.updated")["session"]["tools"] == [server]
    assert types(came) == [
        "session.updated",
        "conversation.item.added",
        "mcp_list_tools.in_progress",
    ]
    assert types(later) == ["conversation.item.done", "mcp_list_tools.completed"]
    assert not of(talk.wait(100), "mcp_list_tools.completed")


def test_a_transcription_session_has_no_output():
    """Its object shows input only, and it gives no responses."""
    talk = Talk()

    session = one(
        talk.send("session.update", session={"type": "transcription"}), "session.updated"
    )["session"]
    refused = talk.send("response.create")

    assert session["object"] == "realtime.transcription_session"
    assert list(session["audio"]) == ["input"]
    assert types(refused) == ["error"]
