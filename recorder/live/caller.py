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
from .marks import check_mark
from .session import RealtimeSession, ServerEvent, answers_us, server_error, within
from .shapes import Json, Vad, audio_part, is_beta

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
    transcript_seconds: float = 3.0
    """How long the end of a session waits for the user's last transcripts."""
    tool_outputs: Mapping[str, str] = field(default_factory=dict)
    """What to answer to a call of each function."""
    tool_seconds: float = 0.0
    """How long a function takes before its output is sent."""
    say: Callable[[str], None] = lambda _: None
    """Told what a person at the terminal should know."""


class Caller:
    """Drives one session. One caller a session: it receives all of its events."""

    def __init__(self, session: RealtimeSession, options: CallerOptions) -> None:
        self.session, self.options = session, options
        self._quiet_at = 0.0
        self._untranscribed: set[str] = set()
        self._answer = Answer()
        self._finished: deque[Answer] = deque()
        self.received_ms: dict[str, float] = {}
        """By item: how much of its audio has arrived."""
        self.output_format = AudioFormat()

    async def run(self, turns: Sequence[Turn]) -> None:
        """Do all the turns, waiting for each answer to be heard before the next begins."""
        for number, turn in enumerate(turns):
            if number and turn.kind in ("text", "audio"):
                await self.hear_out()
            await self.take(turn)
        await self.read_out()

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
                await self.idle(float(turn.value))
            case "wait_for":
                await self.wait_for(turn.value, turn.timeout)
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
        return bool(audio_part(config, "input").get("turn_detection"))

    async def _await_commit(self, path: Path, spoken: trio.Event) -> None:
        deadline = trio.CancelScope()
        async with plain_nursery() as nursery:

            async def limit() -> None:
                await spoken.wait()
                deadline.deadline = trio.current_time() + self.options.commit_seconds

            nursery.start_soon(limit)
            with deadline:
                await self.wait_for("input_audio_buffer.committed", None)
            nursery.cancel_scope.cancel()
        if deadline.cancelled_caught:
            raise EndpointTimeout(
                f"the server's turn detection did not commit {path} within "
                f"{self.options.commit_seconds:g} s of silence after its end; "
                "use --vad none to commit it from here"
            )

    async def listen(self) -> Answer:
        """Wait for the answer, and for what follows from the tools that it calls.

        Raises `EndpointTimeout`, and `ServerError` for an error that leaves us without one.
        """
        while True:
            with within(self.options.answer_seconds, "the server did not finish a response"):
                while not self._finished:
                    await self._take()
            answer = self._finished.popleft()
            calls = [call for call in answer.tool_calls if self._can_answer(call)]
            if not calls:
                return answer
            await self.idle(self.options.tool_seconds)
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

    async def _take(self) -> ServerEvent:
        """The next event, after all that it means for the caller was noted."""
        event = await self.session.receive()
        if event.type == "error" and not self._answer.id and answers_us(event.data):
            raise server_error(event.data)
        self._watch(event)
        before = len(self._answer.audio)
        done = self._answer.feed(event.data)
        self._play(event, len(self._answer.audio) - before)
        if done:
            self._finished.append(self._answer)
            self._answer = Answer()
        return event

    def _watch(self, event: ServerEvent) -> None:
        item = str(event.data.get("item_id", ""))
        if event.type in ("session.created", "session.updated"):
            self.output_format = _output_format(self.session.config)
        elif event.type == "input_audio_buffer.committed" and _transcribes(self.session.config):
            self._untranscribed.add(item)
        elif event.type in _TRANSCRIBED:
            self._untranscribed.discard(item)

    def _play(self, event: ServerEvent, size: int) -> None:
        """Keep track of when a person has heard what arrived."""
        if size:
            item = str(event.data.get("item_id", ""))
            self.received_ms[item] = self.received_ms.get(item, 0.0) + self._ms(size)
            now = trio.current_time()
            self._quiet_at = max(self._quiet_at, now) + self._ms(size) / 1000

    def _ms(self, size: int) -> float:
        return self.output_format.ns_of_bytes(size) / 1e6

    async def hear_out(self) -> None:
        """Wait until all audio that arrived would have been played."""
        await self.idle(max(0.0, self._quiet_at - trio.current_time()))

    async def read_out(self) -> None:
        """Wait a little for the transcripts of the user's words, which come late."""
        with trio.move_on_after(self.options.transcript_seconds):
            while self._untranscribed:
                await self._take()

    def stop_playing(self) -> None:
        """What arrived so far is not played any further."""
        self._quiet_at = trio.current_time()

    async def idle(self, seconds: float) -> None:
        """Take in events for a while."""
        with trio.move_on_after(seconds):
            while True:
                await self._take()

    async def wait_for(self, name: str, timeout: float | None = 30.0) -> ServerEvent:
        """Take in events until one of this type; that event. Raises `EndpointTimeout`."""
        seconds = float("inf") if timeout is None else timeout
        with within(seconds, f"no {name} came"):
            while True:
                event = await self._take()
                if event.type == name:
                    return event


_TRANSCRIBED = frozenset(
    f"conversation.item.input_audio_transcription.{end}" for end in ("completed", "failed")
)


def _transcribes(config: Mapping[str, Any]) -> bool:
    """Whether the session says that it transcribes its input."""
    if is_beta(config):
        return bool(config.get("input_audio_transcription"))
    return bool(audio_part(config, "input").get("transcription"))


def _output_format(config: Mapping[str, Any]) -> AudioFormat:
    stated: Any = config.get("output_audio_format")
    if not is_beta(config):
        stated = audio_part(config, "output").get("format")
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
        case {"text": str(text)} if text.strip():
            return Turn("text", text)
        case {"audio": str(name)}:
            return Turn("audio", str(folder / name))
        case {"mark": dict(fields)}:
            return Turn("mark", _checked_mark(fields, where))
    raise UsageError(
        f'{where}: expected a client event with a "type", or one of "wait" (seconds), '
        '"wait_for" (a type), "text", "audio" (a file), "mark" (an object)'
    )


def _checked_mark(fields: Json, where: str) -> Json:
    kind, rest = fields.get("kind", "note"), {k: v for k, v in fields.items() if k != "kind"}
    try:
        check_mark(str(kind), rest)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return fields


def _seconds(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and value > 0:
        return float(value)
    raise UsageError(f'{where}: "timeout" must be a number of seconds above 0')
