"""Publishing without a server, on a real Redis: who hears it, what is refused, what goes wrong."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from redis import Redis

from faults.proxy import Proxy
from faye_redis import Publisher, WSGIAdapter
from faye_redis.engines.redis.wire import Wire, pack
from faye_redis.errors import ConfigurationError, EngineUnavailable, PublishError
from support.processes import free_port
from support.redis_server import RedisServer
from support.waiting import eventually

ROOT = Path(__file__).parents[2]
END = "/end/of/test"
Heard = list[tuple[str, Any]]
Make = Callable[..., Publisher]


@pytest.fixture
def make(redis_server: RedisServer, namespace: str) -> Iterator[Make]:
    """Publishers in the test's namespace: ``make(port=1)``."""
    made: list[Publisher] = []

    def make(**engine: Any) -> Publisher:
        place = {"host": "127.0.0.1", "port": redis_server.port, "namespace": namespace}
        made.append(Publisher({"mount": "/faye", "engine": {**place, **engine}}))
        return made[-1]
    yield make
    for publisher in made:
        publisher.close()


@pytest.fixture
def publisher(make: Make) -> Publisher:
    return make()


@pytest.fixture
def adapter(redis_server: RedisServer, namespace: str) -> Iterator[WSGIAdapter]:
    engine = {"url": redis_server.url, "namespace": namespace}
    adapter = WSGIAdapter(settings={"engine": engine})
    yield adapter
    adapter.close()


class Ear:
    """Hears everything. :meth:`finish` waits until what was published before has arrived."""

    def __init__(self, adapter: WSGIAdapter) -> None:
        self._client = adapter.get_client()
        self._heard: Heard = []
        self._client.subscribe("/**").with_channel(self._hear)

    def _hear(self, channel: str, data: Any) -> None:
        self._heard.append((channel, data))

    def finish(self) -> Heard:
        self._client.publish(END, None)
        eventually(lambda: (END, None) in self._heard)
        return self._heard[:-1]


@pytest.fixture
def ear(adapter: WSGIAdapter) -> Ear:
    return Ear(adapter)


# Delivery

def test_messages_arrive_once_and_in_order(ear: Ear, publisher: Publisher) -> None:
    for number in range(100):
        publisher.publish("/a", number)
    publisher.publish_all((f"/b/{number % 3}", number) for number in range(2500))
    publisher.publish("/a", "last")
    assert ear.finish() == [
        *(("/a", number) for number in range(100)),
        *((f"/b/{number % 3}", number) for number in range(2500)),
        ("/a", "last")]


@pytest.mark.parametrize("data", [
    None, 0, "", "ä\u2028😀", [], {}, [1, {"a": [None, 1.5, True]}], "x" * 3_000_000])
def test_data_arrives_as_it_was(ear: Ear, publisher: Publisher, data: Any) -> None:
    publisher.publish_all([("/a", data), ("/a", "next")])
    assert ear.finish() == [("/a", data), ("/a", "next")]


