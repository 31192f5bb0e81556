"""Clients that vanish leave nothing in Redis: by the timer, by the command, by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent.pool import Pool
from redis import Redis

from conformance.recorder import Recorder
from faye_redis import WSGIAdapter
from faye_redis.engines.redis.engine import RedisEngine
from faye_redis.settings import EngineSettings, Settings
from support.command import command
from support.processes import free_port
from support.redis_server import RedisServer
from support.waiting import eventually

NAMESPACE = "cleaned"
CLIENTS = 10_000


@pytest.fixture
def settings(server: RedisServer) -> EngineSettings:
    return Settings.load({"engine": {"url": server.url, "namespace": NAMESPACE}}, {}).engine


@pytest.fixture
def engine(redis: Redis, settings: EngineSettings) -> Iterator[RedisEngine]:
    """Not started, so it adds no keys of its own to those of clients."""
    engine = RedisEngine(settings)
    yield engine
    engine.close()


@pytest.fixture
def impatient(redis: Redis, settings: EngineSettings) -> Iterator[RedisEngine]:
    """For it, every client has expired."""
    engine = RedisEngine(replace(settings, client_timeout=0.001))
    yield engine
    engine.close()


@pytest.fixture
def adapters() -> Iterator[list[WSGIAdapter]]:
    """Closed at the end."""
    adapters: list[WSGIAdapter] = []
    yield adapters
    for adapter in adapters:
        adapter.close()


def adapter_with(url: str, adapters: list[WSGIAdapter], **options: Any) -> WSGIAdapter:
    engine = {"url": url, "restore_window": 0, **options}
    adapters.append(WSGIAdapter(settings={"engine": engine}))
    adapters[-1].start()
    return adapters[-1]


def channels(number: int) -> list[str]:
    return ["/all", "/**", f"/user/{number}", f"/group/{number % 100}/*", f"/team/{number % 7}"]


def populate(engine: RedisEngine, count: int) -> list[str]:
    """So many clients with five channels each; returns their ids."""
    def add(number: int) -> str:
        client_id = engine.create_client()
        engine.subscribe(client_id, channels(number))
        return client_id

    return Pool(8).map(add, range(count))


def key(*parts: str) -> str:
    return ":".join((NAMESPACE, *parts))


def age(redis: Redis, client_ids: list[str], seconds: float = 100) -> None:
    """As if they had last been seen so long ago."""
    seen = int((time.time() - seconds) * 1000)
    changed = redis.zadd(key("clients"), dict.fromkeys(client_ids, seen), xx=True, ch=True)
    assert changed == len(client_ids)


# By hand

def test_ten_thousand_clients_leave_nothing(
    redis: Redis, engine: RedisEngine, impatient: RedisEngine
) -> None:
    assert redis.dbsize() == 0
    ids = populate(engine, CLIENTS)
    assert len(set(ids)) == redis.zcard(key("clients")) == CLIENTS
    # The index, a key for each client, and the sets: /all, /**, users, groups, teams.
    assert redis.dbsize() == 1 + CLIENTS + 2 + CLIENTS + 100 + 7
    assert engine.cleanup_expired() == 0
    assert impatient.cleanup_expired() == CLIENTS
    assert redis.dbsize() == 0
    assert impatient.cleanup_expired() == 0


def test_logs_go_with_their_last_subscriber(redis: Redis, engine: RedisEngine) -> None:
    one, two = populate(engine, 2)
    engine.publish("/all", b"{}", "operation")
    logs = {key("messages", "/all"), key("messages", "/**")}
    assert set(redis.scan_iter(key("messages", "*"))) == logs
    age(redis, [one])
    assert engine.cleanup_expired() == 1
    assert set(redis.scan_iter(key("messages", "*"))) == logs
    age(redis, [two])
    assert engine.cleanup_expired() == 1
    left = {key("last_id"), key("operations", "operation")}
    assert set(redis.scan_iter("*")) == left


def test_other_namespaces_are_left_alone(
    redis: Redis, settings: EngineSettings, engine: RedisEngine, impatient: RedisEngine
) -> None:
    other = RedisEngine(replace(settings, namespace=NAMESPACE + "x"))
    populate(other, 3)
    before = set(redis.scan_iter("*"))
    populate(engine, 3)
    eventually(lambda: impatient.cleanup_expired() == 3)
    assert set(redis.scan_iter("*")) == before
    other.close()


def subscribers(redis: Redis, number: int) -> list[set[str]]:
    return [redis.smembers(key("channels", name)) for name in channels(number)]


def test_only_a_thorough_run_finds_clients_whose_keys_were_lost(
    redis: Redis, engine: RedisEngine
) -> None:
    lost, *others = populate(engine, 3)
    redis.delete(key("clients", lost))
    redis.zrem(key("clients"), lost)
    before = subscribers(redis, 0)
    assert [lost in ids for ids in before] == [True] * 5
    assert engine.cleanup_expired(thorough=False) == 0
    assert subscribers(redis, 0) == before
    assert engine.cleanup_expired(thorough=True) == 0
    assert subscribers(redis, 0) == [{*others}, {*others}, set(), set(), set()]
    assert redis.exists(key("channels", channels(0)[2])) == 0


def test_a_removal_that_was_interrupted_is_finished(redis: Redis, engine: RedisEngine) -> None:
    """Its worker died after the first step: the client is gone, and its score is 0."""
    interrupted, other = populate(engine, 2)
    redis.rename(key("clients", interrupted), key("removed", interrupted))
    redis.zadd(key("clients"), {interrupted: 0})
    assert engine.cleanup_expired(thorough=False) == 0  # the other worker counted it
    assert subscribers(redis, 0)[:3] == [{other}, {other}, set()]
    assert redis.exists(key("removed", interrupted)) == 0
    assert redis.zrange(key("clients"), 0, -1) == [other]


def test_the_server_that_holds_a_removed_client_is_told(
    redis: Redis, server: RedisServer, engine: RedisEngine, adapters: list[WSGIAdapter]
) -> None:
    """Its in-process client comes back as a new one, at once: none but the old one may be taken
    for expired, or the new one is removed by the same clean-up."""
    adapter = adapter_with(server.url, adapters, namespace=NAMESPACE)
    seen: list[str] = []
    adapter.on("handshake", seen.append)
    adapter.get_client().subscribe("/a", seen.append)
    eventually(lambda: redis.hget(key("clients", seen[0]), "stream"))
    eventually(lambda: adapter.engine._listener.follows("/a"))  # it has ears

    def remove() -> int:
        redis.zadd(key("clients"), {seen[0]: 1}, xx=True)  # last seen in 1970
        return engine.cleanup_expired()
    eventually(lambda: remove() == 1)  # its worker may have pinged in between
    eventually(lambda: len(seen) == 2)
    eventually(lambda: redis.smembers(key("channels", "/a")) == {seen[1]})


# Several at once

def reported(recorders: list[Recorder]) -> list[Any]:
    return sorted(call for recorder in recorders for call in recorder.calls
                  if call[0] == "expired")


def expected(ids: list[str]) -> list[Any]:
    return sorted(("expired", client_id, sorted(channels(number)))
                  for number, client_id in enumerate(ids))


@pytest.fixture
def four(redis: Redis, settings: EngineSettings) -> Iterator[dict[RedisEngine, Recorder]]:
    """Started engines that call every client expired, and what each of them was told."""
    hasty = replace(settings, client_timeout=0.001, cleanup_batch_size=10)
    engines = {RedisEngine(hasty): Recorder() for _ in range(4)}
    for engine, recorder in engines.items():
        engine.start(recorder)
    yield engines
    for engine in engines:
        engine.close()


def test_four_at_once_remove_each_client_once(
    redis: Redis, engine: RedisEngine, four: dict[RedisEngine, Recorder]
) -> None:
    ids = populate(engine, 1000)
    counts = Pool(4).map(RedisEngine.cleanup_expired, four)
    assert sum(counts) == 1000
    assert reported(list(four.values())) == expected(ids)
    assert redis.zcard(key("clients")) == 0


def test_four_at_once_remove_each_client_once_without_the_lock(
    redis: Redis, engine: RedisEngine, four: dict[RedisEngine, Recorder]
) -> None:
    """The lock only saves work; while it is taken away again and again all four are at it."""
    ids = populate(engine, 1000)

    def clean(engine: RedisEngine) -> int:
        count = 0
        while redis.zcard(key("clients")):
            count += engine.cleanup_expired(thorough=False)
        return count

    def take_the_lock_away() -> None:
        while redis.zcard(key("clients")):
            redis.delete(key("locks", "cleanup"))

    taking = gevent.spawn(take_the_lock_away)
    counts = Pool(4).map(clean, four)
    taking.get(timeout=10)
    assert sum(counts) == 1000
    assert sum(count > 0 for count in counts) > 1
    assert reported(list(four.values())) == expected(ids)
    assert redis.keys(key("c*")) == redis.keys(key("removed", "*")) == []


# The timer

def test_the_timer_removes_expired_clients(
    redis: Redis, server: RedisServer, engine: RedisEngine, adapters: list[WSGIAdapter]
) -> None:
    adapter = adapter_with(server.url, adapters, namespace=NAMESPACE, gc_interval=0.05)
    told: list[Any] = []
    adapter.on("unsubscribe", lambda *args: told.append(("unsubscribe", *args)))
    adapter.on("disconnect", lambda *args: told.append(("disconnect", *args)))
    for _ in range(2):  # it goes on
        gone, kept = populate(engine, 2)
        age(redis, [gone])
        eventually(lambda id=gone: ("disconnect", id) in told)
        assert sorted(told) == sorted(
            [("disconnect", gone), *(("unsubscribe", gone, name) for name in channels(0))])
        assert redis.zscore(key("clients"), gone) is None
        assert redis.zscore(key("clients"), kept) is not None
        told.clear()


def test_the_timer_is_thorough_now_and_then(
    redis: Redis, server: RedisServer, engine: RedisEngine, adapters: list[WSGIAdapter]
) -> None:
    lost, other = populate(engine, 2)
    redis.delete(key("clients", lost))
    redis.zrem(key("clients"), lost)
    adapter_with(server.url, adapters, namespace=NAMESPACE, gc_interval=0.02)
    eventually(lambda: subscribers(redis, 0) == [{other}, {other}, set(), set(), set()])


@pytest.mark.parametrize("off", [0, False])
def test_without_an_interval_nothing_is_removed(
    redis: Redis, server: RedisServer, settings: EngineSettings, engine: RedisEngine,
    adapters: list[WSGIAdapter], off: Any,
) -> None:
    adapter_with(server.url, adapters, namespace=NAMESPACE, gc_interval=off)
    ids = populate(engine, 2)
    age(redis, ids)
    # Meanwhile a second server, with its timer, has removed clients of its own three times over.
    busy = adapter_with(server.url, adapters, namespace="busy", gc_interval=0.05)
    for _ in range(3):
        client_id = busy.engine.create_client()
        redis.zadd("busy:clients", {client_id: 1})
        eventually(lambda: redis.zcard("busy:clients") == 0)
    assert redis.zrange(key("clients"), 0, -1) == sorted(ids)
    assert adapters[0].engine.cleanup_expired() == 2


def test_the_timer_survives_an_outage(adapters: list[WSGIAdapter]) -> None:
    with RedisServer() as server, Redis(unix_socket_path=server.unix_socket) as redis:
        adapter = adapter_with(server.url, adapters, gc_interval=0.05, max_retries=0)
        failed: list[str] = []
        cleanup = adapter.engine.cleanup_expired

        def watched(thorough: bool = True) -> int:
            try:
                return cleanup(thorough)
            except Exception as error:
                failed.append(type(error).__name__)
                raise

        adapter.engine.cleanup_expired = watched  # type: ignore[method-assign]
        server.stop()
        eventually(lambda: "EngineUnavailable" in failed)
        server.start()
        client_id = eventually(lambda: create(adapter))
        redis.zadd("faye:clients", {client_id: 1})
        eventually(lambda: redis.zcard("faye:clients") == 0)


def create(adapter: WSGIAdapter) -> str:
    return adapter.engine.create_client()


# The command

def test_the_command_removes_and_counts(
    redis: Redis, server: RedisServer, engine: RedisEngine
) -> None:
    gone = populate(engine, 120)
    lost = gone.pop()
    redis.delete(key("clients", lost))
    redis.zrem(key("clients"), lost)
    age(redis, gone)
    arguments = ("cleanup", "--url", server.url, "--namespace", NAMESPACE)
    done = command(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "119 expired clients removed\n", "")
    assert redis.dbsize() == 0
    done = command(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 expired clients removed\n", "")


def test_the_command_takes_options_from_the_environment(
    redis: Redis, server: RedisServer, engine: RedisEngine
) -> None:
    age(redis, populate(engine, 3), seconds=100)
    env = {"FAYE_REDIS_URL": server.url, "FAYE_REDIS_NAMESPACE": NAMESPACE}
    done = command("cleanup", **env, FAYE_REDIS_CLIENT_TIMEOUT="1000")
    assert (done.returncode, done.stdout) == (0, "0 expired clients removed\n")
    done = command("cleanup", "--namespace", "another", **env)
    assert (done.returncode, done.stdout) == (0, "0 expired clients removed\n")
    done = command("cleanup", **env)
    assert (done.returncode, done.stdout) == (0, "3 expired clients removed\n")
    assert redis.dbsize() == 0


def test_redis_out_of_reach_is_exit_code_1() -> None:
    done = command("cleanup", "--url", f"redis://127.0.0.1:{free_port()}")
    [line] = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("faye-redis: ConnectionError: Error 111 connecting to 127.0.0.1:")


@pytest.mark.parametrize(("arguments", "variables", "error"), [
    (["cleanup", "--namespace", "a b"], {}, "faye-redis: engine.namespace: must be 1 to 64 of the "
     "characters A-Z a-z 0-9 _ . -, not this str"),
    (["cleanup"], {"FAYE_REDIS_PORT": "no"}, "faye-redis: engine.port: must be a whole number "
     "from 1 to 65535 (from FAYE_REDIS_PORT)"),
    (["cleanup"], {"FAYE_REDIS_PROT": "1"},
     "faye-redis: FAYE_REDIS_PROT: unknown variable; did you mean FAYE_REDIS_PORT?"),
    (["cleanup", "--prot", "1"], {}, "faye-redis: error: unrecognized arguments: --prot 1"),
    (["clean"], {}, "faye-redis: error: argument command: invalid choice: 'clean' "
                    "(choose from 'cleanup', 'publish')"),
    ([], {}, "faye-redis: error: the following arguments are required: command"),
])
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], variables: dict[str, str], error: str
) -> None:
    done = command(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == error


def test_a_database_that_redis_does_not_have_is_exit_code_2(server: RedisServer) -> None:
    done = command("cleanup", "--url", server.url, FAYE_REDIS_DATABASE="1")
    assert done.returncode == 0  # the URL says which
    done = command("cleanup", "--url", server.url.removesuffix("0") + "9999")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("faye-redis: engine.database: 9999")
