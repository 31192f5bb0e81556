"""Connections to Redis: how they are made, what is repeated on them, and whether they work.

redis-py does the work; here is decided what it may do. Its own repetitions are off: it would send
any command again after a time-out, although Redis may have run the first one. What is safe to
repeat says so with :func:`~faye_redis.engines.redis.retries.retried`.
"""

from __future__ import annotations

import logging
import re
from time import monotonic
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.connection import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
)
from redis.retry import Retry

from ...errors import ConfigurationError
from ...settings import EngineSettings
from .failures import tls_context, translated, translation, wrong_option

log = logging.getLogger("faye_redis.engine")

OLDEST = (7, 0)
"""Version needed, as servers report it: Redis 7.0; Valkey 7.2 and later report 7.2.4."""


# Connections


def create_client(settings: EngineSettings) -> redis.Redis:
    """A client for commands; connects at the first one. Safe to make before a fork.

    At most ``pool_size`` connections; a caller waits for a free one at most ``pool_timeout``, and
    never so long that no time is left for its command within ``operation_timeout``.
    """
    longest = settings.operation_timeout - _socket_timeout(settings)
    pool = BlockingConnectionPool(  # type: ignore[no-untyped-call]
        max_connections=settings.pool_size, timeout=min(settings.pool_timeout, longest),
        **_connection_options(settings))
    return redis.Redis.from_pool(pool)


def create_subscriber_client(settings: EngineSettings) -> redis.Redis:
    """A client for a pub/sub connection of its own, outside the pool of commands.

    Its connections do not reconnect by themselves and send no PING of their own: who reads from
    one must see each interruption, and nobody else may read from it. A read waits as long as it
    says (``read_response(timeout=...)``); connecting is bounded as for commands.
    """
    return redis.Redis.from_pool(ConnectionPool(**_connection_options(settings)))


def _socket_timeout(settings: EngineSettings) -> float:
    return max(settings.read_timeout, settings.write_timeout)


def _connection_options(settings: EngineSettings) -> dict[str, Any]:
    """What redis-py makes connections of. Protocol 2: no HELLO, no maintenance notifications, and
    cheaper pub/sub. CLIENT SETINFO, redis-py's default, must stay: the pool refuses a new TLS 1.3
    connection as long as nothing has read the session tickets from it."""
    return {
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_timeout": _socket_timeout(settings),
        "socket_connect_timeout": settings.connect_timeout,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        **_place(settings),
    }


def _place(settings: EngineSettings) -> dict[str, Any]:
    if settings.host.startswith("/"):
        return {"connection_class": UnixDomainSocketConnection, "path": settings.host}
    place = {"host": settings.host, "port": settings.port, "socket_keepalive": True}
    if not settings.ssl.enabled:
        return place | {"connection_class": Connection}
    return place | {
        "connection_class": SSLConnection,
        "ssl_certfile": settings.ssl.cert_file,
        "ssl_keyfile": settings.ssl.key_file,
        "ssl_ca_certs": settings.ssl.ca_file,
        "ssl_cert_reqs": "required" if settings.ssl.verify else "none",
        "ssl_check_hostname": settings.ssl.check_hostname,
    }


# Repetitions


class Window(ExponentialWithJitterBackoff):
    """Pauses of one call, which begins now; they end early enough for an attempt that takes its
    full time."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(cap=settings.operation_timeout, base=settings.retry_delay)
        self._end = monotonic() + settings.operation_timeout - _socket_timeout(settings)

    def allows(self, error: Exception) -> bool:
        """Is another attempt of use, and is there time for it?"""
        # The pool has a time-out of its own, and a text in place of an exception of its own.
        final = isinstance(error, AuthenticationError) or str(error) == "No connection available."
        return not final and monotonic() < self._end

    def compute(self, failures: int) -> float:
        return max(0.0, min(super().compute(failures), self._end - monotonic()))


# Start


def check(client: redis.Redis, settings: EngineSettings) -> None:
    """Find out whether ``client`` can do what an engine needs; called once at start.

    :raises ConfigurationError: Redis answers, but an option is wrong; names it.
    :raises EngineUnavailable: Redis does not answer now; the options may be right.
    :raises EngineError: it refuses for a reason not known here.
    """
    if settings.ssl.enabled:
        tls_context(settings.ssl)
    try:
        client.ping()
        client.eval("return 1", 0)
    except RedisError as error:
        raise (wrong_option(error, settings) or translation(error)) from None
    _check_server(client)


@translated()
def _check_server(client: redis.Redis) -> None:
    try:
        info: dict[str, Any] = client.info()
    except NoPermissionError:
        log.info("version and eviction policy of Redis are not checked: INFO is not permitted")
        return
    version = re.match(r"(\d+)\.(\d+)", str(info.get("redis_version")))
    if version and tuple(map(int, version.groups())) < OLDEST:
        raise ConfigurationError("engine.host", f"is Redis {info['redis_version']}; at least "
                                 "Redis 7.0 or Valkey 7.2 is needed")
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        log.warning("Redis evicts keys (maxmemory-policy %s): clients and messages may vanish; "
                    "set it to noeviction", info["maxmemory_policy"])
