"""A caller that drives a session turn by turn: what `recorder record` and the demo do.

A turn is text, a sound file, or a step of a script. Between turns the caller listens: it answers
tool calls with the outputs it was given, waits for the response to be done, and then for its
audio to have been played, as a person would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
import trio

from ..audio.files import load
from ..audio.formats import AudioFormat, parse_format
from ..errors import EndpointTimeout, UsageError
from ..transport import plain_nursery
from .answers import Answer, ToolCall
from .session import RealtimeSession, ServerEvent, server_error, within
from .shapes import Json, Vad, is_beta

TurnKind = Literal["text", "audio", "event", "wait", "wait_for", "mark"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that the caller does. `value` is a text, a path, an event, or seconds."""

    kind: TurnKind
    value: Any
    timeout: float = 60.0
    """Seconds that a `wait_for` waits at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerOptions:
    """How the caller behaves."""

    vad: Vad | None = None
    """What the session was asked for: without a VAD the caller commits and asks itself."""
    chunk_ms: int = 20
    rate: int | None = None
    """Of raw PCM files, in Hz."""
    answer_seconds: float = 60.0
    commit_seconds: float = 10.0
    """How long a server's VAD may take to commit after the file's end."""
    tool_outputs: Mapping[str, str] = field(default_factory=dict)
    """What to answer to a call of each function."""
    say: Callable[[str], None] = lambda _: None
    """Told what a person at the terminal should know."""


class Caller:
    """Drives one session. One caller a session: it receives all of its events."""

    def __init__(self, session: RealtimeSession, options: CallerOptions) -> None:
        self.session, self.options = session, options
        self._quiet_at = 0.0
        self._format = AudioFormat()

    async def run(self, turns: Sequence[Turn]) -> None:
        """Do all the turns, waiting for each answer to be heard before the next begins."""
        for number, turn in enumerate(turns):
            if number and turn.kind in ("text", "audio"):
                await self.hear_out()
            await self.take(turn)

    async def take(self, turn: Turn) -> None:
        """Do one turn."""
        match turn.kind:
            case "text":
                await self.session.say(turn.value)
                await self.listen()
            case "audio":
                await self.speak(Path(turn.value))
            case "event":
                await self.session.send(turn.value)
            case "wait":
                await self._idle(float(turn.value))
            case "wait_for":
                await self._await_type(turn.value, turn.timeout)
            case "mark":
                fields = dict(turn.value)
                self.session.mark(fields.pop("kind", "note"), **fields)

    async def speak(self, path: Path) -> None:
        """Say what is in the file, and listen to the answer."""
        session, options = self.session, self.options
        if options.vad in (None, "none") and not self._server_listens():
            await session.stream_file(path, rate=options.rate, chunk_ms=options.chunk_ms)
            await session.commit()
            await session.respond()
            await self.listen()
            return
        microphone = OpenMicrophone(session, options.chunk_ms)
        audio = await trio.to_thread.run_sync(load, path, session.input_format, options.rate)
        async with plain_nursery() as nursery:
            nursery.start_soon(microphone.run)
            spoken = microphone.speak(audio)
            await self._await_commit(path, spoken)
            await self.listen()
            nursery.cancel_scope.cancel()

    def _server_listens(self) -> bool:
        """Whether the session has a turn detection of its own in effect."""
        config = self.session.config
        if is_beta(config):
            return bool(config.get("turn_detection"))
        return bool(((config.get("audio") or {}).get("input") or {}).get("turn_detection"))

    async def _await_commit(self, path: Path, spoken: trio.Event) -> None:
        deadline = trio.CancelScope()
        async with plain_nursery() as nursery:

            async def limit() -> None:
                await spoken.wait()
                deadline.deadline = trio.current_time() + self.options.commit_seconds

            nursery.start_soon(limit)
            with deadline:
                await self._await_type("input_audio_buffer.committed", None)
            nursery.cancel_scope.cancel()
        if deadline.cancelled_caught:
            raise EndpointTimeout(
                f"the server's turn detection did not commit {path} within "
                f"{self.options.commit_seconds:g} s of silence after its end; "
                "use --vad none to commit it from here"
            )

    async def listen(self) -> Answer:
        """Wait for the answer, and for what follows from the tools that it calls."""
        while True:
            with within(self.options.answer_seconds, "the server did not finish a response"):
                answer = await self._answer()
            calls = [call for call in answer.tool_calls if self._can_answer(call)]
            if not calls:
                return answer
            for call in calls:
                await self.session.tool_output(call.call_id, self.options.tool_outputs[call.name])
            await self.session.respond()

    def _can_answer(self, call: ToolCall) -> bool:
        if call.name in self.options.tool_outputs:
            return True
        self.options.say(
            f"no output was given for the function {call.name}: its call stays unanswered "
            '(give one in the tools file: "output": …)'
        )
        return False

    async def _answer(self) -> Answer:
        answer = Answer()
        while True:
            event = await self.session.receive()
            self._watch(event)
            if event.type == "error" and not answer.id and self._is_ours(event.data):
                raise server_error(event.data)
            before = len(answer.audio)
            done = answer.feed(event.data)
            self._play(len(answer.audio) - before)
            if done:
                return answer

    @staticmethod
    def _is_ours(data: Mapping[str, Any]) -> bool:
        error = data.get("error")
        code = error.get("code") if isinstance(error, dict) else ""
        return code != "response_cancel_not_active"

    def _watch(self, event: ServerEvent) -> None:
        if event.type in ("session.created", "session.updated"):
            self._format = _output_format(self.session.config)

    def _play(self, size: int) -> None:
        """Keep track of when a person has heard what arrived."""
        if size:
            now = trio.current_time()
            seconds = self._format.ns_of_bytes(size) / 1e9
            self._quiet_at = max(self._quiet_at, now) + seconds

    async def hear_out(self) -> None:
        """Wait until all audio that arrived would have been played."""
        await self._idle(max(0.0, self._quiet_at - trio.current_time()))

    async def _idle(self, seconds: float) -> None:
        """Take in events for a while."""
        with trio.move_on_after(seconds):
            while True:
                self._watch(await self.session.receive())

    async def _await_type(self, name: str, timeout: float | None) -> ServerEvent:
        seconds = float("inf") if timeout is None else timeout
        with within(seconds, f"no {name} came"):
            while True:
                event = await self.session.receive()
                self._watch(event)
                if event.type == name:
                    return event


def _output_format(config: Mapping[str, Any]) -> AudioFormat:
    stated: Any = config.get("output_audio_format")
    if not is_beta(config):
        stated = ((config.get("audio") or {}).get("output") or {}).get("format")
    return (parse_format(stated) if stated else None) or AudioFormat()


class OpenMicrophone:
    """Sends what is spoken, and silence in between, in real time, until it is cancelled."""

    def __init__(self, session: RealtimeSession, chunk_ms: int = 20) -> None:
        self._session = session
        form = session.input_format
        quiet = {"g711_ulaw": b"\xff", "g711_alaw": b"\xd5"}.get(form.encoding, b"\0\0")
        self._silence = quiet * (form.rate * chunk_ms // 1000)
        self._waiting: deque[tuple[bytes, trio.Event]] = deque()

    def speak(self, audio: bytes) -> trio.Event:
        """Have this said after what waits already; the event is set when its end was sent."""
        spoken = trio.Event()
        self._waiting.append((audio, spoken))
        return spoken

    async def run(self) -> None:
        """Send for ever."""
        await self._session.stream(self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = len(self._silence)
        while True:
            if not self._waiting:
                yield self._silence
                continue
            audio, spoken = self._waiting.popleft()
            for start in range(0, len(audio), size):
                piece = audio[start : start + size]
                yield piece + self._silence[len(piece) :]
            spoken.set()


def script_turns(path: Path) -> list[Turn]:
    """The turns of a JSONL script: client events, waits, sound files, marks, a line each.

    `{"type": …}` is sent as it stands; `{"wait": 1.5}` listens for so many seconds;
    `{"wait_for": "response.done", "timeout": 30}` until that event; `{"text": …}` and
    `{"audio": FILE}` are whole turns; `{"mark": {"kind": "note", …}}` is a mark.
    Raises `UsageError` naming the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"the script {path} cannot be read: {error.strerror}") from None
    turns = [
        _script_turn(line, f"{path}, line {number}", path.parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not turns:
        raise UsageError(f"the script {path} holds no line")
    return turns


def _script_turn(line: bytes, where: str, folder: Path) -> Turn:
    try:
        step: Json = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: this is no JSON: {error}") from None
    match step:
        case {"type": str()}:
            return Turn("event", step)
        case {"wait": int() | float() as seconds} if seconds >= 0:
            return Turn("wait", seconds)
        case {"wait_for": str(name)}:
            return Turn("wait_for", name, _seconds(step.get("timeout", 60), where))
        case {"text": str(text)}:
            return Turn("text", text)
        case {"audio": str(name)}:
            return Turn("audio", str(folder / name))
        case {"mark": dict(fields)}:
            return Turn("mark", fields)
    raise UsageError(
        f'{where}: expected a client event with a "type", or one of "wait" (seconds), '
        '"wait_for" (a type), "text", "audio" (a file), "mark" (an object)'
    )


def _seconds(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and value > 0:
        return float(value)
    raise UsageError(f'{where}: "timeout" must be a number of seconds above 0')
