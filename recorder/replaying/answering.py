"""Answers that are in no recording: to what a client did more than the recorded one.

They are as short as a real server's may be, and say what follows from the question alone. A
response is never made up: asking for one that was not recorded is an `error`.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from ..dialects.reading import mapping, text
from . import causes
from .nouns import JSON

NOT_RECORDED: Final = "not_recorded"
"""The code of errors about what no recording answers."""


_NO_RESPONSE: Final = "Cancellation failed: no active response found"


class Answers:
    """Makes them up, and their ids."""

    def __init__(self) -> None:
        self._made = 0
        self.session: dict[str, Any] = {}
        """The configuration as it was last stated."""

    def to(self, kind: str, asked: JSON, *, beta: bool) -> list[bytes]:
        """The messages that answer this client event; none where a server would not answer."""
        match kind:
            case causes.CREATE_ITEM:
                return self._item(asked, beta=beta)
            case causes.UPDATE:
                self.session = _merged(self.session, mapping(asked, "session"))
                return [self._event("session.updated", session=self.session)]
            case causes.TRUNCATE:
                told = {name: asked.get(name) for name in ("item_id", "audio_end_ms")}
                index = asked.get("content_index", 0)
                return [self._event("conversation.item.truncated", **told, content_index=index)]
            case causes.DELETE:
                return [self._event("conversation.item.deleted", item_id=asked.get("item_id"))]
            case causes.CLEAR:
                return [self._event("input_audio_buffer.cleared")]
            case causes.CANCEL:
                return [self.error("response_cancel_not_active", _NO_RESPONSE, asked)]
            case causes.RESPOND | causes.RETRIEVE:
                return [self.error(NOT_RECORDED, f"the recording has no answer to {kind}", asked)]
        return []

    def error(self, code: str, message: str, asked: JSON | None = None) -> bytes:
        """An `error`, about what was asked."""
        about = asked.get("event_id") if asked else None
        error = {"type": "invalid_request_error", "code": code, "message": message}
        return self._event("error", error=error | {"param": None, "event_id": about})

    def _item(self, asked: JSON, *, beta: bool) -> list[bytes]:
        item = {"object": "realtime.item", "status": "completed", **mapping(asked, "item")}
        if not text(item, "id"):
            item["id"] = f"item_mock_{self._made + 1}"
        previous = text(asked, "previous_item_id")
        place = {"previous_item_id": None if previous in ("", "root") else previous}
        names = ["created"] if beta else ["added", "done"]
        return [self._event(f"conversation.item.{name}", **place, item=item) for name in names]

    def _event(self, kind: str, **members: Any) -> bytes:
        self._made += 1
        return orjson.dumps({"type": kind, "event_id": f"event_mock_{self._made}", **members})


def _merged(before: JSON, more: JSON) -> dict[str, Any]:
    """Objects within are filled up, everything else is replaced."""
    both = {
        name: _merged(old, value)
        for name, value in more.items()
        if isinstance(old := before.get(name), dict) and isinstance(value, dict)
    }
    return {**before, **more, **both}
