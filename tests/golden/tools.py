"""Golden calls: tools, MCP, and responses beside the conversation.

The question sounds from 1320 to 2600; speech_stopped 2840, response created 2850 (see `turns`).
"""

from __future__ import annotations

from recorder.sandbox.script import Call, Failure, McpCall, When

from .kit import Line, answer, golden, heard, says

TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
ASKED = "Where is it now?"


def question(line: Line, **session: object) -> None:
    """The user asks, and the microphone stays on for a while."""
    line.hears(heard(ASKED)).dial(tools=[TOOL], **session)
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(240)


def give_output(line: Line) -> None:
    """The tool's output for the call that was made, and a request to go on."""
    call = [e for e in line.events if e["type"] == "response.function_call_arguments.done"][-1]
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"bay":7}'}
    line.send("conversation.item.create", item=item)
    line.send("response.create")


@golden
def tool_call(line: Line) -> None:
    """The model calls at 3020, the tool takes 700 ms, the answer begins 310 ms after its output."""
    call = Call("look_up", {"id": 427}, first_delta_ms=150, gap_ms=10)
    line.answers(
        answer(call),
        answer(says("In bay seven.", 500, lead=40, first=300), when=When(after_tool="look_up")),
    )
    question(line)
    line.wait(3020 + 700 - line.now_ms)
    give_output(line)
    line.wait(2000)
    line.hang_up()


@golden
def filler_before_the_answer(line: Line) -> None:
    """`Let me see` comes at once, then the call, and 1,500 ms later the tool's output."""
    call = Call("look_up", {"id": 427}, first_delta_ms=100, gap_ms=10)
    line.answers(
        answer(says("Let me see.", 400, first=150), call),
        answer(says("In bay seven.", 500, first=200), when=When(after_tool="look_up")),
    )
    question(line)
    line.wait(3195 + 1500 - line.now_ms)
    give_output(line)
    line.wait(2000)
    line.hang_up()


@golden
def mcp_call(line: Line) -> None:
    """The server calls a tool by itself, which takes 250 ms, and answers in the same response."""
    call = McpCall("find", "stock", {"id": 427}, output="bay 7", first_delta_ms=100, run_ms=250)
    server = {"type": "mcp", "server_label": "stock", "server_url": "https://mcp.example/x"}
    line.answers(answer(call, says("In bay seven.", 500, first=200)))
    line.hears(heard(ASKED)).dial()
    line.update(tools=[server])
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(2000)
    line.hang_up()


@golden
def out_of_band(line: Line) -> None:
    """Beside the spoken answer the application has the call classified, in text, on the way."""
    aside = says("topic: opening hours", first_delta_ms=50, text_gap_ms=10)
    line.answers(
        answer(says("Nine in the morning.", 1000, first=400)),
        answer(aside, when=When(out_of_band=True)),
    )
    line.hears(heard("When do you open?")).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(300)
    asked = {
        "conversation": "none",
        "output_modalities": ["text"],
        "metadata": {"what": "topic"},
        "instructions": "Name the topic.",
    }
    line.send("response.create", response=asked)
    line.wait(3000)
    line.hang_up()


@golden
def failed_response(line: Line) -> None:
    """The first response fails at 2900 after no word; the application asks again at 3100."""
    failure = Failure(code="rate_limit_exceeded", message="Too many requests.")
    line.answers(answer(fail=failure, done_ms=50), answer(says("Here I am.", 500)))
    line.hears(heard(ASKED)).dial()
    line.wait(1000)
    line.hush(320)
    line.talk(1280)
    line.hush(400)
    line.wait(3100 - line.now_ms)
    line.send("response.create")
    line.wait(2000)
    line.hang_up()
