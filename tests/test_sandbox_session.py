"""The session as a whole: opening, errors, its end, and laws that hold for every client."""

from __future__ import annotations

import json
import subprocess
import sys

import pybase64
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.sandbox.actions import Close, Send
from recorder.sandbox.builtin import SCRIPTS
from recorder.sandbox.dialect import BETA, DIALECTS, GA, MIXED
from recorder.sandbox.formats import PCM24, encode
from recorder.sandbox.script import FAULTS, Fault, Script
from recorder.sandbox.session import _ACTS, _GA_ACTS, Refusal, SandboxSession
from tests.sandbox_driver import Talk, of, one, tone, types


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        ("[]", "invalid_type", "event"),
        ("7", "invalid_type", "event"),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": 7}', "invalid_type", "type"),
        ('{"type": "session.dance"}', "invalid_value", "type"),
        ('{"type": "conversation.item.delete"}', "missing_required_parameter", "item_id"),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value", None),
    ],
)
def test_nonsense_is_answered_and_survived(message, code, param):
    """An error with an id of its own; the session goes on."""
    talk = Talk()

    error = one(talk.send_raw(message), "error")

    assert error["event_id"].startswith("event_")
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)
    assert error["error"]["event_id"] is None
    assert types(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


def test_json_in_a_binary_frame_is_taken():
    """Some clients send it so."""
    talk = Talk()

    assert types(talk.send_raw(b'{"type": "input_audio_buffer.clear"}')) == [
        "input_audio_buffer.cleared"
    ]


@pytest.mark.parametrize(("event_id", "named"), [("e1", "e1"), (None, None), (7, None)])
def test_an_error_names_the_clients_event(event_id, named):
    """Its id, or null where it gave none that is one."""
    error = one(Talk().send("response.cancel", event_id=event_id), "error")["error"]

    assert error["event_id"] == named


def test_each_dialect_has_its_client_events():
    """Eleven in GA, twelve in beta."""
    assert (len(_GA_ACTS), len(_ACTS)) == (11, 12)
    update = {"type": "transcription_session.update", "session": {}}

    assert types(Talk().send_raw(json.dumps(update))) == ["error"]
    assert types(Talk(dialect=BETA).send_raw(json.dumps(update))) == [
        "transcription_session.updated"
    ]


@pytest.mark.parametrize(
    ("limit_ms", "length"), [(3_600_000, "60 minutes"), (60_000, "1 minutes"), (1500, "1.5 s")]
)
def test_a_session_expires(limit_ms, length):
    """An error without a cause, then close 1001 with the same words."""
    talk = Talk(Script(max_duration_ms=limit_ms))

    came = talk.wait(limit_ms + 1000)

    message = f"Your session hit the maximum duration of {length}."
    error = one(came, "error")
    assert (error.at_ms, error["error"]["code"]) == (limit_ms, "session_expired")
    assert (error["error"]["message"], error["error"]["event_id"]) == (message, None)
    assert talk.actions[-1][1] == Close(1001, message)
    assert talk.session.closed


@pytest.mark.parametrize(
    ("script", "dialect", "refusal", "close"),
    [
        (Script(), GA, Refusal(3000, "invalid_api_key", "No."), (3000, "invalid_api_key")),
        (Script(refuse_beta=True), BETA, None, (4000, "beta_api_shape_disabled")),
    ],
)
def test_a_refused_session_gets_an_error_and_a_close(script, dialect, refusal, close):
    """And no `session.created`."""
    talk = Talk(script, dialect, options={"refusal": refusal})

    assert one(talk.events, "error")["error"]["code"] == close[1]
    assert types(talk.events) == ["error"]
    assert talk.actions[-1][1] == Close(close[0], f"invalid_request_error.{close[1]}")


def test_a_script_whose_session_makes_no_sense_is_refused():
    """Before anybody connects, by name."""
    with pytest.raises(UsageError, match=r"script\.session: Unknown parameter: 'session\.x'"):
        SandboxSession(Script(session={"x": 1}))


def test_ids_begin_with_the_seed():
    """Two sessions with seeds of their own share no id."""
    ids = [
        {event["event_id"] for event in Talk(options={"seed": seed}).events} for seed in ("a", "b")
    ]

    assert ids == [{"event_a0001"}, {"event_b0001"}]


def test_the_same_conversation_comes_out_the_same():
    """Same script, seed, messages and times: the same actions, byte for byte."""

    def conversation():
        talk = Talk(SCRIPTS["demo"])
        for _ in range(3):
            talk.speak(tone(400))
            talk.wait(3000)
        return talk.actions

    assert conversation() == conversation()


def test_polling_late_changes_what_is_late_and_nothing_else():
    """All events of a slow poll are those of a punctual one."""
    punctual, slow = Talk(), Talk()
    punctual.say("hi")
    slow.say("hi")

    came = punctual.wait(5000)
    slow.now_ms = 5000

    assert slow._collect() == came


def test_the_core_needs_no_loop_no_database_and_no_command_line():
    """Importing it imports none of them: time is a value that is passed in."""
    code = (
        "import sys, recorder.sandbox.session, recorder.sandbox.builtin, "
        "recorder.sandbox.script_file\n"
        "print([name for name in ('trio', 'sqlalchemy', 'click', 'httpx') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# What a client may send: from plausible to absurd.
TEXTS = st.sampled_from(
    ["a", "b", "item_0001", "item_0002", "item_0003", "root", "text", "", "\u2028"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 1 << 70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SOUND = st.sampled_from([100, 500, 3000]).map(
    lambda ms: pybase64.b64encode(encode(tone(ms), PCM24)).decode()
)
PART = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["input_text", "input_audio", "output_text", "text", "audio"])},
        optional={"text": TEXTS | JSON, "audio": SOUND | JSON},
    ),
    JSON,
)
ITEM = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["message", "function_call", "function_call_output", "x"]),
    },
    optional={
        "id": TEXTS,
        "role": st.sampled_from(["user", "assistant", "system", "x"]),
        "content": st.lists(PART, max_size=2) | JSON,
        "call_id": TEXTS,
        "name": TEXTS,
        "arguments": TEXTS,
        "output": TEXTS,
    },
)
SETTINGS = st.dictionaries(
    st.sampled_from(
        ["type", "modalities", "output_modalities", "audio", "tools", "turn_detection", "voice"]
    ),
    st.sampled_from(
        [
            "realtime",
            ["text"],
            ["audio"],
            None,
            {"input": {"format": {"type": "audio/pcmu"}}},
            {"input": {"turn_detection": {"type": "semantic_vad"}, "transcription": {}}},
            {"output": {"format": {"type": "audio/pcm", "rate": 16000}}},
            [{"type": "mcp", "server_label": "s"}],
            {"type": "server_vad", "idle_timeout_ms": 5000},
        ]
    )
    | JSON,
    max_size=3,
)
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(_ACTS)) | TEXTS},
    optional={
        "event_id": TEXTS | JSON,
        "audio": SOUND | JSON,
        "item": ITEM | JSON,
        "item_id": TEXTS | JSON,
        "previous_item_id": TEXTS | JSON,
        "content_index": st.integers(-1, 2) | JSON,
        "audio_end_ms": st.integers(-1, 5000) | JSON,
        "session": SETTINGS | JSON,
        "response": SETTINGS
        | st.fixed_dictionaries(
            {"conversation": st.sampled_from(["auto", "none"])},
            optional={"input": st.lists(ITEM, max_size=2), "metadata": JSON},
        )
        | JSON,
        "response_id": TEXTS | JSON,
    },
)
MESSAGES = st.lists(
    st.tuples(
        EVENT.map(json.dumps) | st.text(max_size=20) | st.binary(max_size=20),
        st.sampled_from([0, 1, 100, 2000, 20_000]),
    ),
    max_size=12,
)
FAULT_LIST = st.lists(
    st.builds(
        Fault,
        do=st.sampled_from(sorted(FAULTS)),
        on=st.sampled_from(["*", "response.*", "conversation.item.added", "response.create"]),
        nth=st.none() | st.integers(1, 4),
        ms=st.integers(0, 3000),
        event=st.dictionaries(TEXTS, JSON, max_size=2),
        keys=st.lists(st.sampled_from(["event_id", "item", "response", "type"]), max_size=2).map(
            tuple
        ),
    ),
    max_size=2,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([GA, BETA, MIXED]), st.sampled_from(sorted(SCRIPTS)), MESSAGES, FAULT_LIST)
