"""`recorder demo`: a spoken conversation, recorded live, and what was wrong in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.live.caller import Caller, OpenMicrophone


@in_table("demo")
@click.option(
    "-d", "folder", metavar="DIR", type=click.Path(file_okay=False),
    help="Where the WAV files go; else beside the database.",
)  # fmt: skip
def command(shared: Shared, folder: str | None) -> None:
    """Offline, without a key, in about fifteen seconds: it starts a sandbox on this machine,
    speaks with it over a real WebSocket, records every event, and then shows the transcript, the
    latencies, and what was wrong in the call with the evidence for it.
    """
    import trio

    store = shared.open_store()
    shared.store = store
    shared.out.as_it_comes()
    shared.out.line("A caller and an assistant speak, live, on this machine:")
    shared.out.line()
    session_id = trio.run(partial(_call, shared))
    _report(shared, session_id, Path(folder) if folder else None)


async def _call(shared: Shared) -> str:
    """Hold the conversation and record it; the session's id."""
    from recorder.live.caller import Caller, CallerOptions, OpenMicrophone
    from recorder.live.client import Recording, connect
    from recorder.live.shapes import SessionOptions
    from recorder.sandbox import builtin
    from recorder.sandbox.server import Options, serve_sandbox
    from recorder.transport import plain_nursery

    from .unfolding import Unfolding

    how = Recording(tags=["demo"], listener=Unfolding(shared.out.line).feed)
    wanted = SessionOptions(vad="server", transcribe="sandbox", tools=builtin.DEMO_TOOLS)
    options = CallerOptions(
        tool_outputs={builtin.DEMO_TOOLS[0]["name"]: builtin.DEMO_TOOL_OUTPUT},
        tool_seconds=builtin.DEMO_TOOL_MS / 1000,
    )
    async with plain_nursery() as nursery:
        address = await nursery.start(partial(serve_sandbox, Options(script=builtin.DEMO)))
        url = f"ws://{address.host}:{address.port}/v1"
        async with connect(url, model="sandbox", store=shared.store, recording=how) as session:
            await session.configure(wanted)
            async with plain_nursery() as speaking:
                microphone = OpenMicrophone(session)
                speaking.start_soon(microphone.run)
                await _converse(Caller(session, options), microphone)
                speaking.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    return session.id


async def _converse(caller: Caller, microphone: OpenMicrophone) -> None:
    """A question; a question that needs a tool; a slow answer; an answer that is talked over."""
    from itertools import pairwise

    from recorder.sandbox.builtin import DEMO_CALLER

    for line, following in pairwise([*DEMO_CALLER, None]):
        assert line is not None
        if line.over_ms is None:
            await caller.hear_out()
            await caller.idle(line.pause_ms / 1000)
            _speak(caller, microphone, line.clip)
        else:
            await _talk_over(caller, microphone, line.clip, line.over_ms / 1000)
        if following is None or following.over_ms is None:
            while (await caller.listen()).status == "cancelled":
                pass
    await caller.hear_out()
    await caller.read_out()


def _speak(caller: Caller, microphone: OpenMicrophone, clip: str) -> None:
    from recorder.audio.codecs import encode_audio
    from recorder.sandbox.voices import load

    microphone.speak(encode_audio(load(clip).samples, caller.session.input_format))


async def _talk_over(
    caller: Caller, microphone: OpenMicrophone, clip: str, heard_seconds: float
) -> None:
    """Cut into the answer; the application notices late, and then says what it had played."""
    import trio

    from recorder.sandbox.builtin import DEMO_REACTION_MS

    delta = await caller.wait_for("response.output_audio.delta")
    began = trio.current_time()
    await caller.idle(heard_seconds)
    _speak(caller, microphone, clip)
    await caller.wait_for("input_audio_buffer.speech_started")
    await caller.idle(DEMO_REACTION_MS / 1000)
    item, played = delta.data["item_id"], (trio.current_time() - began) * 1000
    await caller.session.truncate(item, int(min(played, caller.received_ms[item])))
    caller.stop_playing()


def _report(shared: Shared, session_id: str, folder: Path | None) -> None:
    """What was said, how long it took, what went wrong, and where everything is."""
    from .analysed import analysed
    from .audio import write_tracks
    from .latency import print_table
    from .show import print_findings
    from .transcript import print_lines

    out = shared.out
    session = shared.store.session(session_id)
    name = shared.directory.tail(session_id)
    analysis = analysed(shared, session)
    out.heading("What was said, and what of it was heard")
    print_lines(out, analysis.transcript)
    out.heading("How long it took, in milliseconds")
    print_table(out, analysis.latency.turns)
    print_findings(out, name, analysis.findings, shared.db_option)
    files = write_tracks(shared, session, folder or _beside(shared, name))
    out.heading("Where it is")
    out.line(f"  database    {shared.store.location}")
    for file in files:
        out.line(f"  sound       {file}")
    out.heading("Next")
    for command in (
        f"recorder show {name}",
        f"recorder transcript {name}",
        f"recorder latency {name} --evidence",
        f"recorder events {name}",
        "recorder record --url sandbox: --text 'hello'",
        "recorder rm --tag demo",
    ):
        out.line(f"  {command}{shared.db_option}")


def _beside(shared: Shared, name: str) -> Path:
    from platformdirs import user_data_path

    path = shared.store.path
    parent = path.parent if path else user_data_path("realtime-recorder")
    return parent / f"demo-{name}"
