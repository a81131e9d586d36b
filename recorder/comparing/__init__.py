"""What changed: two sessions, or two groups of them, laid beside each other turn by turn.

    side = side_of(session_id, analysis, events)   # events without audio will do
    comparison = compare(a, b)                     # a is what is compared with
    comparison.differs, comparison.turns[0].latencies …

Pure: nothing is read here. The results (`nouns`) are ready for JSON.

Laws:

1. Turns are paired by what set them off and what the user said, then by order; never by index.
2. N/A is never 0 and is never subtracted.
3. `compare(a, a)` finds nothing; `compare(b, a)` is `compare(a, b)` from the other side.
4. The same input gives the same result: nothing depends on time or on chance but by a seed.
"""

from __future__ import annotations

from .comparison import compare
from .nouns import Comparison, Side, SideTurn, TurnPair
from .sides import side_of

__all__ = ["Comparison", "Side", "SideTurn", "TurnPair", "compare", "side_of"]
