"""Which connections of this worker are subscribed to which channel or pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter

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
        self._joins: dict[tuple[int, int], tuple[list[Message], list[Message], list[Message]]] = {}

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

    def hear(self, batch: list[Message]) -> list[Connection]:
        """Give new messages, in order of id, to every connection they concern, once each.

        Connections that come to be owed the same messages share one list of them.

        :returns: the connections that had nothing waiting and now have.
        """
        touched: list[Connection] = []
        for run in _runs(batch):
            for name in expand(run[0].channel):
                self._give(run, self._connections.get(name, ()), touched)
        self._joins.clear()
        return touched

    def _give(
        self, run: list[Message], connections: Iterable[Connection], touched: list[Connection]
    ) -> None:
        """Every delivery of the worker passes here: what most connections need is done in place."""
        first, last = run[0].id, run[-1].id
        for connection in connections:
            if connection.live and connection.position < first:
                connection.position = last
                if connection.outgoing:
                    connection.outgoing = self._joined(connection.outgoing, run)
                else:
                    connection.outgoing = run
                    touched.append(connection)
            elif connection.position < last and connection.hear(run):
                touched.append(connection)

    def _joined(self, waiting: list[Message], run: list[Message]) -> list[Message]:
        """Both, one after the other; the same list for all that have the same waiting."""
        key = id(waiting), id(run)
        if key not in self._joins:
            self._joins[key] = waiting, run, [*waiting, *run]  # both are kept: ids stay theirs
        return self._joins[key][2]


def _runs(batch: list[Message]) -> list[list[Message]]:
    """Messages that follow each other on one channel, together."""
    if all(message.channel == batch[0].channel for message in batch):
        return [batch] if batch else []
    return [list(run) for _, run in groupby(batch, attrgetter("channel"))]
