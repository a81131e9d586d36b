"""How the same facts are called: GA names, beta names, and a gateway that mixes them.

Inside the sandbox everything has its GA name and shape; only here it becomes the wire's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_BETA_NAMES: Mapping[str, str] = MappingProxyType(
    {
        f"response.output_{kind}.{phase}": f"response.{kind}.{phase}"
        for kind in ("text", "audio", "audio_transcript")
        for phase in ("delta", "done")
    }
    | {"conversation.item.added": "conversation.item.created"}
)
_BETA_PARTS = {"output_text": "text", "output_audio": "audio"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of speaking."""

    name: str
    nested: bool
    """Session and response objects are nested as in GA, not flat as in beta."""
    item_done: bool
    """`conversation.item.done` is sent."""
    names: Mapping[str, str]
    """GA event names that are called otherwise."""
    silence_ms: int
    """`silence_duration_ms` where the client gives none."""

    def type(self, name: str) -> str:
        """The name on the wire of an event's GA name."""
        return self.names.get(name, name)

    def event(self, name: str, event_id: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """A server event, its members in the order in which real servers have them."""
        kind = self.type(name)
        head = {"type": kind, "event_id": event_id}
        return {**(head if self.nested else {"event_id": event_id, "type": kind}), **members}

    def item(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An item: beta names its kind of object and its parts otherwise."""
        if self.nested:
            return dict(body)
        shown = {"id": body["id"], "object": "realtime.item", **body}
        if body.get("role") == "assistant":
            shown["content"] = [
                {**part, "type": _BETA_PARTS.get(part["type"], part["type"])}
                for part in body["content"]
            ]
        return shown

    def part_names(self, role: str) -> Mapping[str, str]:
        """The content parts an item of that role may have: name on the wire, name inside."""
        if role != "assistant":
            user = ("input_text", "input_audio", "input_image")
            return {name: name for name in (user if role == "user" else user[:1])}
        spoken = {} if self.name == "ga" else {beta: ga for ga, beta in _BETA_PARTS.items()}
        return spoken if self.name == "beta" else {**spoken, **{ga: ga for ga in _BETA_PARTS}}


GA = Dialect("ga", True, True, MappingProxyType({}), 200)
BETA = Dialect("beta", False, False, _BETA_NAMES, 500)
MIXED = Dialect("mixed", False, True, _BETA_NAMES, 200)
"""Beta names and shapes together with `conversation.item.done`, as gateways have been seen to send
them; takes events of both shapes."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType({d.name: d for d in (GA, BETA, MIXED)})
