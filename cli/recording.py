"""What `recorder record` does once its options are read."""

from __future__ import annotations

import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
import trio

from recorder.audio.files import check as check_sound
from recorder.errors import ServerError, UsageError
from recorder.live.caller import Caller, CallerOptions
from recorder.live.client import BUSY_SECONDS, Recording, connect
from recorder.live.endpoints import (
    asks_for_something,
    default_url,
    found_key,
    realtime_url,
    spoken_forms,
)
from recorder.live.shapes import SessionOptions
from recorder.live.writer import WriterOptions
from recorder.secrets import SECRET_HEADERS, redact_text
from recorder.sql.opening import locate
from recorder.sql.store import SqlStore
from recorder.transport import Timeouts, plain_nursery

from .text import counted
from .unfolding import Unfolding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from recorder.live.caller import Turn
    from recorder.live.session import RealtimeSession

    from .shared import Shared

SANDBOX: Final = "sandbox:"
TRANSCRIBER: Final = "gpt-4o-mini-transcribe"
"""What transcribes the user unless told otherwise; done without where it is refused."""

LOSS, INTERRUPTED = 1, 130

FORMATS: Final = {"pcm": "audio/pcm", "ulaw": "audio/pcmu", "alaw": "audio/pcma"}


class Interruptible(Protocol):
    """What is told that a signal came."""

    interrupted: bool


@dataclass(slots=True)
class _Run:
    """What is known of a run when it is over."""

    session: RealtimeSession | None = None
    session_id: str = ""
    interrupted: bool = False
    timed_out: bool = False


