"""One run: fresh servers and a fresh Redis, the load generator, and what came of it."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from redis import Redis

from support.processes import descendants, end, spawn
from support.redis_server import RedisServer

from . import cache
from .servers import Running, Server

FAULTS = ("lost", "duplicates", "reordered", "unknown", "refused", "given_up", "failed_clients")
_OTHER_FILES = 100  # than the sockets of clients, in a server and in the load generator
_LOGGED = re.compile(r"Traceback|\bERROR\b|Error:")


@dataclass(frozen=True)
class Load:
    """What the load generator does. Times are in seconds.

    :param outstanding: publishes in flight per publisher; one ends with its last delivery.
    :param rate: publishes per second, whatever is in flight; 0: as fast as they end.
    :param pattern: subscribe to all channels below a parent instead of to one.
    :param publishers: 0: another load generator publishes, and this one only counts.
    :param messages: publish or expect exactly so many; else for ``warmup`` and ``duration``.
    :param nodes: 2: the publishers are at one, the subscribers at the other.
    :param steps: numbers of subscribers at which memory is looked at.
    :param settle: pause before each look.
    :param patience: a message that takes longer is given up.
    """

    subscribers: int
    outstanding: int = 8
    publishers: int = 1
    channels: int = 1
    rate: float = 0
    long_polling: bool = False
    pattern: bool = False
    nodes: int = 1
    workers: int = 1
    messages: int = 0
    steps: tuple[int, ...] = ()
    settle: float = 0
    warmup: float = 1
    duration: float = 5
    patience: float = 10


@dataclass
class Look:
    """What servers and Redis hold at a number of subscribers."""

    clients: int
    rss_kb: float
    redis_bytes: float
    script_us: float


@dataclass
class Run:
    """The result of a run."""

    counts: Mapping[str, Any]
    looks: list[Look]
    script_us: float = 0
    """Time that Redis has spent in scripts since the last look."""
    log_errors: int = 0

    def window(self, name: str) -> float:
        return float(self.counts["window"][name])

    def cpu_us(self, group: str) -> float:
        """Time on CPU in the window; not a number when there is no such group."""
        return float(self.counts["window"]["cpu_us"].get(group, nan))

    def script_us_per_publish(self) -> float:
        return self.script_us / float(max(self.counts["published"], 1))

    def slope(self, name: str) -> float:
        """Growth per client between the first look and the last."""
        first, last = self.looks[0], self.looks[-1]
        return float(getattr(last, name) - getattr(first, name)) / (last.clients - first.clients)

    def problems(self) -> list[str]:
        """What went wrong, in words; empty if every message arrived once and in order."""
        found = [f"{name.replace('_', ' ')} {self.counts[name]}"
                 for name in FAULTS if self.counts[name]]
        unacknowledged = self.counts["published"] - self.counts["acknowledged"]
        if unacknowledged:
            found.append(f"unacknowledged {unacknowledged}")
        if self.log_errors:
            found.append(f"errors in the log {self.log_errors}")
        return found


class Stage:
    """Running nodes and their Redis."""

    def __init__(self, nodes: list[Running], redis: RedisServer | None) -> None:
        self.nodes = nodes
        self._redis = redis
        self._client = Redis.from_url(redis.url) if redis else None

    def groups(self) -> dict[str, list[int]]:
        """The pids whose CPU time is taken, by the name of their group."""
        names = ["server"] if len(self.nodes) == 1 else ["a", "b"]
        found = {name: [node.pid, *descendants(node.pid)]
                 for name, node in zip(names, self.nodes, strict=True)}
        if self._client:
            found["redis"] = [int(self._client.info("server")["process_id"])]
        return found

    def look(self, clients: int) -> Look:
        pids = [pid for name, group in self.groups().items() if name != "redis" for pid in group]
        memory = float(self._client.info("memory")["used_memory"]) if self._client else nan
        return Look(clients, sum(map(_rss_kb, pids)), memory, self.script_us())

    def script_us(self) -> float:
        """Time in scripts since the start of Redis; what they call is part of it."""
        stats = self._client.info("commandstats") if self._client else {}
        return float(sum(stats.get(f"cmdstat_{name}", {"usec": 0})["usec"]
                         for name in ("eval", "evalsha", "fcall")))

    def log_errors(self) -> int:
        return sum(len(_LOGGED.findall(node.log)) for node in self.nodes)


class Generator:
    """The load generator at work; use as a context manager."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = spawn([cache.load_generator(), *arguments],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._counts: Mapping[str, Any] = {}

    def next_step(self) -> int:
        """The number of subscribers that are there now; 0: it has ended.

        :raises RuntimeError: it has failed; it has said why on standard error.
        """
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or "{}")
        if "opened" in answer:
            return int(answer["opened"])
        self._counts = answer
        code = self._process.wait()
        if code:
            raise RuntimeError(f"the load generator ended with {code}")
        return 0

    def go_on(self) -> None:
        """From a step to the next, or to the load after the last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def counts(self) -> Mapping[str, Any]:
        """The result, once it has ended."""
        return self._counts

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *exc_info: object) -> None:
        end(self._process)


def most_clients() -> int:
    """As many as the limit of open files lets one process have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES


@contextmanager
def staged(server: Server, load: Load) -> Iterator[Stage]:
    """The servers that a load needs."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer()) if server.redis else None
        nodes = [stack.enter_context(server.node(redis, load.workers)) for _ in range(load.nodes)]
        yield Stage(nodes, redis)


def run(
    server: Server, load: Load, during: Callable[[Stage], None] | None = None
) -> Run:
    """Start everything, put on the load, and end everything.

    :param during: called when all subscribers are there and the load begins.
    :raises RuntimeError: a server did not start, or the load could not be put on.
    """
    if load.subscribers > most_clients():
        raise RuntimeError(f"{load.subscribers} clients need a higher ulimit -n")
    with staged(server, load) as stage, Generator(arguments(server, load, stage)) as generator:
        return _follow(generator, stage, load, during)


def _follow(
    generator: Generator, stage: Stage, load: Load, during: Callable[[Stage], None] | None
) -> Run:
    looks: list[Look] = []
    while clients := generator.next_step():
        time.sleep(load.settle)
        looks.append(stage.look(clients))
        generator.go_on()
        if clients == load.subscribers and during:
            during(stage)
    script_us = stage.script_us() - looks[-1].script_us
    return Run(generator.counts, looks, script_us, stage.log_errors())


def arguments(server: Server, load: Load, stage: Stage) -> list[str]:
    """The load generator's command line."""
    steps = sorted({*load.steps, load.subscribers})
    named = {
        "protocol": server.protocol, "path": server.path,
        "transport": "long-polling" if load.long_polling else "websocket",
        "publish-port": stage.nodes[0].port, "subscribe-port": stage.nodes[-1].port,
        "subscribers": load.subscribers, "publishers": load.publishers,
        "channels": load.channels, "pattern": int(load.pattern),
        "outstanding": load.outstanding, "rate": load.rate, "messages": load.messages,
        "warmup": load.warmup, "duration": load.duration, "patience": load.patience,
        "steps": ",".join(map(str, steps)),
    }
    found = [text for name, value in named.items() for text in (f"--{name}", str(value))]
    for name, pids in stage.groups().items():
        found += ["--watch", f"{name}={','.join(map(str, pids))}"]
    return found


def _rss_kb(pid: int) -> float:
    """Resident memory; what processes share counts for each of them."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    return float(found[1]) if found else 0
