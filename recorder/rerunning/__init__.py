"""The recorded caller again, before a live endpoint: what to send next, and what to wait for.

    plan = make_plan(read, analysis, options)
    rerun = Rerun(plan, read, rules)
    rerun.open(now_ns)
    rerun.receive(message, now_ns)   # whatever the server sent
    rerun.poll(now_ns)               # what is to be done now
    rerun.next_at()                  # when to poll again

Nothing here knows of sockets or clocks: times are values, in nanoseconds of any clock that only
goes forward. `watching` gives what happens in a run, recorded or live, the same names, `planning`
says what the recorded caller did and what it waited for, `pacing` how fast it spoke, `book` what
it answered to tools and `reacting` when it answers now, `wording`, `translating` and `overriding`
what becomes of its words, `turns` makes each user turn a run of its own, `origin` says which
session is a rerun of which.

Laws:

1. The caller's audio goes out by its own clock, the count of its samples: never faster than it
   was spoken (unless asked to), later where the caller waited for the server then and has to now.
2. What the caller did comes as long after what it reacted to as it did in the recording.
3. While recorded speech is held back, a microphone that is open sends silence: else the server's
   voice activity detection would stand still, and both sides would wait for ever.
4. Ids of the server are this run's; what names something that this run has not is left out, and
   that is said. Everything else goes out as it was recorded, byte for byte.
5. No wait is without an end: what never comes is said and noted in the log, and the caller goes
   on. Only a tool's output that was never recorded stops it: it cannot be made up.
"""

from __future__ import annotations

from .nouns import Deed, End, Options, Plan, Remark, Rules, Send
from .planning import make_plan
from .rerun import Rerun

__all__ = ["Deed", "End", "Options", "Plan", "Remark", "Rerun", "Rules", "Send", "make_plan"]
