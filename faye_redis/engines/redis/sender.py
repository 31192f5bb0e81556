"""Commands from any thread of any process, gevent or not, by one connection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from threading import Lock
from time import sleep
from typing import Any

from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

from ...settings import EngineSettings
from .client import Window
from .wire import Wire

Commands = dict[int, bytes]
"""By number, in the order in which they are sent."""

Answers = dict[int, Any]
"""By the number of the command."""


class _Line:
    """What belongs to one process: a connection, and the right to use it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = Lock()
        self.wire: Wire | None = None
        self.is_proven = False
        """Has the connection answered anything?"""

    def drop(self) -> None:
        if self.wire is not None:
            self.wire.close()
        self.wire, self.is_proven = None, False


class Sender:
    """Sends commands that are safe to repeat: scripts that do the same thing once.

    Guarantee: the commands of one call are carried out in their order, those of two calls one
    after another, each at least once if it is answered, also when the connection breaks and they
    are sent again (only a SCRIPT FLUSH in the middle of a call can change the order).

    Connects at the first command. A child by fork gets a connection of its own.

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
        self._line = _Line()

    def call_all(self, commands: list[bytes]) -> list[Any]:
        """Send commands in one write and wait for all replies; ``operation_timeout`` at most, and
        as long as an attempt takes that has begun by then.

        :returns: for each command its reply, or the ``RedisError`` that it failed with.
        """
        line, window = self._own_line(), Window(self._settings)
        if not line.lock.acquire(timeout=self._settings.operation_timeout):
            return [TimeoutError("Timeout waiting for other threads")] * len(commands)
        try:
            answers = self._repeat(line, dict(enumerate(commands)), window)
        except BaseException:  # that of a signal, for example: replies may be under way
            line.drop()
            raise
        finally:
            line.lock.release()
        return [answers[number] for number in range(len(commands))]

    def close(self) -> None:
        """Idempotent; a later command connects again."""
        line = self._own_line()
        with line.lock:
            line.drop()

    def _own_line(self) -> _Line:
        if self._line.pid != os.getpid():
            self._line = _Line()  # that of the parent may be locked for ever in this process
        return self._line

    def _repeat(self, line: _Line, waiting: Commands, window: Window) -> Answers:
        answers: Answers = {}
        failures = 0
        while waiting:
            at_once = line.is_proven  # most often the server has closed it because it was idle
            try:
                self._exchange(line, waiting, answers)
            except RedisError as error:
                line.drop()
                failures += 1
                if failures > self._settings.max_retries or not window.allows(error):
                    return answers | dict.fromkeys(waiting, error)
                if not (at_once or isinstance(error, NoScriptError)):
                    sleep(window.compute(failures))
        return answers

    def _exchange(self, line: _Line, waiting: Commands, answers: Answers) -> None:
        """Move what Redis answers from ``waiting`` to ``answers``.

        :raises redis.RedisError: why the rest has not been carried out yet, as far as is known.
        """
        wire = line.wire or self._connect(line)
        wire.send(b"".join(waiting.values()), self._attempt_seconds)
        refusal: RedisError | None = None
        for number, reply in zip(list(waiting), self._replies(wire), strict=False):
            if isinstance(reply, (ConnectionError, NoScriptError)):  # LOADING is one, too
                refusal = reply
            else:
                answers[number] = reply
                del waiting[number]
        if refusal:
            raise refusal
        line.is_proven = True

    def _connect(self, line: _Line) -> Wire:
        line.wire = Wire(self._pool)
        self._load(line.wire)
        return line.wire

    def _replies(self, wire: Wire) -> Iterator[Any]:
        while True:
            yield from wire.receive(self._attempt_seconds)
