"""The engine of one process: the contract of ``base`` in dictionaries. Nothing survives it."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from ..bayeux.channels import expand
from ..errors import Superseded, TooMany, UnknownClient
from .base import (
    NO_LIMITS,
    NOBODY,
    Batch,
    EngineEvents,
    Message,
    Owed,
    Owner,
    Progress,
    Published,
    Session,
    Standing,
    SubscriptionLimits,
    Verdict,
    log_retention,
    merge,
)
from .handover import Handovers
from .ids import new_client_id, precedes

if TYPE_CHECKING:
    from ..settings import EngineSettings

_OPERATION_SECONDS = 60.0
_NOTHING_NEW = 2**62
_message_id = attrgetter("id")

Value = TypeVar("Value")


@dataclass(slots=True)
class _Client:
    seen: float
    epoch: int = 0
    version: int = 0
    cursor: int = 0
    connect_id: str = ""
    sent: int | None = None
    """Position the latest connect id was answered with; None while it is unanswered."""
    acknowledges: bool = False
    owner: Owner = NOBODY
    has_stream: bool = False
    owed: list[int] = field(default_factory=list)
    """Epochs of streams that may have delivered more than the cursor says."""
    subscriptions: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    subscribers: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    trimmed: int = 0
    """The last id removed."""

    def messages_after(self, position: int, limit: int) -> list[Message]:
        start = bisect_right(self.messages, position, key=_message_id)
        return self.messages[start : start + limit]


class MemoryEngine:
    """See :class:`~faye_redis.engines.base.Engine` for every verb's contract.

    Verbs never yield to other greenlets, which makes each of them atomic.

    :param clock: seconds that never go back; tests inject their own.
    """

    server_id = "memory"

    def __init__(
        self, settings: EngineSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._clients: dict[str, _Client] = {}
        self._logs: dict[str, _Log] = {}
        self._operations: dict[str, tuple[float, int]] = {}
        self._kicked: dict[str, float] = {}
        self._last_id = 0
        self._events: EngineEvents | None = None
        self._handovers = Handovers()

    def start(self, events: EngineEvents) -> None:
        self._events = events

    def check(self) -> None:
        """Memory is always there."""

    def close(self) -> None:
        self._events = None

    # Clients

    def create_client(self, acknowledges: bool = False, owner: Owner = NOBODY) -> str:
        client_id = new_client_id()
        self._clients[client_id] = _Client(
            self._clock(), acknowledges=acknowledges, owner=owner)
        return client_id

    def owner(self, client_id: str) -> Owner:
        return self._client(client_id).owner

    def touch(self, client_id: str, stream_connect: str | None = None) -> bool:
        client = self._client(client_id)
        client.seen = self._clock()
        if client.has_stream and stream_connect is not None and self._events:
            self._events.connected(client_id, stream_connect)
        return client.acknowledges

    def ping(self, client_ids: Collection[str]) -> None:
        now = self._clock()
        for client_id in client_ids:
            if client := self._clients.get(client_id):
                client.seen = now

    def destroy_client(self, client_id: str, kick: bool = False) -> list[str]:
        self._client(client_id)
        if kick:
            self._forget_kicked()
            self._kicked[client_id] = self._clock()
        return self._remove(client_id)

    def forget(self, client_id: str) -> None:
        if self._events:
            self._events.forgotten(client_id)

    def was_kicked(self, client_id: str) -> bool:
        self._forget_kicked()
        return client_id in self._kicked

    def _forget_kicked(self) -> None:
        limit = self._clock() - self._settings.client_timeout
        _forget(self._kicked, lambda at: at < limit)

    def cleanup_expired(self, thorough: bool = True) -> int:
        expired = [id for id, client in self._clients.items() if self._is_expired(client)]
        for client_id in expired:
            channels = self._remove(client_id)
            if self._events:
                self._events.expired(client_id, channels)
        return len(expired)

    def _client(self, client_id: str) -> _Client:
        client = self._clients.get(client_id)
        if client is None or self._is_expired(client):
            raise UnknownClient(client_id)
        return client

    def _is_expired(self, client: _Client) -> bool:
        return client.seen < self._clock() - self._settings.client_timeout

    def _remove(self, client_id: str) -> list[str]:
        channels = list(self._clients.pop(client_id).subscriptions)
        for channel in channels:
            self._leave(channel, client_id)
        if self._events:
            self._events.destroyed(client_id, client_id in self._kicked)
        return channels

    # Subscriptions

    def subscribe(
        self, client_id: str, channels: Collection[str],
        limits: SubscriptionLimits = NO_LIMITS,
    ) -> list[str]:
        client = self._client(client_id)
        added = [name for name in dict.fromkeys(channels) if name not in client.subscriptions]
        if added and (option := limits.exceeded_by([*client.subscriptions, *added])):
            raise TooMany(option)
        for name in added:
            client.subscriptions[name] = self._last_id
            self._logs.setdefault(name, _Log()).subscribers.add(client_id)
        self._changed(client_id, client, added, self._last_id)
        return added

    def unsubscribe(self, client_id: str, channels: Collection[str]) -> list[str]:
        client = self._client(client_id)
        removed = [name for name in dict.fromkeys(channels) if name in client.subscriptions]
        for name in removed:
            del client.subscriptions[name]
            self._leave(name, client_id)
        self._changed(client_id, client, removed, _NOTHING_NEW)
        return removed

    def _leave(self, channel: str, client_id: str) -> None:
        log = self._logs[channel]
        log.subscribers.discard(client_id)
        if not log.subscribers:
            del self._logs[channel]

    def _changed(
        self, client_id: str, client: _Client, channels: list[str], since: int
    ) -> None:
        if channels:
            client.version += 1
            if self._events:
                self._events.changed(client_id, client.version, since)

    # Messages

    def publish_soon(
        self, channel: str, payload: bytes, operation: str, done: Published
    ) -> None:
        done(self.publish(channel, payload, operation))

    def publish(self, channel: str, payload: bytes, operation: str) -> int:
        self._forget_operations()
        if done := self._operations.get(operation):
            return done[1]
        self._last_id = max(time.time_ns() // 1000, self._last_id + 1)
        self._operations[operation] = (self._clock(), self._last_id)
        message = Message(self._last_id, channel, payload)
        logs = [self._logs[name] for name in expand(channel) if name in self._logs]
        for log in logs:
            log.messages.append(message)
            self._trim(log)
        if logs and self._events:
            self._events.messages([message])
        return message.id

    def _trim(self, log: _Log) -> None:
        oldest = self._last_id - round(log_retention(self._settings) * 1e6)
        excess = len(log.messages) - self._settings.max_log
        if excess > 0 or log.messages[0].id < oldest:
            end = max(excess, bisect_right(log.messages, oldest, key=_message_id))
            log.trimmed = log.messages[end - 1].id
            del log.messages[:end]

    def _forget_operations(self) -> None:
        limit = self._clock() - _OPERATION_SECONDS
        _forget(self._operations, lambda operation: operation[0] < limit)

    def read(self, after: Mapping[str, int], limit: int) -> Batch:
        logs = [
            (self._logs[name], position) for name, position in after.items() if name in self._logs
        ]
        gap = any(log.trimmed > position for log, position in logs)
        found = [log.messages_after(position, limit) for log, position in logs]
        return merge(found, limit, self._last_id, gap)

    def has_nothing_new(self, channels: Iterable[str], position: int) -> bool:
        return False  # reading costs nothing

    def follow(self, channels: Iterable[str]) -> None:
        """Nothing to do: every message passes through this process."""

    def unfollow(self, channels: Iterable[str]) -> None:
        """Nothing to undo."""

    # Connections

    def connect(
        self, client_id: str, connect_id: str, stream: bool, acknowledged: int | None = None
    ) -> Session:
        client = self._client(client_id)
        if precedes(connect_id, client.connect_id):
            raise UnknownClient(client_id)
        repeated = connect_id != "" and connect_id == client.connect_id
        again = repeated and not stream and not client.acknowledges
        repeat_to = client.sent if again else None
        if client.sent is not None:
            confirmed = acknowledged if client.acknowledges else client.sent
            counts = client.acknowledges or (not repeated and (connect_id or not stream))
            if counts and confirmed is not None and confirmed <= client.sent:
                client.cursor = max(client.cursor, confirmed)
        if repeat_to is None and not client.acknowledges:
            client.sent = None
        client.connect_id = connect_id or client.connect_id
        client.epoch += 1
        client.seen = self._clock()
        session = self._session(client, repeat_to)
        if stream:
            client.has_stream = True
            client.owed.append(client.epoch)
        return session

    def session(self, client_id: str, epoch: int) -> Session:
        client = self._client(client_id)
        if client.epoch != epoch:
            raise Superseded("a newer connection holds the client")
        return self._session(client)

    def _session(self, client: _Client, repeat_to: int | None = None) -> Session:
        return Session(
            client.epoch, client.version, client.cursor, dict(client.subscriptions),
            client.acknowledges, repeat_to,
            tuple(Owed(self.server_id, epoch, False, True) for epoch in client.owed),
            client.owner,
        )

    def answer(
        self, client_id: str, session: Session, connect_id: str, position: int
    ) -> Verdict:
        client = self._clients.get(client_id)
        if client is None:
            return Verdict.GONE
        if client.epoch != session.epoch:
            same = connect_id != "" and client.connect_id == connect_id
            return Verdict.REPEATED if same else Verdict.REPLACED
        if client.version != session.version:
            return Verdict.CHANGED
        client.sent = max(position, client.sent or 0) if client.acknowledges else position
        return Verdict.RECORDED

    def save(self, positions: Sequence[Progress]) -> None:
        for progress in positions:
            client = self._clients.get(progress.client_id)
            if client and _counts(client, progress):
                self._save(client, progress)

    def _save(self, client: _Client, progress: Progress) -> None:
        newest = client.epoch == progress.epoch
        unknown = [] if client.version == progress.version else [
            start for start in client.subscriptions.values() if start >= client.cursor]
        client.cursor = max(client.cursor, min([progress.position, *unknown]))
        if progress.standing is Standing.ENDED:
            client.has_stream = client.has_stream and not newest
            client.owed = [epoch for epoch in client.owed if epoch != progress.epoch]
        elif newest:
            client.owed = [] if progress.standing is Standing.TAKEN else [progress.epoch]
        if not newest:
            self._handovers.answered(
                progress.client_id, self.server_id, progress.epoch, client.cursor)

    def release(self, client_id: str, session: Session, stream: bool) -> int:
        answers = self._handovers.wait(client_id, session.owed)
        position = max([session.cursor, *filter(None, answers)])
        if None in answers:
            standing = Standing.OWN if stream else Standing.TAKEN
            self.save([Progress(client_id, session.epoch, session.version, position, standing)])
        return position


def _forget(items: dict[str, Value], is_old: Callable[[Value], bool]) -> None:
    """Delete the old ones of ``items``, which are in the order of their age."""
    while items:
        name, value = next(iter(items.items()))
        if not is_old(value):
            break
        del items[name]


def _counts(client: _Client, progress: Progress) -> bool:
    newest, owed = client.epoch == progress.epoch, progress.epoch in client.owed
    streaming = progress.standing in (Standing.OWN, Standing.FOLLOWS)
    return newest and owed if streaming else newest or owed
