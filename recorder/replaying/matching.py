"""Whether what a client sent is what the recorded client sent.

Compared is what the client *means*: a configuration, the content of an item, what a response is
asked for. Ids, metadata and times differ from run to run and are not compared; what was redacted
in the recording fits everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ..dialects.reading import mapping
from .causes import CREATE_ITEM, DELETE, RESPOND, RETRIEVE, TRUNCATE, UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .nouns import JSON, Ask
    from .rewriting import Ids

_NEVER: Final = ("id", "object", "status", "metadata")
"""Members that a run chooses for itself."""
_IDS: Final = frozenset({"call_id", "item_id", "approval_request_id"})
_REDACTED: Final = "[redacted:"
_SHOWN: Final = 60
"""Characters of a value that a message quotes."""
MOST: Final = 6
"""Differences that are told."""


def _item(body: JSON) -> JSON:
    return {"item": _without(mapping(body, "item"))}


def _response(body: JSON) -> JSON:
    return {"response": _without(mapping(body, "response"))}


def _without(members: JSON) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in _NEVER}


def _subject(body: JSON) -> JSON:
    return {"item_id": body["item_id"]} if "item_id" in body else {}


COMPARED: Final[dict[str, Callable[[JSON], JSON]]] = {
    UPDATE: lambda body: {"session": mapping(body, "session")},
    CREATE_ITEM: _item,
    RESPOND: _response,
    TRUNCATE: _subject,
    DELETE: _subject,
    RETRIEVE: _subject,
}
"""What is compared, by type; of types that are not here, only that they came."""


def differences(kind: str, recorded: JSON, live: JSON, ids: Ids) -> list[str]:
    """What differs, each in a line; empty where both mean the same."""
    take = COMPARED.get(kind)
    if take is None:
        return []
    return list(_differing("", take(recorded), take(live), ids))


def _differing(where: str, recorded: Any, live: Any, ids: Ids) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(live, dict):
        for name in dict.fromkeys((*recorded, *live)):
            place = f"{where}.{name}" if where else name
            if name in _IDS:
                yield from _differing_ids(place, recorded.get(name), live.get(name), ids)
            else:
                yield from _differing(place, recorded.get(name), live.get(name), ids)
    elif isinstance(recorded, list) and isinstance(live, list) and len(recorded) == len(live):
        for row, (old, new) in enumerate(zip(recorded, live, strict=True)):
            yield from _differing(f"{where}[{row}]", old, new, ids)
    elif recorded != live and not (isinstance(recorded, str) and _REDACTED in recorded):
        recorded, live = _from_where_they_part(recorded, live)
        yield f"{where}: expected {_quoted(recorded)}, came {_quoted(live)}"


def _from_where_they_part(recorded: Any, live: Any) -> tuple[Any, Any]:
    """Two long texts without most of what they have in common at their beginning."""
    if not (isinstance(recorded, str) and isinstance(live, str)):
        return recorded, live
    pairs = enumerate(zip(recorded, live, strict=False))
    apart = next((row for row, (old, new) in pairs if old != new), min(len(recorded), len(live)))
    begin = apart - _SHOWN // 3
    if begin <= 0 or max(len(recorded), len(live)) < _SHOWN - 2:
        return recorded, live
    return f"\u2026{recorded[begin:]}", f"\u2026{live[begin:]}"


def _differing_ids(where: str, recorded: Any, live: Any, ids: Ids) -> Iterator[str]:
    """An id fits as it was recorded, as it is called now, and for the first time."""
    if recorded == live or not isinstance(recorded, str) or not isinstance(live, str):
        return
    if ids.recorded(live) != recorded and not ids.is_new(recorded):
        yield f"{where}: expected {_quoted(ids.live(recorded))}, came {_quoted(live)}"


def _quoted(value: Any) -> str:
    if value is None:
        return "nothing"
    told = orjson.dumps(value).decode()
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"


def described(kind: str, body: JSON) -> str:
    """A client event in a few words."""
    take = COMPARED.get(kind)
    found = take(body) if take else {}
    told = next((value for value in found.values() if value), None)
    return f"{kind} {_quoted(told)}" if told else kind


def recorded_as(ask: Ask) -> str:
    """A recorded client event in a few words."""
    return f"{described(ask.kind, ask.body)} (event {ask.seq})"
