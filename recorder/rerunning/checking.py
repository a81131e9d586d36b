"""What cannot be run again, and what a person should know before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..dialects.reading import mapping
from ..dialects.sessions import session_config
from ..errors import UsageError
from ..events import BINARY, TEXT, Event, Origin
from ..replaying import causes
from ..wire import audio_bytes, join, parse, tombstone

if TYPE_CHECKING:
    from ..audio.formats import AudioFormat
    from ..events import Session
    from .nouns import Read

REDACTED: Final = b"[redacted:"
WITH_SECRETS: Final = frozenset({causes.UPDATE, causes.RESPOND})
"""Where a secret that is missing makes another session: a tool's credentials. In what a user wrote
it is only words."""

_QUIET: Final = {"g711_ulaw": b"\xff", "g711_alaw": b"\xd5"}


def check_session(session: Session) -> None:
    """Whether there is a conversation to run again. Raises `UsageError`."""
    name = f"session {session.id}"
    if session.kind != "websocket":
        raise UsageError(f"{name} is an HTTP side call: there is no caller to run again")
    if session.capture == "metadata":
        raise UsageError(f"{name} was captured without content (metadata): it cannot be run again")


def check_events(read: Read, session_id: str, *, silence: bool) -> list[str]:
    """What a person should know of the caller's side. Raises `UsageError` where it cannot be run.

    `silence`: audio that is gone is to be replaced, and is no reason to refuse.
    """
    said = gone = lost = 0
    for event in read(audio=False):
        if event.type == "recorder.gap":
            lost += 1
        if event.origin != Origin.CLIENT or event.opcode not in (TEXT, BINARY):
            continue
        said += 1
        gone += _is_gone(event, session_id, silence=silence)
    if not said:
        raise UsageError(f"in session {session_id} the client sent nothing: nothing to run again")
    notes = [f"silence is sent for the audio of {gone} events, which is gone"] if gone else []
    if lost:
        notes.append("messages are missing in the recording (gaps): so they are in the rerun")
    return notes


def configured_before(read: Read) -> list[str]:
    """A remark where the session was configured before it began, as with a token of one's own:
    what the client never asked for, this run does not ask for either.
    """
    given: list[str] = []
    for event in read(audio=False, types=("session.created", "session.update")):
        config = session_config(mapping(parse(event), "session"))
        if event.origin == Origin.CLIENT and config.tools is not None:
            return []
        if event.origin == Origin.SERVER and not given:
            given = list(config.tools or ())
    if not given:
        return []
    return [
        f"the recorded session had tools before the client asked for any ({', '.join(given)}): "
        "where this endpoint does not know them, give them with --session FILE"
    ]


def _is_gone(event: Event, session_id: str, *, silence: bool) -> bool:
    """Whether the audio of this event is gone. Raises `UsageError` where that is in the way."""
    stone = tombstone(event)
    if stone is None:
        return False
    why = stone.get("reason", "gone")
    where = f"event {event.seq} ({event.type}) of session {session_id}"
    if audio_bytes(event) is None or "bytes" in stone:
        raise UsageError(f"{where} is not whole ({why}): it cannot be sent again")
    if not silence:
        raise UsageError(
            f"the audio of {where} is gone ({why}); add --silence to send silence of the same "
            "length instead"
        )
    return True


def whole(event: Event, form: AudioFormat) -> bytes:
    """The exact message; audio that is gone is silence in this format."""
    size = audio_bytes(event)
    if size is None or event.audio is not None:
        return join(event)
    return join(event._replace(audio=quiet(form, size)))


def quiet(form: AudioFormat, size: int) -> bytes:
    """So many bytes of silence."""
    return _QUIET.get(form.encoding, b"\0") * size


def check_secrets(event: Event, message: bytes) -> None:
    """A secret is not in the recording, so it cannot be sent again. Raises `UsageError`."""
    if REDACTED in message and causes.canonical(event.type) in WITH_SECRETS:
        raise UsageError(
            f"event {event.seq} ({event.type}) held a secret, which is not in the recording; "
            "give that part of the configuration anew with --session FILE"
        )


def offered(session: Session) -> tuple[str, ...]:
    """The subprotocols that the recorded client offered and that say nothing of who it was.

    Its credentials are not in the recording, and this run has its own; whether the beta is asked
    for is `--dialect`'s to say.
    """
    found: list[str] = []
    for name, value in session.headers:
        if name.lower() == "sec-websocket-protocol":
            found += [word.strip() for word in value.split(",")]
    personal = ("openai-", "xai-", "api-key")
    return tuple(
        dict.fromkeys(
            word for word in found if word and "[redacted" not in word
            and not word.startswith(personal)
        )
    )  # fmt: skip
