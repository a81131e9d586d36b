"""Pings and pongs through the proxy: how long the way to each end and back took."""

from __future__ import annotations

import json
import re
from contextlib import closing

import trio

import recorder
from recorder.sql.store import SqlStore
from tests import cli_kit, proxy_kit
from tests.proxy_kit import PING, PONG, frame, raw_house

SLOW, SLOWER = 0.05, 0.12


async def server(stream: trio.SocketStream) -> None:
    """Answer a ping after a while, then ping itself; a pong ends it."""
    await stream.receive_some(1000)
    await trio.sleep(SLOW)
    await stream.send_all(frame(b"up", PONG, masked=False) + frame(b"down", PING, masked=False))
    await stream.receive_some(1000)


async def test_show_and_latency_tell_both_legs_with_their_evidence(tmp_path):
    """The endpoint's is not the client's; neither is where nothing was answered."""
    path = tmp_path / "calls.db"
    with closing(SqlStore.open(recorder.locate(str(path), {}))) as store:
        async with raw_house(server, store=store) as house:
            client = await house.open()
            await client.send_all(frame(b"up", PING, masked=True))
            got = b""
            while len(got) < 10:
                got += bytes(await client.receive_some(1000))
            await trio.sleep(SLOWER)
            await client.send_all(frame(b"down", PONG, masked=True))
            await proxy_kit.read_all(client)
            await client.aclose()
            await house.over()
            await house.writer.flush()
            seqs = {(e.origin.name, e.opcode): e.seq for e in house.events()}
    run = cli_kit.Recorder(path)
    up = [seqs["CLIENT", PING], seqs["SERVER", PONG]]
    down = [seqs["SERVER", PING], seqs["CLIENT", PONG]]
    times = json.loads(run("show", "--json").stdout)["times"]
    assert times["ping_rtt"]["evidence"] == up
    assert times["client_rtt"]["evidence"] == down
    assert times["ping_rtt"]["value_ms"] >= SLOW * 1000
    assert times["client_rtt"]["value_ms"] >= SLOWER * 1000
    shown = run("show").stdout
    numbers = ", ".join(map(str, down + up))
    said = re.search(r"there and back: client (\d+) ms, endpoint (\d+) ms \((.*)\)", shown)
    assert said is not None, shown
    assert said.group(3) == f"events {numbers}"
    assert [round(times[n]["value_ms"]) for n in ("client_rtt", "ping_rtt")] == [
        int(said.group(1)), int(said.group(2)),
    ]  # fmt: skip
    told = run("latency", "--evidence").stdout
    assert re.search(rf"client_rtt +\d+ +measured +{down[0]} {down[1]}\n", told), told
    assert re.search(rf"ping_rtt +\d+ +measured +{up[0]} {up[1]}\n", told), told
