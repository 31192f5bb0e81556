"""Publishing from a process that serves nobody: a task of Celery, a cron job, a shell, a thread.

No gevent, no greenlets: what this imports waits as any Python does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from .bayeux.channels import is_meta
from .bayeux.errors import error as bayeux_error
from .bayeux.limits import Limits
from .bayeux.messages import publication
from .engines.redis.client import check, create_subscriber_client
from .engines.redis.failures import translation
from .engines.redis.keys import Keys
from .engines.redis.publishing import Publishing
from .engines.redis.scripts import Scripts
from .engines.redis.sender import Sender
from .errors import ConfigurationError, PublishError
from .settings import Settings

_MOST_MESSAGES = 1000  # in one write; some 20 ms of Redis
_MOST_BYTES = 1_000_000  # likewise, but for a message that is larger


class Publisher:
    """Publishes to the clients of all servers with the same Redis, database and namespace.

    Any thread may call, also of a process that has forked since. Connects at the first message,
    and again whenever that is needed. A context manager, which closes the connection.

    It is trusted, as the in-process client is: policies do not hold for it, and it may publish to
    ``/service`` channels. Extensions of the servers see what it publishes on the way out only;
    no server's event ``publish`` and no handler of a service tells of it.

    :param settings: the same mapping as for ``WSGIAdapter``; environment variables
        ``FAYE_REDIS_*`` fill in what is not given. Used are ``engine`` and the limits on channels.
    :raises ConfigurationError: an option is unknown or wrong.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        loaded = Settings.load(settings, os.environ)
        self._settings = loaded.engine
        if self._settings.type == "memory":
            raise ConfigurationError(
                "engine.type", "'memory' is the memory of the server's process, which no other "
                "can publish to; use 'redis'")
        self._limits = Limits(loaded, monotonic)
        self._redis = create_subscriber_client(self._settings)
        scripts = Scripts(self._redis)
        keys = Keys(self._settings.namespace, self._settings.database)
        self._publishing = Publishing(keys, scripts, self._settings)
        self._restore_ms = round(self._settings.restore_window * 1000)
        self._sender = Sender(self._redis.connection_pool, self._settings, scripts.load_on)
        self._last_id = 0  # so that ids go on rising if Redis loses its data

    def check(self) -> None:
        """Find out whether Redis can be used. Nothing has to call this.

        :raises ConfigurationError: an option is wrong, as Redis says.
        :raises EngineError: Redis cannot be reached, or refuses.
        """
        check(self._redis, self._settings)

    def publish(self, channel: str, data: Any) -> None:
        """Publish ``data`` (anything that is JSON). When it returns, Redis has the message.

        At most once, however often it had to be sent. Order: what one thread publishes to one
        channel keeps it. While Redis is out of reach it waits for ``operation_timeout`` and an
        attempt more at most.

        :raises PublishError: it was refused or could not be stored; the text is a Bayeux error.
            After a time-out it may have been stored all the same (407; the cause says more).
        """
        self.publish_all([(channel, data)])

    def publish_all(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Publish many messages, pairs of channel and data, in one round trip per thousand of
        them or million bytes. Each as by ``publish``; not atomic, but they keep their order.

        :raises PublishError: one is refused, and nothing was sent; or some could not be stored,
            the first of which the text is about. Its ``stored`` has the numbers, from 0, of those
            that are stored for certain.
        """
        prepared = [self._prepare(channel, data) for channel, data in messages]
        replies: list[Any] = []
        failed: set[int] = set()
        for part in _parts([command for _, command in prepared]):
            replies += self._sender.call_all(part)
            failed = {n for n, reply in enumerate(replies) if isinstance(reply, RedisError)}
            if failed:
                break  # the rest would only wait as long
        stored = [n for n in range(len(replies)) if n not in failed]
        self._last_id = max([self._last_id, *(int(replies[n]) for n in stored)])
        if failed:
            channel, problem = prepared[min(failed)][0], replies[min(failed)]
            raise PublishError(bayeux_error(407, channel), tuple(stored)) from translation(problem)

    def _prepare(self, channel: str, data: Any) -> tuple[str, bytes]:
        if isinstance(channel, str) and is_meta(channel):
            raise PublishError(bayeux_error(403, channel))
        if not self._limits.is_channel(channel):
            raise PublishError(self._limits.channel_error(channel))
        try:
            operation, payload = publication({"channel": channel, "data": data})
        except TypeError as problem:
            raise PublishError(f"400::data is no JSON: {problem}") from None
        return channel, self._publishing.command(
            channel, payload, operation, self._last_id, self._restore_ms)

    # Life

    def close(self) -> None:
        """Close the connection. Idempotent; a later message opens another one."""
        self._sender.close()
        self._redis.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _parts(commands: list[bytes]) -> Iterator[list[bytes]]:
    """``commands`` in parts that can be written in the time that one write has."""
    part: list[bytes] = []
    size = 0
    for command in commands:
        if part and (len(part) == _MOST_MESSAGES or size + len(command) > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(command)
        size += len(command)
    if part:
        yield part
