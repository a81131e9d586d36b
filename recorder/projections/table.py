"""The table of projections: what can be folded out of a session, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .analysis import Analyser
from .base import Fold
from .conversation import ConversationProjection
from .playback import PlaybackFold
from .speech import SpeechProjection
from .state import StateProjection
from .summary import SummaryProjection
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import Projection


class Derived(Fold[Any]):
    """One view of the whole analysis, as a projection of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._analyser = Analyser()
        self.handlers, self.every = self._analyser.handlers, self._analyser.every

    def result(self) -> Any:
        """The view."""
        return getattr(self._analyser.analysis(), self._name)


def _derived(name: str) -> Callable[[], Projection[Any]]:
    return lambda: Derived(name)


PROJECTIONS: dict[str, Callable[[], Projection[Any]]] = {
    "summary": SummaryProjection,
    "usage": Usage,
    "conversation": ConversationProjection,
    "speech": SpeechProjection,
    "playback": PlaybackFold,
    "state": StateProjection,
    "turns": _derived("turns"),
    "latency": _derived("latency"),
    "quality": _derived("quality"),
    "findings": _derived("findings"),
    "transcript": _derived("transcript"),
}
"""Name -> what makes a new one. Each takes events and gives a JSON-ready result."""
