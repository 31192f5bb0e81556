"""Under gunicorn: how workers start, stop, reload and die, and what stands beside the mount."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest
from raw_client import RawClient, post
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

HERE = Path(__file__).resolve().parent
IMPORTS = {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE / "apps")])}
APP = "inner:application"
EVENTS = "events"


@pytest.fixture
def env(redis: Redis, server: RedisServer) -> dict[str, str]:
    """One namespace for every node of a test, in a Redis that was emptied for it."""
    return {**IMPORTS, "FAYE_REDIS_URL": server.url, "FAYE_REDIS_MOUNT": "/faye",
            "FAYE_REDIS_RESTORE_WINDOW": "0",  # the store is emptied under running nodes
            "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}"}


def held_by(redis: Redis, env: dict[str, str], client_id: str) -> Any:
    """Whether a worker holds the client's connection, a poll or a stream; which if one does."""
    name = f"{env['FAYE_REDIS_NAMESPACE']}:clients:{client_id}"
    poll, stream = redis.hmget(name, "poll", "stream")
    return poll or stream


class Line:
    """One HTTP connection that is kept, so that all its requests reach the same worker."""

    def __init__(self, node: Node) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        self.pid = int(self.get("/pid"))

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        return self._connection.getresponse().read()

    def send(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        self._connection.request(
            "POST", "/faye", json.dumps(messages), {"Content-Type": "application/json"})
        answer: list[dict[str, Any]] = json.loads(self._connection.getresponse().read())
        return answer

    def close(self) -> None:
        self._connection.close()


def line_to_another_worker(node: Node, line: Line) -> Line:
    """While the first worker stands still, it can accept nothing."""
    os.kill(line.pid, signal.SIGSTOP)
    try:
        return Line(node)
    finally:
        os.kill(line.pid, signal.SIGCONT)


def check_that_messages_cross_workers(node: Node) -> None:
    """One worker serves the subscriber, another one the publisher."""
    with closing(Line(node)) as one, closing(line_to_another_worker(node, one)) as two:
        assert {one.pid, two.pid} == set(node.worker_pids())
        [shaken] = one.send({"channel": "/meta/handshake", "version": "1.0",
                             "supportedConnectionTypes": ["long-polling"]})
        client = {"clientId": shaken["clientId"], "connectionType": "long-polling"}
        one.send({"channel": "/meta/subscribe", **client, "subscription": "/a/*"})
        connecting = gevent.spawn(one.send, {"channel": "/meta/connect", **client, "id": "1"})
        [published] = two.send({"channel": "/a/b", "data": "across"})
        assert published["successful"]
        reply, message = connecting.get(timeout=10)
        assert (reply["successful"], message["data"]) == (True, "across")


# Start

def worker_pids(redis: Redis, env: dict[str, str]) -> list[int]:
    """Pids of the workers, as they tell them in Redis."""
    keys = redis.keys(f"{env['FAYE_REDIS_NAMESPACE']}:servers:*")
    return [int(redis.hget(key, "pid")) for key in keys]


def test_preload_is_safe(env: dict[str, str], redis: Redis) -> None:
    with Node(APP, env=env, args=["--preload"]) as node:
        check_that_messages_cross_workers(node)
        with closing(Line(node)) as line:
            assert line.get("/patched") == b"True"
        # Every worker has a listener of its own, and the master none.
        pattern = f"{env['FAYE_REDIS_NAMESPACE']}:server:0:?*"
        eventually(lambda: len(redis.pubsub_channels(pattern)) == 2)
        assert sorted(worker_pids(redis, env)) == sorted(node.worker_pids())


def test_it_works_without_the_configuration(env: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.touch()
    with Node(APP, env=env, conf=str(empty)) as node:
        check_that_messages_cross_workers(node)


def test_it_starts_with_the_worker_and_not_with_the_first_request(
    env: dict[str, str], redis: Redis
) -> None:
    with Node(APP, env=env):
        eventually(lambda: len(redis.keys(f"{env['FAYE_REDIS_NAMESPACE']}:servers:*")) == 2)


MEMORY = {**IMPORTS, "FAYE_REDIS_TYPE": "memory", "FAYE_REDIS_MOUNT": "/faye"}


def log_of_a_failed_boot(**options: Any) -> str:
    node = Node(APP, **options)
    with pytest.raises(RuntimeError, match="gunicorn ended"):
        node.start()
    try:
        assert node._running().returncode in (1, 3)  # 1: both workers failed in one instant
        assert "Worker failed to boot." in node.log
        return node.log
    finally:
        node.close()


def test_the_memory_engine_refuses_a_second_worker() -> None:
    log = log_of_a_failed_boot(workers=2, env=MEMORY)
    assert (
        "faye_redis.errors.ConfigurationError: engine.type: 'memory' serves one process, and would "
        "deliver to some of the clients only; use 'redis', or run gunicorn with one worker (-w 1)"
    ) in log.splitlines()


def test_another_class_of_worker_is_refused() -> None:
    log = log_of_a_failed_boot(workers=1, env=MEMORY, args=["-k", "gthread"])
    assert ("faye_redis.errors.ConfigurationError: worker_class: must be 'gevent' "
            "(gunicorn -k gevent), not 'gthread'") in log


def test_the_memory_engine_serves_one_worker() -> None:
    with Node(APP, workers=1, env=MEMORY) as node:
        client = RawClient([f"{node.url}/faye"])
        client.subscribe("/a")
        client.publish("/a", 1)
        client.connect()
        assert client.data("/a") == [1]


@pytest.mark.parametrize(("variable", "value", "line"), [
    ("FAYE_REDIS_PORT", "0", "engine.port: must be a whole number from 1 to 65535 (from "
                             "FAYE_REDIS_PORT)"),
    ("FAYE_REDIS_PROT", "1", "FAYE_REDIS_PROT: unknown variable; did you mean FAYE_REDIS_PORT?"),
])
def test_a_wrong_option_stops_the_boot(
    env: dict[str, str], variable: str, value: str, line: str
) -> None:
    log = log_of_a_failed_boot(env={**env, variable: value})
    assert f"faye_redis.errors.ConfigurationError: {line}" in log.splitlines()


def test_an_option_that_redis_refuses_stops_the_boot(env: dict[str, str]) -> None:
    log = log_of_a_failed_boot(env={**env, "FAYE_REDIS_DATABASE": "9999"})
    assert "faye_redis.errors.ConfigurationError: engine.database: " in log


# Stop

def test_a_stopping_server_answers_polls_and_closes_sockets(
    env: dict[str, str], redis: Redis
) -> None:
    with Node(APP, env=env) as node:
        url = f"{node.url}/faye"
        pollers = [RawClient([url]) for _ in range(4)]
        connects = [{"channel": "/meta/connect", "clientId": poller.client_id, "id": "z",
                     "connectionType": "long-polling"} for poller in pollers]
        held = [gevent.spawn(post, url, connect) for connect in connects]  # checks for 200
        talker = RawClient([url])
        with open_websocket(url.replace("http://", "ws://"), proxy=None) as socket:
            socket.send(json.dumps({"channel": "/meta/connect", "clientId": talker.client_id,
                                    "id": "1", "connectionType": "websocket"}))
            for client in (*pollers, talker):
                eventually(lambda c=client: held_by(redis, env, c.client_id))
            began = time.monotonic()
            stopping = gevent.spawn(node.stop)
            for answer in gevent.joinall(held, timeout=10):
                [reply] = answer.get()
                assert (reply["id"], reply["successful"]) == ("z", True)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    socket.recv(timeout=10)
            assert (closed.value.rcvd.code, closed.value.rcvd_then_sent) == (1001, True)
        assert stopping.get(timeout=30) == 0
        assert time.monotonic() - began < 5
        assert "graceful timeout" not in node.log


def test_a_reload_keeps_sessions(env: dict[str, str], redis: Redis) -> None:
    with Node(APP, env=env) as node:
        before = node.worker_pids()
        client, publisher = (RawClient([f"{node.url}/faye"]) for _ in range(2))
        client.subscribe("/a")
        polling = gevent.spawn(client.poll_until, lambda: "end" in client.data("/a"))
        eventually(lambda: held_by(redis, env, client.client_id))
        publisher.publish("/a", "before")
        node.send_signal(signal.SIGHUP)
        numbers = 0
        while set(before) & set(node.worker_pids()) or len(node.worker_pids()) != 2:
            numbers += 1
            publisher.publish("/a", numbers)
        publisher.publish("/a", "end")
        polling.get(timeout=30)
        assert client.data("/a") == ["before", *range(1, numbers + 1), "end"]


def test_a_client_of_a_killed_server_goes_on_elsewhere(
    env: dict[str, str], redis: Redis
) -> None:
    with Node(APP, env=env, workers=1) as one, \
            Node(APP, env=env, workers=1) as two:
        urls = [f"{one.url}/faye"]
        client, publisher = RawClient(urls), RawClient([f"{two.url}/faye"])
        client.subscribe("/a", "/*")
        publisher.publish("/a", 1)
        client.connect()
        held = gevent.spawn(client.connect)
        eventually(lambda: held_by(redis, env, client.client_id))
        one.kill()
        with pytest.raises((OSError, http.client.HTTPException)):
            held.get(timeout=10)
        publisher.publish("/a", 2)
        publisher.publish("/a", 3)
        urls[:] = [f"{two.url}/faye"]
        polling = gevent.spawn(client.poll_until, lambda: "end" in client.data("/a"))
        publisher.publish("/a", "end")
        polling.get(timeout=10)
        assert client.data("/a") == [1, 2, 3, "end"]


def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    env: dict[str, str], redis: Redis
) -> None:
    with Node(APP, env=env) as node:
        with closing(Line(node)) as line, closing(line_to_another_worker(node, line)) as other:
            client = RawClient([f"{node.url}/faye"])
            client.subscribe("/a")
            connect = {"channel": "/meta/connect", "clientId": client.client_id,
                       "connectionType": "long-polling"}
            held = gevent.spawn(line.send, {**connect, "id": "1"})
            eventually(lambda: held_by(redis, env, client.client_id))
            node.kill_worker(line.pid)
            with pytest.raises((OSError, http.client.HTTPException)):
                held.get(timeout=10)
            other.send({"channel": "/a", "data": 1}, {"channel": "/a", "data": 2})
            reply, *messages = other.send({**connect, "id": "2"})
            assert reply["clientId"] == client.client_id
            assert [message["data"] for message in messages] == [1, 2]
        eventually(lambda: len(node.worker_pids()) == 2)


# Beside the mount

@pytest.fixture(scope="module")
def node(server: RedisServer) -> Iterator[Node]:
    env = {**IMPORTS, "FAYE_REDIS_URL": server.url, "FAYE_REDIS_MOUNT": "/faye",
            "FAYE_REDIS_RESTORE_WINDOW": "0",  # the store is emptied under running nodes
           "FAYE_REDIS_GC_INTERVAL": "0.1", "EVENTS_URL": server.url, "EVENTS_KEY": EVENTS}
    with Node(APP, env=env) as running:
        yield running


@pytest.mark.parametrize("path", ["/", "/faye2", "/other/faye", "/fay"])
def test_requests_outside_the_mount_reach_the_app(node: Node, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    with closing(connection):
        connection.request("PUT", path, b" and a body")
        response = connection.getresponse()
        assert (response.status, response.getheader("X-Inner")) == (200, "yes")
        assert response.read() == f"PUT {path} and a body".encode()


def test_a_response_of_the_app_is_streamed(node: Node, tmp_path: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    with closing(connection):
        connection.request("GET", f"/stream?{tmp_path}/go")
        response = connection.getresponse()
        assert response.readline() == b"one\n"
        (tmp_path / "go").touch()
        assert response.read() == b"two\n"


# Events

def told(redis: Redis) -> list[str]:
    return redis.lrange(EVENTS, 0, -1)


def say_something_else(node: Node, redis: Redis) -> None:
    """Another client comes and leaves; wait until that has been told."""
    client = RawClient([f"{node.url}/faye"])
    client.disconnect()
    eventually(lambda: f"disconnect {client.client_id}" in told(redis))


def told_of(redis: Redis, client: RawClient) -> list[str]:
    return [event for event in told(redis) if client.client_id in event]


def test_each_event_is_told_once_in_the_cluster(node: Node, redis: Redis) -> None:
    client = RawClient([f"{node.url}/faye"])
    for _ in range(10):  # every time some worker, so both of them
        client.subscribe("/a", "/b")
    for _ in range(10):
        client.call({"channel": "/meta/unsubscribe", "clientId": client.client_id,
                     "subscription": "/a"})
    client.connect(hold=False)
    client.disconnect()
    say_something_else(node, redis)
    id = client.client_id
    assert told_of(redis, client) == [
        f"handshake {id}", f"subscribe {id} /a", f"subscribe {id} /b", f"unsubscribe {id} /a",
        f"unsubscribe {id} /b", f"disconnect {id}"]


def test_the_same_events_are_told_of_a_client_that_expires(node: Node, redis: Redis) -> None:
    client = RawClient([f"{node.url}/faye"])
    client.subscribe("/a")
    client.connect(hold=False)
    assert redis.zadd("faye:clients", {client.client_id: 1}, xx=True, ch=True) == 1  # 1970
    eventually(lambda: f"disconnect {client.client_id}" in told(redis))
    for _ in range(2):
        say_something_else(node, redis)
    id = client.client_id
    assert told_of(redis, client) == [
        f"handshake {id}", f"subscribe {id} /a", f"unsubscribe {id} /a", f"disconnect {id}"]


def test_the_same_events_are_told_of_a_client_that_is_held(node: Node, redis: Redis) -> None:
    client = RawClient([f"{node.url}/faye"])
    client.subscribe("/a")
    held = gevent.spawn(client.connect)
    eventually(lambda: redis.hget(f"faye:clients:{client.client_id}", "poll"))
    RawClient([f"{node.url}/faye"]).call(
        {"channel": "/meta/disconnect", "clientId": client.client_id})
    held.get(timeout=10)
    say_something_else(node, redis)
    id = client.client_id
    assert told_of(redis, client) == [
        f"handshake {id}", f"subscribe {id} /a", f"unsubscribe {id} /a", f"disconnect {id}"]
