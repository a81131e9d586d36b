"""A mock Realtime endpoint that behaves as a recorded one did.

`serving` is the skin on the front door, `choosing` says which session a client gets, `performing`
plays it through `recorder.replaying`, `tape` reads ahead of that, and `faults` is what goes wrong
on request.
"""
