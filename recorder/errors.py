"""What can go wrong, by whose fault it is.

    RecorderError
    ├── UsageError                the person's: what was typed, named or configured
    │   ├── SessionNotFound       no session answers to that name, or several do
    │   └── AudioFileError        a sound file that cannot be read
    ├── StoreError                the database's
    │   ├── StoreUnavailable      locked, full, gone: trying again may help
    │   ├── ForeignDatabase       not ours, newer than this code, or changed by hand
    │   ├── SequenceConflict      an append that does not continue its session
    │   └── DamagedLog            the digest chain or an event does not add up
    └── EndpointError             the other side's
        ├── Unreachable           no connection: name, port, network
        ├── UntrustedCertificate  TLS: the certificate is not trusted
        ├── EndpointTimeout       nothing came in the time that was asked for
        ├── HandshakeRefused      an HTTP answer other than 101
        ├── ProtocolViolation     bytes that are no WebSocket handshake or frame
        ├── SessionClosed         the connection ended while something was awaited
        └── ServerError           an `error` event in answer to what we asked

Foreign exceptions (trio, SQLAlchemy, wsproto, soundfile) are translated into these once,
where they enter. A message says what happened, where, what was expected, what to do.
`exit_code` is what the command line ends with.
"""

from __future__ import annotations

from collections.abc import Sequence


class RecorderError(Exception):
    """The root: everything this package raises on purpose."""

    exit_code = 2


class UsageError(RecorderError):
    """Something the person typed, named or configured cannot be used."""


class SessionNotFound(UsageError):
    """No session, or more than one, answers to the name that was given."""


class AudioFileError(UsageError):
    """A sound file cannot be read, or is not what it was said to be."""


class StoreError(RecorderError):
    """The database cannot do what was asked."""


class StoreUnavailable(StoreError):
    """The database is locked, full, read-only or gone. Trying again may help."""


class ForeignDatabase(StoreError):
    """The database is not ours, is newer than this code, or was changed by hand."""


class SequenceConflict(StoreError):
    """An append that does not continue its session: a gap, an overlap, or another writer."""

    def __init__(self, session: str, expected: int, found: int) -> None:
        self.session, self.expected, self.found = session, expected, found
        super().__init__(
            f"session {session}: the next event must have sequence number {expected}, "
            f"but the first one given has {found}"
        )


class DamagedLog(StoreError):
    """What is stored is not what was appended."""


class EndpointError(RecorderError):
    """The other side refused, failed, or did not answer."""

    exit_code = 3


class Unreachable(EndpointError):
    """No connection could be made."""


class UntrustedCertificate(EndpointError):
    """The TLS certificate of the other side is not trusted."""


class EndpointTimeout(EndpointError):
    """Nothing came within the time that was asked for."""


class HandshakeRefused(EndpointError):
    """The upgrade was answered with something other than 101.

    `headers` are (name, value) pairs as they came, `body` at most 64 KiB of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status, self.headers, self.body = status, tuple(headers), body


class ProtocolViolation(EndpointError):
    """The other side sent bytes that are no WebSocket handshake or frame."""


class SessionClosed(EndpointError):
    """The connection ended while something was still awaited.

    `code` is the close code; 1005 where the close frame had none, 1006 where none came.
    """

    def __init__(self, message: str, *, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class ServerError(EndpointError):
    """The endpoint answered with an `error` event; `error` is its inner object."""

    def __init__(self, message: str, *, error: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.error = error or {}
