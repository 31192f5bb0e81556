"""The connections that have something to send, and when it is sent."""

from __future__ import annotations

from ..concurrency import monotonic, run_later, run_soon
from .connection import Connection

_AT_ONCE = 250  # writes, a few milliseconds, before others get their turn
_PATIENCE = 0.1  # of the time that the last fan-out took
_LEAST, _MOST = 0.0002, 0.005  # seconds: less is not worth a timer, more would be felt


class Outbox:
    """Sends to many in parts, so that others are served in between, and waits a little before a
    fan-out that takes long: what comes while it goes on costs each of them a write of its own, what
    comes before goes out in the same write."""

    def __init__(self) -> None:
        self._waiting: list[Connection] = []
        self._took = 0.0  # seconds, of the last fan-out
        self._taking = 0.0

    def add(self, connections: list[Connection]) -> None:
        """Connections that had nothing to send and now have. Neither waits nor sends."""
        if connections and not self._waiting:
            pause = min(self._took * _PATIENCE, _MOST)
            if pause < _LEAST:
                run_soon(self._send)
            else:
                run_later(pause, self._send)
        self._waiting += connections

    def _send(self) -> None:
        began = monotonic()
        try:
            for connection in self._take_part():
                if connection.live and not connection.closed:
                    connection.flush()
        finally:
            self._go_on(monotonic() - began)

    def _take_part(self) -> list[Connection]:
        room, count = _AT_ONCE, 0
        while room > 0 and count < len(self._waiting):
            room -= self._waiting[count].weight
            count += 1
        part, self._waiting = self._waiting[:count], self._waiting[count:]
        return part

    def _go_on(self, seconds: float) -> None:
        self._taking += seconds
        if self._waiting:
            run_later(0, self._send)
        else:
            self._took, self._taking = self._taking, 0.0
