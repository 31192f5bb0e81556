"""The greenlet that hears of messages published anywhere in the cluster.

One pub/sub connection a worker. The connection is this module's own, not redis-py's ``PubSub``,
which re-subscribes silently after a failure: whatever was published in between would be lost
without a trace. Here every reconnect is seen, and what was missed is read from the logs.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError, RedisError

from ...bayeux.channels import expand
from ...concurrency import Event, RLock, Task, sleep, spawn
from ...errors import EngineError, EngineUnavailable
from ..base import Message
from .keys import Keys
from .wire import Wire, pack

log = logging.getLogger("faye_redis.listener")

_RECEIVE = 262_144  # bytes at once: the more messages are handed on together, the better
_IDLE_SECONDS = 5.0  # silence after which the connection has to answer a PING within as long


class Listener:
    """Follows channels and passes on what comes.

    Guarantee: once ``follow`` has returned, every message published to the channel is passed to
    ``on_messages`` until ``unfollow``; after an outage of the connection that holds again as soon
    as ``on_messages`` has been given, in order, what ``recover`` read from the logs.

    :param on_messages: called with messages in order of id, each once; after a reconnect one
        may come again in a later call.
    :param on_control: called with the words of a control message to this worker or to all.
    :param recover: called after each connect, with followed channels and the last id heard; returns
        what was published since.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        keys: Keys,
        server_id: str,
        follow_timeout: float,
        on_messages: Callable[[list[Message]], None],
        on_control: Callable[[list[str]], None],
        recover: Callable[[list[str], int], list[Message]],
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._control = keys.server_channel(server_id).encode()
        self._everyone = keys.server_channel("").encode()
        self._follow_timeout = follow_timeout
        self._on_messages = on_messages
        self._on_control = on_control
        self._recover = recover
        self._wire: Wire | None = None
        self._writing = RLock()
        self._followed: dict[str, Event] = {}
        self._unconfirmed: Counter[str] = Counter()
        self._heard_after: dict[str, int] = {}
        """Followed channel -> every message on it with a higher id has been heard."""
        self._latest: dict[bytes, int] = {}
        """Pub/sub channel -> id of the last message heard on it."""
        self._held: list[Message] | None = None
        self._task: Task | None = None
        self._closed = False
        self.connected = Event()
        self._listening = Event()
        """The server has confirmed that control messages come."""
        self._hope = Event()
        self._last = Message(0, "/", b"")
        """The message that was passed on last; not all of its notices may have come."""
        self.last_id = 0
        """The highest message id heard of, or the one to begin after."""

    def start(self) -> None:
        """Begin to listen in a greenlet; reconnects for ever."""
        self._task = spawn(self._run)

    def close(self) -> None:
        """Stop listening; idempotent."""
        self._closed = True
        if self._task:
            self._task.kill()
        self._disconnect()

    def hope(self) -> None:
        """Redis answers others: if it is lost here, connect now and not when the pause is over."""
        self._hope.set()

    # Following

    def follow(self, channels: Iterable[str]) -> None:
        """Hear of these channels; waits for Redis to confirm.

        :raises EngineUnavailable: it did not within ``follow_timeout``.
        """
        names = list(channels)
        if not all(name in self._followed for name in names):
            with self._writing:
                new = {name: Event() for name in names if name not in self._followed}
                self._followed.update(new)
                self._send("SUBSCRIBE", list(new))
        self._await_confirmation(names)

    def _await_confirmation(self, channels: Iterable[str]) -> None:
        for name in channels:
            confirmed = self._followed.get(name)
            if confirmed and not confirmed.wait(self._follow_timeout):
                raise EngineUnavailable("no confirmation of a subscription from Redis")

    def unfollow(self, channels: Iterable[str]) -> None:
        """Hear no more of these channels."""
        with self._writing:  # a follow of the same channel must come wholly before or after
            names = [name for name in channels if self._followed.pop(name, None)]
            for name in names:
                self._heard_after.pop(name, None)
                self._latest.pop(self._keys.publish_channel(name).encode(), None)
            self._send("UNSUBSCRIBE", names)

    def follows(self, name: str) -> bool:
        """Is every message that is published to the channel from now on certain to be heard?"""
        confirmed = self._followed.get(name)
        return confirmed is not None and confirmed.is_set() and self._held is None

    def has_read(self, names: Iterable[str], cut: int) -> None:
        """Channels that were followed before ``cut`` was the last message id."""
        for name in names:
            if name not in self._heard_after and self.follows(name):
                self._heard_after[name] = cut

    def has_heard_nothing(self, name: str, position: int) -> bool:
        """Is it certain that no message after ``position`` was published to the channel, but for
        what is yet to be heard?"""
        after = self._heard_after.get(name)
        if after is None or after > position or not self.follows(name):
            return False
        # A message is heard with the first of its notices; that of this channel may be to come.
        if self._last.id > position and name in expand(self._last.channel):
            return False
        return self._latest.get(self._keys.publish_channel(name).encode(), 0) <= position

    @property
    def followed(self) -> list[str]:
        return list(self._followed)

    def _send(self, command: str, channels: list[str]) -> None:
        """A failure is left to the reading greenlet: it reconnects and follows everything."""
        with self._writing:
            if not channels or not self.connected.is_set():
                return
            if command == "SUBSCRIBE":
                self._unconfirmed.update(channels)
            try:
                names = [self._keys.publish_channel(name) for name in channels]
                self._write(command, *names)
            except RedisError:
                log.debug("sending to the pub/sub connection failed")

    def _write(self, *words: bytes | str) -> None:
        with self._writing:
            if self._wire is None:
                raise ConnectionError("Connection closed.")
            self._wire.send(pack(*words))

    # The greenlet

    def _run(self) -> None:
        backoff, failures = ExponentialWithJitterBackoff(cap=5, base=0.1), 0
        while not self._closed:
            try:
                self._connect()
                failures = 0
                self._read()
            except Exception as error:  # whatever it is: a worker without ears is worse
                self._disconnect()
                failures += 1
                self._report(error, failures)
                self._hope.clear()
                self._hope.wait(backoff.compute(min(failures, 32)))  # 2**32 still is a float

    def _report(self, error: Exception, failures: int) -> None:
        """An outage is one line, and one when it is over; anything unforeseen is told in full."""
        if not isinstance(error, RedisError | OSError):
            log.error("pub/sub listener failed, starting over", exc_info=error)
        elif failures == 1:
            log.warning("pub/sub connection lost, reconnecting: %s", type(error).__name__)

    def _connect(self) -> None:
        again = self._wire is not None
        self._wire = wire = Wire(self._pool, _RECEIVE)
        with self._writing:
            for confirmed in [self._listening, *self._followed.values()]:
                confirmed.clear()
            self._heard_after.clear()
            self._latest.clear()
            self._held = []
            self._unconfirmed = Counter(list(self._followed))
            names = [self._keys.publish_channel(name) for name in self._followed]
            self._write("SUBSCRIBE", self._everyone, self._control, *names)
            self.connected.set()
        if again:
            log.info("pub/sub connection is back")
        # The first time there can be clients as well, of whom something was told to nobody; but no
        # message can be missing, since ``follow`` waits for this connection.
        spawn(self._catch_up, wire, list(self._followed) if again else [])

    def _disconnect(self) -> None:
        self.connected.clear()
        if self._wire is not None:
            self._wire.close()

    def _read(self) -> None:
        asked = False
        while self._wire is not None:
            try:
                replies = self._wire.receive(_IDLE_SECONDS)
            except redis.TimeoutError:
                if asked:
                    raise
                self._write("PING")
                asked = True
                continue
            asked = False
            self._handle(replies)
            sleep(0)

    def _handle(self, replies: list[Any]) -> None:
        """What one read brought. Messages are passed on together, as far as nothing comes between
        them: control messages have their place in the order."""
        batch: list[Message] = []
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
            kind, channel, data = reply[0], reply[1], reply[-1]
            if kind == b"message" and channel not in (self._control, self._everyone):
                message = _message(data)
                self._latest[channel] = max(message.id, self._latest.get(channel, 0))
                batch.append(message)
                continue
            self._hear(batch)
            batch = []
            if kind == b"message":
                self._on_control(data.decode().split(" "))
            elif channel == self._control:
                self._listening.set()
            elif kind == b"subscribe" and channel != self._everyone:
                self._confirm(channel.decode().removeprefix(self._keys.publish_channel("")))
        self._hear(batch)

    def _confirm(self, name: str) -> None:
        """Only the latest SUBSCRIBE counts: an earlier one may have been undone since."""
        self._unconfirmed[name] -= 1
        if self._unconfirmed[name] <= 0:
            del self._unconfirmed[name]
            if confirmed := self._followed.get(name):
                confirmed.set()

    def _hear(self, batch: list[Message]) -> None:
        """A message comes once for each pattern that matches it, in a row."""
        if self._held is not None:
            self._held += batch
            return
        before = [self._last.id, *(message.id for message in batch)]
        new = [message for message, last in zip(batch, before, strict=False) if message.id != last]
        if new:
            self._pass_on(new)

    def _pass_on(self, batch: list[Message]) -> None:
        self._last = batch[-1]
        self.last_id = max(self.last_id, self._last.id)
        self._on_messages(batch)

    def _catch_up(self, wire: Wire, channels: list[str]) -> None:
        """After a connect: what was missed first, then what has come since."""
        try:
            if not self._listening.wait(self._follow_timeout):
                raise EngineUnavailable("no confirmation of a subscription from Redis")
            self._await_confirmation(channels)
            missed = self._recover(channels, self.last_id)
        except EngineError:
            wire.close()  # the reading greenlet starts over
            return
        if wire is not self._wire:
            return
        held, self._held = self._held or [], None
        # What was followed only after ``missed`` was asked for is in ``held`` alone, and that has
        # a message once for each pattern.
        new = {message.id: message for message in [*missed, *held] if message.id > self.last_id}
        if new:
            self._pass_on(sorted(new.values()))


def _message(notice: bytes) -> Message:
    """A message as ``publish.lua`` tells of it."""
    id, channel, payload = notice.split(b" ", 2)
    return Message(int(id), _text(channel), payload)


@lru_cache(maxsize=1024)
def _text(channel: bytes) -> str:
    return channel.decode()
