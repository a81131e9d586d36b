"""What commands that listen have in common: the address, TLS, and ending in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.errors import UsageError

if TYPE_CHECKING:
    import ssl


def read_address(listen: str, option: str = "--listen") -> tuple[str, int]:
    """Host and port of `HOST:PORT`, or of a port alone. Raises `UsageError`."""
    host, colon, port = listen.rpartition(":")
    if not colon:
        host, port = "127.0.0.1", listen
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"{option} {listen}: expected HOST:PORT, as in 127.0.0.1:8765")
    return host.strip("[]") or "127.0.0.1", int(port)


def server_tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """What a server needs for TLS, from two files; None without them. Raises `UsageError`."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UsageError("--cert and --key go together")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--cert {cert}, --key {key}: they cannot be loaded: {error}") from None
    return context


async def until_signalled() -> None:
    """Wait for Ctrl-C, SIGTERM or SIGHUP."""
    import signal

    import trio

    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, hangup) as signals:
        async for _ in signals:
            return
