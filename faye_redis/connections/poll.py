"""The connection of a polling transport: one held request."""

from __future__ import annotations

import socket

from ..concurrency import Event, Watcher, watch_read
from ..engines.base import Message
from .connection import Connection


class Poll(Connection):
    """A held ``/meta/connect``: its greenlet waits here, and takes what has come when woken."""

    weight = 30  # its greenlet asks the engine, makes an answer, reads the next request
    __slots__ = ("_watcher", "_woken", "abandoned", "acknowledged", "is_last", "kicked")

    def __init__(
        self, client_id: str, connect_id: str, acknowledged: int | None = None
    ) -> None:
        super().__init__(client_id, connect_id)
        self.acknowledged = acknowledged
        self._woken = Event()
        self._watcher: Watcher | None = None
        self.abandoned = False
        """The peer has closed its socket; nobody would read an answer."""
        self.is_last = False
        """The client has left while it was held."""
        self.kicked = False

    def abandon(self) -> None:
        """Nobody would read an answer any more."""
        self.abandoned = True
        self._woken.set()

    def changed(self) -> None:
        self._woken.set()

    def flush(self) -> bool:
        self._woken.set()
        return True

    retire = changed

    def end(self, kicked: bool) -> None:
        self.is_last, self.kicked = True, kicked
        self._woken.set()

    @property
    def is_waiting(self) -> bool:
        """Is there nothing to answer with, and no other reason to look?"""
        return self.live and not (self.outgoing or self.closed or self.abandoned
                                  or self.is_outdated or self.session.repeat_to is not None)

    def take(self, size: int) -> tuple[list[Message], int]:
        """What to answer now, and the position up to which that is everything.

        :param size: bytes of messages at most; but the first one always fits.
        """
        end = self.session.repeat_to
        if end is not None:
            return [message for message in self.outgoing if message.id <= end], end
        messages = _fitting(self.outgoing, size)
        complete = len(messages) == len(self.outgoing)
        return messages, self.position if complete else messages[-1].id

    def wait(self, seconds: float, sock: socket.socket | None) -> None:
        """Wait until woken, ``seconds`` have passed, or the peer has closed its socket."""
        self._woken.clear()
        self._watcher = watch_read(sock, lambda: self._check_end(sock)) if sock else None
        try:
            self._woken.wait(max(seconds, 0))
        finally:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._watcher:
            self._watcher.stop()
            self._watcher = None

    def _check_end(self, sock: socket.socket) -> None:
        """Readable means the end of the stream, or the next request, sent ahead of its time."""
        try:
            self.abandoned = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self.abandoned = True
        if self.abandoned:
            self._woken.set()
        else:
            self._stop_watching()  # it would call again and again for the same bytes


def _fitting(messages: list[Message], size: int) -> list[Message]:
    """As many of the first messages as ``size`` bytes hold, but at least one if there is any.

    Always a list of its own: ``messages`` goes on growing while the answer is being recorded.
    """
    total = 0
    for count, message in enumerate(messages):
        total += len(message.payload)
        if total > size and count:
            return messages[:count]
    return messages[:]
