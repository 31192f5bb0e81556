"""Which connections of this worker are subscribed to which channel or pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..bayeux.channels import expand
from ..engines.base import Message
from .connection import Connection


class Followers:
    """Channel or pattern -> connections, and which channels have had none for how long.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._connections: dict[str, dict[Connection, None]] = {}
        self._idle: dict[str, float] = {}

    def add(self, connection: Connection, channels: Iterable[str]) -> None:
        for name in channels:
            self._idle.pop(name, None)
            self._connections.setdefault(name, {})[connection] = None

    def remove(self, connection: Connection, channels: Iterable[str]) -> None:
        for name in channels:
            if members := self._connections.get(name):
                members.pop(connection, None)
                if not members:
                    del self._connections[name]
                    self._idle[name] = self._clock()

    def take_idle(self, seconds: float) -> list[str]:
        """Channels that nobody has been interested in for so long; they are forgotten here."""
        limit = self._clock() - seconds
        idle = [name for name, since in self._idle.items() if since < limit]
        for name in idle:
            del self._idle[name]
        return idle

    def hear(self, message: Message) -> list[Connection]:
        """Give a message to every connection it concerns, once each.

        :returns: the connections that had nothing waiting and now have.
        """
        return [
            connection
            for name in expand(message.channel)
            for connection in self._connections.get(name, ())
            if connection.hear(message)
        ]
