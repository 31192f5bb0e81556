"""A connection to Redis that is written and read in bulk.

redis-py makes it: address, TLS, log-in, database. Then many commands leave in one write, and
hiredis takes apart all that one read brings, which costs a tenth of a command at a time.
"""

from __future__ import annotations

import builtins
from math import inf
from time import monotonic
from typing import Any

import hiredis
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError, TimeoutError

_INCOMPLETE = object()


class Wire:
    """An open connection of its own, outside the pool.

    :param pool: knows how to make one.
    :param size: bytes read at once.
    :raises redis.RedisError: it cannot be made.
    """

    def __init__(self, pool: ConnectionPool, size: int = 65_536) -> None:
        # Not ``pool.make_connection``: that counts, and refuses after some hundred failures.
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        self._connection = connection
        self._sock = connection._sock
        self._reader: Any = hiredis.Reader(
            replyError=connection._parser.parse_error, notEnoughData=_INCOMPLETE)
        self._buffer = bytearray(size)

    def send(self, data: bytes, seconds: float = 1.0) -> None:
        """:raises redis.ConnectionError, redis.TimeoutError: not all of it was sent."""
        self._sock.settimeout(seconds)
        try:
            self._sock.sendall(data)
        except builtins.TimeoutError:
            raise TimeoutError("Timeout writing to socket") from None
        except OSError as error:
            raise ConnectionError(f"Error while writing to socket: {error}") from None

    def receive(self, seconds: float, until: float = inf) -> list[Any]:
        """What has come, at least one reply; a refusal of Redis is a ``RedisError`` among them.

        :param seconds: longest silence.
        :param until: by when a whole reply must have come, by the monotonic clock.
        :raises redis.TimeoutError: it was silent for so long, or too slow.
        :raises redis.ConnectionError: the connection is gone.
        """
        replies: list[Any] = []
        while not replies:
            self._sock.settimeout(max(0.001, min(seconds, until - monotonic())))
            self._feed()
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                replies.append(reply)
        return replies

    def _feed(self) -> None:
        try:
            size = self._sock.recv_into(self._buffer)
        except builtins.TimeoutError:
            raise TimeoutError("Timeout reading from socket") from None
        except OSError as error:
            raise ConnectionError(f"Error while reading from socket: {error}") from None
        if not size:
            raise ConnectionError("Connection closed by server.")
        self._reader.feed(self._buffer, 0, size)

    def close(self) -> None:
        """Idempotent."""
        self._connection.disconnect()


def pack(*words: bytes | str | int | float) -> bytes:
    """One command in the protocol of Redis (RESP2)."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


def bulk(data: bytes) -> bytes:
    """One word of a command, packed."""
    return b"$%d\r\n%b\r\n" % (len(data), data)
