"""The recording proxy beside mitmproxy, a bare TCP relay, a stock trio-websocket relay, and none.

latency_50     Added latency (p50, above a direct connection) at 50 sessions in real time: 50
               small and 20 audio messages a second each. Against mitmproxy's, and against the
               bare relay's.
saturation     Messages recorded a second, as fast as they go, on one core; against mitmproxy's
               (`mitmdump --mode reverse: -w`).
cpu            CPU a message at 50 sessions; against mitmproxy's, and against a stock
               trio-websocket relay that records nothing.
sessions_200   200 sessions in real time on one process: all that was due is delivered, and the
               p99 is less than 10 ms above the bare relay's.
idle_memory    Resident memory for an idle session on plain TCP; and, without a bound, of one whose
               client came over TLS.

mitmproxy is installed into a virtual environment of its own, unless MITMDUMP names one.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
import trustme

from tests.benchmarks.figures import Figure, finish, spread, table
from tests.benchmarks.traffic import Outcome, Traffic, idle, listen

ROUNDS = 3
MANY_ROUNDS = 7
"""A 99th percentile needs more of them: what else the machine does for a moment decides it."""
SECONDS = 4.0
IDLE = 400
TICKS = os.sysconf("SC_CLK_TCK")


class Served:
    """A proxy under test: its port, its process, and what CPU it has used."""

    def __init__(self, port: int, pid: int | None) -> None:
        self.port, self.pid = port, pid
        self.cpu = 0.0

    def probe(self, starting: bool) -> None:
        """Take the CPU time of the process, before and after."""
        if self.pid is None:
            return
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / TICKS
        self.cpu = used if starting else used - self.cpu

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(command: list[str], port: int | None = None) -> Iterator[Served]:
    """The process, once it listens; its port is what it prints where none is given."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        if port is None:
            port = int(process.stdout.readline())
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        try:
            yield Served(port, process.pid)
        finally:
            process.kill()


@contextmanager
def serving(kind: str, upstream: int, folder: Path, mitmdump: str) -> Iterator[Served]:
    """The proxy of this kind, before the upstream."""
    port = free_port()
    if kind == "direct":
        yield Served(upstream, None)
        return
    commands = {
        "tcp": [sys.executable, "-m", "tests.benchmarks.relays", "tcp", str(upstream)],
        "websocket": [sys.executable, "-m", "tests.benchmarks.relays", "websocket", str(upstream)],
        "mitmproxy": [
            mitmdump, "-q", "--mode", f"reverse:http://127.0.0.1:{upstream}",
            "--listen-host", "127.0.0.1", "--listen-port", str(port),
            "-w", str(folder / f"{port}.flow"),
        ],
        "recorder": [
            sys.executable, "-m", "recorder.cli", "--db", str(folder / f"{port}.db"), "proxy",
            "--upstream", f"http://127.0.0.1:{upstream}", "--listen", f"127.0.0.1:{port}",
            "--on-stall", "wait",
        ],
    }  # fmt: skip
    tls = ["--cert", str(folder / "cert.pem"), "--key", str(folder / "cert.key")]
    commands["recorder_tls"] = [*commands["recorder"], *tls]
    prints = kind in ("tcp", "websocket")
    with running(commands[kind], None if prints else port) as served:
        yield served


def measure(
    kind: str, sessions: int, folder: Path, mitmdump: str, *, real_time: bool
) -> tuple[Outcome, float]:
    """One run; what it showed, and the proxy's CPU in µs a message."""

    listener, port = listen()
    with serving(kind, port, folder, mitmdump) as served:
        if served.pid is not None and not real_time:
            pin(served.pid)
        traffic = Traffic(listener, ("127.0.0.1", served.port), real_time=real_time)
        outcome = traffic.drive(sessions, SECONDS, served.probe)
        return outcome, served.cpu / max(outcome.messages, 1) * 1e6


