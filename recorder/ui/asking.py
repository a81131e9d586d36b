"""What a handler is asked, what it answers with, and what a row of the table of routes says."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

import orjson
import trio

from recorder.errors import UsageError
from recorder.transport.http import Headers, Request, Response

if TYPE_CHECKING:
    from .desk import Desk

P = ParamSpec("P")
T = TypeVar("T")

WORTH: Final = 1400
"""Bytes from which on an answer is compressed: what fits a packet gains nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request that was let in, and everything that answering it takes."""

    desk: Desk
    request: Request
    place: Mapping[str, str]
    """What stands in the path where the route has {names}, decoded."""
    given: Mapping[str, str]
    """The query; of a name that is given twice the last."""

    async def work(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function in a worker thread. Reading the store takes time."""
        return await trio.to_thread.run_sync(
            partial(job, *args, **kwargs), limiter=self.desk.limiter
        )

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises `UsageError`."""
        try:
            found = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            raise UsageError("the body is not JSON") from None
        if not isinstance(found, dict):
            raise UsageError("the body is not a JSON object")
        return found

    def count(self, name: str, default: int, most: int) -> int:
        """A whole number of the query. Raises `UsageError`."""
        return whole(name, self.given.get(name) or str(default), most)


Handler: TypeAlias = Callable[[Ask], Awaitable[Response]]


class Route(NamedTuple):
    """One address."""

    method: str
    pattern: str
    """A path; `{name}` stands for one piece of it."""
    handler: Handler
    help: str
    """What it answers with, in a sentence or two."""
    given: Mapping[str, str] = {}
    """Parameters of the query, or members of the body, and what each means."""


def whole(name: str, word: str, most: int) -> int:
    """A whole number from 0 to `most`. Raises `UsageError`."""
    if not (word.isascii() and word.isdigit() and len(word) < 20) or int(word) > most:
        raise UsageError(f"{name}={word[:40]!r}: expected a whole number up to {most}")
    return int(word)


def json_answer(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """`value` as a JSON document."""
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return Response(status, (("Content-Type", "application/json"), *headers), text)


def wrong(status: int, message: str, **more: object) -> Response:
    """What went wrong, in words."""
    return json_answer({"error": {"message": message, **more}}, status)


def compressed(request: Request, answer: Response, level: int = 5) -> Response:
    """The same answer in fewer bytes, where the client takes that and it is worth it."""
    body, names = answer.body, {name.lower() for name, _ in answer.headers}
    if not isinstance(body, bytes) or len(body) < WORTH or answer.status != 200:
        return answer
    if "content-encoding" in names or "gzip" not in (request.header("Accept-Encoding") or ""):
        return answer
    headers = (*answer.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(answer.status, headers, gzip.compress(body, level, mtime=0))
