"""Whether a file that was written really lacks what it should lack.

It does not trust what made the file: the file is read again, and what stands in it is held
against the sessions as they are in the log.

Laws:

1. Nothing of the content stands in the file: no string of the sessions of twelve characters or
   more, but for words of the protocol and ids that a server made up.
2. No string in it is long, unless it is all `*` or base64 of zeros; all sound is silence.
3. Nothing in it looks like a secret, whatever was to be shared.
4. What is not data in a page is the same for every session.
5. Every file of a bundle has the length and the sum that its manifest says, and none is missing.

Each problem is told in a sentence that holds nothing of the content itself.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from .. import wire
from ..events import CLOSE
from ..page import blocks, shell
from ..secrets import may_hold_secret, redact_message, redact_text
from ..shareable import HEADERS, HOSTS, QUERIES, VOCABULARY
from ..sharing import MASK
from .bundle import MANIFEST, README, about

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..events import Event
    from .base import Source

LEAST: Final = 12
"""Characters of a string that is searched for: shorter ones stand anywhere by chance."""
MOST: Final = 128
"""Characters of a string that a file without content may hold."""
_PIECE: Final = 64
"""Of a long string its two ends and its middle are searched for, so much of each."""

_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"')
_MINTED = re.compile(
    r"(?:event|sess|session|conv|resp|item|msg|call|fc|req|mcp|mcpl|ctc)[_-][A-Za-z0-9_]{12,}|"
    r"(?:call-)?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?:-[0-9]+)?|[0-9a-f]{64}|"
    r"[0-9T:.\-+Z ]+"
)
_PHONE = re.compile(r"^rtc_|@|^[+0-9().\- ]{6,}$")
_LONG_BASE64 = re.compile(rb"[A-Za-z0-9+/]{200,}={0,2}")
_STRUCTURE: Final = frozenset(
    {
        "type", "object", "status", "role", "id", "code", "model", "voice", "format", "param",
        "modalities", "output_modalities", "input_audio_format", "output_audio_format",
        "subprotocol",
    }
)  # fmt: skip
"""Names under which no content stands; so are those that end in `_id`."""


def problems(name: str, file: IO[bytes], sources: Iterable[Source], share: str) -> list[str]:
    """What is wrong with the file that was written under this name; empty where all is well."""
    found: list[str] = []
    strings = set()
    for part, content in _parts(name, file, found):
        strings |= _strings(part, content, found, share)
    if share == "full":
        return found
    for text in strings:
        if len(text) > MOST and not _is_empty(text):
            found.append(f"a string of {len(text)} characters stands in it")
    haystack = "\n".join(text for text in strings if not (_is_empty(text) or _tells_nothing(text)))
    for needle, (where, length) in _content(sources).items():
        if needle in haystack:
            found.append(f"{where}: a text of {length} characters stands in it")
    return found


def _is_empty(text: str) -> bool:
    """Nothing but `*`, or base64 of zeros: silence."""
    return not text.strip(MASK) or not text.strip("A=")


def _tells_nothing(text: str) -> bool:
    return text in VOCABULARY or _MINTED.fullmatch(text) is not None


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= 3 * _PIECE:
        yield text
        return
    middle = (len(text) - _PIECE) // 2
    yield from (text[:_PIECE], text[-_PIECE:], text[middle : middle + _PIECE])


# ---- what stands in the file


def _parts(name: str, file: IO[bytes], found: list[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The files in it: itself, or those of the zip, each checked against the manifest."""
    file.seek(0)
    if name.endswith(".html"):
        yield from _blocks(file.read(), found)
        return
    if not name.endswith(".zip"):
        yield name, file
        return
    with zipfile.ZipFile(file) as archive:
        manifest = orjson.loads(archive.read(MANIFEST))
        told = {each["name"]: each for each in manifest["files"]}
        if set(told) | {MANIFEST} != set(archive.namelist()):
            found.append("the files of the zip are not those of its manifest")
        for part in archive.namelist():
            if part in told:
                _check_sum(archive, told[part], found)
            if part == README:
                if archive.read(part).decode() != about(manifest["share"]):
                    found.append(f"{part} is not as it should be")
                continue
            if part == MANIFEST:
                # What it says of itself is fixed; its session lines and names are looked at.
                looked = {name: manifest[name] for name in ("sessions", "files", "share")}
                yield part, io.BytesIO(orjson.dumps(looked))
                continue
            with archive.open(part) as content:
                yield part, content


