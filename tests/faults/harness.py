"""Clients and publishers on a cluster, and what comes of a fault."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from time import monotonic

import gevent

from .clients import KINDS, Client, Publisher, Site
from .cluster import Cluster
from .ledger import Ledger, Report
from .matrix import Fault

SMALL = {"websocket": 12, "poll": 4, "persistent": 4, "jsonp": 3, "eventsource": 3, "hopping": 2}
FULL = {"websocket": 200, "poll": 50, "persistent": 50, "jsonp": 20, "eventsource": 20}
_GROUP = 10  # subscribers of one channel


@dataclass(frozen=True)
class Load:
    """How many clients of which kind, and how much is published."""

    clients: Mapping[str, int]
    rate: float
    """Messages per second, of all publishers together."""
    publishers: int = 10


class Run:
    """One ledger: clients and publishers from the start to the end.

    :param seed: of everything that is drawn at random.
    """

    def __init__(self, cluster: Cluster, load: Load, seed: int = 1) -> None:
        self.ledger = Ledger()
        self.site = Site(cluster.urls, random.Random(seed))
        names = [f"{kind}-{n}" for kind, count in load.clients.items() for n in range(count)]
        self.channels = [f"/load/{n}/x" for n in range(max(1, len(names) // _GROUP))]
        self.clients = [self._client(name, index) for index, name in enumerate(names)]
        self.publishers = [
            Publisher(self.site, self.ledger, number, self.channels, load.rate / load.publishers)
            for number in range(load.publishers)]
        self._tasks: list[gevent.Greenlet[..., None]] = []
        self._publishing: list[gevent.Greenlet[..., None]] = []

    def _client(self, name: str, index: int) -> Client:
        kind = KINDS[name.rpartition("-")[0]]
        channel = self.channels[index % len(self.channels)]
        pattern = channel.removesuffix("x") + "*"
        patterns = [[channel], [pattern], [channel, pattern]][index % 3]
        return kind(self.site, self.ledger, name, channel, patterns)

    def start(self) -> None:
        """Returns when every client is subscribed and has got something."""
        self._tasks = [gevent.spawn(client.run) for client in self.clients]
        self._until(lambda: all(client.subscribed for client in self.clients), 60)
        began = monotonic()
        self._publishing = [gevent.spawn(publisher.run) for publisher in self.publishers]
        self._until(lambda: not self.ledger.waiting(began), 60)

    def add(self, name: str) -> Client:
        """One more client."""
        client = self._client(name, self.site.rng.randrange(len(self.channels)))
        self.clients.append(client)
        self._tasks.append(gevent.spawn(client.run))
        return client

    def remove(self, client: Client) -> None:
        client.leave()
        self.clients.remove(client)

    def stop_publishing(self, patience: float) -> None:
        """Returns when everything owed has come, or after ``patience`` seconds."""
        for publisher in self.publishers:
            publisher.stopped = True
        gevent.joinall(self._publishing, timeout=40)
        self._until(lambda: not self.ledger.missing(), patience, strict=False)
        gevent.sleep(0.5)  # for what comes twice

    def stop(self) -> None:
        """All clients leave."""
        gevent.joinall([gevent.spawn(client.leave) for client in self.clients], timeout=30)
        gevent.killall(self._tasks, timeout=10)
        for client in self.clients:
            client.end_transport()

    def _until(self, condition: object, patience: float, strict: bool = True) -> None:
        until = monotonic() + patience
        while not condition():  # type: ignore[operator]
            if monotonic() > until:
                assert not strict, "the clients do not get going"
                return
            gevent.sleep(0.2)


def run_fault(
    cluster: Cluster, fault: Fault, load: Load, *, seconds: float, times: int = 1, seed: int = 1
) -> tuple[Report, float]:
    """Inject ``fault`` some times under load.

    :param seconds: how long it lasts each time, where that has a meaning.
    :returns: the report, and the slowest answer to a publish in seconds.
    """
    run = Run(cluster, load, seed)
    try:
        run.start()
        for number in range(times):
            if number:
                gevent.sleep(2)
            fault.inject(cluster, seconds)
            healed = monotonic()
            run._until(lambda healed=healed: not run.ledger.waiting(healed), 60, strict=False)
        run.stop_publishing(patience=5 if fault.data_goes else 30)
        report = run.ledger.report(healed)
        if fault.data_goes:  # what nobody had fetched before is gone for good
            report.gone = run.ledger.gone(cluster.data_lost_at)
            report.lost -= report.gone
    finally:
        run.stop()
    return report, max(publisher.slowest for publisher in run.publishers)


def problems(fault: Fault, report: Report, log: str, times: int = 1) -> list[str]:
    """What a fault must not bring, but did."""
    found = []
    if report.lost:
        found.append(f"{report.lost} acknowledged messages lost")
    if report.inversions:
        found.append(f"{report.inversions} out of order")
    if report.duplicates and not fault.duplicates:
        found.append(f"{report.duplicates} came twice")
    if report.sessions_lost and not fault.data_goes:
        found.append(f"{report.sessions_lost} sessions lost")
    if report.copies > 1 + times:
        found.append(f"{report.copies} copies of one message")
    if report.recovery == inf:
        found.append("some clients get nothing any more")
    if "Traceback" in log:
        found.append("a traceback in the log")
    return found
