"""Subscriptions made in the last seconds: if Redis loses its data, the worker that holds the client
may not know of them yet, and puts the client back without them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from ...concurrency import monotonic

_SECONDS = 5.0  # a holder has heard of a change long before, or looks again after a second


class Made(NamedTuple):
    """A subscription that its client was told of."""

    at: float
    client_id: str
    channel: str
    start: str
    """The message id from which it counts."""


class RecentSubscriptions:
    """Remembers them for a few seconds; after a loss, for as long as clients are put back.

    :param window: seconds for which workers put their clients back.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._made: deque[Made] = deque()
        self._lost: list[Made] = []
        self._until = 0.0

    def add(self, client_id: str, channels: Collection[str], start: str) -> None:
        """These have been made by this worker."""
        now = monotonic()
        self._made.extend(Made(now, client_id, name, start) for name in channels)
        while self._made and now - self._made[0].at > _SECONDS:
            self._made.popleft()

    def remove(self, client_id: str, channels: Collection[str]) -> None:
        """These have been undone by this worker."""
        if any(one.client_id == client_id for one in self._made):
            self._made = deque(one for one in self._made if one.client_id != client_id
                               or one.channel not in channels)

    def lost(self) -> None:
        """Redis has lost its data."""
        now = monotonic()
        self._lost = [one for one in self._made if now - one.at <= _SECONDS]
        self._until = now + self._window

    def to_repeat(self) -> list[Made]:
        """Those to be made again: more than once, since a client may be put back later, too."""
        if monotonic() > self._until:
            self._lost = []
        return list(self._lost)
