"""Nothing is lost between workers and transports; without a fault nothing comes twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faye_redis.connections import positions
from faye_redis.engines import handover
from faye_redis.settings import EngineSettings

from .hops import Result, run
from .worker import Worker


@pytest.fixture
def workers(redis_settings: EngineSettings) -> Iterator[list[Worker]]:
    workers = [Worker(redis_settings) for _ in range(3)]
    yield workers
    for worker in workers:
        worker.close()


@pytest.mark.parametrize("seed", range(3))
def test_hopping_in_peace(
    workers: list[Worker], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is dead here: on a busy machine an answer that comes late is no reason to repeat.
    monkeypatch.setattr(positions, "_CONFIRM_SECONDS", 5)
    monkeypatch.setattr(handover, "_WAIT_SECONDS", 8)
    result = run(workers, seed, seconds=3)
    assert (result.lost, result.duplicates, result.inversions) == (0, 0, 0)
    assert result.deliveries > 1000


@pytest.mark.parametrize("seed", range(3))
def test_hopping_while_networks_break(workers: list[Worker], seed: int) -> None:
    result: Result = run(workers, seed, seconds=3, breaks=0.5)
    assert (result.lost, result.inversions) == (0, 0)
    assert result.duplicates < result.deliveries / 10