def test_no_client_makes_the_core_raise(dialect, name, messages, faults):
    """Whatever is sent, in whatever order, with whatever faults: only actions come out."""
    script = SCRIPTS[name]
    talk = Talk(
        Script(answers=script.answers, otherwise=script.otherwise, faults=tuple(faults)), dialect
    )

    for message, wait_ms in messages:
        talk.session.receive(message, round(talk.now_ms * 1e6))
        talk.wait(wait_ms)
    talk.wait(100_000)

    ends = [
        at
        for at, (_, action) in enumerate(talk.actions)
        if type(action).__name__ in ("Close", "Abort")
    ]
    assert all(at == len(talk.actions) - 1 for at in ends)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(DIALECTS)), st.sampled_from(sorted(SCRIPTS)), MESSAGES)
def test_laws_of_what_is_sent(dialect, name, messages):
    """Ids are unique, responses begin and end once, each event belongs to a known response."""
    talk = Talk(SCRIPTS[name], DIALECTS[dialect])

    for message, wait_ms in messages:
        talk.session.receive(message, round(talk.now_ms * 1e6))
        talk.wait(wait_ms)
    talk.wait(100_000)

    events = [json.loads(action.text) for _, action in talk.actions if isinstance(action, Send)]
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))
    created = [event["response"]["id"] for event in of(events, "response.created")]
    done = [event["response"]["id"] for event in of(events, "response.done")]
    assert sorted(created) == sorted(set(done))
    assert len(done) == len(set(done))
    assert {event["response_id"] for event in events if "response_id" in event} <= set(created)
    times = [at for at, _ in talk.actions]
    assert times == sorted(times)