def run(shared: Shared, turns: Sequence[Turn], options: Mapping[str, Any]) -> int:
    """Hold and record the session; the exit code."""
    if options["mic"] or options["speaker"]:
        from recorder.live.sound import require

        require()
    if options["speaker"] and not options["mic"]:
        raise UsageError(
            "--speaker goes with --mic; what was recorded is heard with recorder audio"
        )
    chat = not turns and not options["mic"]
    if chat and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "nothing to say: give --text, --audio, --script or --mic (without a terminal there "
            "is no chat)"
        )
    for turn in turns:
        if turn.kind == "audio":
            check_sound(Path(turn.value), options["rate"])
    shared.out.as_it_comes()
    target = read_target(shared, options)
    wanted = session_options(options, turns)
    state = _Run()
    try:
        trio.run(partial(_main, shared, turns, options, target, wanted, state))
    finally:
        _sum_up(shared, state)
    if state.interrupted:
        return INTERRUPTED
    return LOSS if state.session is not None and state.session.lost else 0


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint, and what it is told about us."""

    url: str
    model: str
    key: str | None
    headers: tuple[tuple[str, str], ...]


def read_target(shared: Shared, options: Mapping[str, Any]) -> Target:
    """Where to, with which key and headers. Raises `UsageError`."""
    url = options["url"] or default_url(shared.environ)
    if not url:
        raise UsageError(
            "where to? Give --url wss://HOST/v1 or set RECORDER_URL; "
            "--url sandbox: tries it out on this machine"
        )
    headers = tuple(read_header(word, shared.environ) for word in options["headers"])
    if url == SANDBOX:
        return Target(url, options["model"] or "sandbox", None, headers)
    full = realtime_url(url, options["model"])
    if not asks_for_something(full):
        raise UsageError("which model? Add --model NAME, as in --model gpt-realtime")
    key = None
    if options["auth"] != "none":
        key = found_key(full, shared.environ, options["api_key_env"])
    return Target(full, options["model"], key, headers)


def read_header(word: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """A header from NAME=VALUE or NAME=env:VARIABLE. Raises `UsageError`."""
    name, equals, value = word.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--header {name}: expected NAME=VALUE or NAME=env:VARIABLE")
    if value.startswith("env:"):
        found = environ.get(value[4:])
        if found is None:
            raise UsageError(f"--header {name}: the variable {value[4:]} is not set")
        return name, found
    if name.lower() in SECRET_HEADERS or redact_text(value)[1]:
        raise UsageError(
            f"--header {name}: a secret is not taken from the command line, where others can "
            f"read it; put it into a variable and write {name}=env:VARIABLE"
        )
    return name, value


def declared_secrets(words: Sequence[str], headers: Sequence[tuple[str, str]]) -> list[str]:
    """What was taken from the environment was declared secret by that, whatever its name is."""
    values = [h[1] for word, h in zip(words, headers, strict=True) if "=env:" in word]
    return [form for value in values for form in spoken_forms(value)]


def session_options(options: Mapping[str, Any], turns: Sequence[Turn]) -> SessionOptions:
    """What the session is to be, from the command line. Raises `UsageError`."""
    spoken = any(turn.kind == "audio" for turn in turns)
    transcribe = options["transcribe"]
    if transcribe == "none":
        transcribe = ""
    elif transcribe is None and (spoken or options["mic"]):
        transcribe = TRANSCRIBER
    form = FORMATS.get(options["audio_format"] or "")
    return SessionOptions(
        vad=options["vad"] or ("server" if options["mic"] else "none" if spoken else None),
        voice=options["voice"],
        modalities=_modalities(options["modalities"]),
        instructions=options["instructions"],
        tools=_tools(options["tools_file"])[0] if options["tools_file"] else None,
        transcribe=transcribe,
        input_format=form,
        output_format=form,
        extra=session_file(options["session_file"]) if options["session_file"] else {},
    )


def _modalities(words: str | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    names = tuple(word.strip() for word in words.split(","))
    if not set(names) <= {"text", "audio"}:
        raise UsageError(f"--modalities {words}: expected audio, text, or text,audio")
    return names


def _json_file(option: str, path: str) -> Any:
    try:
        return orjson.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{option} {path}: this is no JSON: {error}") from None


def session_file(path: str) -> dict[str, Any]:
    """The session object in this file. Raises `UsageError`."""
    found = _json_file("--session", path)
    if not isinstance(found, dict):
        raise UsageError(f"--session {path}: expected a JSON object")
    inner = found.get("session")
    return inner if found.get("type") == "session.update" and isinstance(inner, dict) else found


def _tools(path: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The tools as the endpoint is told them, and the outputs that ours have."""
    found = _json_file("--tools", path)
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise UsageError(f"--tools {path}: expected a JSON list of tool objects")
    outputs = {
        str(tool.get("name")): value if isinstance(value, str) else orjson.dumps(value).decode()
        for tool in found
        if (value := tool.get("output")) is not None
    }
    return [{k: v for k, v in tool.items() if k != "output"} for tool in found], outputs


async def _main(
    shared: Shared,
    turns: Sequence[Turn],
    options: Mapping[str, Any],
    target: Target,
    wanted: SessionOptions,
    state: _Run,
) -> None:
    store = SqlStore.open(database(shared), durability=shared.durability, busy_seconds=BUSY_SECONDS)
    try:
        async with signals(state), dialled(target) as url, _deadline(options, state):
            how = Recording(
                call=options["call"] or "",
                tags=options["tags"],
                capture=options["capture"],
                on_stall=options["on_stall"],
                secrets=declared_secrets(options["headers"], target.headers),
                opened=partial(setattr, state, "session_id"),
                listener=None if options["quiet"] else Unfolding(shared.out.line).feed,
                writer_options=WriterOptions(on_trouble=shared.out.say),
            )
            async with connect(
                url,
                model=target.model,
                api_key=target.key,
                store=store,
                auth=options["auth"],
                dialect=options["dialect"],
                headers=target.headers,
                timeouts=Timeouts(connect=options["timeout"], handshake=options["timeout"]),
                ca_file=options["ca_file"],
                recording=how,
            ) as session:
                state.session = session
                await _converse(shared, session, turns, options, wanted)
    finally:
        store.close()


