"""Requests that come again on a persistent connection (RFC 9112, 9.3), with no parser in between.

Most of what a poll costs is gunicorn taking the request apart. But a client's polls on one
connection have, byte for byte, the same head again and again. So the greenlet that has answered
one waits for the next itself: if gunicorn has parsed its head on this connection before, it is
answered at once, with the environ that came of it then. Anything else is given to gunicorn.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from .responses import Answer, Environ, StartResponse
from .sockets import raw_socket

Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_RECEIVE: Final = 16384
_LONGEST_HEAD: Final = 4096
_MOST_HEADS: Final = 4  # of one connection; the bodies of polls rarely differ in length
_BODY_SECONDS: Final = 1.0  # for the rest of a body; gunicorn waits for one that is slower
_OF_ONE_REQUEST: Final = frozenset({"wsgi.input", "wsgi.early_hints"})


class _Heads:
    """What gunicorn has made of the heads of one connection."""

    __slots__ = ("_environs", "_next_number", "_unparsed")

    def __init__(self) -> None:
        self._environs: dict[bytes, Environ] = {}
        self._unparsed = b""
        self._next_number = 0

    def parsed(self, environ: Environ, number: int) -> None:
        """gunicorn has parsed its request of this number."""
        # Requests to the wrapped application pass by unseen: one of them may be what was unparsed.
        if self._unparsed and number == self._next_number:
            if len(self._environs) >= _MOST_HEADS:
                self._environs.clear()
            self._environs[self._unparsed] = {
                name: value for name, value in environ.items() if name not in _OF_ONE_REQUEST}
        self._unparsed, self._next_number = b"", number + 1

    def find(self, head: bytes) -> Environ | None:
        """What gunicorn made of this head, if it has parsed it before."""
        return self._environs.get(head)

    def left(self, head: bytes) -> None:
        """gunicorn has to parse this head next."""
        self._unparsed = head if len(head) <= _LONGEST_HEAD else b""


class _Connection(NamedTuple):
    """The peer's socket, and gunicorn's view of it."""

    sock: socket.socket
    reader: Any
    server: str
    """How gunicorn names itself."""

    @property
    def unreader(self) -> Any:
        """What gunicorn has received and not parsed yet."""
        return self.reader.unreader

    @property
    def is_read(self) -> bool:
        """Has the body of the request that gunicorn has parsed been read to its end? What is left
        of it must never be taken for the next request."""
        return bool(self.reader.length == 0)

    def receive(self, seconds: float) -> bytes | None:
        """The bytes that come next; None if none did for so long."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(_RECEIVE)
        except TimeoutError:
            return None
        finally:
            self.sock.settimeout(None)

    def send(self, data: bytes) -> None:
        """``sendall``, which is dear even if one ``send`` takes all."""
        sent = self.sock.send(data)
        if sent < len(data):
            self.sock.sendall(data[sent:])


class PersistentConnections:
    """Serves POST requests whose length is known, under gunicorn's gevent worker.

    :param app: a WSGI application whose answers have a Content-Length.
    :param idle_seconds: after which a connection without a request is closed.
    :param handled: what an application returns to gunicorn when it has answered itself.
    """

    def __init__(self, app: Application, idle_seconds: float, handled: Any) -> None:
        self._app = app
        self._idle_seconds = idle_seconds
        self._handled = handled
        self._heads: WeakKeyDictionary[Any, _Heads] = WeakKeyDictionary()
        self._idle: set[socket.socket] = set()
        self._closed = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer this request, and those that come behind it on its connection.

        :raises StopIteration: the connection has to be closed.
        """
        response: Any = getattr(start_response, "__self__", None)
        sock = raw_socket(environ)
        if self._closed or sock is None or not _may_persist(environ, sock, response):
            return self._app(environ, start_response)
        connection = _Connection(sock, environ["wsgi.input"].reader, response.version)
        heads = self._heads.setdefault(connection.unreader, _Heads())
        heads.parsed(environ, response.req.req_number)  # as gunicorn made it
        answer = Answer(self._app, environ)
        if answer.status != "200 OK" or not connection.is_read:
            start_response(answer.status, answer.headers)
            return answer.body
        self._send(connection, answer)
        del answer  # it may be large, and a poll is held for long
        while self._serve_next(connection, heads):
            pass
        return self._handled  # type: ignore[no-any-return]

    def close(self) -> None:
        """Wait for no more requests: idle connections are closed now, others when they have been
        answered."""
        self._closed = True
        for sock in list(self._idle):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RD)

    def _serve_next(self, connection: _Connection, heads: _Heads) -> bool:
        """:returns: False if gunicorn has to look at what has come."""
        request = self._next_request(connection, heads)
        if request is None:
            return False
        self._send(connection, Answer(self._app, request))
        return True

    def _next_request(self, connection: _Connection, heads: _Heads) -> Environ | None:
        data = connection.unreader.take_buffered() or self._await_request(connection)
        head, end, body = data.partition(b"\r\n\r\n")
        environ = heads.find(head) if end else None
        if environ is not None:
            length = int(environ["CONTENT_LENGTH"])
            if len(body) < length:  # many clients send it by itself
                body += connection.receive(_BODY_SECONDS) or b""
            if len(body) == length and not self._closed:
                return {**environ, "wsgi.input": BytesIO(body)}
        heads.left(head if end else b"")
        connection.unreader.unread(head + end + body)
        return None

    def _send(self, connection: _Connection, answer: Answer) -> None:
        """:raises StopIteration: it was the last answer of this connection."""
        persistence = "close" if self._closed else "keep-alive"
        connection.send(answer.encoded(connection.server, persistence))
        if self._closed:
            raise StopIteration

    def _await_request(self, connection: _Connection) -> bytes:
        """The beginning of the next request; none if the peer, or ``close``, has ended it.

        :raises StopIteration: none came for ``idle_seconds``.
        """
        self._idle.add(connection.sock)
        try:
            data = connection.receive(self._idle_seconds)
        except OSError:
            if not self._closed:
                raise
            return b""  # so gevent wakes who waits; if something has come after all, it is there
        finally:
            self._idle.discard(connection.sock)
        if data is None:
            raise StopIteration
        return data


def _may_persist(environ: Environ, sock: socket.socket, response: Any) -> bool:
    """Does gunicorn keep the connection, and is the request one that can be told by its head?"""
    return (environ["REQUEST_METHOD"] == "POST"
            and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
            and environ.get("CONTENT_LENGTH", "").isdecimal()
            and not environ.keys() & {"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE"}
            and not isinstance(sock, ssl.SSLSocket)
            and hasattr(response, "version")
            and not (response.must_close or response.req.should_close()))
