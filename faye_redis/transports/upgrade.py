"""From an HTTP request to a WebSocket: the opening handshake (RFC 6455, 4.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State as ProtocolState
from websockets.server import ServerProtocol

from ..bayeux.limits import Rate
from ..errors import BadRequest
from .cookies import BrowserCookie
from .cors import Cors
from .frames import MAX_CONTROL
from .responses import Environ, StartResponse
from .sockets import State, raw_socket, take_buffered
from .table import SocketTable
from .websocket import WebSocket

if TYPE_CHECKING:
    from ..bayeux.server import BayeuxServer
    from ..connections import Connections
    from ..settings import Settings

_quiet = logging.getLogger("faye_redis.websocket.frames")
_quiet.setLevel(logging.WARNING)  # below it, websockets logs what clients say


def wants_websocket(environ: Environ) -> bool:
    """True for a request to upgrade to WebSocket, well-formed or not."""
    return bool(environ.get("HTTP_UPGRADE", "").strip().lower() == "websocket")


class WebSocketTransport:
    """Upgrades requests to WebSockets."""

    def __init__(
        self, server: BayeuxServer, connections: Connections, settings: Settings, cors: Cors,
        table: SocketTable, cookie: BrowserCookie,
    ) -> None:
        self.server = server
        self.connections = connections
        self.settings = settings
        self.table = table
        self.rate = Rate(settings.max_message_rate)
        self._cors = cors
        self._cookie = cookie
        self._idle: list[ServerProtocol] = []

    def borrow(self) -> ServerProtocol:
        """A parser for one connection, ready for the first byte of a frame."""
        if self._idle:
            return self._idle.pop()
        # It counts a control frame within a message as a part of that (RFC 6455, 5.4).
        limit = self.settings.max_message_size + MAX_CONTROL
        return ServerProtocol(state=ProtocolState.OPEN, max_size=limit, logger=_quiet)

    def give_back(self, protocol: ServerProtocol) -> None:
        """Return a parser that is between two messages."""
        self._idle.append(protocol)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the upgrade and take the socket over.

        :raises StopIteration: the socket is taken; ends the WSGI call.
        :raises BadRequest: the origin, the handshake or one more socket is refused.
        """
        self._cors.check(environ)
        response = _handshake(environ)
        self.table.check(environ)
        sock = raw_socket(environ)
        if sock is None:
            raise BadRequest("no socket to take over: run gunicorn with `-k gevent`", 501)
        for name, value in self._cookie.give(environ):
            response.headers[name] = value
        websocket = WebSocket(sock, self, environ)
        websocket.write(response.serialize())
        early = take_buffered(environ)
        websocket.start()
        if early and websocket.state is State.OPEN:
            websocket.received(early)
        raise StopIteration


def _handshake(environ: Environ) -> Response:
    """The 101 response (RFC 6455, 4.2.2).

    :raises BadRequest: status 426 for another version of the protocol, else 400.
    """
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "13") != "13":
        raise BadRequest("version of the WebSocket protocol is not 13", 426)
    if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        raise BadRequest("WebSocket handshake with a body")
    names = ("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    keys = ((name, "HTTP_" + name.upper().replace("-", "_")) for name in names)
    headers = Headers([(name, environ[key]) for name, key in keys if key in environ])
    request = Request("/", headers, environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"])
    protocol = ServerProtocol(logger=_quiet)
    response = protocol.accept(request)
    if response.status_code != 101:
        raise BadRequest(f"WebSocket handshake: {protocol.handshake_exc}")
    return response
