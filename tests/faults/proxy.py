"""A TCP proxy whose network can be made to fail, on all connections or on some of them.

It runs in greenlets of the test process, which has to be patched by gevent.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import Event

from support.processes import free_port

Address = tuple[str, int]

_CHUNK: Final = 65_536
_BUFFER: Final = 32_768  # bytes in a socket: small, so that a receiver that hangs is soon felt
_HEAD: Final = 4096
_BACKLOG: Final = 512
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


class Link:
    """One proxied connection: the client's socket and, unless swallowed from the start, the
    server's."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.head = b""
        """The first bytes that the client sent."""
        self.replied = 0
        """Bytes of the server that were passed on since the fault began."""
        self.stranded = False
        """It lost bytes: it swallows everything, and is reset once its network has healed."""
        self.forsaken = False
        """Stranded for ever: no heal brings it back."""
        self.ended: set[bool] = set()
        """The directions that have ended; True is the server's."""

    def sockets(self) -> list[socket.socket]:
        return [self.client, *([self.server] if self.server else [])]

    def close(self) -> None:
        for sock in self.sockets():
            sock.close()

    def reset(self) -> None:
        """RST to both ends."""
        for sock in self.sockets():
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()


Predicate = Callable[[Link], bool]
Treatment = Callable[[Link, bytes, bool], bytes]
"""What happens to bytes on their way: (link, bytes, from the server?) -> bytes to pass on. It may
sleep, and may reset the link."""


def everyone(link: Link) -> bool:
    return True


def subscriber(link: Link) -> bool:
    """A connection to Redis that listens to pub/sub."""
    return b"SUBSCRIBE\r\n" in link.head


def websocket(link: Link) -> bool:
    """A connection of a client that has become a WebSocket."""
    return b"pgrade: websocket" in link.head


def _pass(link: Link, data: bytes, down: bool) -> bytes:
    return data


def _swallow(link: Link, data: bytes, down: bool) -> bytes:
    link.stranded = True
    return b""


class Proxy:
    """Listens on a port of 127.0.0.1 and passes connections on to ``target``.

    One mode holds at a time, for the connections that satisfy its predicate; the others pass.
    Use as a context manager, or pair :meth:`start` with :meth:`close`.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.links: set[Link] = set()
        self._listener = _bound()
        self.address: Address = self._listener.getsockname()
        self._treat: Treatment = _pass
        self._only: Predicate = everyone
        self._listening = Event()
        self._task: gevent.Greenlet[..., Any] | None = None

    @property
    def port(self) -> int:
        return self.address[1]

    def start(self) -> Proxy:
        self._listener.listen(_BACKLOG)
        self._listening.set()
        self._task = gevent.spawn(self._accept_all)
        return self

    def close(self) -> None:
        if self._task:
            self._task.kill()
        self._listener.close()
        for link in list(self.links):
            link.close()

    def __enter__(self) -> Proxy:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Modes

    def heal(self) -> None:
        """Pass everything on from now on. A connection that has lost bytes meanwhile is reset at
        the next byte, as by a router that has forgotten it: TCP never loses the middle."""
        self._set(_pass, everyone)
        if not self._listening.is_set():
            self._listener.listen(_BACKLOG)
            self._listening.set()

    def black_hole(self, only: Predicate = everyone) -> None:
        """Accept, and swallow what either side says, without a sign to anybody."""
        self._set(_swallow, only)

    def refuse(self) -> None:
        """RST for new connections; those that exist pass."""
        self._listening.clear()
        self._listener.shutdown(socket.SHUT_RDWR)  # no longer listens, and keeps the port

    def delay(self, seconds: float, only: Predicate = everyone) -> None:
        """Pass on, each way ``seconds`` late."""
        def treat(link: Link, data: bytes, down: bool) -> bytes:
            gevent.sleep(seconds)
            return data
        self._set(treat, only)

    def throttle(self, rate: float, only: Predicate = everyone) -> None:
        """Pass on at most ``rate`` bytes per second, each way of each connection."""
        def treat(link: Link, data: bytes, down: bool) -> bytes:
            gevent.sleep(len(data) / rate)
            return data
        self._set(treat, only)

    def cut_after(self, count: int, only: Predicate = everyone) -> None:
        """Reset each connection once ``count`` more bytes of the server's were passed on."""
        def treat(link: Link, data: bytes, down: bool) -> bytes:
            if not down or link.replied + len(data) <= count:
                link.replied += len(data) if down else 0
                return data
            with contextlib.suppress(OSError):
                link.client.sendall(data[: count - link.replied])
            link.reset()
            return b""
        self._set(treat, only)

    def _set(self, treat: Treatment, only: Predicate) -> None:
        for link in self.links:
            link.replied = 0
        self._treat, self._only = treat, only

    # Deeds: now, to the connections that exist

    def reset(self, only: Predicate = everyone) -> None:
        """RST to both ends of each."""
        for link in filter(only, list(self.links)):
            link.reset()

    def half_close(self, only: Predicate = everyone) -> None:
        """Tell the server that the client will say no more (FIN); the other way stays open."""
        for link in filter(only, list(self.links)):
            if link.server:
                with contextlib.suppress(OSError):
                    link.server.shutdown(socket.SHUT_WR)

    def strand(self, only: Predicate = everyone) -> None:
        """Swallow all that they say from now on, for ever: half-open connections."""
        for link in filter(only, list(self.links)):
            link.stranded = link.forsaken = True

    # Passing on

    def _accept_all(self) -> None:
        while True:
            self._listening.wait()
            try:
                client, _ = self._listener.accept()
            except OSError:
                gevent.sleep(0.01)  # it refuses now
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            gevent.spawn(self._serve, Link(client))

    def _serve(self, link: Link) -> None:
        self.links.add(link)
        try:
            if self._treat is _swallow and self._only is everyone:
                link.stranded = True
            else:
                link.server = _connected(self.target)
                gevent.spawn(self._pump, link, link.server, link.client, True)
            self._pump(link, link.client, link.server, False)
        except OSError:
            link.reset()  # the target refuses

    def _pump(
        self, link: Link, source: socket.socket, sink: socket.socket | None, down: bool
    ) -> None:
        """Pass on in one direction until it ends; the second to end closes the connection."""
        try:
            while data := source.recv(_CHUNK):
                if data := self._treated(link, data, down):
                    assert sink
                    sink.sendall(data)
            if sink and not link.stranded:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            link.reset()
        finally:
            self._ended(link, down)

    def _treated(self, link: Link, data: bytes, down: bool) -> bytes:
        if not down and len(link.head) < _HEAD:
            link.head += data[:_HEAD]
        fails = self._only(link)
        if link.stranded:
            if not link.forsaken and not (self._treat is _swallow and fails):
                link.reset()
            return b""
        return self._treat(link, data, down) if fails else data

    def _ended(self, link: Link, down: bool) -> None:
        link.ended.add(down)
        if len(link.ended) == 2 or not link.server:
            link.close()
            self.links.discard(link)


def _bound() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _shrink(sock)
    # A port that the kernel chose itself is lost with shutdown.
    sock.bind(("127.0.0.1", free_port()))
    return sock


def _connected(address: Address) -> socket.socket:
    sock = socket.socket()
    try:
        _shrink(sock)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _shrink(sock: socket.socket) -> None:
    """Before it connects or listens; accepted sockets take after their listener."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
