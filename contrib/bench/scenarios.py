"""What is measured: loads, and the figures that are taken of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .runs import Load, Run
from .servers import Server


@dataclass(frozen=True)
class Figure:
    """A number that a run yields.

    :param more: more is better; else less is.
    """

    title: str
    of: Callable[[Run], float]
    more: bool = False


def _cpu(group: str, title: str, per: str = "delivery", count: str = "deliveries") -> Figure:
    return Figure(f"{title}, CPU us/{per}",
                  lambda run: run.cpu_us(group) / max(run.window(count), 1))


SERVER_CPU = _cpu("server", "server")
REDIS_CPU = _cpu("redis", "Redis")
SERVER_CPU_PER_PUBLISH = _cpu("server", "server", "publish", "messages")
REDIS_CPU_PER_PUBLISH = _cpu("redis", "Redis", "publish", "messages")
SCRIPT_TIME = Figure("Redis, us in scripts/publish", lambda run: run.script_us_per_publish())
RATE = Figure("deliveries/s", lambda run: run.window("deliveries") / run.window("seconds"),
              more=True)
P50 = Figure("p50, ms", lambda run: run.window("p50_ms"))
P99 = Figure("p99, ms", lambda run: run.window("p99_ms"))
MEMORY = Figure("server, KB/client", lambda run: run.slope("rss_kb"))
REDIS_MEMORY = Figure("Redis, bytes/client", lambda run: run.slope("redis_bytes"))


@dataclass(frozen=True)
class Scenario:
    """A load, what it is for, and its figures; the first of these is the one to look at.

    :param needs: what a server must be able to do: ``"polling"`` or ``"nodes"``.
    """

    title: str
    load: Load
    figures: tuple[Figure, ...] = (SERVER_CPU, REDIS_CPU, RATE)
    needs: str = ""

    def suits(self, server: Server) -> bool:
        if self.needs == "polling":
            return server.protocol == "bayeux"
        return self.needs != "nodes" or server.redis


_POLLING = "200 long-polling clients"
SCENARIOS = {
    "fan-out-1000": Scenario("fan-out to 1,000, K=8", Load(1000)),
    "fan-out-1000-single": Scenario("fan-out to 1,000, K=1", Load(1000, outstanding=1)),
    "fan-out-100": Scenario("fan-out to 100, K=8", Load(100)),
    "fan-out-5000": Scenario("fan-out to 5,000, K=8", Load(5000)),
    "cross-node": Scenario(
        "publisher on node A, 1,000 on node B, K=8", Load(1000, nodes=2),
        (_cpu("a", "node A"), _cpu("b", "node B"), REDIS_CPU, RATE), needs="nodes"),
    "point-to-point": Scenario(
        "500 channels with one subscriber, 10 publishers, K=5",
        Load(500, channels=500, publishers=10, outstanding=5)),
    "latency": Scenario(
        "50 messages/s to 200", Load(200, rate=50), (P50, P99, SERVER_CPU, REDIS_CPU)),
    "memory": Scenario(
        "idle WebSockets, from 500 to 2,500", Load(2500, steps=(500,), settle=3, duration=0),
        (MEMORY, REDIS_MEMORY)),
    "long-polling": Scenario(f"{_POLLING}, K=8", Load(200, long_polling=True), needs="polling"),
    "long-polling-single": Scenario(
        f"{_POLLING}, K=1", Load(200, long_polling=True, outstanding=1), needs="polling"),
}
