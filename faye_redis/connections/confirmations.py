"""Asking the peers of streams whether what was sent has arrived."""

from __future__ import annotations

from collections import deque

from ..concurrency import sleep
from .subscriber import Subscriber

_LEAST = 20
_AT_ONCE = 250  # pings, a few milliseconds, before others get their turn
_BREATH = 0.0001  # seconds: enough for every socket that is ready


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
        """Ask those whose turn it is. Lets others have theirs in between."""
        for number in range(min(len(self._queue), max(_LEAST, len(self._queue) // 5))):
            if number and number % _AT_ONCE == 0:
                sleep(_BREATH)
            subscriber = self._queue.popleft()
            subscriber.queued = False
            subscriber.ask()
