"""Pure folds over the events of one session; `model` holds the nouns they result in.

`analyse(events)` computes everything in one pass. Each projection can also be run by itself:
`fold(PROJECTIONS["summary"](), events)`, or `scan` for the result after every event. Names are
loaded when they are used: who only asks what is measured (`metrics`) does not wait for numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analyser, Analysis, analyse
    from .base import Fold, Projection, Together, fold, on, scan
    from .table import PROJECTIONS
    from .transcript_formats import RENDERERS
    from .transcript_text import clock

_HOMES = {
    "analysis": ("Analyser", "Analysis", "analyse"),
    "base": ("Fold", "Projection", "Together", "fold", "on", "scan"),
    "table": ("PROJECTIONS",),
    "transcript_formats": ("RENDERERS",),
    "transcript_text": ("clock",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "PROJECTIONS",
    "RENDERERS",
    "Analyser",
    "Analysis",
    "Fold",
    "Projection",
    "Together",
    "analyse",
    "clock",
    "fold",
    "on",
    "scan",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{module}", __name__), name)
