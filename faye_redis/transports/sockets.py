"""Sockets taken over from gunicorn: reading and writing without ever waiting.

The worker's greenlet answers the upgrade, hands the socket over and ends the WSGI call with
``StopIteration``; from then on the hub watches the socket. gunicorn closes what it thinks is its
socket, but a second descriptor of the same connection keeps it open until ``abort`` (with TLS, a
file made from it).

Everything here runs in the hub or without yielding, so no state needs a lock, and nothing blocks:
what the kernel does not take at once waits in a buffer until it does.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import socket
import ssl
import termios
from array import array
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..concurrency import Watcher, run_soon, watch_read, watch_write
from .responses import Environ

if TYPE_CHECKING:
    from .table import SocketTable

RECEIVE: Final = 16384
"""Bytes read at once: one TLS record, and few enough frames to parse in one turn of the hub."""

SEND: Final = 65536
WRITE_TIMEOUT: Final = 10.0
"""Seconds after which a socket that takes nothing of what waits for it is dropped."""

_LONG: Final = 200
"""Characters of a header's value beyond which it is not likely to be shared."""

Value = TypeVar("Value", str, tuple[str, ...])

CLOSE_TIMEOUT: Final = 5.0
"""Seconds a peer has to close its side after we closed ours."""

MOST_THROWN_AWAY: Final = 4_194_304
"""Bytes that a peer may send after we closed our side."""

_DROPPED: Final = frozenset({
    "gunicorn.socket", "wsgi.early_hints", "wsgi.errors", "wsgi.file_wrapper", "wsgi.input",
})


def raw_socket(environ: Environ) -> socket.socket | None:
    """The connection of an HTTP/1 request under gunicorn's gevent worker, else None."""
    if not environ["SERVER_PROTOCOL"].startswith("HTTP/1"):
        return None  # HTTP/2: one connection carries many requests
    sock: socket.socket | None = environ.get("gunicorn.socket")
    return sock


def take_buffered(environ: Environ) -> bytes:
    """Bytes the client sent behind the request that gunicorn has read already."""
    reader = getattr(environ["wsgi.input"], "reader", None)
    take = getattr(getattr(reader, "unreader", None), "take_buffered", None)
    return take() if take is not None else b""


class KeptRequest:
    """What of a request stays for extensions to look at, for as long as its socket is open:
    everything but gunicorn's streams and the handshake.

    Clients share the names of headers and most values, so one copy of each is kept; a dict would
    be a quarter of what an idle client costs.
    """

    __slots__ = ("_names", "_values")

    def __init__(self, environ: Environ) -> None:
        kept = {name: value for name, value in environ.items()
                if name not in _DROPPED and not name.startswith("HTTP_SEC_WEBSOCKET_")}
        self._names = _shared(tuple(kept))
        self._values = tuple(_shared(value) if type(value) is str and len(value) < _LONG else value
                             for value in kept.values())

    def __call__(self) -> Environ:
        """The WSGI environ, a new one each time."""
        return dict(zip(self._names, self._values, strict=True))


@lru_cache(maxsize=4096)
def _shared(value: Value) -> Value:
    """The same object for equal ones. Not ``sys.intern``: in Python 3.12.0 to 3.12.6 it keeps a
    string for ever."""
    return value


class Deed(Enum):
    """What a peer has to do in time."""

    READ = "read"
    CLOSE = "close"
    ANSWER = "answer a ping"


class State(Enum):
    """Life of a taken socket; it only moves downwards."""

    NEW = 0
    """Not taken yet: what is written waits for ``start``."""
    OPEN = 1
    CLOSING = 2
    """We have closed our side; what arrives is thrown away until the peer closes too."""
    GONE = 3


