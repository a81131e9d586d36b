"""From a target to a stream: name lookup, TCP, the proxy's tunnel, TLS.

Each way in which this fails has its own error, within the timeout that bounds it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import certifi
import trio

from recorder.errors import (
    ProtocolViolation,
    RecorderError,
    Unreachable,
    UntrustedCertificate,
    UsageError,
)
from recorder.transport.exchange import Exchange, until
from recorder.transport.handshake import Handshake, user_agent
from recorder.transport.nurseries import plain_errors
from recorder.transport.streams import Wire, discard
from recorder.transport.urls import Proxy, Scrubber, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. Each failure comes within the one that bounds it."""

    connect: float = 10.0
    """Name lookup and TCP."""
    handshake: float = 10.0
    """Proxy tunnel, TLS and the answer to the upgrade, together."""
    close: float = 5.0
    """The other side's answer to our Close, and its end of the TCP connection."""
    silence: float | None = 40.0
    """Not one byte for so long (a ping is sent at half time): the session is given up."""


class Trust(NamedTuple):
    """What decides whether a certificate is trusted."""

    context: ssl.SSLContext | None = None
    """Taken as it is, for the endpoint."""
    ca_file: str | None = None
    """Trusted beside the system's own authorities."""


class Link(NamedTuple):
    """A connection that stands: what is spoken on, and the layer below TLS."""

    stream: trio.abc.Stream
    wire: Wire
    deadline: float
    """In trio's time, of `Timeouts.handshake`, which has begun to run."""


async def dial(
    target: Target,
    *,
    proxy: Proxy | None,
    trust: Trust,
    timeouts: Timeouts,
    scrub: Scrubber,
    clock: Callable[[], int],
    record: Handshake,
) -> Link:
    """A stream to `target` over which the upgrade can be asked for."""
    record.dialled_ns = clock()
    record.proxy = proxy.address if proxy else ""
    via = f"the proxy {proxy.address}" if proxy else ""
    tcp = await _connect(*((proxy or target).host, (proxy or target).port), via, timeouts.connect)
    record.connected_ns = clock()
    record.peer = _peer(tcp)
    wire = Wire(tcp)
    deadline = trio.current_time() + timeouts.handshake
    stream: trio.abc.Stream = wire
    try:
        if proxy is not None:
            if proxy.secure:
                context = tls_context(Trust(ca_file=trust.ca_file))
                secure = _Secure(proxy.host, via, context, deadline, timeouts.handshake)
                stream = await secure.over(stream)
            await _tunnel(stream, proxy, target, deadline, timeouts.handshake, scrub, clock)
        if target.secure:
            context = tls_context(trust)
            secure = _Secure(target.host, target.address, context, deadline, timeouts.handshake)
            stream = await secure.over(stream)
            record.secured_ns = clock()
    except BaseException:
        await discard(wire)
        raise
    return Link(stream, wire, deadline)


async def _connect(host: str, port: int, via: str, seconds: float) -> trio.SocketStream:
    where = via or _address(host, port)
    late = (
        f"no connection to {where} within {seconds:g} s; check host and port, and whether a "
        "firewall or a proxy stands in between"
    )
    try:
        with plain_errors(), until(trio.current_time() + seconds, late):
            stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise unreachable(error, host, where) from error
    except (UnicodeError, OverflowError, ValueError) as error:
        raise UsageError(f"{where} cannot be a host and port") from error
    return stream


def unreachable(error: OSError, host: str, where: str) -> Unreachable:
    """What a failed connect means, and what to check."""
    if isinstance(error, socket.gaierror):
        return Unreachable(
            f"the host name {host} cannot be resolved ({error.strerror}); check its spelling and "
            "this machine's DNS"
        )
    numbers = {inner.errno for inner in _all_os_errors(error)}
    if errno.ECONNREFUSED in numbers:
        return Unreachable(
            f"{where} refused the connection: nothing listens there; check host and port"
        )
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}:
        return Unreachable(
            f"the network does not reach {where}; check the connection, VPN and proxy settings"
        )
    words = next((os.strerror(n) for n in numbers if n), "unknown error").lower()
    return Unreachable(f"cannot connect to {where}: {words}")


