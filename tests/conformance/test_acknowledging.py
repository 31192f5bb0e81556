"""Clients that say themselves what they have received: CometD's acknowledged messages extension."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import orjson
import pytest

from faye_redis.errors import Superseded
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .worker import Worker, is_held


@pytest.fixture
def worker(engine_settings: EngineSettings) -> Iterator[Worker]:
    worker = Worker(engine_settings)
    yield worker
    worker.close()


@pytest.fixture
def two(redis_settings: EngineSettings) -> Iterator[list[Worker]]:
    workers = [Worker(redis_settings) for _ in range(2)]
    yield workers
    for worker in workers:
        worker.close()


def acknowledging(worker: Worker, *channels: str) -> str:
    client_id = worker.engine.create_client(acknowledges=True)
    worker.engine.subscribe(client_id, channels)
    return client_id


def test_what_is_acknowledged_does_not_come_again(worker: Worker) -> None:
    client_id = acknowledging(worker, "/a")
    worker.publish("/a", 1)
    first, data = worker.poll_acknowledging(client_id, 1, ack=0)
    assert data == [1]
    worker.publish("/a", 2)
    second, data = worker.poll_acknowledging(client_id, 2, ack=first)
    assert (data, second > first) == ([2], True)
    assert worker.poll_acknowledging(client_id, 3, ack=second, hold=0)[1] == []


def test_what_is_not_acknowledged_comes_again_before_anything_newer(worker: Worker) -> None:
    client_id = acknowledging(worker, "/a")
    worker.publish("/a", 1)
    lost, _ = worker.poll_acknowledging(client_id, 1, ack=0)
    worker.publish("/a", 2)
    assert worker.poll_acknowledging(client_id, 2, ack=0)[1] == [1, 2]
    assert worker.poll_acknowledging(client_id, 2, ack=0)[1] == [1, 2]
    assert worker.poll_acknowledging(client_id, 3, ack=lost)[1] == [2]


def test_the_same_message_ids_come_again(worker: Worker) -> None:
    client_id = acknowledging(worker, "/a")
    worker.engine.publish("/a", b'{"id":"x1","channel":"/a","data":1}', "one")
    for number in (1, 2):
        _, message = worker.connections.poll(
            worker.pending(client_id, number, ack=0), hold=True, sock=None)
        assert orjson.loads(message)["id"] == "x1"


@pytest.mark.parametrize("invented", [2**52, 1])
def test_an_invented_number_confirms_nothing(worker: Worker, invented: int) -> None:
    client_id = acknowledging(worker, "/a")
    worker.publish("/a", 1)
    worker.poll_acknowledging(client_id, 1, ack=0)
    assert worker.poll_acknowledging(client_id, 2, ack=invented)[1] == [1]


def test_a_client_that_never_asked_for_it_is_an_ordinary_one(worker: Worker) -> None:
    client_id = worker.client("/a")
    worker.publish("/a", 1)
    reply, *messages = worker.connections.poll(
        worker.pending(client_id, 1, ack=0), hold=True, sock=None)
    assert "ext" not in orjson.loads(reply) and len(messages) == 1
    assert worker.poll(client_id, 2, hold=0) == []


def test_it_works_across_workers(two: list[Worker]) -> None:
    client_id = acknowledging(two[0], "/a")
    got, ack = [], 0
    for number in range(1, 21):
        two[number % 2].publish("/a", number)
        seen, data = two[number % 2].poll_acknowledging(client_id, number, ack)
        if number % 3:  # every third answer is lost
            ack = seen
            got += data
    assert sorted(set(got)) == list(range(1, 21))
    assert got == sorted(got)


def test_a_held_connect_that_is_replaced_takes_nothing_with_it(two: list[Worker]) -> None:
    client_id = acknowledging(two[0], "/a")
    pending = two[0].pending(client_id, 1, ack=0)
    held = gevent.spawn(two[0].connections.poll, pending, True, None)
    eventually(lambda: is_held(two[0], client_id))
    newer = gevent.spawn(two[1].poll_acknowledging, client_id, 2, 0)
    assert len(held.get(timeout=5)) == 1
    two[0].publish("/a", 1)
    assert newer.get(timeout=5)[1] == [1]


def test_an_abandoned_connect_takes_nothing_with_it(worker: Worker) -> None:
    client_id = acknowledging(worker, "/a")
    pending = worker.pending(client_id, 1, ack=0)
    held = gevent.spawn(worker.connections.poll, pending, True, None)
    eventually(lambda: is_held(worker, client_id))
    worker.connections.abandon(pending)
    with pytest.raises(Superseded):
        held.get(timeout=5)
    worker.publish("/a", 1)
    assert worker.poll_acknowledging(client_id, 2, ack=0)[1] == [1]
