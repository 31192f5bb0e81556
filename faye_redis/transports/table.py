"""The taken sockets of this process that are open, and when each needs attention."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from typing import Final

from ..concurrency import monotonic, sleep, spawn
from ..errors import BadRequest
from ..headers import size
from .responses import Environ
from .sockets import Deed, State, TakenSocket

log = logging.getLogger("faye_redis.sockets")

MOST_HEADERS: Final = 32_768
"""Characters in the headers of a request whose socket stays; gunicorn takes 800,000."""


class SocketTable:
    """Counts sockets, visits them, and drops those that are overdue.

    One greenlet, there while any socket is, looks once a second at those whose time has come.
    The sockets of one interval are kept in the order of their next visit, so a turn costs as
    much as there is to do, not as much as there are sockets.

    :param limit: sockets at most; gunicorn does not count the ones taken from it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._closed = False
        self._visits: dict[float, dict[TakenSocket, float]] = {}
        self._expected: dict[tuple[TakenSocket, Deed], float] = {}
        self._sweeping = False

    def __len__(self) -> int:
        return sum(map(len, self._visits.values()))

    def sockets(self) -> list[TakenSocket]:
        """Those that are open now."""
        return [sock for visits in self._visits.values() for sock in visits]

    @property
    def is_closed(self) -> bool:
        """Does it take no more sockets?"""
        return self._closed

    def check(self, environ: Environ) -> None:
        """Is there room for one more, which keeps the headers of its request?

        :raises BadRequest: status 503, no: ``max_connections`` are open, or the worker stops;
            431, its headers are too long to be kept.
        """
        if size(environ) > MOST_HEADERS:
            raise BadRequest(f"headers of more than {MOST_HEADERS} characters", 431)
        if self._closed:
            raise BadRequest("the worker is stopping", 503)
        if len(self) >= self._limit:
            raise BadRequest(f"max_connections ({self._limit}) sockets are open", 503)

    def add(self, sock: TakenSocket) -> None:
        """Count an open socket and visit it from now on."""
        self._visits.setdefault(sock.interval, {})[sock] = monotonic() + sock.interval
        if not self._sweeping:
            self._sweeping = True
            spawn(self._sweep_always)

    def remove(self, sock: TakenSocket) -> None:
        """Forget a socket. Idempotent."""
        self._visits.get(sock.interval, {}).pop(sock, None)
        for deed in Deed:
            self.unexpect(sock, deed)

    def expect(self, sock: TakenSocket, deed: Deed, seconds: float) -> None:
        """Abort ``sock`` unless there is an ``unexpect`` or another ``expect`` in time."""
        self._expected[sock, deed] = monotonic() + seconds

    def unexpect(self, sock: TakenSocket, deed: Deed) -> None:
        """What was expected of ``sock`` has happened."""
        self._expected.pop((sock, deed), None)

    def sweep(self, now: float) -> None:
        """Abort the sockets that are overdue and visit those whose time has come."""
        for sock, deed in [expected for expected, due in self._expected.items() if due <= now]:
            log.info("socket dropped: the peer did not %s in time", deed.value)
            sock.abort()
        for interval, visits in self._visits.items():
            for sock in _due(visits, now):
                del visits[sock]
                visits[sock] = now + interval  # at the end: that keeps the order
                if sock.state is State.OPEN:
                    sock.visit(now)

    def close(self, jitter: float) -> Iterable[TakenSocket]:
        """Take no more sockets; yield the open ones in random order, spread over time.

        :param jitter: seconds from the first to the last; 0 does not yield to other greenlets.
        """
        self._closed = True
        sockets = self.sockets()
        random.shuffle(sockets)
        began = monotonic()
        for index, sock in enumerate(sockets):
            early = began + jitter * index / len(sockets) - monotonic()
            if early > 0:
                sleep(early)
            yield sock

    def _sweep_always(self) -> None:
        try:
            while len(self):
                sleep(1)
                self.sweep(monotonic())
        finally:
            self._sweeping = False


def _due(visits: dict[TakenSocket, float], now: float) -> list[TakenSocket]:
    due = []
    for sock, at in visits.items():
        if at > now:
            break
        due.append(sock)
    return due
