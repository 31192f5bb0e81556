"""A Redis and two nodes of two workers, with a proxy before each of them."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
from redis import Redis

from support.gunicorn_node import Node
from support.redis_server import RedisServer

from .proxy import Proxy

TESTS = Path(__file__).resolve().parents[1]
APPLICATION = "faults.crashing:application"
PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always")


class Cluster:
    """Workers reach Redis through ``redis_proxy``, clients the nodes through ``doors``.

    :param persistent: Redis finds its data again after a restart.
    :param env: environment variables of the workers, in addition.
    :param args: arguments of gunicorn.
    """

    def __init__(
        self, *, persistent: bool = True, nodes: int = 2, workers: int = 2,
        env: Mapping[str, str] | None = None, args: tuple[str, ...] = (),
    ) -> None:
        self._stack = ExitStack()
        self._shape = nodes, workers
        self._args = args
        self.directory = Path(self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="faye_redis-")))
        self.store = RedisServer(*(PERSISTENT if persistent else ()), "--enable-debug-command",
                                 "yes")
        self.redis_proxy = Proxy(("127.0.0.1", self.store.port))
        self._env = {
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            "FAYE_REDIS_URL": f"redis://127.0.0.1:{self.redis_proxy.port}/0",
            "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}",
            "FAYE_REDIS_MOUNT": "/faye", "FAYE_REDIS_TIMEOUT": "5", **(env or {})}
        self.nodes: list[Node] = []
        self.doors: list[Proxy] = []
        self.data_lost_at: list[float] = []
        """When Redis lost its data, in seconds of the monotonic clock."""
        self.crash_mark = self.directory / "crashed"

    def __enter__(self) -> Cluster:
        try:
            self._stack.enter_context(self.store)
            self._stack.enter_context(self.redis_proxy)
            nodes, workers = self._shape
            for _ in range(nodes):
                self._add_node(workers)
        except BaseException:
            self._stack.close()
            raise
        return self

    def _add_node(self, workers: int) -> None:
        env = {**self._env, "TEST_CRASH_FILE": str(self.directory / "crash"),
               "TEST_CRASH_MARK": str(self.crash_mark)}
        node = Node(APPLICATION, workers=workers, env=env, args=self._args, cwd=TESTS)
        self.nodes.append(self._stack.enter_context(node))
        self.doors.append(self._stack.enter_context(Proxy(("127.0.0.1", node.port))))

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{door.port}/faye" for door in self.doors]

    @property
    def admin(self) -> Redis:
        """A connection to Redis past the proxy."""
        return Redis(port=self.store.port, socket_timeout=5)

    def worker_pids(self) -> list[int]:
        return [pid for node in self.nodes for pid in node.worker_pids()]

    def signal_worker(self, index: int, number: int) -> int:
        """Send a signal to one of all workers; returns its pid."""
        pids = self.worker_pids()
        pid = pids[index % len(pids)]
        os.kill(pid, number)
        return pid

    def kill_worker(self, index: int) -> None:
        self.signal_worker(index, signal.SIGKILL)

    def hang_worker(self, index: int, seconds: float) -> None:
        pid = self.signal_worker(index, signal.SIGSTOP)
        gevent.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def arm(self, point: str) -> None:
        """One worker, the first to reach ``point``, will kill itself there."""
        self.crash_mark.unlink(missing_ok=True)
        (self.directory / "crash").write_text(point)

    @property
    def has_crashed(self) -> bool:
        return self.crash_mark.exists()

    def disarm(self) -> None:
        (self.directory / "crash").unlink(missing_ok=True)

    @property
    def log(self) -> str:
        return "\n".join(node.log for node in self.nodes)


def resources(cluster: Cluster) -> dict[str, Any]:
    """What workers and Redis hold now: resident kB and descriptors of all workers, keys."""
    pids = cluster.worker_pids()
    with cluster.admin as redis:
        return {"rss_kb": sum(map(_resident, pids)),
                "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
                "greenlets": _greenlets(cluster),
                "keys": redis.dbsize(), "redis_memory": redis.info("memory")["used_memory"]}


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def _greenlets(cluster: Cluster) -> int:
    """Each worker writes their number into a file, see ``crashing``."""
    files = [cluster.directory / f"greenlets-{pid}" for pid in cluster.worker_pids()]
    return sum(int(file.read_text() or 0) for file in files if file.exists())
