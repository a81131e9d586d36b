"""The only writing that is done here: notes and tags, as events at the end of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from recorder.errors import UsageError
from recorder.selecting import is_term
from recorder.sql.afterwards import append_fact, last_at
from recorder.sql.views import Views

from .asking import json_answer

if TYPE_CHECKING:
    from recorder.events import Session
    from recorder.transport.http import Response

    from .asking import Ask
    from .desk import Desk

MOST_TAGS: Final = 50
LONGEST_TAG: Final = 200
LONGEST_NOTE: Final = 10_000
"""Characters."""


async def note(ask: Ask) -> Response:
    """Write a note."""
    return json_answer(await ask.work(_note, ask.desk, ask.place["id"], ask.body()))


async def tag(ask: Ask) -> Response:
    """Give tags, or take them off."""
    return json_answer(await ask.work(_tag, ask.desk, ask.place["id"], ask.body()))


def _note(desk: Desk, name: str, body: dict[str, Any]) -> dict[str, Any]:
    text, at_ns = body.get("text"), body.get("at_ns")
    if not isinstance(text, str) or not text.strip():
        raise UsageError("text: a note needs a text")
    if len(text) > LONGEST_NOTE:
        raise UsageError(f"text: a note has at most {LONGEST_NOTE} characters")
    session = _over(desk, name)
    end = last_at(desk.store, session, desk.store.last_seq(session.id))
    if at_ns is None:
        at_ns = end
    if not isinstance(at_ns, int) or isinstance(at_ns, bool) or not 0 <= at_ns <= end:
        raise UsageError(f"at_ns: expected nanoseconds up to the end of the session, {end}")
    seq = append_fact(desk.store, session, "note", {"text": text, "at_ns": at_ns})
    desk.shelf.changed()
    return {"seq": seq, "at_ns": at_ns}


def _tag(desk: Desk, name: str, body: dict[str, Any]) -> dict[str, Any]:
    add, remove = _words(body, "add"), _words(body, "remove")
    if not add and not remove:
        raise UsageError("add, remove: say which tags")
    session = _over(desk, name)
    append_fact(desk.store, session, "tag", {"add": add, "remove": remove})
    desk.shelf.changed()
    return {"tags": Views(desk.store, desk.now_ns()).row(session.id).tags}


def _over(desk: Desk, name: str) -> Session:
    """The session, which nobody records. Raises `UsageError`."""
    session = desk.store.session(name)
    if Views(desk.store, desk.now_ns()).is_live(session.id):
        raise UsageError("this session is being recorded right now; it can be changed when it ends")
    return session


def _words(body: dict[str, Any], name: str) -> list[str]:
    found = body.get(name, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise UsageError(f"{name}: expected a list of tags")
    words = list(dict.fromkeys(word.strip() for word in found))
    if len(words) > MOST_TAGS:
        raise UsageError(f"{name}: at most {MOST_TAGS} tags at once")
    for word in words:
        if not word or len(word.split()) > 1 or len(word) > LONGEST_TAG:
            raise UsageError(f"{name}: a tag is one word without spaces")
        if name == "add" and is_term(word):
            raise UsageError(f"{word[:80]} would choose sessions, and is no tag")
    return words
