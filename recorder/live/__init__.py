"""The nurseries: everything that runs while a session is open.

`frontdoor` serves HTTP and WebSocket on one port (sandbox, mock and proxy stand on it); the
other modules dial, record and replay. What is pure stays below; sockets come from
`recorder.transport`.
"""
