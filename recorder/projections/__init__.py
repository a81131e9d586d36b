"""Pure folds over the events of one session; `model` holds the nouns they result in.

`analyse(events)` computes everything in one pass. Each projection can also be run by itself:
`fold(PROJECTIONS["summary"](), events)`, or `scan` for the result after every event.
"""

from __future__ import annotations

from .analysis import Analyser, Analysis, analyse
from .base import Fold, Projection, Together, fold, on, scan
from .table import PROJECTIONS
from .transcript import RENDERERS, clock, render_json, render_txt

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
    "render_json",
    "render_txt",
    "scan",
]
