"""EventSource: messages to a browser as server-sent events (WHATWG HTML, 9.2).

``GET <mount>/<clientId>`` opens the stream. What the client has to say comes in other requests,
with the connection type ``eventsource``; so every event is an array of messages, never a reply.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..bayeux.grammar import is_client_id
from ..errors import BadRequest, EngineError, UnknownClient
from .cors import Cors
from .responses import NO_CACHE, NO_SNIFF, Environ, StartResponse
from .sockets import KeptRequest, State, TakenSocket, raw_socket
from .table import SocketTable

if TYPE_CHECKING:
    from ..bayeux.exchange import Request
    from ..bayeux.server import BayeuxServer
    from ..connections import Connections
    from ..engines.base import Message
    from ..settings import Settings

log = logging.getLogger("faye_redis.transports")

PING_INTERVAL: Final = 10.0
"""Seconds between comments at most: proxies cut a response that is silent for long."""

_PING: Final = b":\r\n\r\n"
_RETRY: Final = b"retry: 5000\r\n\r\n"
_MARK: Final = re.compile(r"[0-9]{1,16}-[0-9]{1,15}", re.ASCII)
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@lru_cache(maxsize=8)  # the sockets owed the same messages share one event
def event(payloads: tuple[bytes, ...], mark: str = "") -> bytes:
    """The event that carries ``payloads`` as a JSON array.

    :param mark: its id, which a browser that reconnects sends back as ``Last-Event-ID``.
    """
    id = b"id: %s\r\n" % mark.encode() if mark else b""
    data = _LINE_END.sub(b"\r\ndata: ", b"[%s]" % b",".join(payloads))
    return b"%sdata: %s\r\n\r\n" % (id, data)


def wants_events(environ: Environ) -> bool:
    """True for a request that asks for an event stream."""
    accepted = environ.get("HTTP_ACCEPT", "").split(",")
    return environ["REQUEST_METHOD"] == "GET" and any(
        kind.split(";")[0].strip() == "text/event-stream" for kind in accepted
    )


class EventStream(TakenSocket):
    """One open event stream: a ``Stream`` of ``connections``."""

    __slots__ = ("_connections", "_ping", "request")

    confirms = False

    def __init__(
        self, sock: socket.socket, table: SocketTable, connections: Connections,
        settings: Settings, request: Environ,
    ) -> None:
        interval = min(settings.ping or PING_INTERVAL, PING_INTERVAL)
        super().__init__(sock, table, settings.max_buffer, interval)
        self._connections = connections
        self._ping = bool(settings.ping)
        self.request: Request | None = KeptRequest(request)

    def push(self, messages: list[Message], version: int) -> bool:
        """Send messages; see ``Stream.push``. Where the client is when it has them is the id of
        the event."""
        payloads = tuple(message.payload for message in messages)
        return self.write(event(payloads, f"{messages[-1].id}-{version}"))

    def checkpoint(self, done: Callable[[], None]) -> None:
        """See ``Stream.checkpoint``. The client confirms by its next connect, or says with
        ``Last-Event-ID`` what it has."""
        if self.is_flushed:
            done()

    def reply(self, items: list[bytes]) -> None:
        """Send what a held reply carries; see ``Stream.reply``."""
        self.write(event(tuple(items)))

    def drained(self) -> None:
        self._connections.drained(self)

    def leave(self, code: int, reason: str) -> None:
        self._connections.let_go(self, code, reason)

    def ended(self) -> None:
        self._connections.closed(self)

    def visit(self, now: float) -> None:
        if self._ping:
            self.write(_PING)


class EventSourceTransport:
    """Opens event streams."""

    def __init__(
        self, server: BayeuxServer, connections: Connections, settings: Settings, cors: Cors,
        table: SocketTable,
    ) -> None:
        self._server = server
        self._connections = connections
        self._settings = settings
        self._cors = cors
        self._table = table

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Open the stream and take the socket over.

        :raises StopIteration: the socket is taken; ends the WSGI call.
        :raises BadRequest: the origin, the client or one more socket is refused.
        """
        self._cors.check(environ)
        if self._table.is_closed:
            raise StopIteration  # see ``_open``
        self._table.check(environ)
        client_id = environ.get("PATH_INFO", "").rsplit("/", 1)[-1]
        sock = raw_socket(environ)
        if not is_client_id(client_id) or sock is None:
            raise BadRequest("no client, or no connection for an event stream", 404)
        stream = EventStream(sock, self._table, self._connections, self._settings, environ)
        stream.write(self._head(environ))
        mark = environ.get("HTTP_LAST_EVENT_ID", "")
        self._open(client_id, stream, mark if _MARK.fullmatch(mark) else "")
        if stream.state is not State.NEW:
            stream.ended()  # it was closed before it was known
        stream.start()
        raise StopIteration

    def _open(self, client_id: str, stream: EventStream, mark: str) -> None:
        """A browser gives up for good on any answer but 200, so a failure that will pass must be
        none: the connection ends without a word, and the browser tries again (WHATWG HTML,
        9.2.3)."""
        try:
            if stream.request is not None:
                self._server.check_owner(client_id, stream.request)
            self._connections.open(client_id, stream, mark)
        except UnknownClient:
            raise BadRequest("event stream of an unknown client", 404) from None
        except EngineError as error:
            log.warning("event stream not opened: %s", error)
            raise StopIteration from None
        except Exception:
            log.exception("event stream not opened")
            raise StopIteration from None

    def _head(self, environ: Environ) -> bytes:
        headers = [("Content-Type", "text/event-stream"), NO_CACHE, NO_SNIFF,
                   ("Connection", "close"), ("Date", formatdate(usegmt=True)),
                   ("X-Accel-Buffering", "no"), *self._cors.headers(environ)]  # nginx: pass on
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("latin-1") + _RETRY
