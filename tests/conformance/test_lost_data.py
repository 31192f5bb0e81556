"""Redis loses its data: workers put their clients back, and nothing published since is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import gevent
import pytest
from redis import Redis

from faye_redis.errors import EngineUnavailable, Superseded, UnknownClient
from faye_redis.settings import EngineSettings
from support.redis_server import RedisServer
from support.waiting import eventually

from .worker import Worker, is_confirmed, is_held

Lose = Callable[[], None]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def two(server: RedisServer, admin_settings: EngineSettings) -> Iterator[list[Worker]]:
    settings = replace(admin_settings, port=server.port, restore_window=2)
    workers = [Worker(settings) for _ in range(2)]
    for worker in workers:
        eventually(lambda worker=worker: worker.engine._heartbeat._marker)
    yield workers
    for worker in workers:
        worker.close()


@pytest.fixture(params=["flushed", "restarted"])
def lose(request: pytest.FixtureRequest, server: RedisServer) -> Lose:
    if request.param == "restarted":
        return lambda: server.restart() and None  # type: ignore[func-returns-value]
    return lambda: Redis(port=server.port).flushall() and None


def publish(worker: Worker, channel: str, data: object) -> None:
    """Publish as soon as Redis is there."""
    def published() -> bool:
        try:
            worker.publish(channel, data)
        except EngineUnavailable:
            return False
        return True
    eventually(published)


def poll(worker: Worker, client_id: str, number: int) -> list[object]:
    """As a client does that is told to try again."""
    def answer() -> tuple[list[object]] | None:
        try:
            return (worker.poll(client_id, number, hold=1),)
        except (EngineUnavailable, Superseded):
            return None
    return eventually(answer)[0]


def is_known(worker: Worker, client_id: str) -> bool:
    try:
        worker.engine.touch(client_id)
    except EngineUnavailable:
        return False
    return True


def test_a_stream_goes_on(two: list[Worker], lose: Lose) -> None:
    client_id = two[0].client("/a", "/b/*")
    stream = two[0].stream(client_id)
    two[1].publish("/a", 1)
    eventually(lambda: stream.payloads and is_confirmed(two[0], client_id))
    lose()
    publish(two[1], "/b/x", 2)
    publish(two[0], "/a", 3)
    eventually(lambda: len(stream.payloads) >= 3)
    assert stream.data == [1, 2, 3]
    assert stream.closed_with is None
    eventually(lambda: is_known(two[1], client_id) and is_confirmed(two[0], client_id))
    two[0].connections.closed(stream)
    publish(two[1], "/a", 4)
    assert poll(two[1], client_id, 2) == [4]


def test_a_held_poll_is_answered(two: list[Worker], lose: Lose) -> None:
    client_id = two[0].client("/a")
    held = gevent.spawn(poll, two[0], client_id, 1)
    eventually(lambda: is_held(two[0], client_id))
    lose()
    publish(two[1], "/a", 1)
    # Its second may be over before it is found that Redis is back.
    assert (held.get(timeout=10) or poll(two[0], client_id, 2)) == [1]
    publish(two[1], "/a", 2)
    assert poll(two[1], client_id, 3) == [2]


def test_a_client_between_two_polls_goes_on(two: list[Worker], lose: Lose) -> None:
    client_id = two[0].client("/a")
    two[1].publish("/a", 0)
    assert poll(two[0], client_id, 1) == [0]
    lose()
    publish(two[1], "/a", 1)
    assert poll(two[1], client_id, 2) == [1]


def test_a_client_that_polled_in_vain_meanwhile_goes_on(
    server: RedisServer, two: list[Worker]
) -> None:
    client_id = two[0].client("/a")
    assert two[0].poll(client_id, 1, hold=0) == []
    server.stop()
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            two[0].poll(client_id, 2)
    server.start()
    publish(two[1], "/a", 1)
    assert poll(two[0], client_id, 2) == [1]


def test_a_client_that_acknowledges_goes_on_so(two: list[Worker], lose: Lose) -> None:
    client_id = two[0].client("/a", acknowledges=True)
    two[1].publish("/a", 0)
    ack = two[0].batch(client_id, 1, 0).ack
    lose()
    publish(two[1], "/a", 1)
    assert poll(two[1], client_id, 2) == [1]
    assert two[1].batch(client_id, 3, ack).data == [1]
    assert two[1].engine.touch(client_id) is True


def test_a_subscription_that_the_holder_does_not_know_yet_is_put_back(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id)
    eventually(lambda: is_held(two[0], client_id))
    two[0].connections.changed = lambda *call: None  # type: ignore[method-assign]
    two[1].engine.subscribe(client_id, ["/b"])
    Redis(port=two[0].engine._settings.port).flushall()
    two[1].publish("/b", 1)
    del two[0].connections.changed
    two[0].connections.changed(client_id, 2, 0)
    eventually(lambda: stream.data)
    two[1].publish("/a", 2)
    eventually(lambda: len(stream.data) > 1)
    assert stream.data == [1, 2]
    eventually(lambda: is_held(two[0], client_id))


def test_a_change_that_was_lost_is_not_waited_for(two: list[Worker]) -> None:
    client_id = two[0].client("/a", "/b")
    stream = two[0].stream(client_id)
    eventually(lambda: is_held(two[0], client_id))
    two[0].connections.changed = lambda *call: None  # type: ignore[method-assign]
    two[1].engine.unsubscribe(client_id, ["/b"])
    Redis(port=two[0].engine._settings.port).flushall()
    del two[0].connections.changed
    two[0].connections.changed(client_id, 2, 0)
    eventually(lambda: is_known(two[1], client_id) and is_held(two[0], client_id))
    two[1].publish("/a", 1)
    eventually(lambda: stream.data)
    assert stream.data == [1]


def test_a_client_that_nobody_remembers_begins_anew(two: list[Worker], lose: Lose) -> None:
    client_id = two[0].client("/a")
    lose()

    eventually(lambda: not is_known(two[1], client_id))
    with pytest.raises(UnknownClient):
        eventually(lambda: is_known(two[1], client_id))


def test_ids_do_not_go_back(two: list[Worker], lose: Lose) -> None:
    two[0].engine._listener.last_id = far = two[0].engine.publish("/a", b"{}", "1") + 10**9
    lose()
    eventually(lambda: int(two[1].engine._redis.get(two[1].engine._keys.last_id) or 0) >= far)
    assert two[1].engine.publish("/a", b"{}", "2") > far


def test_a_new_worker_hides_no_loss(
    server: RedisServer, two: list[Worker], admin_settings: EngineSettings
) -> None:
    client_id = two[0].client("/a")
    two[0].stream(client_id)
    eventually(lambda: is_held(two[0], client_id))
    Redis(port=server.port).flushall()
    third = Worker(replace(admin_settings, port=server.port, restore_window=2))
    third.publish("/a", 1)
    eventually(lambda: is_known(third, client_id))
    assert third.poll(client_id, 2, hold=1) == []
    third.close()


def test_logs_without_subscribers_vanish(two: list[Worker]) -> None:
    two[0].publish("/nobody", 1)
    key = two[0].engine._keys.log("/nobody")
    assert 0 < two[0].engine._redis.pttl(key) <= 120_000


def test_a_client_that_must_be_forgotten_is_not_put_back(two: list[Worker], lose: Lose) -> None:
    kicked, changed, other = (two[0].client("/a", "/b") for _ in range(3))
    for client_id in (kicked, changed, other):
        assert poll(two[0], client_id, 1) == []
    two[1].engine.destroy_client(kicked, kick=True)
    two[1].engine.unsubscribe(changed, ["/a"])
    for client_id in (kicked, changed):
        two[1].engine.forget(client_id)
    eventually(lambda: [one.client_id for one in two[0].connections.remembered()] == [other])
    lose()
    publish(two[1], "/a", 1)
    eventually(lambda: is_known(two[1], other))
    for client_id in (kicked, changed):
        with pytest.raises((UnknownClient, EngineUnavailable)):
            two[1].engine.touch(client_id)
