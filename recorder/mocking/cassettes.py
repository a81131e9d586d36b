"""Where sessions to be played come from: a store, or files of our own JSONL."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import orjson

from recorder.errors import UsageError
from recorder.events import Event, Session
from recorder.pinning import read
from recorder.store import EventStore

from .choosing import Recorded


def from_store(
    store: EventStore, session: Session, *, model: str = "", tags: tuple[str, ...] = ()
) -> Recorded:
    """A session of a store. It is read in pages, anew for every client."""
    return Recorded(session=session, events=partial(store.read, session.id), model=model, tags=tags)


def from_file(path: Path) -> list[Recorded]:
    """The sessions of an exported file, gzipped or not. Raises `UsageError`."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read: {error.strerror}") from None
    found: list[Recorded] = []
    for item in _items(path):
        if isinstance(item, Session):
            found.append(Recorded(session=item, events=partial(_events, path, item.id)))
        elif item.type in ("recorder.opened", "recorder.tag", "session.created") and found:
            found[-1] = _described(found[-1], item)
    if not found:
        raise UsageError(f"{path}: there is no session in it")
    return found


def _described(recorded: Recorded, event: Event) -> Recorded:
    """With the model and the tags that the event tells of."""
    body = orjson.loads(event.head)
    session = body.get("session")
    model, tags = recorded.model, dict.fromkeys(recorded.tags)
    if isinstance(session, dict) and isinstance(session.get("model"), str):
        model = session["model"]
    for added in (*(body.get("tags") or ()), *(body.get("add") or ())):
        tags[str(added)] = None
    for removed in body.get("remove") or ():
        tags.pop(str(removed), None)
    return Recorded(session=recorded.session, events=recorded.events, model=model, tags=tuple(tags))


def _events(path: Path, session_id: str) -> Iterator[Event]:
    inside = False
    for item in _items(path):
        if isinstance(item, Session):
            if inside:
                return
            inside = item.id == session_id
        elif inside:
            yield item


def _items(path: Path) -> Iterator[Session | Event]:
    try:
        yield from read(path)
    except UsageError as error:
        raise UsageError(f"{error}; `recorder export jsonl` writes what can be played") from None
