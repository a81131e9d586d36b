"""A recorded session, played again to an application: what to send next, and what to wait for.

    replayer = Replayer(events, Rules(match="strict"))
    replayer.open(now_ns)
    replayer.receive(message, now_ns)   # whatever the client sent
    replayer.poll(now_ns)               # what is to be sent now
    replayer.next_at()                  # when to poll again

Nothing here knows of sockets or clocks: times are values, in nanoseconds of any clock that only
goes forward. `causes` says what a server event waits for, `causal` when it goes out, `free` the
same where any trigger will do, `matching` whether what the client did is what it did in the
recording, `rewriting` what becomes of ids.
"""

from __future__ import annotations

from .nouns import FREE, LENIENT, MATCHES, STRICT, Action, Close, Divergence, Outcome, Rules, Send
from .replayer import Replayer

__all__ = [
    "FREE",
    "LENIENT",
    "MATCHES",
    "STRICT",
    "Action",
    "Close",
    "Divergence",
    "Outcome",
    "Replayer",
    "Rules",
    "Send",
]
