"""Our own JSONL (`recorder.exporters.jsonl`): sessions and events as they were, number for number.

It was redacted when it was recorded, but anybody can write such a file: it is redacted again,
which changes nothing in what we wrote. Numbers and times must go on as the log's laws say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from .. import wire
from ..capturing import CAPTURES
from ..errors import UsageError
from ..events import CLOSE, Event, Session
from ..exporters import jsonl
from ..secrets import may_hold_secret, redact_headers, redact_message, redact_text, redact_url
from .nouns import Damaged
from .raw import BOM, LINE_LIMIT, lines, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .nouns import Asked, File, Item

_MOST: Final = (1 << 63) - 1
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read(file: File, asked: Asked) -> Iterator[Item]:
    """The sessions of the file, each followed by its events. Raises `Damaged`."""
    feed = _Feed(unpacked(file()))
    sealer = _Sealer(asked.secrets)
    waiting: Session | None = None
    last_seq = last_ns = 0
    try:
        for item in jsonl.read(feed):
            if isinstance(item, Session):
                waiting = sealer.session(_checked_session(item))
                last_seq = last_ns = 0
                continue
            _check(item, last_seq, last_ns)
            last_seq, last_ns = item[0], item[1]
            if waiting is not None:
                yield waiting
                waiting = None
            yield sealer.event(item)
    except Damaged:
        raise
    except UsageError as error:
        raise _damage(error.__context__ or error, feed) from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _damage(error, feed) from None


def _damage(cause: BaseException, feed: _Feed) -> Damaged:
    """What the reader stumbled over, in words."""
    if isinstance(cause, orjson.JSONDecodeError):
        told = f"it is no JSON ({cause.msg})"
    elif isinstance(cause, KeyError):
        told = f"{cause} is missing"
    else:
        told = f"not as we write it ({cause})"
    return Damaged(told, byte=feed.byte, line=feed.number)


class _Feed:
    """Lines for the reader; where the last one begins is known when it complains."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.number, self.byte = 1, 0

    def __iter__(self) -> Iterator[bytes]:
        for number, byte, text in lines(self._pieces):
            self.number, self.byte = number, byte
            yield text.removeprefix(BOM) if number == 1 else text


# ---- what a file may say


def _need(*, sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(what)


def _checked_session(session: Session) -> Session:
    """The session, if it is one that the log can hold. Raises `ValueError`."""
    names = ("id", "kind", "vantage", "url", "model", "call", "capture", "recorder")
    for name in names:
        _need(sound=isinstance(getattr(session, name), str), what=f"{name} is no text")
    _need(sound=bool(_UUID.fullmatch(session.id)), what="the id of the session is no UUID")
    _need(sound=len(session.recorder) <= 36, what="the recorder is no UUID")
    _need(sound=session.capture in CAPTURES, what="capture is none that there is")
    for ns in (session.wall_ns, session.mono_ns):
        _need(sound=type(ns) is int and 0 <= ns <= _MOST, what="the time of the session is none")
    for pairs in (dict(session.versions).items(), dict(session.labels).items(), session.headers):
        texts = all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)
        _need(sound=texts, what="headers, versions or labels are no text")
    return session


def _check(event: Event, last_seq: int, last_ns: int) -> None:
    """Raises `ValueError` for an event that cannot follow the last one."""
    seq, at_ns, _, kind, opcode, head, meta, _ = event
    if seq != last_seq + 1:
        raise ValueError(f"event {last_seq + 1} was expected, and {seq!r} stands there")
    if type(at_ns) is not int or not last_ns <= at_ns <= _MOST:
        raise ValueError(f"its time, {at_ns!r}, lies before that of the event before it")
    if type(opcode) is not int or not 0 <= opcode <= 15:
        raise ValueError(f"{opcode!r} is no opcode")
    if type(kind) is not str or len(kind) > wire.TYPE_LIMIT or not kind.isprintable():
        raise ValueError("its type is not as types are written here")
    if meta is not None and ("tombstone" in meta or "redacted" in meta):
        _check_meta(orjson.loads(meta), len(head))


