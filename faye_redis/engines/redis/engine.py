"""The engine that lets any number of workers serve the same clients: one verb, one script."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ...concurrency import spawn
from ...errors import EngineUnavailable, TooMany, UnknownClient
from ..base import (
    NO_LIMITS,
    NOBODY,
    Batch,
    EngineEvents,
    Message,
    Owner,
    Progress,
    Published,
    Session,
    Standing,
    SubscriptionLimits,
    Verdict,
)
from ..handover import Handovers
from ..ids import new_client_id
from .batches import Batches
from .client import check, create_client, create_subscriber_client
from .control import Control
from .failures import translated, translation
from .heartbeat import Heartbeat
from .keys import Keys
from .lifetimes import Lifetimes, chunks
from .listener import Listener
from .logs import Logs
from .publishing import Publishing
from .recent import RecentSubscriptions
from .removal import Removal
from .replies import owner_of, session_of
from .retries import retried
from .scripts import Scripts
from .takeover import Takeover

if TYPE_CHECKING:
    from ...settings import EngineSettings

log = logging.getLogger("faye_redis.engine")

_RECOVERY_LIMIT = 1000
_SAVED_AT_ONCE = 200  # some milliseconds, before others get their turn


class RedisEngine:
    """See :class:`~faye_redis.engines.base.Engine` for every verb's contract.

    All times are Redis's own; the clocks of workers are never compared. Nothing is connected
    before ``start`` or the first verb, so it may be built before a fork.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.server_id = ""
        self._keys = Keys(settings.namespace, settings.database)
        self._redis = create_client(settings)
        self._scripts = Scripts(self._redis)
        self._handovers = Handovers()
        self._takeover = Takeover(self._redis, self._keys, self._handovers, settings)
        self._removal = Removal(self._redis, self._scripts, self._keys, settings)
        self._timeout = round(settings.client_timeout * 1000)
        self._lifetimes = Lifetimes(self._redis, settings)
        self._lifetime = self._lifetimes.milliseconds
        self._heartbeat = Heartbeat(
            self._redis, self._scripts, self._keys, settings, self._lifetimes)
        self._publishing = Publishing(self._keys, self._scripts, settings)
        pool = create_subscriber_client(settings).connection_pool
        self._batches = Batches(pool, settings, self._scripts.load_on)
        # Logs may be long: what is read must not hold up what is published.
        self._reads = Batches(pool, settings, lambda wire: None)
        self._logs = Logs(self._reads, self._keys)
        self._events: EngineEvents | None = None
        self._listener: Listener | None = None
        self._recent = RecentSubscriptions(settings.restore_window)

    def start(self, events: EngineEvents) -> None:
        self.server_id = secrets.token_urlsafe(6)  # short: every client has it
        self._events = events
        self._listener = Listener(
            create_subscriber_client(self._settings).connection_pool,
            self._keys,
            self.server_id,
            self._settings.operation_timeout,
            events.messages,
            Control(events, self._handovers, self._heard).received,
            self._recover,
        )
        try:
            self.check()
            self._load_scripts()
            self._listener.last_id = self._last_id()
        except EngineUnavailable as error:
            log.error("Redis is not available yet, trying on: %s", error)
        self._listener.start()
        self._heartbeat.start(
            self.server_id, events, self._heard, self._recent.lost, self._after_beat)

    def _heard(self) -> int:
        return self._listener.last_id if self._listener else 0

    @retried
    def _load_scripts(self) -> None:
        self._scripts.load()

    def check(self) -> None:
        check(self._redis, self._settings)

    def close(self) -> None:
        self._heartbeat.close()
        if self._listener:
            self._listener.close()
            self._listener = None
        self._batches.close()
        self._reads.close()
        self._redis.close()

    def _run(self, verb: str, keys: Sequence[str], *args: Any) -> Any:
        """Run a script that is safe to repeat, together with those of other greenlets."""
        try:
            return self._batches.call(self._scripts.command(verb, keys, *args))
        except RedisError as error:
            raise translation(error) from None

    # Clients

    def create_client(self, acknowledges: bool = False, owner: Owner = NOBODY) -> str:
        client_id = new_client_id()
        keys = [self._keys.client(client_id), self._keys.clients]
        self._run("create", keys, client_id, self._lifetime, int(acknowledges), *owner)
        return client_id

    def owner(self, client_id: str) -> Owner:
        return self._heartbeat.surely(lambda: self._owner(client_id))

    @retried
    def _owner(self, client_id: str) -> Owner:
        fields = [b"epoch", b"user", b"binding"]
        found: list[Any] = self._redis.hmget(self._keys.client(client_id), fields)
        if found[0] is None:
            raise UnknownClient(client_id)
        return owner_of({name: value for name, value in zip(fields, found, strict=True) if value})

    def touch(self, client_id: str, stream_connect: str | None = None) -> bool:
        return self._heartbeat.surely(lambda: self._touch(client_id, stream_connect))

    def _touch(self, client_id: str, stream_connect: str | None) -> bool:
        keys = [self._keys.client(client_id), self._keys.clients, self._keys.grace]
        connect = () if stream_connect is None else (stream_connect, self._keys.server_channel(""))
        found = self._run("touch", keys, client_id, self._timeout, *connect)
        if not found:
            raise UnknownClient(client_id)
        return bool(found == 2)

    def ping(self, client_ids: Collection[str]) -> None:
        for some in chunks(list(client_ids)):
            self._ping(some)
        if self._lifetimes.is_due("clients"):
            self._lifetimes.keep([self._keys.client(client_id) for client_id in client_ids])

    @retried
    def _ping(self, client_ids: list[str]) -> None:
        self._scripts.run("ping", [self._keys.clients], *client_ids)

    def destroy_client(self, client_id: str, kick: bool = False) -> list[str]:
        for removed in self._removal.remove([client_id], "kicked" if kick else ""):
            return removed.channels
        raise UnknownClient(client_id)

    @retried
    def forget(self, client_id: str) -> None:
        self._redis.publish(self._keys.server_channel(""), f"forgotten {client_id}")

    @retried
    def was_kicked(self, client_id: str) -> bool:
        return bool(self._redis.exists(self._keys.kicked(client_id)))

    def cleanup_expired(self, thorough: bool = True) -> int:
        count = 0
        if self._heartbeat.is_recovering:
            return count
        for batch in self._removal.expired():
            count += len(batch)
            for removed in batch:
                if self._events:
                    self._events.expired(removed.client_id, removed.channels)
        if thorough:
            self._removal.sweep()
        return count

    def _client_keys(self, client_id: str) -> list[str]:
        return [self._keys.client(client_id), self._keys.clients, self._keys.grace]

    # Subscriptions

    def subscribe(
        self, client_id: str, channels: Collection[str],
        limits: SubscriptionLimits = NO_LIMITS,
    ) -> list[str]:
        names = list(dict.fromkeys(channels))
        start, *added = self._heartbeat.surely(
            lambda: self._subscribe(client_id, names, limits=limits))
        self._recent.add(client_id, added, start)
        return added

    def _subscribe(
        self, client_id: str, names: list[str], start: str = "",
        limits: SubscriptionLimits = NO_LIMITS,
    ) -> list[str]:
        keys = [*self._client_keys(client_id), self._keys.last_id]
        keys += [self._keys.subscribers(name) for name in names]
        allowed = ["" if limit is None else limit for limit in limits]
        return self._change(
            "subscribe", client_id, keys, self._lifetime, start, *allowed, *names)

    def unsubscribe(self, client_id: str, channels: Collection[str]) -> list[str]:
        names = list(dict.fromkeys(channels))
        keys = self._client_keys(client_id) + self._keys.channel_sides(names)
        removed = self._heartbeat.surely(
            lambda: self._change("unsubscribe", client_id, keys, *names))
        self._recent.remove(client_id, removed)
        return removed

    def _change(self, verb: str, client_id: str, keys: list[str], *args: Any) -> list[str]:
        found, *changed = self._run(
            verb, keys, client_id, self._timeout, self._keys.server_channel(""), *args)
        if not found:
            raise UnknownClient(client_id)
        if found < 0:
            raise TooMany(changed[0].decode())
        return [name.decode() for name in changed]

    # Messages

    @translated()
    def publish(self, channel: str, payload: bytes, operation: str) -> int:
        return int(self._batches.call(self._publication(channel, payload, operation)))

    def publish_soon(
        self, channel: str, payload: bytes, operation: str, done: Published
    ) -> None:
        def answered(reply: Any) -> None:
            done(translation(reply) if isinstance(reply, RedisError) else int(reply))
        self._batches.submit(self._publication(channel, payload, operation), answered)

    def _publication(self, channel: str, payload: bytes, operation: str) -> bytes:
        return self._publishing.command(
            channel, payload, operation, self._heard(), self._heartbeat.restore_ms)

    def read(self, after: Mapping[str, int], limit: int) -> Batch:
        followed = [name for name in after if self._listener and self._listener.follows(name)]
        batch, cut = self._logs.read(after, limit)
        if self._listener:
            self._listener.has_read(followed, cut)
        return batch

    def has_nothing_new(self, channels: Iterable[str], position: int) -> bool:
        return self._listener is not None and all(
            self._listener.has_heard_nothing(name, position) for name in channels)

    @retried
    def _last_id(self) -> int:
        return int(self._redis.get(self._keys.last_id) or 0)

    def follow(self, channels: Iterable[str]) -> None:
        assert self._listener, "start() comes first"
        names = list(channels)
        self._listener.follow(names)

    def unfollow(self, channels: Iterable[str]) -> None:
        if self._listener:
            self._listener.unfollow(channels)

    # Connections

    def connect(
        self, client_id: str, connect_id: str, stream: bool, acknowledged: int | None = None
    ) -> Session:
        return self._heartbeat.surely(
            lambda: self._connect(client_id, connect_id, stream, acknowledged))

    def _connect(
        self, client_id: str, connect_id: str, stream: bool, acknowledged: int | None
    ) -> Session:
        reply = self._run(
            "connect",
            [*self._client_keys(client_id), self._keys.last_id],
            client_id,
            self.server_id,
            connect_id,
            int(stream),
            self._timeout,
            self._lifetime,
            self._keys.server_channel(""),
            "" if acknowledged is None else acknowledged,
        )
        session = session_of(client_id, reply)
        if reply[7]:
            spawn(self._lifetimes.keep, self._keys.channel_sides(list(session.subscriptions)))
        return session

    def session(self, client_id: str, epoch: int) -> Session:
        return self._heartbeat.surely(lambda: self._read_session(client_id, epoch))

    def _read_session(self, client_id: str, epoch: int) -> Session:
        reply = self._run("session", [self._keys.client(client_id)], epoch)
        return session_of(client_id, reply)

    def answer(
        self, client_id: str, session: Session, connect_id: str, position: int
    ) -> Verdict:
        try:
            return self._heartbeat.surely(
                lambda: self._answer(client_id, session, connect_id, position))
        except UnknownClient:
            return Verdict.GONE

    def _answer(
        self, client_id: str, session: Session, connect_id: str, position: int
    ) -> Verdict:
        keys = [self._keys.client(client_id)]
        args = (session.epoch, session.version, connect_id, position)
        verdict = Verdict(self._run("answer", keys, *args).decode())
        if verdict is Verdict.GONE:
            raise UnknownClient(client_id)
        return verdict

    @retried
    def save(self, positions: Sequence[Progress]) -> None:
        for start in range(0, len(positions), _SAVED_AT_ONCE):
            with self._redis.pipeline(transaction=False) as pipeline:
                for progress in positions[start : start + _SAVED_AT_ONCE]:
                    self._save(pipeline, *progress)
                pipeline.execute()

    def _save(
        self, pipeline: Any, client_id: str, epoch: int, version: int, position: int,
        standing: Standing,
    ) -> None:
        self._scripts.run(
            "save", [self._keys.client(client_id)], client_id, self.server_id, epoch, version,
            position, standing.value, self._keys.server_channel(""), pipeline=pipeline)

    def release(self, client_id: str, session: Session, stream: bool) -> int:
        position, certain = self._takeover.position(client_id, session)
        if not certain:
            standing = Standing.OWN if stream else Standing.TAKEN
            self.save([Progress(client_id, session.epoch, session.version, position, standing)])
        return position

    # The life of the worker

    def _recover(self, channels: list[str], position: int) -> list[Message]:
        if self._events:
            self._events.recovered()
        messages: list[Message] = []
        complete, gap = not channels, False
        while not complete:
            batch = self.read(dict.fromkeys(channels, position), _RECOVERY_LIMIT)
            messages += batch.messages
            position, complete, gap = batch.position, batch.complete, gap or batch.gap
        if gap and self._events:
            self._events.missed()  # last: nothing may happen before ``messages`` are passed on
        return messages

    def _after_beat(self) -> None:
        assert self._listener
        self._listener.hope()
        for made in self._recent.to_repeat():
            with suppress(UnknownClient):
                self._subscribe(made.client_id, [made.channel], made.start)
        if self._lifetimes.is_due("channels"):
            self._lifetimes.keep(self._keys.channel_sides(self._listener.followed))

