"""Each fault of the matrix, short, under a small load: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from faults.cluster import Cluster
from faults.harness import SMALL, Load, problems, run_fault
from faults.matrix import MATRIX, Fault

LOAD = Load(SMALL, rate=40, publishers=5)
SECONDS = 2.0


class Clusters:
    """One cluster at a time: tests that need the same kind share it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._kind: Any = None
        self._cluster: Cluster | None = None

    def get(self, fault: Fault) -> Cluster:
        kind = fault.persistent, fault.env, fault.args
        if kind != self._kind or self._cluster is None:
            self.close()
            self._cluster = self._stack.enter_context(
                Cluster(persistent=fault.persistent, env=fault.env, args=fault.args))
            self._kind = kind
        return self._cluster

    def close(self) -> None:
        self._stack.close()
        self._cluster = None


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    clusters = Clusters()
    yield clusters
    clusters.close()


def _kind(fault: Fault) -> Any:
    """Faults that need the same cluster follow each other."""
    return fault.persistent, sorted(fault.env), fault.args


@pytest.mark.parametrize("fault", sorted(MATRIX, key=_kind),
                         ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost(clusters: Clusters, fault: Fault) -> None:
    cluster = clusters.get(fault)
    workers, logged = cluster.worker_pids(), len(cluster.log)
    report, _ = run_fault(cluster, fault, LOAD, seconds=SECONDS)
    log = cluster.log[logged:]
    print(report.line())
    print(log)
    assert problems(fault, report, log) == []
    assert report.acknowledged > 10 and report.owed > 100
    if not fault.workers_die:
        assert cluster.worker_pids() == workers
