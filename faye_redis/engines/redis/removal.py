"""Removing clients: those who leave, those who went without a goodbye, and what they left behind.

A removal has two steps, because only the first one tells which channels are concerned. The client
is gone with the first; a worker that dies before the second leaves the score 0, by which the next
clean-up finds and finishes it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from .keys import Keys
from .retries import retried
from .scripts import Scripts

if TYPE_CHECKING:
    import redis

    from ...settings import EngineSettings

_LOCK_SECONDS = 30
_OUTAGE_MS = 5000  # without any worker; as in ``destroy.lua``
_SCAN_COUNT = 500
_ESCAPED = re.compile(r"[*?\[\]\\^]")


class Removed(NamedTuple):
    """A client that this call, and no other one, removed."""

    client_id: str
    channels: list[str]


class Removal:
    """Removes clients; stateless, safe in parallel on any number of workers."""

    def __init__(
        self, client: redis.Redis, scripts: Scripts, keys: Keys, settings: EngineSettings
    ) -> None:
        self._redis = client
        self._scripts = scripts
        self._keys = keys
        self._settings = settings

    def remove(self, client_ids: list[str], why: str = "") -> list[Removed]:
        """Remove clients; if ``why`` is "expired" only those that are, else only those that are
        not: that is judged where it is done, in the script. Two round trips.

        :param why: "expired", "kicked" or "": they left.
        """
        replies = self._begin(client_ids, secrets.token_hex(8), why)
        found = [(client_id, removed, [name.decode() for name in channels])
                 for client_id, (removed, *channels) in zip(client_ids, replies, strict=True)
                 if removed >= 0]
        self._finish({client_id: channels for client_id, _, channels in found})
        return [Removed(client_id, channels) for client_id, removed, channels in found if removed]

    @retried
    def _begin(self, client_ids: list[str], call: str, why: str) -> list[Any]:
        args = (round(self._settings.client_timeout * 1000), self._keys.server_channel(""), call,
                why)
        with self._redis.pipeline(transaction=False) as pipeline:
            for id in client_ids:
                keys = [self._keys.client(id), self._keys.removed(id), self._keys.clients,
                        self._keys.grace, self._keys.alive, self._keys.kicked(id)]
                self._scripts.run("destroy", keys, id, *args, pipeline=pipeline)
            return pipeline.execute()

    @retried
    def _finish(self, channels: dict[str, list[str]]) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for client_id, names in channels.items():
                if names:
                    sides = self._keys.channel_sides(names)
                    self._scripts.run("leave", sides, client_id, pipeline=pipeline)
                pipeline.delete(self._keys.removed(client_id))
                pipeline.zrem(self._keys.clients, client_id)
            pipeline.execute()

    def expired(self) -> Iterator[list[Removed]]:
        """Remove all expired clients in batches; nothing if another worker is at it."""
        lock = self._redis.lock(self._keys.cleanup_lock, timeout=_LOCK_SECONDS, blocking=False)
        if not self._acquire(lock):
            return
        try:
            while batch := self._oldest():
                yield self.remove(batch, "expired")
                if not self._extend(lock):
                    return  # it took longer than the lock lives, and another worker goes on
        finally:
            self._release(lock)

    @retried
    def _acquire(self, lock: Any) -> bool:
        return bool(lock.acquire())

    @retried
    def _extend(self, lock: Any) -> bool:
        return bool(lock.owned() and lock.reacquire())

    @retried
    def _release(self, lock: Any) -> None:
        if lock.owned():
            lock.release()

    @retried
    def _oldest(self) -> list[str]:
        """The next batch of clients whose time is up."""
        seconds, micros = self._redis.time()
        grace, alive = self._redis.mget(self._keys.grace, self._keys.alive)
        now = seconds * 1000 + micros // 1000
        if alive and now - int(alive) > _OUTAGE_MS:
            grace = grace or alive
        limit = int(grace or now) - round(self._settings.client_timeout * 1000)
        ids = self._redis.zrange(
            self._keys.clients, "-inf", f"({limit}", byscore=True,
            offset=0, num=self._settings.cleanup_batch_size,
        )
        return [id.decode() for id in ids]  # type: ignore[union-attr]

    def sweep(self) -> None:
        """Take ids of clients that do not exist out of all channels; they are left there when a
        client's own key ran out or was evicted. Cost: in proportion to all subscriptions."""
        prefix = self._keys.subscribers("")
        for keys in _pages(self._channels):
            for channel in (key.decode().removeprefix(prefix) for key in keys):
                for client_ids in _pages(partial(self._subscribers, channel)):
                    self._drop_strangers(channel, client_ids)

    @retried
    def _channels(self, cursor: int) -> tuple[int, list[bytes]]:
        pattern = _ESCAPED.sub(r"\\\g<0>", self._keys.subscribers("")) + "*"
        return self._redis.scan(cursor, match=pattern, count=_SCAN_COUNT)  # type: ignore[return-value]

    @retried
    def _subscribers(self, channel: str, cursor: int) -> tuple[int, list[bytes]]:
        key = self._keys.subscribers(channel)
        return self._redis.sscan(key, cursor, count=_SCAN_COUNT)  # type: ignore[return-value]

    @retried
    def _drop_strangers(self, channel: str, client_ids: list[bytes]) -> None:
        if client_ids:
            scores = self._redis.zmscore(self._keys.clients, client_ids)  # type: ignore[arg-type]
            strangers = [id for id, score in zip(client_ids, scores, strict=True) if score is None]
            if strangers:
                self._scripts.run("leave", self._keys.channel_sides([channel]), *strangers)


def _pages(page: Callable[[int], tuple[int, list[bytes]]]) -> Iterator[list[bytes]]:
    """Every page of a SCAN-like command, from cursor 0 until it comes back to 0."""
    cursor, items = page(0)
    yield items
    while cursor:
        cursor, items = page(cursor)
        yield items
