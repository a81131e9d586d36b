"""Items that a client makes: what it may send, and the item that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.sandbox import checks
from recorder.sandbox.conversation import Body, Item
from recorder.sandbox.dialect import Dialect
from recorder.sandbox.formats import AudioFormat

_KNOWN = {
    "message": ("role", "content"),
    "function_call": ("name", "call_id", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve", "reason"),
}
"""The members of each type of item, beside id, object, status and type."""

_NEEDED = {
    "message": ("role", "content"),
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
}

_PART_MEMBERS = {
    "input_text": ("text",),
    "output_text": ("text",),
    "input_audio": ("audio", "transcript"),
    "output_audio": ("audio", "transcript"),
    "input_image": ("image_url", "detail"),
}
"""The members of each type of content; the first one is needed, but not for the assistant's."""


def read_item(
    value: object, new_id: str, audio: AudioFormat, dialect: Dialect, *, param: str = "item"
) -> Item:
    """The item that a client describes; `new_id` where it chose none."""
    given = checks.record(value, param)
    kind = checks.required(given, "type", f"{param}.")
    kind = checks.one_of(kind, f"{param}.type", _KNOWN)
    checks.only(given, ("id", "object", "status", "type", *_KNOWN[kind]), f"{param}.")
    for name in _NEEDED[kind]:
        checks.required(given, name, f"{param}.")
    body: Body = {"id": _item_id(given, new_id, param), "type": kind}
    if kind in ("message", "function_call"):
        body["status"] = "completed"
    item = Item(body, audio)
    for name in _KNOWN[kind]:
        if name == "content":
            body[name] = _read_content(given, item, dialect, param)
        elif given.get(name) is not None:
            body[name] = _read_member(name, given[name], f"{param}.{name}")
    if kind == "function_call":
        body.setdefault("call_id", f"call_{new_id}")
    return item


def _item_id(given: Mapping[str, Any], new_id: str, param: str) -> str:
    return checks.text(given["id"], f"{param}.id") if given.get("id") is not None else new_id


def _read_member(name: str, value: object, param: str) -> object:
    match name:
        case "role":
            return checks.one_of(value, param, ("user", "assistant", "system"))
        case "approve":
            return checks.flag(value, param)
        case _:
            return checks.text(value, param)


def _read_content(given: Mapping[str, Any], item: Item, dialect: Dialect, param: str) -> list[Body]:
    names = dialect.part_names(item.body["role"])
    parts = checks.array(given["content"], f"{param}.content")
    return [
        _read_part(part, index, item, names, f"{param}.content[{index}]")
        for index, part in enumerate(parts)
    ]


def _read_part(value: object, index: int, item: Item, names: Mapping[str, str], param: str) -> Body:
    """One content part; its audio goes beside the body."""
    part = checks.record(value, param)
    kind = names[checks.one_of(checks.required(part, "type", f"{param}."), f"{param}.type", names)]
    members = _PART_MEMBERS[kind]
    checks.only(part, ("type", *members), f"{param}.")
    if not item.is_answer:
        checks.required(part, members[0], f"{param}.")
    if part.get("audio") is not None:
        item.audio[index] = bytearray(checks.audio(part["audio"], f"{param}.audio"))
    shown = {name: part.get(name) for name in members if name != "audio"}
    for name, each in shown.items():
        if each is not None:
            checks.text(each, f"{param}.{name}")
    return {"type": kind, **shown}