def database(shared: Shared) -> Any:
    """Where to record to; said on stderr where that is not obvious."""
    location = locate(shared.db, shared.environ)
    if not location.obvious:
        shared.out.say(f"database: {location} (from RECORDER_DB)")
    return location


async def _converse(
    shared: Shared,
    session: RealtimeSession,
    turns: Sequence[Turn],
    options: Mapping[str, Any],
    wanted: SessionOptions,
) -> None:
    await _configure(shared, session, options, wanted)
    outputs = _tools(options["tools_file"])[1] if options["tools_file"] else {}
    caller = Caller(
        session,
        CallerOptions(
            vad=wanted.vad,
            chunk_ms=options["chunk_ms"],
            rate=options["rate"],
            tool_outputs=outputs,
            say=shared.out.say,
        ),
    )
    if options["mic"]:
        from recorder.live.sound import talk

        await talk(caller, speaker=options["speaker"])
    elif turns:
        await caller.run(turns)
    else:
        await _chat(shared, caller)


async def _configure(
    shared: Shared,
    session: RealtimeSession,
    options: Mapping[str, Any],
    wanted: SessionOptions,
) -> None:
    """Ask for the options; do without a transcription that was only our own idea."""
    try:
        await session.configure(wanted, options["timeout"])
    except ServerError as error:
        if options["transcribe"] is not None or not wanted.transcribe:
            raise
        await session.configure(replace(wanted, transcribe=None), options["timeout"])
        shared.out.say(f"the endpoint transcribes no input ({error}); --transcribe MODEL names one")


async def _chat(shared: Shared, caller: Caller) -> None:
    shared.out.say("Type what you want to say; an empty line or Ctrl-D ends the session.")
    while True:
        line = await trio.to_thread.run_sync(_typed, abandon_on_cancel=True)
        if not line.strip():
            return
        await caller.session.say(line.strip())
        try:
            await caller.listen()
        except ServerError as error:
            shared.out.say(str(error))


def _typed() -> str:
    try:
        return input("> ")
    except EOFError:
        return ""


@asynccontextmanager
async def dialled(target: Target) -> AsyncIterator[str]:
    """The URL to dial; a sandbox of our own runs beside the block where that was asked for."""
    if target.url != SANDBOX:
        yield target.url
        return
    from recorder.sandbox.server import serve_sandbox

    async with plain_nursery() as nursery:
        address = await nursery.start(serve_sandbox)
        try:
            yield f"ws://{address.host}:{address.port}/v1"
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def signals(state: Interruptible) -> AsyncIterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the session in order: close frame, flush, exit.

    A hang-up that is ignored already, as under nohup, stays ignored.
    """
    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    async with plain_nursery() as nursery:

        async def watch(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            with trio.open_signal_receiver(*heeded) as received:
                task_status.started()
                async for _ in received:
                    state.interrupted = True
                    nursery.cancel_scope.cancel()
                    break

        await nursery.start(watch)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _deadline(options: Mapping[str, Any], state: _Run) -> AsyncIterator[None]:
    with trio.move_on_after(options["max_duration"] or float("inf")) as scope:
        yield
    state.timed_out = scope.cancelled_caught


def _sum_up(shared: Shared, state: _Run) -> None:
    """Say what was recorded, what was lost, and where to look."""
    say, session = shared.out.say, state.session
    if not state.session_id:
        return
    if session is not None and session.lost:
        writer = session.writer
        why = writer.trouble or next(
            iter(writer.conflicts.values()), "the database did not keep up"
        )
        say(f"LOST: {counted(session.lost, 'message')} are not in the log: {why}")
    if session is not None and session.writer.moved_to is not None:
        say(f"the recording is in {session.writer.moved_to}")
    if state.timed_out:
        say("stopped at --max-duration")
    say(f"recorded as {state.session_id}")
    say(f"see: recorder show {state.session_id[-8:]}")
