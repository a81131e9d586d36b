"""A cassette, played to its own caller: whether it goes as it was recorded.

Only causes count, not times, as in a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import wire
from ..events import BINARY, TEXT, Event, Origin
from ..replaying import Replayer, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..replaying import Outcome


def rehearse(events: Sequence[Event]) -> Outcome:
    """What comes of it."""
    replayer = Replayer(events, Rules(speed=None))
    replayer.open(0)
    replayer.poll(0)
    now_ns = 0
    for event in events:
        if event.origin == Origin.CLIENT and event.opcode in (TEXT, BINARY):
            now_ns = event.at_ns
            message = wire.join(event, silence=True)
            binary = event.opcode == BINARY
            replayer.receive(message if binary else message.decode("utf-8", "replace"), now_ns)
            replayer.poll(now_ns)
    replayer.poll(now_ns)
    return replayer.outcome()
