"""Every fault: how it is injected and healed, and what may come of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import gevent
from redis.exceptions import RedisError

from .cluster import Cluster
from .proxy import Proxy, subscriber, websocket

CLIENT_TIMEOUT = 15
"""Seconds, where an outage is to last longer; the least that a ``timeout`` of 5 allows."""

Inject = Callable[[Cluster, float], None]
"""Break something of the cluster, for so many seconds where that has a meaning, and heal it."""


@dataclass(frozen=True)
class Fault:
    """One row of the matrix."""

    name: str
    inject: Inject
    persistent: bool = True
    """Redis keeps its data over a restart."""
    data_goes: bool = False
    """Redis loses its data: what nobody had fetched is gone, and clients that no worker remembers
    have to begin anew."""
    duplicates: bool = True
    """What was not confirmed may come again."""
    workers_die: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    """Options of the workers."""
    args: tuple[str, ...] = ()

    @property
    def needs_nothing(self) -> bool:
        """Can it be injected into any cluster?"""
        return self.persistent and not (self.env or self.args)


# Redis

def _restart(cluster: Cluster, seconds: float) -> None:
    cluster.store.kill()
    cluster.data_lost_at.append(monotonic())
    gevent.sleep(seconds)
    cluster.store.start()


def _load_slowly(cluster: Cluster, seconds: float) -> None:
    """A restart after which Redis answers LOADING for so long."""
    with cluster.admin as redis:
        redis.bgrewriteaof()
        while redis.info("persistence")["aof_rewrite_in_progress"]:
            gevent.sleep(0.05)
        pause = round(seconds * 1_000_000 / max(redis.dbsize(), 1))  # us for each key
    cluster.store.kill()
    cluster.store.start("--key-load-delay", str(pause),
                        "--loading-process-events-interval-bytes", "1024")


def _hang(cluster: Cluster, seconds: float) -> None:
    cluster.store.pause()
    gevent.sleep(seconds)
    cluster.store.resume()


def _hang_long(cluster: Cluster, seconds: float) -> None:
    _hang(cluster, max(seconds, CLIENT_TIMEOUT + 7))


def _pause_writes(cluster: Cluster, seconds: float) -> None:
    with cluster.admin as redis:
        redis.execute_command("CLIENT", "PAUSE", round(seconds * 1000), "WRITE")
    gevent.sleep(seconds)


def _repeat(seconds: float, pause: float, *command: str) -> Inject:
    def inject(cluster: Cluster, _: float) -> None:
        until = monotonic() + seconds
        with cluster.admin as redis:
            while monotonic() < until:
                redis.execute_command(*command)
                gevent.sleep(pause)
    return inject


def _overrun(cluster: Cluster, seconds: float) -> None:
    """A worker that hangs while much is published: Redis closes its pub/sub connection."""
    with cluster.admin as redis:
        redis.config_set("client-output-buffer-limit", "pubsub 64kb 32kb 1")
        pid = cluster.signal_worker(0, signal.SIGSTOP)
        for _ in range(2000):
            for channel in redis.pubsub_channels("*:publish:*")[:1]:
                redis.publish(channel, b"1 /nowhere " + b"x" * 10_000)
        gevent.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        redis.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")


def _configured(name: str, value: str, normal: str) -> Inject:
    def inject(cluster: Cluster, seconds: float) -> None:
        with cluster.admin as redis:
            redis.config_set(name, value)
            gevent.sleep(seconds)
            redis.config_set(name, normal)
    return inject


def _password(cluster: Cluster, seconds: float) -> None:
    with cluster.admin as redis:
        redis.config_set("requirepass", "secret")
        redis.client_kill_filter(_type="pubsub")
        cluster.redis_proxy.reset()  # connections that are logged in would stay so
        gevent.sleep(seconds)
        redis.config_set("requirepass", "")


def _read_only(cluster: Cluster, seconds: float) -> None:
    with cluster.admin as redis:
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        gevent.sleep(seconds)
        redis.execute_command("REPLICAOF", "NO", "ONE")


def _busy(cluster: Cluster, seconds: float) -> None:
    """A script that never ends: BUSY; then it is killed."""
    with cluster.admin as redis, cluster.admin as other:
        redis.config_set("busy-reply-threshold", 100)
        script = gevent.spawn(_run_quietly, other, "EVAL", "while true do end", 0)
        gevent.sleep(seconds)
        _run_quietly(redis, "SCRIPT", "KILL")
        script.join(5)


def _run_quietly(redis: object, *command: object) -> None:
    with suppress(RedisError):
        redis.execute_command(*command)  # type: ignore[attr-defined]


def _flush(cluster: Cluster, seconds: float) -> None:
    with cluster.admin as redis:
        redis.flushall()
    cluster.data_lost_at.append(monotonic())
    gevent.sleep(seconds)


# The network between workers and Redis

def _network(fail: Callable[[Proxy], None]) -> Inject:
    def inject(cluster: Cluster, seconds: float) -> None:
        fail(cluster.redis_proxy)
        gevent.sleep(seconds)
        cluster.redis_proxy.heal()
    return inject


def _refuse(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.reset()


# Workers

def _kill(cluster: Cluster, seconds: float) -> None:
    cluster.kill_worker(0)
    gevent.sleep(seconds)


def _crash(point: str) -> Fault:
    def inject(cluster: Cluster, seconds: float) -> None:
        cluster.arm(point)
        with gevent.Timeout(10, False):
            while not cluster.has_crashed:
                gevent.sleep(0.05)
        cluster.disarm()
        assert cluster.has_crashed, f"nobody came to {point}"
    return Fault(f"kill -9 at {point}", inject, workers_die=True)


def _signal_worker(number: int) -> Inject:
    def inject(cluster: Cluster, seconds: float) -> None:
        cluster.signal_worker(1, number)
        gevent.sleep(seconds)
    return inject


def _signal_nodes(*numbers: int) -> Inject:
    def inject(cluster: Cluster, seconds: float) -> None:
        for number in numbers:
            cluster.nodes[0].send_signal(number)
            gevent.sleep(seconds)
    return inject


def _hang_worker(cluster: Cluster, seconds: float) -> None:
    cluster.hang_worker(2, seconds)


# The network between clients and nodes

def _doors(fail: Callable[[Proxy], None]) -> Inject:
    def inject(cluster: Cluster, seconds: float) -> None:
        for door in cluster.doors:
            fail(door)
        gevent.sleep(seconds)
        for door in cluster.doors:
            door.heal()
    return inject


def _nothing(cluster: Cluster, seconds: float) -> None:
    gevent.sleep(seconds)


MATRIX = [
    Fault("none", _nothing, duplicates=False),
    Fault("Redis killed and restarted", _restart),
    Fault("Redis killed and restarted, data lost", _restart, persistent=False,
          data_goes=True),
    Fault("Redis killed and restarted, LOADING", _load_slowly),
    Fault("FLUSHALL", _flush, persistent=False, data_goes=True),
    Fault("Redis hangs", _hang),
    Fault("Redis hangs for longer than client_timeout", _hang_long,
          env={"FAYE_REDIS_CLIENT_TIMEOUT": str(CLIENT_TIMEOUT)}),
    Fault("CLIENT PAUSE WRITE", _pause_writes),
    Fault("script that never ends", _busy),
    Fault("pub/sub connections killed", _repeat(2, 0.5, "CLIENT", "KILL", "TYPE", "pubsub")),
    Fault("pub/sub output buffer overrun", _overrun),
    Fault("pub/sub connections black-holed", _network(lambda proxy: proxy.black_hole(subscriber))),
    Fault("SCRIPT FLUSH", _repeat(2, 0.1, "SCRIPT", "FLUSH"), duplicates=False),
    Fault("READONLY", _read_only),
    Fault("out of memory", _configured("maxmemory", "1", "0")),
    Fault("NOAUTH", _password),
    Fault("network to Redis: reset", _network(Proxy.reset)),
    Fault("network to Redis: refused", _network(_refuse)),
    Fault("network to Redis: black hole", _network(Proxy.black_hole)),
    Fault("network to Redis: 200 ms late", _network(lambda proxy: proxy.delay(0.2))),
    Fault("network to Redis: 50 kB/s", _network(lambda proxy: proxy.throttle(50_000))),
    Fault("network to Redis: cut in replies", _network(lambda proxy: proxy.cut_after(2000))),
    Fault("kill -9", _kill, workers_die=True),
    *(_crash(point) for point in (
        "publish:before", "publish:after", "answer:before", "answer:after", "push:before",
        "push:after", "connect:after", "save:before", "save:after", "read:after")),
    Fault("SIGTERM to a worker", _signal_worker(signal.SIGTERM), workers_die=True),
    Fault("SIGHUP", _signal_nodes(signal.SIGHUP), workers_die=True),
    Fault("TTIN, TTOU", _signal_nodes(signal.SIGTTIN, signal.SIGTTOU), workers_die=True),
    Fault("max_requests", _nothing, workers_die=True,
          args=("--max-requests", "30", "--max-requests-jitter", "10")),
    Fault("worker hangs", _hang_worker),
    Fault("clients: reset", _doors(Proxy.reset)),
    Fault("clients: refused", _doors(_refuse)),
    Fault("clients: black hole", _doors(Proxy.black_hole)),
    Fault("clients: half-open WebSockets", _doors(lambda door: door.strand(websocket))),
]

BY_NAME = {fault.name: fault for fault in MATRIX}
