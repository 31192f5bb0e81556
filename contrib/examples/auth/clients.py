"""Which clients each user has, for all workers: kept in Redis."""

from __future__ import annotations

from redis import Redis


class Clients:
    """A set of client ids for each user, and the user of each id.

    :param prefix: of the keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    @property
    def _users(self) -> str:
        return f"{self._prefix}:users"

    def _ids(self, user: str) -> str:
        return f"{self._prefix}:clients:{user}"

    def add(self, client_id: str, user: str) -> None:
        """Once it has shaken hands."""
        with self._redis.pipeline() as both:
            both.hset(self._users, client_id, user)
            both.sadd(self._ids(user), client_id)
            both.execute()

    def discard(self, client_id: str) -> None:
        """When it has gone; on any worker, and more than once."""
        user = self._redis.hget(self._users, client_id)
        if user is None:
            return
        with self._redis.pipeline() as both:
            both.hdel(self._users, client_id)
            both.srem(self._ids(user), client_id)
            both.execute()

    def of(self, user: str) -> set[str]:
        """The ids of a user's clients."""
        return self._redis.smembers(self._ids(user))