def test_many_messages_take_few_writes(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("/a", "connected")
    sizes: list[int] = []
    send = Wire.send

    def counting(wire: Wire, data: bytes, seconds: float = 1.0) -> None:
        sizes.append(data.count(b"EVALSHA"))
        send(wire, data, seconds)
    monkeypatch.setattr(Wire, "send", counting)
    publisher.publish_all(("/a", number) for number in range(1500))
    publisher.publish_all(("/a", "x" * 600_000) for _ in range(3))
    assert sizes == [1000, 500, 1, 1, 1]


def test_nothing_is_sent_for_nothing() -> None:
    Publisher({"engine": {"port": 1}}).publish_all([])


def test_many_threads_at_once(ear: Ear, publisher: Publisher) -> None:
    """Threads of this process are greenlets; real ones are in the tests of whole processes."""
    def publish(thread: int) -> None:
        for number in range(50):
            publisher.publish(f"/thread/{thread}", number)
    gevent.joinall([gevent.spawn(publish, thread) for thread in range(20)], raise_error=True)
    heard = ear.finish()
    assert len(heard) == 20 * 50
    for thread in range(20):
        channel = f"/thread/{thread}"
        assert [data for name, data in heard if name == channel] == list(range(50))


def test_in_process_subscribers_of_services_hear_it(
    adapter: WSGIAdapter, ear: Ear, publisher: Publisher
) -> None:
    heard: list[Any] = []
    adapter.get_client().subscribe("/service/x", heard.append)
    publisher.publish("/service/x", 1)
    assert ear.finish() == []  # no pattern from outside matches
    eventually(lambda: heard == [1])


def test_it_closes_at_the_end_and_opens_again(redis_server: RedisServer, ear: Ear,
                                              publisher: Publisher) -> None:
    with publisher as same:
        same.publish("/a", 1)
        wire = publisher._sender._line.wire
        assert wire is not None
    publisher.close()
    assert publisher._sender._line.wire is None
    publisher.publish("/a", 2)
    assert ear.finish() == [("/a", 1), ("/a", 2)]


# Refusals

@pytest.mark.parametrize(("channel", "data", "error"), [
    ("/a/*", 1, "405:/a/*:Invalid channel"),
    ("/**", 1, "405:/**:Invalid channel"),
    ("no-slash", 1, "405:no-slash:Invalid channel"),
    (None, 1, "405::Invalid channel"),
    ("/meta/subscribe", 1, "403:/meta/subscribe:Forbidden channel"),
    ("/meta/x/y", 1, "403:/meta/x/y:Forbidden channel"),
    ("/" + "a" * 255, 1, f"405:/{'a' * 254}:Longer than max_channel_length, 255"),
    ("/a", object(), "400::data is no JSON: Type is not JSON serializable: object"),
    ("/a", "\ud800", "400::data is no JSON: str is not valid UTF-8: surrogates not allowed"),
])
def test_what_is_refused_is_not_sent_nor_anything_with_it(
    make: Make, channel: Any, data: Any, error: str
) -> None:
    publisher = make(port=free_port())  # where nobody is
    for messages in ([(channel, data)], [("/good", 1), (channel, data), ("/good", 2)]):
        with pytest.raises(PublishError) as caught:
            publisher.publish_all(messages)
        assert (str(caught.value), caught.value.stored) == (error, ())


def test_the_limits_are_those_of_the_settings(redis_server: RedisServer) -> None:
    publisher = Publisher({"max_channel_segments": 2, "engine": {"url": redis_server.url}})
    with pytest.raises(PublishError, match="More segments than max_channel_segments, 2"):
        publisher.publish("/a/b/c", 1)


@pytest.mark.parametrize("settings", [None, {}, {"engine": {"type": "memory"}}])
def test_the_memory_of_a_server_is_out_of_reach(settings: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^engine\.type: 'memory' is the memory of"):
        Publisher(settings)


def test_options_come_from_variables_too(
    redis_server: RedisServer, namespace: str, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAYE_REDIS_URL", redis_server.url)
    monkeypatch.setenv("FAYE_REDIS_NAMESPACE", namespace)
    with Publisher() as publisher:
        publisher.publish("/a", 1)
    assert ear.finish() == [("/a", 1)]


def test_a_check_names_the_wrong_option(make: Make) -> None:
    make().check()
    with pytest.raises(ConfigurationError, match=r"^engine\.database: 9999"):
        make(database=9999).check()
    with pytest.raises(EngineUnavailable):
        make(port=free_port()).check()


# Failures

QUICK = {"retry_delay": 0.01, "connect_timeout": 0.3, "read_timeout": 0.3, "write_timeout": 0.3}


def test_redis_out_of_reach_is_a_bayeux_error(make: Make) -> None:
    with pytest.raises(PublishError) as caught:
        make(port=free_port(), **QUICK).publish_all([("/a", 1), ("/b", 2)])
    assert (str(caught.value), caught.value.stored) == ("407:/a:Failed to publish", ())
    assert isinstance(caught.value.__cause__, EngineUnavailable)
    assert "Connection refused" in str(caught.value.__cause__)


def test_an_error_tells_what_has_been_stored(
    redis_server: RedisServer, namespace: str, make: Make, ear: Ear
) -> None:
    with Redis.from_url(redis_server.url) as admin:
        keys = [f"~{namespace}:{what}" for what in
                ("last_id", "marker", "grace", "operations:*", "*:/a", "*:/[*]", "*:/[*][*]")]
        admin.execute_command("ACL", "SETUSER", namespace, "on", ">secret", "+@all", "&*", *keys)
    publisher = make(username=namespace, password="secret")
    with pytest.raises(PublishError) as caught:
        publisher.publish_all([("/a", 1), ("/b", 2), ("/a", 3)])
    assert (str(caught.value), caught.value.stored) == ("407:/b:Failed to publish", (0, 2))
    assert ear.finish() == [("/a", 1), ("/a", 3)]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", redis_server.port)) as proxy:
        yield proxy


@pytest.mark.parametrize("answered", range(4))
def test_what_was_stored_but_not_answered_is_not_stored_again(
    make: Make, proxy: Proxy, ear: Ear, answered: int
) -> None:
    publisher = make(port=proxy.port)
    publisher.publish("/a", "connected")
    first = frozenset(proxy.links)
    proxy.cut_after(23 * answered, only=first.__contains__)  # $16 and 16 digits are one answer
    publisher.publish_all(("/a", number) for number in range(5))
    assert not first & proxy.links
    assert ear.finish() == [("/a", "connected"), *(("/a", number) for number in range(5))]


def test_a_server_that_hangs_is_given_up(make: Make, proxy: Proxy, ear: Ear) -> None:
    publisher = make(port=proxy.port, **QUICK, operation_timeout=1)
    publisher.publish("/a", 1)
    proxy.black_hole()
    calls = [gevent.spawn(publisher.publish, "/a", "lost") for _ in range(10)]
    gevent.joinall(calls, timeout=10)
    assert [str(call.exception) for call in calls] == ["407:/a:Failed to publish"] * 10
    proxy.heal()
    publisher.publish("/a", 2)
    assert ear.finish() == [("/a", 1), ("/a", 2)]


@pytest.mark.parametrize("max_retries", [0, 2])
def test_no_more_than_max_retries(
    make: Make, max_retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = make(port=free_port(), **QUICK, max_retries=max_retries)
    attempts: list[int] = []
    connect = publisher._sender._connect
    monkeypatch.setattr(
        publisher._sender, "_connect", lambda line: attempts.append(1) or connect(line))
    with pytest.raises(PublishError):
        publisher.publish("/a", 1)
    assert len(attempts) == 1 + max_retries


def test_connections_and_scripts_that_are_gone(
    redis_server: RedisServer, make: Make, ear: Ear
) -> None:
    """An idle connection that was closed costs no pause; it would last for minutes."""
    publisher = make(retry_delay=1000, operation_timeout=1000)
    with Redis.from_url(redis_server.url) as admin:
        for number in range(4):
            publisher.publish("/a", number)
            if number % 2:
                admin.script_flush()
            else:
                wire = publisher._sender._line.wire
                assert wire is not None
                wire._sock.shutdown(socket.SHUT_RDWR)
    assert ear.finish() == [("/a", number) for number in range(4)]


def test_a_call_that_was_interrupted_disturbs_no_other(
    publisher: Publisher, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a handler of a signal that raises: the answer is still under way."""
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt
    publisher.publish("/a", 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Wire, "receive", interrupt)
        publisher.publish("/a", 2)
    assert publisher._sender.call_all([pack("ECHO", "mine")]) == [b"mine"]
    publisher.publish_all([("/a", 3), ("/a", 4)])
    assert ear.finish() == [("/a", number) for number in (1, 2, 3, 4)]


def test_messages_are_heard_while_lost_clients_are_put_back(
    redis_server: RedisServer, publisher: Publisher, adapter: WSGIAdapter, ear: Ear
) -> None:
    eventually(lambda: adapter.engine._heartbeat._marker)  # type: ignore[attr-defined]
    with Redis.from_url(redis_server.url) as redis:
        keys = list(redis.scan_iter(adapter.engine._keys.prefix + "*"))  # type: ignore[attr-defined]
        redis.delete(*keys)
    publisher.publish("/a", 1)
    assert ear.finish() == [("/a", 1)]


# Processes

def run(script: str, *arguments: str) -> str:
    """What a plain interpreter prints that runs ``script``."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, text=True,
                          capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


PLAIN = """
import sys
from faye_redis import Publisher
with Publisher({"engine": {"url": sys.argv[1], "namespace": sys.argv[2]}}) as publisher:
    publisher.check()
    publisher.publish("/a", 1)
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("gevent", "gunicorn")))
"""


def test_it_needs_no_gevent(redis_server: RedisServer, namespace: str, ear: Ear) -> None:
    assert run(PLAIN, redis_server.url, namespace) == "[]\n"
    assert ear.finish() == [("/a", 1)]


def test_one_module_imports_gevent() -> None:
    importing = re.compile(r"^\s*(?:import|from) gevent\b", re.MULTILINE)
    found = [path.name for path in (ROOT / "faye_redis").rglob("*.py")
             if importing.search(path.read_text("utf-8"))]
    assert found == ["concurrency.py"]


FORK = """
import os, sys, threading
from faye_redis import Publisher
publisher = Publisher({"engine": {"url": sys.argv[1], "namespace": sys.argv[2]}})
publisher.publish("/parent", 0)
publisher._sender._line.lock.acquire()  # as if another thread were publishing just now
pid = os.fork()
if not pid:
    publisher.publish_all([("/child", number) for number in range(100)])
    os._exit(0)
publisher._sender._line.lock.release()
publisher.publish_all([("/parent", number) for number in range(1, 100)])
print(os.waitpid(pid, 0)[1])
publisher.publish("/parent", 100)
"""


def test_a_child_by_fork_has_a_connection_of_its_own(
    redis_server: RedisServer, namespace: str, ear: Ear
) -> None:
    assert run(FORK, redis_server.url, namespace) == "0\n"
    heard = ear.finish()
    assert [data for channel, data in heard if channel == "/parent"] == list(range(101))
    assert [data for channel, data in heard if channel == "/child"] == list(range(100))
