"""A hotline that says where an order is: the application of the worked example.

    python hotline.py "Where is my order 427?"

It is written as applications are: for the `openai` package, which finds its endpoint and its key
in OPENAI_BASE_URL and OPENAI_API_KEY.
"""

from __future__ import annotations

import json
import sys

from openai import OpenAI

ORDERS = {"427": "shipped, arrives on Thursday"}
TOOLS = [
    {
        "type": "function",
        "name": "order_status",
        "description": "Where an order is.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}},
            "required": ["order_id"],
        },
    }
]


def ask(question: str) -> str:
    """The hotline's answer to a question."""
    with OpenAI() as client, client.realtime.connect(model="gpt-realtime") as call:
        call.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "tools": TOOLS}
        )
        content = [{"type": "input_text", "text": question}]
        call.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        return _answer(call)


def _answer(call) -> str:
    """Let it answer, and look up what it asks for."""
    call.response.create()
    outputs, said = [], []
    for event in call:
        if event.type == "response.output_text.done":
            said.append(event.text)
        elif event.type == "response.function_call_arguments.done":
            order_id = json.loads(event.arguments)["order_id"]
            status = ORDERS.get(order_id, "unknown")
            outputs.append(
                {"type": "function_call_output", "call_id": event.call_id, "output": status}
            )
        elif event.type == "response.done":
            break
    if not outputs:
        return " ".join(said)
    for output in outputs:
        call.conversation.item.create(item=output)
    return _answer(call)


if __name__ == "__main__":
    print(ask(sys.argv[1]))
