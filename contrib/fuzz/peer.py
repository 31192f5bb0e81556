"""The client's end of a WebSocket, and a server that serves it. Needs gevent's hub."""

from __future__ import annotations

import fcntl
import socket
import termios
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gevent

from faye_redis.connections import Connections
from faye_redis.settings import Settings
from faye_redis.transports import Transports
from faye_redis.transports.sockets import State
from faye_redis.transports.websocket import WebSocket

from .finding import expect
from .world import LIMITS, World

_UPGRADE = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/bayeux", "QUERY_STRING": "",
    "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "HTTP_HOST": "example.org",
    "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==", "HTTP_SEC_WEBSOCKET_VERSION": "13"}
_QUIET = 4  # turns of the hub in which nothing happens: then nothing will
_TURNS = 500  # that are taken without a pause
_PAUSE, _PAUSES = 0.01, 500  # seconds, and how many turns with one more: then it hangs


class Site(World):
    """A server for sockets, whose messages may have ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(Settings.load({**LIMITS, "max_message_size": limit}))
        connections = Connections(self.engine, self.settings, self.server, self.monitor)
        self.engine.start(connections)
        self.transports = Transports(self.server, connections, self.settings)


class Peer:
    """Connects; ``early`` comes in right behind the request."""

    def __init__(self, site: Site, early: bytes) -> None:
        self.sock, server = socket.socketpair()
        self.sock.settimeout(0)
        self.received, self.ended = b"", False
        self.websocket = self._upgrade(site, server, early)
        server.close()  # as gunicorn does

    def _upgrade(self, site: Site, server: socket.socket, early: bytes) -> WebSocket:
        """gunicorn's part."""
        unreader = SimpleNamespace(take_buffered=lambda: early)
        environ = {**_UPGRADE, "gunicorn.socket": server,
                   "wsgi.input": SimpleNamespace(reader=SimpleNamespace(unreader=unreader))}
        with suppress(StopIteration):
            site.transports(environ, lambda *answer: expect(False, answer))
        websocket = site.transports._table.sockets()[-1]
        assert isinstance(websocket, WebSocket)
        return websocket

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # the server has gone
            self.sock.sendall(data)

    def rest(self) -> None:
        """Let the server work until nothing more comes of it. At once, but for a connect that
        waits (0.8 s) for a pong to know how far its client's former stream came."""
        quiet = 0
        for turn in range(_TURNS + _PAUSES):
            had = len(self.received)
            gevent.idle() if turn < _TURNS else gevent.sleep(_PAUSE)
            self._receive()
            quiet = 0 if len(self.received) > had or _is_busy(self.websocket) else quiet + 1
            if quiet == _QUIET:
                return
        expect(False, "does not come to rest", self.received)

    def leave(self) -> None:
        """Close; the server has to let go of its socket, too."""
        self.sock.close()
        for _ in range(_TURNS):
            gevent.idle()
            if self.websocket.state is State.GONE:
                return
        expect(False, "a socket is left", self.websocket.state)

    def _receive(self) -> None:
        with suppress(OSError):  # nothing there, or it is closed
            while data := self.sock.recv(65536):
                self.received += data
            self.ended = True


def _is_busy(websocket: WebSocket) -> bool:
    if websocket.state is not State.OPEN:
        return False
    unread = array("i", [0])
    fcntl.ioctl(websocket._sock.fileno(), termios.FIONREAD, unread)
    return bool(unread[0] or websocket._publishing or websocket._answers
                or websocket._inbox is not None)


@contextmanager
def no_error_in_hub() -> Iterator[None]:
    """:raises Finding: a callback of the hub, or a greenlet, has raised."""
    errors: list[Any] = []
    with patch.object(gevent.get_hub(), "handle_error", lambda *error: errors.append(error)):
        yield
    expect(not errors, "in the hub", errors)
