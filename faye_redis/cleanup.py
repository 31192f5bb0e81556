"""The timer that removes expired clients."""

from __future__ import annotations

import logging
import random

from .concurrency import Task, sleep, spawn
from .engines.base import Engine
from .errors import EngineError

log = logging.getLogger("faye_redis.cleanup")

_THOROUGH_EVERY = 10  # runs; the others only look at clients whose time is up


class CleanupTimer:
    """Runs ``cleanup_expired`` in a greenlet; every worker has one, and the engine sees to it
    that they do not get in each other's way.

    :param interval: seconds between runs, give or take a tenth so that workers spread.
    """

    def __init__(self, engine: Engine, interval: float) -> None:
        self._engine = engine
        self._interval = interval
        self._task: Task | None = None

    def start(self) -> None:
        """Start the greenlet; nothing if the interval is 0."""
        if self._interval:
            self._task = spawn(self._run)

    def close(self) -> None:
        if self._task:
            self._task.kill()

    def _run(self) -> None:
        runs = 0
        while True:
            sleep(self._interval * random.uniform(0.9, 1.1))
            runs += 1
            try:
                count = self._engine.cleanup_expired(thorough=runs % _THOROUGH_EVERY == 0)
                log.log(logging.INFO if count else logging.DEBUG, "%d expired clients", count)
            except EngineError as error:
                log.warning("clean-up failed, next try in %g s: %s", self._interval, error)
