"""Keys in use do not run out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...concurrency import monotonic
from .retries import retried

if TYPE_CHECKING:
    import redis

    from ...settings import EngineSettings

MOST_AT_ONCE = 1000
"""Keys or ids in one command or script: about 1 ms of Redis."""


class Lifetimes:
    """Extends the lifetime of keys, at most once per key and third of ``message_ttl``, which is the
    shortest of them."""

    def __init__(self, client: redis.Redis, settings: EngineSettings) -> None:
        self._redis = client
        self._settings = settings
        self.milliseconds = round(
            max(settings.subscription_ttl, 2 * settings.client_timeout) * 1000)
        self._pause = settings.message_ttl / 3
        self._kept: dict[str, float] = {}
        self._began = monotonic()

    def is_due(self, what: str) -> bool:
        """Is it time to ``keep`` keys of some kind? If so, the next time counts from now."""
        now = monotonic()
        due = now - self._kept.get(what, self._began) > self._pause
        if due:
            self._kept[what] = now
        return due

    def keep(self, keys: list[str]) -> None:
        """Extend the lifetime of keys."""
        for some in chunks(keys):
            self._expire(some)

    @retried
    def _expire(self, keys: list[str]) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pexpire(key, self.milliseconds)
            pipeline.execute()


def chunks(items: list[str]) -> Iterator[list[str]]:
    """``items`` in parts that do not hold up Redis."""
    return (items[start : start + MOST_AT_ONCE] for start in range(0, len(items), MOST_AT_ONCE))
