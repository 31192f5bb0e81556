"""One client's connection to this worker: what it has, and what waits for it.

A connection is *live* when it hears of every new message by the worker's own table. Until then it
is catching up: it reads the logs up to a cut, while what it hears meanwhile is held back. A stream
that cannot take more is neither; what it misses stays in the logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from ..bayeux.channels import expand
from ..engines.base import Batch, Message, Session

_message_id = attrgetter("id")
_NOTHING: list[Message] = []
_MOST_HELD = 10_000  # messages held back while catching up; beyond them it is read again
_NO_LIMIT = 2**62


class Reach(NamedTuple):
    """How far a connection has come."""

    position: int
    covered: Mapping[str, int]
    """The subscriptions for which ``position`` holds; others are read from their start."""

    def within(self, subscriptions: Mapping[str, int]) -> int:
        """A client that goes on from this id, with these subscriptions, misses nothing."""
        return min([self.position, *(start for name, start in subscriptions.items()
                                     if self.covered.get(name) != start)])


class Connection:
    """State common to polls and streams. Changed without yielding; waiting is done elsewhere.

    Everything up to ``position`` has been delivered or is in ``outgoing``; while the connection is
    live, what comes above it is appended by the worker's table.
    """

    is_stream = False
    weight = 1
    """How many writes to a socket it costs to flush it, see ``Outbox``."""
    acknowledged: int | None = None
    """What the client says that it has received, see ``Engine.connect``."""

    __slots__ = ("answered_to", "client_id", "closed", "connect_id", "covered",
                 "held", "live", "newest_version", "outgoing", "position", "session", "since")

    def __init__(self, client_id: str, connect_id: str) -> None:
        self.client_id = client_id
        self.connect_id = connect_id
        self.answered_to: int | None = None
        """The position that this connect was answered with."""
        self.session: Session = Session(0, 0, 0, {})
        self.position = 0
        self.covered: Mapping[str, int] = {}
        """See ``Reach.covered``."""
        self.outgoing = _NOTHING
        """What waits to be sent, in order. Connections owed the same messages share one list:
        replaced, never changed."""
        self.held: list[Message] | None = None
        """Heard while catching up; None when it is not, or when it was too much to keep."""
        self.live = False
        self.closed = False
        self.newest_version = 0
        self.since = _NO_LIMIT
        """Subscriptions not known here yet, if there are any, begin at this id or later."""

    @property
    def is_outdated(self) -> bool:
        """Have the subscriptions changed since they were read?"""
        return self.newest_version > self.session.version

    @property
    def reach(self) -> Reach:
        """How far everything has been sent."""
        position = self.outgoing[0].id - 1 if self.outgoing else self.position
        return Reach(position, self.covered)

    def begin(self, session: Session) -> None:
        """Start with what the engine's ``connect`` found."""
        self.session = session
        self.covered = session.subscriptions
        self.start_at(session.cursor)

    def start_at(self, position: int) -> None:
        """Everything up to ``position`` has been delivered before."""
        self.position = position

    def learn(self, version: int, since: int) -> None:
        """The subscriptions have changed; see ``EngineEvents.changed``."""
        self.newest_version = max(self.newest_version, version)
        if self.is_outdated:
            self.since = min(self.since, since)

    def reload(self, session: Session) -> None:
        """Have the subscriptions of ``session``."""
        session.repeat_to = self.session.repeat_to  # of this connect, not of the client
        self.session = session
        if not self.is_outdated:
            self.since = _NO_LIMIT

    def hear(self, messages: list[Message]) -> bool:
        """New messages on one of its channels, in order of id; they may come once per matching
        subscription.

        :returns: whether ``outgoing`` has just become non-empty.
        """
        new = [message for message in messages if message.id > self.position]
        if not new:
            return False
        if not self.live:
            self._hold(new)
            return False
        was_empty = not self.outgoing
        self.position = new[-1].id
        self.outgoing = [*self.outgoing, *new]
        return was_empty

    def take_outgoing(self) -> list[Message]:
        """All of ``outgoing``, which is empty then."""
        messages, self.outgoing = self.outgoing, _NOTHING
        return messages

    def _hold(self, messages: list[Message]) -> None:
        if self.held is None:
            return
        last = self.held[-1].id if self.held else 0
        self.held += [message for message in messages if message.id > last]
        if len(self.held) > _MOST_HELD:
            self.held = None

    def read_from(self, session: Session) -> dict[str, int]:
        """Where to read each log from when the subscriptions are those of ``session``: a new one
        from its beginning, even if other channels are further on."""
        covered = self.covered
        return {
            name: max(start, self.position if covered.get(name) == start else session.cursor)
            for name, start in session.subscriptions.items()
        }

    def merge(self, batch: Batch) -> bool:
        """Take what was read from the logs; if it reaches the cut, also what was held back, and
        be live.

        :returns: whether that is enough: a poll answers with a part and leaves the rest.
        """
        goal = self.position if self.session.repeat_to is None else self.session.repeat_to
        found = [message for message in batch.messages if not self._has_had(message)]
        self.live = batch.complete and self.held is not None
        if self.live:
            found += [m for m in self.held or () if m.id > batch.position]
        self.held = None
        self.outgoing = sorted([*self.outgoing, *found], key=_message_id)
        last = self.outgoing[-1].id if self.live and self.outgoing else 0
        if self.live or batch.position >= self.position:
            self.covered = self.session.subscriptions
        self.position = max(self.position, batch.position, last)
        return self.live or (bool(self.outgoing) and batch.position >= goal)

    def _has_had(self, message: Message) -> bool:
        """Did it come by another subscription, before the one it was read for was known here?"""
        return message.id <= self.position and any(
            self.covered.get(name, message.id) < message.id for name in expand(message.channel))

    def doubt(self) -> None:
        """What it hears may come after messages that it has missed: its logs have to be read."""
        self.live, self.held = False, None

    # What the two kinds do in their own way

    def changed(self) -> None:
        """Something is different that whoever waits for this connection has to look at."""

    def flush(self) -> bool:
        """Have ``outgoing`` sent.

        :returns: False if a stream cannot take more for now; then it is no longer live.
        """
        raise NotImplementedError

    def retire(self) -> None:
        """Another connection has the client now: complete the connect that this one holds."""
        raise NotImplementedError

    def end(self, kicked: bool) -> None:
        """The client is no more: complete the connect that this one holds, close its stream.

        :param kicked: advise it not to come back.
        """
        raise NotImplementedError
