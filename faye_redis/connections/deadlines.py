"""Things that are due at a time, without a timer each."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """A queue by time; what is added stays until it is due, also if it no longer matters."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def add(self, at: float, item: T) -> None:
        heapq.heappush(self._heap, (at, next(self._order), item))

    def take(self, now: float) -> list[T]:
        """Everything that is due, earliest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due
