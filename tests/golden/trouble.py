"""Golden calls: errors, ends, reconnects, and servers that leave things out."""

from __future__ import annotations

import json

from recorder.sandbox.dialect import BETA
from recorder.sandbox.script import Fault

from .kit import Line, answer, golden, heard, says, server_events
from .turns import ASKED, SPOKEN, one_turn

SERVER_SAID = "conversation.item.input_audio_transcription.completed"


@golden
def empty_commit_error_late(line: Line) -> None:
    """A commit of 40 ms at 1040 is refused, but 900 ms later, after `committed` of the next."""
    line.faults = (Fault(on="error", do="delay", ms=900),)
    line.answers(answer(says(SPOKEN, 600))).hears(heard(ASKED))
    line.dial(audio={"input": {"turn_detection": None}})
    line.wait(1000)
    line.hush(40)
    line.send("input_audio_buffer.commit", event_id="too_early")
    line.talk(600)
    line.send("input_audio_buffer.commit", event_id="in_time")
    line.send("response.create")
    line.wait(2000)
    line.hang_up()


@golden
def session_expired(line: Line) -> None:
    """The session may last 3.5 s: an error, and close 1001 while the assistant still plays."""
    line.script_with(max_duration_ms=3500)
    line.answers(answer(says(SPOKEN, 1000))).hears(heard(ASKED, 100)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(2000)


@golden
def close_4000(line: Line) -> None:
    """A beta client at an endpoint that has switched the beta off."""
    line.script_with(refuse_beta=True)
    line.dial(BETA)


@golden
def reconnect(line: Line, again: Line) -> None:
    """The line breaks at 3300, half way through the answer; 1.2 s later the client is back."""
    line.faults = (Fault(do="abort", at_ms=3300),)
    line.answers(answer(says(SPOKEN, 2000, speed=1.0))).hears(heard(ASKED, 100)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(400)

    again.begins(4500)
    again.answers(answer(says("As I said, at nine.", 1000))).hears(heard("Hello?")).dial()
    one_turn(again)


@golden
def reconnect_with_history(line: Line, again: Line) -> None:
    """As above, but after the answer; the client sends what was said again, and asks on."""
    line.answers(answer(says(SPOKEN, 1000))).hears(heard(ASKED, 100)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(1500)
    line.hang_up()

    again.begins(5000)
    again.answers(answer(says("No, on Sundays we are closed.", 1000)))
    again.hears(heard("And on Sundays too?")).dial()
    for role, kind, text in (("user", "input_text", ASKED), ("assistant", "output_text", SPOKEN)):
        part = {"type": kind, "text": text}
        item = {"type": "message", "role": role, "content": [part]}
        again.send("conversation.item.create", item=item)
    one_turn(again)


@golden
def missing_ids(line: Line) -> None:
    """A server that names nothing: no event, response or item ids, no content index."""
    keys = ("event_id", "response_id", "item_id", "id", "content_index", "previous_item_id")
    line.faults = (Fault(on="*", do="without", nth=None, keys=keys),)
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    one_turn(line)


@golden
def xai_usage(line: Line) -> None:
    """Usage at the top level of `response.done`, transcripts in parts under `completed`."""
    partial = {"item_id": "?", "content_index": 0, "transcript": "When do", "status": "in_progress"}
    line.script_with(usage="top")
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    (committed,) = server_events(line, "input_audio_buffer.committed")
    line.wait(200)
    said = {"type": SERVER_SAID, **partial, "item_id": committed["item_id"]}
    line.says_itself(json.dumps(said))
    line.wait(2000)
    line.hang_up()


@golden
def binary_frame(line: Line) -> None:
    """A gateway throws in a binary frame, a message that is no JSON and a type nobody knows."""
    line.faults = (
        Fault(on="response.created", do="binary", text="\x00\x01 not for you"),
        Fault(on="response.created", do="text", text="this is no JSON"),
        Fault(on="response.created", do="event", event={"type": "gateway.hello", "a": 1}),
        Fault(on="response.created", do="ping", text="still there?"),
    )
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    one_turn(line)


@golden
def pings_that_pass(line: Line) -> None:
    """Two pings of the client: 60 and 36 ms there and back. What is between is the server's."""
    line.answers(answer(says(SPOKEN, lead=100))).hears(heard(ASKED)).dial()
    line.ping(60)
    line.ping(36, b"again")
    line.wait(1000 - 96)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(2000)
    line.hang_up()