def pin(pid: int) -> None:
    """Keep all threads of a process on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {max(os.sched_getaffinity(0))})


def certified(folder: Path) -> ssl.SSLContext:
    """What trusts the certificate that is written to `cert.pem` and `cert.key` in the folder."""
    authority, trusted = trustme.CA(), ssl.create_default_context()
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(str(folder / "cert.key"))
    (folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    authority.configure_trust(trusted)
    return trusted


def idle_memory(folder: Path, trusted: ssl.SSLContext | None = None) -> float:
    """Bytes that the proxy takes for an idle session, over TLS where that is trusted."""

    async def run() -> float:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        kind = "recorder_tls" if trusted else "recorder"
        with serving(kind, port, folder, "") as served:
            async with trio.open_nursery() as nursery:

                async def quiet(stream: trio.SocketStream) -> None:
                    from tests.proxy_kit import RawUpstream, read_all

                    async def talk(stream: trio.SocketStream) -> None:
                        await read_all(stream)

                    await RawUpstream(talk).serve(stream)

                await nursery.start(trio.serve_listeners, quiet, listeners)
                address = ("127.0.0.1", served.port)
                await idle(address, 20, lambda: None, trusted)  # what is loaded on first use
                await trio.sleep(1)
                before, after = served.memory, 0

                def hold() -> None:
                    nonlocal after
                    time.sleep(0.5)
                    after = served.memory

                await idle(address, IDLE, hold, trusted)
                nursery.cancel_scope.cancel()
        return (after - before) / IDLE

    return trio.run(run)


def find_mitmdump(folder: Path) -> str:
    """Where mitmproxy is; installed here if nobody says."""
    if named := os.environ.get("MITMDUMP"):
        return named
    print("installing mitmproxy into a virtual environment of its own", flush=True)
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-q", "mitmproxy"]
    subprocess.run(pip, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(folder / "venv/bin/mitmdump")


KINDS = ("direct", "tcp", "websocket", "mitmproxy", "recorder")


def main() -> None:
    """Measure and tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mitmdump = find_mitmdump(folder)
        fifty: dict[str, list[tuple[Outcome, float]]] = {kind: [] for kind in KINDS}
        full: dict[str, list[float]] = {"mitmproxy": [], "recorder": []}
        many: dict[str, list[Outcome]] = {"tcp": [], "recorder": []}
        for _ in range(ROUNDS):
            for kind in KINDS:
                fifty[kind].append(measure(kind, 50, folder, mitmdump, real_time=True))
            for kind, rates in full.items():
                rates.append(measure(kind, 8, folder, mitmdump, real_time=False)[0].rate)
        for _ in range(MANY_ROUNDS):
            for kind, outcomes in many.items():
                outcomes.append(measure(kind, 200, folder, mitmdump, real_time=True)[0])
        memory = idle_memory(folder)
        over_tls = idle_memory(folder, certified(folder))
    tell(fifty, full, many, memory, over_tls)


def tell(fifty, full, many, memory: float, over_tls: float) -> None:
    """The table, and the figures."""
    from statistics import median

    p50 = {kind: median(o.p50 for o, _ in runs) for kind, runs in fifty.items()}
    added = {kind: value - p50["direct"] for kind, value in p50.items()}
    cpu = {kind: median(c for _, c in runs) for kind, runs in fifty.items()}
    rows = []
    for kind in KINDS:
        rows.append([f"{kind}: latency p50 of 50 sessions (ms)",
                     spread([o.p50 for o, _ in fifty[kind]], 2)])  # fmt: skip
        rows.append([f"{kind}: CPU a message (µs)", spread([c for _, c in fifty[kind]], 0)])
    for kind, rates in full.items():
        rows.append([f"{kind}: messages a second at saturation, one core", spread(rates, 0)])
    for kind, outcomes in many.items():
        rows.append([f"{kind}: latency p99 of 200 sessions (ms)",
                     spread([o.p99 for o in outcomes], 1)])  # fmt: skip
    rows.append(["recorder: memory for an idle session (kB)", f"{memory / 1000:.1f}"])
    rows.append(["recorder: the same, the client over TLS (kB)", f"{over_tls / 1000:.1f}"])
    table(["what", "median (least to most)"], rows)
    extra = median(o.p99 for o in many["recorder"]) - median(o.p99 for o in many["tcp"])
    delivered = median(o.messages / o.due for o in many["recorder"])
    rate = {kind: median(rates) for kind, rates in full.items()}
    against = Figure("latency_50_of_mitmproxy", added["recorder"] / added["mitmproxy"], 1 / 3,
                     at_least=False)  # fmt: skip
    figures = [
        against,
        Figure("latency_50_of_bare_relay", added["recorder"] / added["tcp"], 1.5, at_least=False),
        Figure("saturation_of_mitmproxy", rate["recorder"] / rate["mitmproxy"], 8),
        Figure("cpu_of_mitmproxy", cpu["recorder"] / cpu["mitmproxy"], 0.35, at_least=False),
        Figure("cpu_of_stock_relay", cpu["recorder"] / cpu["websocket"], 1.0, at_least=False),
        Figure("sessions_200_delivered", delivered, 0.98),
        Figure("sessions_200_p99_extra_ms", extra, 10.0, at_least=False),
        Figure("idle_memory_kB", memory / 1000, 40.0, at_least=False),
    ]
    finish("proxy", figures)


if __name__ == "__main__":
    main()