class TakenSocket:
    """Writes and reads one socket without ever waiting; base of the sockets that stay.

    :param table: where it counts as open, and which watches its deadlines.
    :param limit: bytes that may wait to be sent.
    :param interval: seconds between calls of ``visit``.
    """

    __slots__ = ("_buffer", "_file", "_full", "_limit", "_reader", "_recv", "_send", "_sock",
                 "_table", "_thrown_away", "_writer", "interval", "state")

    def __init__(
        self, sock: socket.socket, table: SocketTable, limit: int, interval: float
    ) -> None:
        self._sock: Any = sock
        self._table = table
        self._limit = limit
        self.interval = interval
        self.state = State.NEW
        self._buffer: bytearray | None = bytearray()  # None: nothing waits
        self._full = False
        self._thrown_away = 0  # bytes that came after the end
        self._file: Any = None
        self._reader: Watcher | None = None
        self._writer: Watcher | None = None

    # What a subclass adds

    def received(self, data: bytes) -> None:
        """Bytes came in."""

    def drained(self) -> None:
        """The buffer was over its limit and is empty now."""

    def ended(self) -> None:
        """No more can be written. Called once, in the hub's next turn."""

    def visit(self, now: float) -> None:
        """Called every ``interval`` seconds while open."""

    def close(self, code: int, reason: str) -> None:
        """End it in the way of its protocol; ``code`` and ``reason`` are those of a WebSocket."""
        self.finish()

    def leave(self, code: int, reason: str) -> None:
        """End it likewise, once the peer has said what has arrived."""
        self.close(code, reason)

    def may_read(self) -> bool:
        """False to leave what the peer sends in the kernel, which in the end stops the peer."""
        return not self._full

    # What the rest of the package calls

    def start(self) -> None:
        """Take the socket, send what was written so far, and watch it."""
        if self.state is not State.NEW:
            return
        if hasattr(self._sock, "pending"):  # TLS cannot be taken off its socket
            self._sock.settimeout(0)
            self._file = self._sock.makefile("rb", buffering=0)
        else:
            self._sock = self._file = _bare(self._sock)
        self._send, self._recv = self._sock.send, self._sock.recv
        _tune(self._sock)
        self.state = State.OPEN
        self._table.add(self)
        head, self._buffer = self._buffer, None
        self.write(bytes(head or b""))
        self.update_reading()
        if self._pending():
            run_soon(self._readable)  # decrypted for gunicorn, which did not ask for all of it

    def write(self, data: bytes) -> bool:
        """Send ``data`` now or as soon as the peer takes it, all of it and in order.

        :returns: False if more should not be written before ``drained``: the limit is passed, or
            the socket takes nothing any more.
        """
        if self.state is State.OPEN and self._buffer is None:
            sent = self._try_send(data)
            if sent == len(data):
                return True
            if self.state is State.OPEN:
                self._wait(data[sent:])
        elif self.state in (State.NEW, State.OPEN) and self._buffer is not None:
            self._buffer += data
        else:
            return False
        self._full = self._buffer is not None and len(self._buffer) > self._limit
        self.update_reading()
        return self.state in (State.NEW, State.OPEN) and not self._full

    def finish(self) -> None:
        """Close our side once everything is sent; the socket goes when the peer's side does."""
        if self.state is State.NEW:
            self.abort()
        if self.state is not State.OPEN:
            return
        self.state = State.CLOSING
        run_soon(self.ended)
        self.update_reading()
        if self._buffer is None:
            self._half_close()

    def abort(self) -> None:
        """Let go of the socket now. Idempotent."""
        if self.state is State.GONE:
            return
        if self.state is not State.CLOSING:
            run_soon(self.ended)
        self.state = State.GONE
        self._table.remove(self)
        self.update_reading()
        self._stop_writing()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def update_reading(self) -> None:
        """Start or stop watching for input, as ``state`` and ``may_read`` say."""
        wanted = self.state is State.CLOSING or (self.state is State.OPEN and self.may_read())
        if wanted and self._reader is None:
            self._reader = watch_read(self._sock, self._readable)
        elif not wanted and self._reader is not None:
            self._reader.stop()
            self._reader = None

    @property
    def reading(self) -> bool:
        """False while what the peer sends is left in the kernel."""
        return self._reader is not None

    @property
    def is_flushed(self) -> bool:
        """Has the peer's machine confirmed every byte? (Where that cannot be known: is all of it
        sent?)"""
        if self._buffer is not None or self.state is not State.OPEN:
            return False
        unsent = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, unsent)  # SIOCOUTQ of Linux
        return unsent[0] == 0

    # Callbacks of the hub

    def _readable(self) -> None:
        self._read()
        while self.state is not State.GONE and self._pending():
            self._read()  # the watcher sees the descriptor, not what TLS has decrypted

    def _pending(self) -> bool:
        pending = getattr(self._sock, "pending", None)
        return pending is not None and pending() > 0

    def _read(self) -> None:
        try:
            data = self._recv(RECEIVE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except (OSError, ValueError):  # ValueError: TLS is gone
            data = b""
        if not data:
            self.abort()
        elif self.state is State.OPEN:
            self.received(data)
        else:
            self._thrown_away += len(data)
            if self._thrown_away > MOST_THROWN_AWAY:
                self.abort()

    def _writable(self) -> None:
        assert self._buffer is not None
        sent = self._try_send(self._buffer[:SEND])
        if self.state is State.GONE:
            return
        del self._buffer[:sent]
        if self._buffer:
            if sent:
                self._table.expect(self, Deed.READ, WRITE_TIMEOUT)
            return
        self._stop_writing()
        if self.state is State.CLOSING:
            self._half_close()
        elif self._full:
            self._full = False
            self.update_reading()
            self.drained()

    def _try_send(self, data: bytes | bytearray) -> int:
        try:
            return int(self._send(data))
        except BlockingIOError:
            return 0
        except OSError:
            self.abort()
            return 0

    def _wait(self, rest: bytes) -> None:
        self._buffer = bytearray(rest)
        self._writer = watch_write(self._sock, self._writable)
        self._table.expect(self, Deed.READ, WRITE_TIMEOUT)

    def _stop_writing(self) -> None:
        self._buffer = None
        if self._writer is not None:
            self._writer.stop()
            self._writer = None
        self._table.unexpect(self, Deed.READ)

    def _half_close(self) -> None:
        # Closing at once would lose what the peer has not read if it still sends (RST).
        self._table.expect(self, Deed.CLOSE, CLOSE_TIMEOUT)
        unwrap = getattr(self._sock, "unwrap", None)
        with suppress(OSError, ValueError):
            if unwrap is not None:
                unwrap()  # says good-bye, then raises: it may not wait for the peer's
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()


def _bare(sock: socket.socket) -> Any:
    """The same connection without gevent's wrapper, whose watchers would cost an idle client half
    a kilobyte, and each send 20 %. What would block raises at once."""
    descriptor = os.dup(sock.fileno())
    bare = _socket.socket(sock.family, sock.type, sock.proto, fileno=descriptor)
    bare.setblocking(False)
    return bare


def _tune(sock: socket.socket) -> None:
    """Send at once; give up on a peer whose machine confirms nothing."""
    with suppress(OSError):  # not TCP
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            patience = int(WRITE_TIMEOUT * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