async def _tunnel(
    stream: trio.abc.Stream,
    proxy: Proxy,
    target: Target,
    deadline: float,
    span: float,
    scrub: Scrubber,
    clock: Callable[[], int],
) -> None:
    """Have the proxy connect us to `target` (RFC 9110 §9.3.6)."""
    headers = [("Host", target.address), ("User-Agent", user_agent())]
    if proxy.authorization is not None:
        headers.append(("Proxy-Authorization", proxy.authorization))
    exchange = Exchange(stream, "CONNECT", target.address, headers, clock)
    late = f"the proxy {proxy.address} did not open a tunnel to {target.address} within {span:g} s"
    with until(deadline, late):
        answer = await exchange.ask(f"the proxy {proxy.address}", scrub)
    if not 200 <= answer.status < 300:
        named = f" in {proxy.source}" if proxy.source else ""
        hint = f"; put user:password@ into its URL{named}" if answer.status == 407 else ""
        raise Unreachable(
            f"the proxy {proxy.address}{named} refused a tunnel to {target.address} with HTTP "
            f"{answer.status} {scrub(answer.reason, 80)}{hint}"
        )
    if exchange.rest:
        raise ProtocolViolation(f"the proxy {proxy.address} spoke into the tunnel that it opened")


class _Secure(NamedTuple):
    """A TLS handshake to be made."""

    host: str
    where: str
    context: ssl.SSLContext
    deadline: float
    span: float

    async def over(self, stream: trio.abc.Stream) -> trio.SSLStream[trio.abc.Stream]:
        tls = trio.SSLStream(stream, self.context, server_hostname=self.host, https_compatible=True)
        late = (
            f"{self.where} took the connection but did not finish the TLS handshake within "
            f"{self.span:g} s; check that it speaks TLS at all (ws:// instead of wss://?)"
        )
        try:
            with until(self.deadline, late):
                await tls.do_handshake()
        except trio.BrokenResourceError as error:
            raise _tls_failure(error, self.where) from error
        return tls


def _tls_failure(error: trio.BrokenResourceError, where: str) -> RecorderError:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return UntrustedCertificate(
            f"the TLS certificate of {where} is not trusted: {cause.verify_message}; if it comes "
            "from an authority of your own, give that authority's certificate as the CA file: "
            "--ca FILE (in Python: ca_file=...)"
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLSyscallError) or not isinstance(
        cause, ssl.SSLError
    ):
        return Unreachable(
            f"{where} closed the connection during the TLS handshake; check that it speaks TLS "
            "(ws:// instead of wss://?) and that no firewall cuts it off"
        )
    reason = (cause.reason or "unknown").replace("_", " ").lower()
    return ProtocolViolation(
        f"the TLS handshake with {where} failed ({reason}); if the port speaks no TLS, the URL "
        "begins with ws://"
    )


def tls_context(trust: Trust) -> ssl.SSLContext:
    """The context that was given, or one that trusts the system's authorities and `ca_file`."""
    if trust.context is not None:
        return trust.context
    context = ssl.create_default_context()
    if not _has_system_authorities():
        context.load_verify_locations(cafile=certifi.where())
    if trust.ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=trust.ca_file)
    except ssl.SSLError as error:
        raise UsageError(f"the CA file {trust.ca_file} holds no certificate in PEM form") from error
    except OSError as error:
        raise UsageError(f"the CA file {trust.ca_file} cannot be read: {error.strerror}") from error
    return context


def _has_system_authorities() -> bool:
    """Whether OpenSSL's default places hold anything: Python's macOS builds come without."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and os.listdir(paths.capath)))


def _all_os_errors(error: BaseException) -> Iterator[OSError]:
    """An OSError and those of the attempts that trio made under it."""
    if isinstance(error, OSError):
        yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    for cause in inner:
        if cause is not None:
            yield from _all_os_errors(cause)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _peer(stream: trio.SocketStream) -> str:
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return ""
    return _address(host, port)
