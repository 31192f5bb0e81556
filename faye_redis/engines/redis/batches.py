"""The connection of the hot path: commands of all greenlets in few writes, replies in order.

Alone, a command costs a round trip and half a dozen switches between greenlets; a hundred that
wait for each other cost little more than one. While a batch is under way the next one collects.
"""

from __future__ import annotations

import builtins
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoScriptError,
    RedisError,
    TimeoutError,
)

from ...concurrency import Event, Task, deadline, monotonic, sleep, spawn
from ...settings import EngineSettings
from .wire import Wire

log = logging.getLogger("faye_redis.engine")

_MOST = 1000  # commands in one write

Done = Callable[[Any], None]


class _Command:
    """One command, until it has been answered or given up."""

    __slots__ = ("attempts", "done", "packed", "until")

    def __init__(self, packed: bytes, done: Done, until: float) -> None:
        self.packed = packed
        self.done = done
        self.until = until
        self.attempts = 0


class Batches:
    """Sends commands that are safe to repeat: scripts that do the same thing once.

    Guarantee: commands are carried out in the order in which they were submitted, each at least
    once if it is answered, also when the connection breaks and they are sent again (only a SCRIPT
    FLUSH in the middle of a batch can change the order). Each is answered within
    ``operation_timeout``, by an error if it must be.

    :param pool: makes the connection.
    :param load: has the server know all scripts; called on every new connection.
    """

    def __init__(
        self, pool: ConnectionPool, settings: EngineSettings, load: Callable[[Wire], None]
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._load = load
        self._attempt_seconds = max(settings.read_timeout, settings.write_timeout)
        self._backoff = ExponentialWithJitterBackoff(
            cap=settings.operation_timeout, base=settings.retry_delay)
        self._begin()

    def _begin(self) -> None:
        self._queue: deque[_Command] = deque()
        self._sent: deque[_Command] = deque()
        self._again: list[_Command] = []
        """Answered by "not now", and before what is in ``_sent``."""
        self._wanted = Event()
        self._wire: Wire | None = None
        self._is_proven = False
        """Has the connection answered anything?"""
        self._pid = os.getpid()
        self._task: Task | None = None

    def submit(self, packed: bytes, done: Done) -> None:
        """Send a command soon; never waits.

        :param done: called with the reply, or with a ``RedisError``; must neither wait nor raise.
        """
        if self._pid != os.getpid():
            self._forget_parent()
        until = monotonic() + self._settings.operation_timeout
        self._queue.append(_Command(packed, done, until))
        if self._task is None:
            self._task = spawn(self._run)
        self._wanted.set()

    def call(self, packed: bytes) -> Any:
        """Send a command and wait for its reply.

        :raises redis.RedisError: Redis refuses it, or did not answer in time.
        """
        replies: list[Any] = []
        came = Event()

        def done(reply: Any) -> None:
            replies.append(reply)
            came.set()
        self.submit(packed, done)
        came.wait()
        if isinstance(replies[0], RedisError):
            raise replies[0]
        return replies[0]

    def call_all(self, commands: Sequence[bytes]) -> list[Any]:
        """Send several commands, not atomic but in this order, and wait for all replies.

        :raises redis.RedisError: Redis refuses one, or did not answer in time.
        """
        replies: dict[int, Any] = {}
        came = Event()

        def done(number: int, reply: Any) -> None:
            replies[number] = reply
            if len(replies) == len(commands):
                came.set()
        for number, packed in enumerate(commands):
            self.submit(packed, partial(done, number))
        came.wait()
        for reply in replies.values():
            if isinstance(reply, RedisError):
                raise reply
        return [replies[number] for number in range(len(commands))]

    def close(self) -> None:
        """Give up what has not been answered. Idempotent; a later command connects again."""
        if self._task is not None:
            self._task.kill()
            self._task = None
        self._take_back()
        self._fail(lambda command: True, ConnectionError("Connection closed."))

    # The greenlet

    def _run(self) -> None:
        while True:
            if not self._queue:
                self._wanted.clear()
                self._wanted.wait()
            try:
                self._drop_expired()
                if self._queue:
                    self._exchange()
            except RedisError as error:
                self._recover(error)
            except Exception as error:  # whatever it is: nobody may wait for ever
                log.exception("commands to Redis failed")
                self._recover(AuthenticationError(str(type(error))))

    def _exchange(self) -> None:
        wire = self._wire or self._connect()
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST))]
        self._sent.extend(batch)
        wire.send(b"".join([command.packed for command in batch]), self._attempt_seconds)
        refusal: RedisError | None = None
        while self._sent:
            for reply in wire.receive(self._attempt_seconds, self._sent[0].until):
                command = self._sent.popleft()
                if isinstance(reply, (ConnectionError, NoScriptError)):  # LOADING is one, too
                    self._again.append(command)
                    refusal = reply
                else:
                    command.done(reply)
        if refusal:
            raise refusal
        self._is_proven = True

    def _connect(self) -> Wire:
        seconds = self._queue[0].until - monotonic()
        try:
            with deadline(max(seconds, 0.001)):
                self._wire = Wire(self._pool)
                self._load(self._wire)
        except builtins.TimeoutError:
            raise TimeoutError("Timeout connecting to server") from None
        return self._wire

    # Failures

    def _take_back(self) -> None:
        """Nothing can be answered by this connection any more."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._queue.extendleft(reversed([*self._again, *self._sent]))
        self._again.clear()
        self._sent.clear()
        self._is_proven = False

    def _drop_expired(self) -> None:
        now = monotonic()
        while self._queue and self._queue[0].until <= now:
            self._queue.popleft().done(TimeoutError("Timeout waiting for other commands"))

    def _forget_parent(self) -> None:
        """This is a child by fork: connection, greenlet and commands are those of the parent."""
        if self._wire is not None:
            self._wire.close()
        self._begin()

    def _recover(self, error: RedisError) -> None:
        """Send again what still has time for it; the rest has failed. Waits a little, but not for a
        connection that had worked: most often the server has closed it because it was idle."""
        at_once = self._is_proven or isinstance(error, NoScriptError)
        self._take_back()
        latest = monotonic() + self._attempt_seconds
        for command in self._queue:
            command.attempts += 1
        final = isinstance(error, AuthenticationError)
        self._fail(lambda one: final or one.attempts > self._settings.max_retries
                   or one.until < latest, error)
        if self._queue and not at_once:
            first = self._queue[0]
            sleep(max(0.0, min(self._backoff.compute(first.attempts), first.until - latest)))

    def _fail(self, hopeless: Callable[[_Command], bool], error: RedisError) -> None:
        failed = [command for command in self._queue if hopeless(command)]
        self._queue = deque(command for command in self._queue if not hopeless(command))
        for command in failed:
            command.done(error)
