"""Which of a script's answers comes next."""

from __future__ import annotations

from dataclasses import dataclass

from recorder.sandbox.config import Config
from recorder.sandbox.script import Answer, Script, When


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an answer may depend on."""

    config: Config
    """The response's."""
    user_words: str = ""
    turn: int = 1
    """The user's nth turn."""
    after_tool: str | None = None
    """The function whose output is the newest item."""
    out_of_band: bool = False


class Repertoire:
    """The answers that are left."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._used = [0] * len(script.answers)
        self._rounds = 0

    def choose(self, situation: Situation) -> Answer:
        """The first answer that fits and is not used up, or the next of the others."""
        for at, answer in enumerate(self._script.answers):
            left = answer.times is None or self._used[at] < answer.times
            if left and fits(answer.when, situation):
                self._used[at] += 1
                return answer
        self._rounds += 1
        others = self._script.otherwise
        return others[(self._rounds - 1) % len(others)]


def fits(when: When, situation: Situation) -> bool:
    """Every condition that is given holds."""
    afterwards = situation.after_tool is not None
    modality = "audio" if situation.config.speaks else "text"
    said = when.contains.lower() in situation.user_words.lower()
    return (
        (not when.contains or (said and not afterwards))
        and (not when.tool or (situation.config.may_call(when.tool) and not afterwards))
        and (when.turn is None or when.turn == situation.turn)
        and (when.after_tool is None or _is_after(when.after_tool, situation.after_tool))
        and (when.modality is None or when.modality == modality)
        and (when.out_of_band is None or when.out_of_band == situation.out_of_band)
    )


def _is_after(wanted: str, tool: str | None) -> bool:
    return tool is not None and wanted in ("*", tool)
