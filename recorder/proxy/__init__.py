"""A recording proxy that any application can be pointed at.

    routes      which upstream a request goes to, and what of it is meant for us (pure)
    heads       the heads of requests and answers on their way through (pure)
    guarding    who may use it: hosts, origins, tokens
    copying     the copy of what passes, parsed beside the path and recorded
    relaying    the bytes of one session, both ways, untouched
    serving     what stands behind the front door
    sessions    one WebSocket, from its head to its end
    side_calls  HTTP, recorded where it is part of the Realtime API
    outgoing    the HTTP client of the upstream
    options     everything that can be chosen

`recorder.proxied` runs one in a thread of its own, for applications of any kind.
"""
