"""An assistant message being given: its plan, and the events around each part."""

from __future__ import annotations

from recorder.sandbox.agenda import MS, Steps
from recorder.sandbox.line import base64_text
from recorder.sandbox.output import Output, Scene
from recorder.sandbox.script import Say
from recorder.sandbox.speaking import Cue, cost, limited, plan, sound_of, words_of


class Message(Output):
    """Text, or audio with a transcript, or both side by side."""

    def __init__(self, scene: Scene, index: int, say: Say) -> None:
        super().__init__(
            scene,
            index,
            {"type": "message", "status": "in_progress", "role": "assistant", "content": []},
        )
        speaks, audio = scene.config.speaks, scene.config.output_format
        words = words_of(say, scene.user_words, scene.tool_output)
        sound = sound_of(say, words, audio) if speaks else b""
        whole = plan(say, words, sound, audio, speaks=speaks)
        self._cues = limited(whole, audio, scene.budget)
        self._is_whole = self._cues == whole
        self._first_ns = say.first_delta_ms * MS
        self._kinds = ("text",) if not speaks else ("text", "audio") if say.both else ("audio",)
        self._said = ["" for _ in self._kinds]

    def perform(self) -> Steps:
        """Each delta at its time."""
        now_ns = self._cues[0].at_ns if self._cues else self._first_ns
        yield now_ns
        self._open()
        for cue in self._cues:
            if cue.at_ns > now_ns:
                yield cue.at_ns - now_ns
                now_ns = cue.at_ns
            self._give(cue)
        self.scene.is_cut = not self._is_whole
        self.finish("completed" if self._is_whole else "incomplete")

    def finish(self, status: str) -> None:
        """Close every part with what was given of it."""
        content = []
        for at, kind in enumerate(self._kinds):
            if kind == "audio":
                self.send("response.output_audio.done", content_index=at)
                self._close(at, "output_audio_transcript", "transcript")
                content.append({"type": "output_audio", "transcript": self._said[at]})
            else:
                self._close(at, "output_text", "text")
                content.append({"type": "output_text", "text": self._said[at]})
        self.item.body["content"] = content
        self.end(status)

    def _open(self) -> None:
        self.begin()
        for at, kind in enumerate(self._kinds):
            self.send("response.content_part.added", content_index=at, part=self._part(at, kind))

    def _close(self, at: int, name: str, member: str) -> None:
        said = {member: self._said[at]}
        self.send(f"response.{name}.done", content_index=at, **said)
        part = self._part(at, self._kinds[at])
        self.send("response.content_part.done", content_index=at, part=part)

    def _part(self, at: int, kind: str) -> dict[str, str]:
        return {"type": kind, "text" if kind == "text" else "transcript": self._said[at]}

    def _give(self, cue: Cue) -> None:
        """Send one delta and remember what was sent."""
        self.scene.budget -= cost(cue, self.item.audio_format)
        if isinstance(cue.piece, bytes):
            self._play(cue, cue.piece)
            delta = base64_text(cue.piece)
        else:
            self._said[cue.part] += cue.piece
            delta = cue.piece
        self.send(f"response.{cue.kind}.delta", content_index=cue.part, delta=delta)

    def _play(self, cue: Cue, sound: bytes) -> None:
        state = self.scene.state
        self.item.audio.setdefault(cue.part, bytearray()).extend(sound)
        state.has_spoken = True
        length_ns = self.item.audio_format.milliseconds(len(sound)) * MS
        state.played_until_ns = max(state.played_until_ns, state.agenda.now_ns) + length_ns
