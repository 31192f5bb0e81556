"""What was acknowledged against what was received.

A message is *owed* to a client if its publish was acknowledged and began after the client's
subscription had been answered. A client whose session the server has lost subscribes again: what
is published before that answer is not owed any more, what was owed before stays so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf

_ON_ITS_WAY_SECONDS = 20.0


@dataclass
class Report:
    """The result of one run; times in seconds."""

    published: int = 0
    acknowledged: int = 0
    owed: int = 0
    lost: int = 0
    gone: int = 0
    """Published before Redis lost its data, and not fetched before that."""
    duplicates: int = 0
    copies: int = 0
    """The most copies of one message at one client."""
    inversions: int = 0
    sessions_lost: int = 0
    recovery: float | None = None
    """From the heal to the moment when every client had got something published after it."""

    def line(self) -> str:
        """All of it as one line."""
        return " ".join(f"{name}={value:.1f}" if isinstance(value, float) else f"{name}={value}"
                        for name, value in asdict(self).items())


@dataclass(frozen=True)
class Publish:
    publisher: int
    number: int
    channel: str
    began: float


class Ledger:
    """Written by publishers and clients; times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.published = 0
        self._acknowledged: dict[str, list[Publish]] = defaultdict(list)
        self._good: set[tuple[int, int]] = set()
        self._began: dict[tuple[int, int], float] = {}
        self._sessions: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        self._received: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
        self._left: dict[str, float] = {}
        self.sessions_lost = 0

    # Publishers

    def publishing(self, publisher: int, number: int, began: float) -> None:
        self.published += 1
        self._began[publisher, number] = began

    def acknowledged(self, publisher: int, number: int, channel: str) -> None:
        began = self._began[publisher, number]
        self._acknowledged[channel].append(Publish(publisher, number, channel, began))
        self._good.add((publisher, number))

    # Clients

    def subscribed(self, client: str, channel: str, at: float) -> None:
        """The answer to its subscription has arrived."""
        self._sessions[client].append((channel, at, inf))

    def session_lost(self, client: str, at: float) -> None:
        """The server does not know it any more."""
        self.sessions_lost += 1
        if self._sessions[client]:
            channel, since, _ = self._sessions[client].pop()
            self._sessions[client].append((channel, since, at))

    def left(self, client: str, at: float) -> None:
        """It went on purpose: what was on its way is not owed to it any more."""
        self._left[client] = at

    def received(self, client: str, publisher: int, number: int, at: float) -> None:
        self._received[client].append((publisher, number, at))

    # Results

    def missing(self) -> set[tuple[str, int, int]]:
        """Deliveries that are owed and have not come: client, publisher, number."""
        return {(client, *message) for client in self._sessions
                for message in self._owed(client) - self._got(client)}

    def gone(self, data_lost_at: Sequence[float]) -> int:
        """How many of them were published in the seconds before Redis lost its data."""
        return sum(any(0 <= at - self._began[publisher, number] < _ON_ITS_WAY_SECONDS
                       for at in data_lost_at) for _, publisher, number in self.missing())

    def _owed(self, client: str) -> set[tuple[int, int]]:
        end = self._left.get(client, inf) - _ON_ITS_WAY_SECONDS
        return {(one.publisher, one.number)
                for channel, since, until in self._sessions[client]
                for one in self._acknowledged[channel] if since <= one.began < min(until, end)}

    def _got(self, client: str) -> set[tuple[int, int]]:
        return {(publisher, number) for publisher, number, _ in self._received[client]}

    def waiting(self, since: float) -> int:
        """Clients, of those that were there, that have got nothing published after ``since``."""
        return sum(self._first_after(client, since) is None
                   for client, sessions in list(self._sessions.items())
                   if client not in self._left and sessions and sessions[0][1] < since)

    def _first_after(self, client: str, since: float) -> float | None:
        return next((at for publisher, number, at in self._received[client]
                     if self._began[publisher, number] >= since), None)

    def report(self, healed: float | None = None) -> Report:
        """Everything so far; ``healed`` is when the last fault was over."""
        result = Report(self.published, sum(map(len, self._acknowledged.values())),
                        sessions_lost=self.sessions_lost)
        for client in list(self._sessions):
            self._add(result, client)
        if healed is not None:
            times = [self._first_after(client, healed) for client in self._sessions
                     if client not in self._left]
            late = [at for at in times if at is not None]
            result.recovery = max(late) - healed if late and len(late) == len(times) else inf
        return result

    def _add(self, result: Report, client: str) -> None:
        owed, got = self._owed(client), self._got(client)
        copies = Counter((publisher, number) for publisher, number, _ in self._received[client])
        result.owed += len(owed)
        result.lost += len(owed - got)
        result.duplicates += sum(copies.values()) - len(copies)
        result.copies = max(result.copies, *copies.values(), 0)
        result.inversions += self._inversions(client)

    def _inversions(self, client: str) -> int:
        """First copies that come behind a later message of the same publisher. One whose publish
        failed does not count: Redis may have carried it out later."""
        highest: dict[int, int] = {}
        seen: set[tuple[int, int]] = set()
        count = 0
        for publisher, number, _ in self._received[client]:
            if (publisher, number) in self._good and (publisher, number) not in seen:
                seen.add((publisher, number))
                count += number < highest.get(publisher, -1)
                highest[publisher] = max(number, highest.get(publisher, -1))
        return count
