"""Golden sessions: small calls with the sandbox, whose every figure can be worked out by hand.

`kit` plays a call on a clock that the script turns and records it as the recorder does; the other
modules hold the calls, each entered in `kit.SESSIONS` by `@golden`. What must come of each stands
in `tests/test_golden_*.py`, worked out from the definitions.
"""
