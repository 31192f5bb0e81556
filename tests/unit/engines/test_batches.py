"""Commands of many greenlets by one connection, through faults of it, on a real Redis."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from faults.proxy import Proxy
from faye_redis.concurrency import monotonic
from faye_redis.engines.redis.batches import Batches
from faye_redis.engines.redis.client import create_client, create_subscriber_client
from faye_redis.engines.redis.scripts import Scripts
from faye_redis.engines.redis.wire import pack
from faye_redis.settings import EngineSettings
from support.redis_server import RedisServer
from support.waiting import eventually

Make = Callable[..., Batches]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", redis_server.port)) as proxy:
        yield proxy


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Batches] = []

    def make(port: int, **options: Any) -> Batches:
        settings = EngineSettings(**{
            "type": "redis", "port": port, "read_timeout": 0.3, "write_timeout": 0.3,
            "connect_timeout": 0.3, "operation_timeout": 1.5, "retry_delay": 0.05, **options})
        scripts = Scripts(create_client(settings))
        made.append(Batches(
            create_subscriber_client(settings).connection_pool, settings, scripts.load_on))
        return made[-1]
    yield make
    for batches in made:
        batches.close()


def push(batches: Batches, key: str, count: int, start: int = 0) -> list[Any]:
    """Submits that many; the replies come into the list."""
    replies: list[Any] = []
    for number in range(start, start + count):
        batches.submit(pack("RPUSH", key, number), replies.append)
    return replies


def test_commands_of_many_greenlets(make: Make, redis_server: RedisServer, namespace: str) -> None:
    batches = make(redis_server.port)
    calls = [gevent.spawn(batches.call, pack("ECHO", str(number))) for number in range(3000)]
    gevent.joinall(calls)
    assert [call.value for call in calls] == [str(number).encode() for number in range(3000)]


def test_they_go_in_few_writes_and_in_order(
    make: Make, redis_server: RedisServer, namespace: str
) -> None:
    batches = make(redis_server.port)
    replies = push(batches, namespace, 2500)
    eventually(lambda: len(replies) == 2500)
    assert replies == list(range(1, 2501))
    values = redis.Redis(port=redis_server.port).lrange(namespace, 0, -1)
    assert [int(value) for value in values] == list(range(2500))


def test_a_refusal_concerns_one_command(
    make: Make, redis_server: RedisServer, namespace: str
) -> None:
    batches = make(redis_server.port)
    replies = push(batches, namespace, 1)
    batches.submit(pack("INCR", namespace), replies.append)
    push(batches, namespace, 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        batches.call(pack("INCR", namespace))
    assert replies[0] == 1 and isinstance(replies[1], redis.ResponseError)
    assert batches.call(pack("LLEN", namespace)) == 2


def test_a_broken_connection_keeps_the_order(make: Make, proxy: Proxy, namespace: str) -> None:
    batches = make(proxy.port)
    batches.call(pack("PING"))
    replies: list[Any] = []
    for number in range(200):
        batches.submit(pack("ZADD", namespace, "NX", number, number), replies.append)
        if number % 20 == 10:
            proxy.reset()
        gevent.sleep(0.002)
    eventually(lambda: len(replies) == 200)
    assert all(reply in (0, 1) for reply in replies)  # 0: done before, but the reply was lost
    assert batches.call(pack("ZCARD", namespace)) == 200


def test_a_server_that_hangs_fails_each_command_in_time(
    make: Make, proxy: Proxy, namespace: str
) -> None:
    batches = make(proxy.port)
    batches.call(pack("PING"))
    proxy.black_hole()
    ends: list[tuple[float, Any]] = []

    def call(number: int) -> None:
        began = monotonic()
        try:
            batches.call(pack("ECHO", str(number)))
        except redis.RedisError as error:
            ends.append((monotonic() - began, error))
    calls = []
    for number in range(30):
        calls.append(gevent.spawn(call, number))
        gevent.sleep(0.05)
    gevent.joinall(calls)
    assert len(ends) == 30
    assert all(isinstance(error, redis.TimeoutError) for _, error in ends)
    assert max(seconds for seconds, _ in ends) < 1.5 + 0.5  # 0.5 for a busy machine
    proxy.heal()
    assert batches.call(pack("PING")) == b"PONG"


def test_a_server_that_is_gone_and_back(make: Make) -> None:
    with RedisServer() as server:
        batches = make(server.port, max_retries=100)
        batches.call(pack("PING"))
        server.kill()
        call = gevent.spawn(batches.call, pack("PING"))
        gevent.sleep(0.2)
        server.start()
        assert call.get(timeout=5) == b"PONG"
        server.kill()
        with pytest.raises(redis.ConnectionError):
            batches.call(pack("PING"))


@pytest.mark.parametrize("max_retries", [0, 2])
def test_no_more_than_max_retries(make: Make, max_retries: int) -> None:
    with Proxy(("127.0.0.1", 1)) as nobody:
        batches = make(nobody.port, max_retries=max_retries, operation_timeout=5)
        attempts: list[int] = []
        connect = batches._connect
        batches._connect = lambda: attempts.append(1) or connect()  # type: ignore[method-assign,func-returns-value]
        with pytest.raises(redis.RedisError):
            batches.call(pack("PING"))
        assert len(attempts) == 1 + max_retries


def test_a_wrong_password_is_not_tried_again(make: Make) -> None:
    with RedisServer("--requirepass", "right") as server:
        batches = make(server.port, password="wrong", operation_timeout=5)
        began = monotonic()
        with pytest.raises(redis.AuthenticationError):
            batches.call(pack("PING"))
        assert monotonic() - began < 1


def test_scripts_that_were_flushed_are_loaded_again(
    make: Make, redis_server: RedisServer, namespace: str
) -> None:
    batches = make(redis_server.port)
    scripts = Scripts(redis.Redis(port=redis_server.port))
    touch = scripts.command("touch", [namespace, namespace + "2", namespace + "3"], "id", 1000)
    assert batches.call(touch) == 0
    redis.Redis(port=redis_server.port).script_flush()
    calls = [gevent.spawn(batches.call, touch) for _ in range(5)]
    gevent.joinall(calls)
    assert [call.value for call in calls] == [0] * 5


def test_closing_gives_up_and_a_later_command_connects_again(
    make: Make, proxy: Proxy
) -> None:
    batches = make(proxy.port)
    batches.call(pack("PING"))
    proxy.black_hole()
    call = gevent.spawn(batches.call, pack("PING"))
    gevent.sleep(0.05)
    batches.close()
    with pytest.raises(redis.ConnectionError):
        call.get(timeout=1)
    proxy.heal()
    assert batches.call(pack("PING")) == b"PONG"


@pytest.mark.parametrize("refusal", [b"-LOADING not yet", b"-NOSCRIPT no such script"])
def test_what_was_told_to_wait_is_not_forgotten_when_the_connection_breaks(
    make: Make, refusal: bytes
) -> None:
    """The first connection answers one of two commands, with a refusal, and ends; from then on
    there is nobody."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(refusal + b"\r\n")
        peer.close()
        listener.close()
    server = gevent.spawn(serve)
    settings = EngineSettings(type="redis", port=listener.getsockname()[1], operation_timeout=1.0,
                              read_timeout=0.3, write_timeout=0.3, retry_delay=0.05)
    pool = ConnectionPool(host="127.0.0.1", port=settings.port, protocol=2, driver_info=None,
                          socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
    batches = Batches(pool, settings, lambda wire: None)
    replies: list[Any] = []
    for _ in range(2):
        batches.submit(pack("PING"), replies.append)
    server.join()
    eventually(lambda: len(replies) == 2)
    assert all(isinstance(reply, redis.RedisError) for reply in replies)
    batches.close()


def test_a_reply_that_trickles_in_does_not_last_longer_than_allowed(make: Make) -> None:
    with RedisServer() as server, Proxy(("127.0.0.1", server.port)) as slow:
        redis.Redis(port=server.port).set("big", b"x" * 200_000)
        batches = make(slow.port, max_retries=0)
        batches.call(pack("PING"))
        slow.throttle(20_000)
        began = monotonic()
        with pytest.raises(redis.TimeoutError):
            batches.call(pack("GET", "big"))
        assert monotonic() - began < 1.5 + 0.5


def test_an_idle_connection_that_was_closed_costs_no_pause(
    make: Make, redis_server: RedisServer
) -> None:
    batches = make(redis_server.port, retry_delay=5, operation_timeout=20)
    for _ in range(3):
        batches.call(pack("PING"))
        redis.Redis(port=redis_server.port).client_kill_filter(_type="normal", skipme=True)
        began = monotonic()
        assert batches.call(pack("PING")) == b"PONG"
        assert monotonic() - began < 1


def test_a_child_by_fork_has_a_connection_of_its_own(
    make: Make, redis_server: RedisServer
) -> None:
    batches = make(redis_server.port)
    batches.call(pack("PING"))
    wire, batches._pid = batches._wire, 0  # as it is seen by a child
    assert batches.call(pack("PING")) == b"PONG"
    assert batches._wire is not wire
