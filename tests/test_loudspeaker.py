"""What the loudspeaker says was played, sample for sample, without a sound card."""

from __future__ import annotations

from typing import Any

from recorder.audio.formats import ULAW, AudioFormat
from recorder.live.session import ServerEvent
from recorder.live.sound import Loudspeaker


class Listener:
    """Stands where the session does, and keeps what it is told."""

    def __init__(self) -> None:
        self.marks: list[dict[str, Any]] = []
        self.truncations: list[tuple[str, int]] = []

    def mark(self, kind: str, **fields: Any) -> int:
        assert kind == "playback"
        self.marks.append(fields)
        return 1

    async def truncate(self, item_id: str, audio_end_ms: int) -> None:
        self.truncations.append((item_id, audio_end_ms))


def event(kind: str, **data: Any) -> ServerEvent:
    """A server event of this type."""
    return ServerEvent(kind, {"type": kind, **data}, 0, 1, b"")


async def test_an_interruption_silences_and_tells_what_was_played() -> None:
    """300 ms of 1 s were played when the user cut in: truncate says 300, the rest is silence."""
    import pybase64

    told = Listener()
    speaker = Loudspeaker(told, AudioFormat())  # type: ignore[arg-type]
    second = pybase64.b64encode(b"\x01\x00" * 24000).decode()
    await speaker.heed(event("response.output_audio.delta", item_id="item_1", delta=second))
    played = b"".join(speaker._pull(960) for _ in range(15))
    assert played == b"\x01\x00" * 7200
    await speaker.heed(event("input_audio_buffer.speech_started"))
    assert told.truncations == [("item_1", 300)]
    assert told.marks == [{"item_id": "item_1", "played_ms": 300}]
    assert speaker._pull(960) == bytes(960)


async def test_items_are_played_one_after_the_other_and_marked_once() -> None:
    """A mark for each item that went on; none for what did not."""
    told = Listener()
    speaker = Loudspeaker(told, AudioFormat(ULAW, 8000))  # type: ignore[arg-type]
    speaker.put("a", b"\xff" * 80)
    speaker.put("b", b"\xff" * 80)
    speaker._pull(2 * 120)
    speaker.mark()
    speaker.mark()
    assert told.marks == [{"item_id": "a", "played_ms": 10}, {"item_id": "b", "played_ms": 5}]
    await speaker.heed(event("input_audio_buffer.speech_started"))
    speaker._pull(2 * 120)
    await speaker.heed(event("input_audio_buffer.speech_started"))
    assert told.truncations == [("b", 5)]
