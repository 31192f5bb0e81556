"""Asking the peers of streams whether what was sent has arrived."""

from __future__ import annotations

from collections import deque

from .subscriber import Subscriber

_LEAST = 20


class Confirmations:
    """The streams that have sent what is not confirmed, in the order in which they are asked.

    At most a fifth of them is asked at a tick, but at least 20: with five ticks a second each of
    a few is asked at every tick, each of many once a second.
    """

    def __init__(self) -> None:
        self._queue: deque[Subscriber] = deque()

    def sent(self, subscriber: Subscriber) -> None:
        """It has something to ask about."""
        if not subscriber.queued:
            subscriber.queued = True
            self._queue.append(subscriber)

    def ask(self) -> None:
        """Ask those whose turn it is; never waits."""
        for _ in range(min(len(self._queue), max(_LEAST, len(self._queue) // 5))):
            subscriber = self._queue.popleft()
            subscriber.queued = False
            subscriber.ask()