def _blocks(page: bytes, found: list[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The data of a page; what is around them is the same for every session."""
    for name, text in blocks(page):
        if name:
            yield f"{name}.json", io.BytesIO(text)
        elif text.replace(b"".join(shell()), b""):
            found.append("there is more in the page than the page itself and its data")


def _check_sum(archive: zipfile.ZipFile, told: dict[str, Any], found: list[str]) -> None:
    digest, size = hashlib.sha256(), 0
    with archive.open(told["name"]) as content:
        while piece := content.read(1 << 16):
            digest.update(piece)
            size += len(piece)
    if (size, digest.hexdigest()) != (told["bytes"], told["sha256"]):
        found.append(f"{told['name']} is not what its sum in the manifest says")


def _strings(part: str, content: IO[bytes], found: list[str], share: str) -> set[str]:
    """Every string in the file, once."""
    suffix = part.rpartition(".")[2]
    if suffix in ("wav", "flac"):
        if share != "full" and not _is_silent(content):
            found.append(f"{part} is not silent")
        return set()
    strings: set[str] = set()
    for number, line in enumerate(content, 1):
        _look_for_secrets(part, number, line, found)
        if share == "full":
            continue
        if suffix in ("json", "jsonl", "har"):
            strings.update(_json_strings(line))
        elif suffix == "csv":
            strings.update(cell for row in csv.reader([line.decode()]) for cell in row)
        else:
            strings.update(word for word in re.split(r"[\s\[\]()]{1,}", line.decode()))
            strings.add(line.decode().strip()[:MOST])
    return strings


def _json_strings(line: bytes) -> Iterator[str]:
    """The strings of a line of JSON, and those of messages that are strings themselves."""
    for found in _STRING.finditer(line):
        raw = found.group(1)
        text = str(orjson.loads(found.group())) if b"\\" in raw else raw.decode("utf-8", "replace")
        if text.startswith("{"):
            yield from _json_strings(text.encode())
        else:
            yield text


def _is_silent(content: IO[bytes]) -> bool:
    import soundfile

    if isinstance(content, zipfile.ZipExtFile):  # no way back in these, and silence is small
        content = io.BytesIO(content.read())
    with soundfile.SoundFile(content) as sound:
        return not any(block.any() for block in sound.blocks(1 << 16, dtype="int16"))


def _look_for_secrets(part: str, number: int, line: bytes, found: list[str]) -> None:
    """By their names in messages; in other files, where names mean other things, by their looks."""
    clean = _LONG_BASE64.sub(b"", line)
    if not may_hold_secret(clean):
        return
    if part.endswith(".jsonl"):
        names = redact_message(clean)[1]
    else:
        names = redact_text(clean.decode("utf-8", "replace"))[1]
    if names:
        found.append(f"{part}, line {number}: a secret stands in it ({', '.join(names)})")


# ---- what should not


def _content(sources: Iterable[Source]) -> dict[str, tuple[str, int]]:
    """Pieces of every string that people or programs put into the sessions: where each stood,
    and how long it was."""
    content: dict[str, tuple[str, int]] = {}
    for source in sources:
        whole = source.whole
        session, name = whole.session, whole.session.id[-6:]
        words = [*session.labels.values(), session.call, *_of_url(session.url)]
        words += _of_headers(session.headers)
        for word in words:
            _note(content, word, f"session {name}")
        for event in whole.events(False):
            where = f"event {event.seq} of session {name}"
            for word in _words_of(event):
                _note(content, word, where)
    return content


def _note(content: dict[str, tuple[str, int]], word: str, where: str) -> None:
    text = word.strip()
    if len(text) >= LEAST and text.strip(MASK) and not _tells_nothing(text):
        for piece in _pieces(text):
            content.setdefault(piece, (where, len(text)))


def _words_of(event: Event) -> Iterator[str]:
    body = wire.parse(event)
    if body:
        yield from _leaves("", body)
    else:
        head = event.head[2:] if event.opcode == CLOSE else event.head
        yield head.decode("utf-8", "replace")


def _leaves(key: str, value: Any) -> Iterator[str]:
    match value:
        case str() if key in ("id", "call_id") or key.endswith("_id"):
            if _PHONE.search(value):
                yield value
        case str() if key == "url":
            yield from _of_url(value)
        case str() if key not in _STRUCTURE:
            yield value
        case list() if key == "headers":
            yield from _of_headers(value)
        case list():
            for each in value:
                yield from _leaves(key, each)
        case dict():
            for name, each in value.items():
                yield name
                yield from _leaves(name, each)


def _of_headers(pairs: Iterable[Any]) -> Iterator[str]:
    """The values of headers, but for those that tell nothing."""
    for pair in pairs:
        if (
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(isinstance(each, str) for each in pair)
        ):
            shape = HEADERS.get(pair[0].lower())
            if shape is None or not shape.fullmatch(pair[1]):
                yield pair[1]


def _of_url(url: str) -> Iterator[str]:
    """The host of a URL and the values of its query, but for those that everybody knows."""
    try:
        parts = urlsplit(url)
        host, query = parts.hostname or "", parse_qsl(parts.query)
    except ValueError:
        yield url
        return
    if host not in HOSTS:
        yield host
    for name, value in query:
        if name not in QUERIES or not QUERIES[name].fullmatch(value):
            yield value
