"""Sockets, TLS, handshakes, frames, close codes.

Foreign exceptions (OSError, ssl, h11, wsproto, trio-websocket) are translated into those of
`recorder.errors` here, once.
"""

from recorder.transport.client import open_websocket, over_stream
from recorder.transport.client_socket import ClientSocket, Received
from recorder.transport.dial import Timeouts
from recorder.transport.endings import CloseInfo
from recorder.transport.handshake import Handshake
from recorder.transport.nurseries import plain_errors, plain_nursery
from recorder.transport.streams import Frame

__all__ = [
    "ClientSocket",
    "CloseInfo",
    "Frame",
    "Handshake",
    "Received",
    "Timeouts",
    "open_websocket",
    "over_stream",
    "plain_errors",
    "plain_nursery",
]