def _check_meta(meta: Mapping[str, Any], size: int) -> None:
    names, stone, cuts = meta.get("redacted", []), meta.get("tombstone"), meta.get("cuts", [])
    _need(
        sound=isinstance(names, list) and all(isinstance(name, str) for name in names),
        what="what it says was redacted is no list of names",
    )
    offset = 0
    for at, length in cuts:
        sound = type(at) is int and type(length) is int and offset <= at <= size and length >= 0
        _need(sound=sound, what="its cuts do not lie in its message")
        offset = at
    whole = sum(length for _, length in cuts)  # whoever reads it makes silence of that length
    _need(sound=whole <= LINE_LIMIT, what="its cuts are longer than any message")
    if stone is not None:
        digest = stone.get("sha256", "0" * 64)
        told = isinstance(stone.get("reason"), str) and isinstance(digest, str)
        _need(sound=told and bool(_SHA256.fullmatch(digest)), what="its tombstone tells nothing")


# ---- redaction, once more


class _Sealer:
    """Redacts what was redacted already, in case it was not."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._texts = secrets
        self._secrets = tuple(secret.encode() for secret in secrets if secret)
        self._types: dict[str, str] = {}

    def session(self, session: Session) -> Session:
        """The session without secrets."""
        labels = {name: self._clean(label) for name, label in session.labels.items()}
        return replace(
            session,
            url=redact_url(session.url, self._texts)[0],
            headers=redact_headers(session.headers, self._texts)[0],
            model=self._clean(session.model),
            call=self._clean(session.call),
            labels=labels,
        )

    def _clean(self, text: str) -> str:
        return redact_text(text, self._texts)[0]

    def event(self, event: Event) -> Event:
        """The event without secrets: the very same, if it had none."""
        named = event[3]
        kind = self._types.get(named)
        if kind is None:
            kind = self._clean(named)[: wire.TYPE_LIMIT]
            if len(self._types) < 1000:
                self._types[named] = kind
        if kind is not named and kind != named:
            event = event._replace(type=kind)
        if not may_hold_secret(event[5], self._secrets):
            return event
        if wire.tombstone(event) is not None:
            return self._of_tombstone(event)
        message = wire.join(event)
        clean, names = redact_message(message, self._secrets)
        if clean == message:
            return event
        part = wire.split(clean)
        if event.opcode >= CLOSE:
            part = wire.Split("", clean, None, None)
        names = list(dict.fromkeys([*wire.redacted(event), *names]))
        _, head, meta, audio = wire.with_redactions(part, names)
        return event._replace(head=head, meta=meta, audio=audio)

    def _of_tombstone(self, event: Event) -> Event:
        """Its cuts move with what is replaced around them: a mark holds the place of each."""
        mark = b"\x01"
        while mark in event.head:
            mark += b"\x01"
        cuts = wire.cuts_of(event)
        pieces, begin = [], 0
        for offset, _ in cuts:
            pieces.append(event.head[begin:offset])
            begin = offset
        marked, names = redact_message(mark.join([*pieces, event.head[begin:]]), self._secrets)
        pieces = marked.split(mark)
        if not names:
            return event
        meta: dict[str, Any] = orjson.loads(event.meta or "{}")
        meta["redacted"] = list(dict.fromkeys([*wire.redacted(event), *names]))
        stone = meta.pop("tombstone")
        if len(pieces) != len(cuts) + 1:  # a secret where audio stood: nothing of it is kept
            pieces, cuts = [b""], []
            meta.pop("cuts", None)
        ends = [sum(map(len, pieces[: row + 1])) for row in range(len(cuts))]
        if cuts:
            meta["cuts"] = [[end, length] for end, (_, length) in zip(ends, cuts, strict=True)]
        told = orjson.dumps(meta | {"tombstone": stone}).decode()
        return event._replace(head=b"".join(pieces), meta=told)
