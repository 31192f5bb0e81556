"""Which transport serves a request, and what becomes of refusals and failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..concurrency import sleep
from ..errors import BadRequest
from .cookies import BrowserCookie
from .cors import Cors
from .eventsource import EventSourceTransport, wants_events
from .http import HttpTransport, has_unread_body, read_body
from .persistent import PersistentConnections
from .responses import LONGEST_TEXT, Answer, Environ, StartResponse, refuse, respond
from .sockets import CLOSE_TIMEOUT, TakenSocket, raw_socket
from .static import Static
from .table import SocketTable
from .upgrade import WebSocketTransport, wants_websocket

if TYPE_CHECKING:
    from ..bayeux.server import BayeuxServer
    from ..connections import Connections
    from ..settings import Settings

Handler = Callable[[Environ, StartResponse], Iterable[bytes]]

MOST_ENDING = 1000
"""Refused requests whose bodies are being thrown away."""

IN_A_ROW = 16
"""Requests answered before others get their turn for certain."""

log = logging.getLogger("faye_redis.transports")


class Transports:
    """The WSGI application inside the mount point.

    :param server: carries out messages.
    :param connections: serves ``/meta/connect`` and takes the sockets that stay.
    """

    def __init__(
        self, server: BayeuxServer, connections: Connections, settings: Settings
    ) -> None:
        self._cors = Cors(settings.allowed_origins)
        self._table = SocketTable(settings.max_connections)
        self._ending = SocketTable(MOST_ENDING)
        cookie = BrowserCookie(settings.bind_clients == "cookie", settings.mount)
        self._http = HttpTransport(server, connections, settings, self._cors, cookie)
        self._websocket = WebSocketTransport(
            server, connections, settings, self._cors, self._table, cookie)
        self._eventsource = EventSourceTransport(
            server, connections, settings, self._cors, self._table)
        self._persistent: PersistentConnections | None = None
        self._static = Static(settings.mount)
        self._settings = settings
        self._answered = 0

    def persist(self, idle_seconds: float, handled: Any) -> None:
        """Serve requests that come again on a connection without giving them to gunicorn, see
        :class:`~faye_redis.transports.persistent.PersistentConnections`."""
        self._persistent = PersistentConnections(self._answer, idle_seconds, handled)

    @property
    def open_sockets(self) -> int:
        """WebSockets and event streams open in this process."""
        return len(self._table)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request.

        :raises StopIteration: there is nothing to answer, or the socket was taken over; under
            gunicorn this ends the request without a word, so it must reach gunicorn.
        """
        return (self._persistent or self._answer)(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._give_way()
        try:
            handler = self._route(environ)
            if handler != self._http.post and has_unread_body(environ):
                read_body(environ, self._settings)
            return handler(environ, start_response)
        except BadRequest as problem:
            log.log(logging.WARNING if problem.status == 403 else logging.INFO,
                    "request refused (%d): %s", problem.status, problem.reason)
            return self.refuse(environ, start_response, problem.status, problem.reason)
        except StopIteration:
            raise
        except Exception:
            log.exception("request failed")
            return self.refuse(environ, start_response, 500)

    def _give_way(self) -> None:
        """A connection whose requests have all arrived would have them all answered before anyone
        else's turn."""
        self._answered += 1
        if self._answered % IN_A_ROW == 0:
            sleep(0)

    def refuse(
        self, environ: Environ, start_response: StartResponse, status: int, reason: str = ""
    ) -> Iterable[bytes]:
        """Answer with a status and a text.

        gunicorn reads a body that we leave to its end, however long that is, and nobody else has
        a turn. So where there is one, the answer is sent from here, and what comes after it is
        thrown away for a few seconds: closing at once could take the answer from the peer (RFC
        9112, 9.6).

        :raises StopIteration: that was done, or so many are being ended that this one goes without
            a word.
        """
        sock = raw_socket(environ)
        if sock is None or not has_unread_body(environ):
            return refuse(environ, start_response, status, reason)
        if len(self._ending) >= MOST_ENDING:
            raise StopIteration
        last = TakenSocket(sock, self._ending, LONGEST_TEXT, CLOSE_TIMEOUT)
        answer = Answer(partial(refuse, status=status, reason=reason), environ)
        last.write(answer.encoded("gunicorn", "close"))
        last.start()
        last.finish()
        raise StopIteration

    def close(self, jitter: float) -> None:
        """Refuse new sockets and close the open ones with 1001, spread over ``jitter`` seconds;
        idle connections are closed at once.

        Blocks that long; with 0 not at all.
        """
        if self._persistent:
            self._persistent.close()
        for sock in self._table.close(jitter):
            sock.leave(1001, "server is going away")

    def _route(self, environ: Environ) -> Handler:
        """The order is Faye's; it sees to it that a browser's preflight is never refused as
        something else."""
        method = environ["REQUEST_METHOD"]
        if file := self._static.find(environ):
            return file.serve
        if environ.get("PATH_INFO", "").endswith((".js", ".map")):
            raise BadRequest("no such file", 404)
        if method == "OPTIONS" or environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD") == "POST":
            return self._preflight
        if wants_websocket(environ):
            return self._websocket
        if wants_events(environ):
            return self._eventsource
        if method == "GET":
            return self._http.get
        if method == "POST":
            return self._http.post
        raise BadRequest("a method for which there is nothing here", 405)

    def _preflight(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return respond(start_response, 200, self._cors.preflight(environ), b"")
