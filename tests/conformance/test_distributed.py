"""Several workers that share one Redis: clients go from one to another and miss nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import gevent
import pytest
import redis

from faye_redis.concurrency import Event
from faye_redis.engines.base import Message
from faye_redis.engines.redis.listener import Listener
from faye_redis.errors import EngineUnavailable, UnknownClient
from faye_redis.settings import EngineSettings
from support.redis_server import RedisServer
from support.waiting import eventually

from .recorder import AnswerStream
from .worker import Batch, Worker, batch_of, is_confirmed, is_held

Cluster = Callable[[int], list[Worker]]


@pytest.fixture
def cluster(redis_settings: EngineSettings) -> Iterator[Cluster]:
    workers: list[Worker] = []

    def start(number: int) -> list[Worker]:
        workers.extend(Worker(redis_settings) for _ in range(number))
        return workers

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def two(cluster: Cluster) -> list[Worker]:
    return cluster(2)


def test_what_is_told_of_a_client_before_its_worker_has_ears(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands go by another connection than pub/sub, which may be the later one."""
    [other] = cluster(1)
    ears, connect = Event(), Listener._connect

    def connect_late(listener: Listener) -> None:
        ears.wait()
        connect(listener)
    monkeypatch.setattr(Listener, "_connect", connect_late)
    worker = cluster(1)[1]
    subscribing, leaving = worker.client(), worker.client()
    stream, ended = worker.stream(subscribing), worker.stream(leaving)
    other.engine.subscribe(subscribing, ["/a"])
    other.engine.destroy_client(leaving)
    ears.set()
    other.publish("/a", "heard")
    eventually(lambda: stream.data == ["heard"])
    eventually(lambda: ended.closed_with == 1000)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_one_copy_for_any_number_of_workers_and_overlapping_patterns(
    cluster: Cluster, number: int
) -> None:
    workers = cluster(number)
    streams = [worker.stream(worker.client("/a/b", "/a/*", "/**")) for worker in workers]
    polled = [workers[0].client("/a/b", "/a/*", "/**") for _ in workers]
    for index in range(60):
        workers[index % number].publish("/a/b", index)
    for client_id, worker in zip(polled, workers, strict=True):
        assert worker.poll(client_id, 1) == list(range(60))
    for stream in streams:
        eventually(lambda stream=stream: len(stream.payloads) >= 60)
        assert stream.data == list(range(60))


def test_polls_that_hop_between_workers(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    publishing = gevent.spawn(
        lambda: [two[n % 2].publish("/a", n) or gevent.sleep(0.001) for n in range(300)])
    got: list[int] = []
    for number in count(1):
        got += two[number % 2].poll(client_id, number)
        if len(got) >= 300:
            break
    publishing.join()
    assert got == list(range(300))


def test_a_poll_elsewhere_completes_the_held_one(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    held = gevent.spawn(two[0].poll, client_id, 1)
    eventually(lambda: is_held(two[0], client_id))
    taking_over = gevent.spawn(two[1].poll, client_id, 2)
    assert held.get(timeout=5) == []
    two[0].publish("/a", 1)
    assert taking_over.get(timeout=5) == [1]


def test_a_stream_that_hops_between_workers_while_messages_flow(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    publishing = gevent.spawn(
        lambda: [two[n % 2].publish("/a", n) or gevent.sleep(0.001) for n in range(400)])
    streams = []
    while not publishing.ready():
        streams.append(two[len(streams) % 2].stream(client_id, number=len(streams) + 1))
        gevent.sleep(0.02)
    eventually(lambda: sum(len(stream.payloads) for stream in streams) >= 400)
    assert [data for stream in streams for data in stream.data] == list(range(400))
    assert all(stream.replies for stream in streams[:-1])


def test_a_poll_takes_over_from_a_stream_elsewhere(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id)
    two[1].publish("/a", "stream")
    eventually(lambda: stream.payloads)
    poll = gevent.spawn(two[1].poll, client_id, 2)
    eventually(lambda: stream.replies)
    two[0].publish("/a", "poll")
    assert poll.get(timeout=5) == ["poll"]
    assert stream.data == ["stream"]


def test_a_poll_right_after_a_stream_elsewhere_has_closed(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id)
    two[1].publish("/a", "stream")
    eventually(lambda: stream.payloads and is_confirmed(two[0], client_id))
    two[0].connections.closed(stream)
    two[1].publish("/a", "poll")
    assert two[1].poll(client_id, 2) == ["poll"]


def test_a_client_of_a_worker_that_died_goes_on_where_that_one_was(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id)
    two[1].publish("/a", 1)
    eventually(lambda: stream.payloads and is_confirmed(two[0], client_id))
    position = two[0].connections._clients[client_id].position
    eventually(lambda: follows(two[0], client_id, position))
    two[0].engine.close()
    two[1].publish("/a", 2)
    assert two[1].poll(client_id, 2) == [2]


def follows(worker: Worker, client_id: str, position: int) -> bool:
    """Would the client of a dead ``worker`` go on from ``position``?"""
    engine = worker.engine
    key = engine._keys.server(engine.server_id)
    stream = engine._redis.hget(engine._keys.client(client_id), "stream")
    return not stream.endswith(b"!") and int(engine._redis.hget(key, "position")) >= position


def test_a_subscription_made_elsewhere_reaches_poll_and_stream(two: list[Worker]) -> None:
    polling, streaming = two[0].client(), two[0].client()
    poll = gevent.spawn(two[0].poll, polling, 1)
    stream = two[0].stream(streaming)
    eventually(lambda: is_held(two[0], polling) and is_held(two[0], streaming))
    two[1].engine.subscribe(polling, ["/a"])
    two[1].engine.subscribe(streaming, ["/a"])
    two[1].publish("/a", 1)
    assert poll.get(timeout=5) == [1]
    eventually(lambda: stream.payloads)
    assert stream.data == [1]


def test_unsubscribing_elsewhere_stops_a_stream(two: list[Worker]) -> None:
    client_id = two[0].client("/a", "/end")
    stream = two[0].stream(client_id)
    eventually(lambda: is_held(two[0], client_id))
    two[1].engine.unsubscribe(client_id, ["/a"])
    eventually(lambda: "/a" not in two[0].connections._clients[client_id].session.subscriptions)
    two[1].publish("/a", "no")
    two[1].publish("/end", "yes")
    eventually(lambda: stream.payloads)
    assert stream.data == ["yes"]


def test_a_client_destroyed_elsewhere_is_let_go(two: list[Worker]) -> None:
    polling, streaming = two[0].client("/a"), two[0].client("/a")
    poll = gevent.spawn(two[0].poll, polling, 1)
    stream = two[0].stream(streaming)
    eventually(lambda: is_held(two[0], polling) and is_held(two[0], streaming))
    two[1].engine.destroy_client(polling)
    two[1].engine.destroy_client(streaming)
    assert poll.get(timeout=5) == []
    eventually(lambda: stream.closed_with)
    with pytest.raises(UnknownClient):
        two[0].engine.touch(streaming)


def test_a_stream_takes_its_client_back_from_a_poll_elsewhere(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id, number=1)
    assert two[1].poll(client_id, 2, hold=0) == []
    two[1].engine.touch(client_id, "3")
    eventually(lambda: is_held(two[0], client_id))
    two[1].publish("/a", 1)
    eventually(lambda: stream.payloads)
    assert stream.data == [1]


def test_messages_published_while_the_listener_was_cut_off_are_caught_up(
    redis_settings: EngineSettings
) -> None:
    with RedisServer() as server:
        worker = Worker(_at(redis_settings, server))
        try:
            client_id = worker.client("/a/b", "/a/*")
            stream = worker.stream(client_id)
            eventually(lambda: is_held(worker, client_id))
            admin = redis.Redis(port=server.port)
            for number in range(200):
                if number % 20 == 10:
                    admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                worker.publish("/a/b", number)
            eventually(lambda: len(stream.payloads) >= 200)
            assert stream.data == list(range(200))
        finally:
            worker.close()


def _at(settings: EngineSettings, server: RedisServer) -> EngineSettings:
    return replace(settings, host="127.0.0.1", port=server.port, url=None, username=None,
                   password=None)


def test_a_stream_hears_of_a_subscription_whose_first_reply_was_lost(two: list[Worker]) -> None:
    client_id = two[0].client()
    stream = two[0].stream(client_id)
    eventually(lambda: is_held(two[0], client_id))
    scripts = two[1].engine._scripts
    run = scripts.run

    def lose_one_reply(verb: str, *args: Any, **options: Any) -> Any:
        run(verb, *args, **options)
        del scripts.run
        raise redis.ConnectionError("the reply is lost")

    scripts.run = lose_one_reply
    two[1].engine.subscribe(client_id, ["/a"])
    two[1].publish("/a", 1)
    eventually(lambda: stream.payloads)
    assert stream.data == [1]


def test_nobody_expires_right_after_an_outage(redis_settings: EngineSettings) -> None:
    worker = Worker(replace(redis_settings, client_timeout=1))
    try:
        engine = worker.engine
        client_id = engine.create_client()
        engine._redis.zadd(engine._keys.clients, {client_id: 1})  # not seen for long
        engine._heartbeat._last -= 60
        eventually(lambda: engine._heartbeat.is_recovering)
        assert engine.cleanup_expired() == 0
        assert eventually(engine.cleanup_expired) == 1
    finally:
        worker.close()


def test_two_namespaces_and_two_databases_do_not_hear_each_other(
    admin_settings: EngineSettings
) -> None:
    settings = [admin_settings, replace(admin_settings, namespace=admin_settings.namespace + "x"),
                replace(admin_settings, database=1)]
    workers = [Worker(one) for one in settings]
    try:
        streams = [worker.stream(worker.client("/**")) for worker in workers]
        for index, worker in enumerate(workers):
            worker.publish("/a", index)
            worker.publish("/end", index)
        for index, stream in enumerate(streams):
            eventually(lambda stream=stream: len(stream.payloads) >= 2)
            assert stream.data == [index, index]
    finally:
        for worker in workers:
            worker.close()


def test_a_stream_that_cannot_read_goes_on_when_it_can(two: list[Worker]) -> None:
    client_id = two[0].client("/a")
    two[1].publish("/a", 1)
    engine, failures = two[0].engine, iter(range(2))
    read = engine.read

    def fail_twice(*args: Any) -> Any:
        if next(failures, None) is not None:
            raise EngineUnavailable("out of reach")
        return read(*args)

    engine.read = fail_twice  # type: ignore[method-assign]
    stream = two[0].stream(client_id)
    eventually(lambda: stream.payloads)
    assert (stream.data, stream.closed_with) == ([1], None)


def test_one_message_under_way_does_not_throw_all_clients_back(two: list[Worker]) -> None:
    quiet, busy = two[0].client("/quiet"), two[0].client("/busy")
    stream, other = two[0].stream(quiet), two[0].stream(busy)
    engine, connections = two[0].engine, two[0].connections
    eventually(lambda: is_held(two[0], quiet) and is_held(two[0], busy))
    two[0].publish("/quiet", 1)
    eventually(lambda: is_confirmed(two[0], quiet))
    eventually(lambda: connections._clients[quiet].follows)
    for number in range(20):
        two[0].publish("/busy", number)
    eventually(lambda: len(other.data) == 20)
    eventually(lambda: connections.delivered(engine._heard(), True) == engine._heard())
    before = engine._heard()
    stream.silent = True
    two[0].publish("/quiet", 2)
    eventually(lambda: len(stream.data) == 2)
    assert connections.delivered(engine._heard(), True) == before


def by_poll(worker: Worker, client_id: str, number: int, ack: int) -> Batch:
    return worker.batch(client_id, number, ack)


def by_stream(worker: Worker, client_id: str, number: int, ack: int) -> Batch:
    stream = AnswerStream()
    worker.bind(stream, client_id, number, ack)
    eventually(lambda: stream.answers)
    return batch_of(stream.answers[0])


WAYS = [by_poll, by_stream]
Way = Callable[[Worker, str, int, int], Batch]


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_was_lost_comes_again_elsewhere(two: list[Worker], way: Way) -> None:
    client_id = two[0].client("/a", acknowledges=True)
    two[1].publish("/a", 1)
    lost = by_poll(two[0], client_id, 1, 0)
    two[0].publish("/a", 2)
    again = way(two[1], client_id, 2, 0)
    assert (lost.data, again.data) == ([1], [1, 2])
    assert again.ids[0] == lost.ids[0]
    two[1].publish("/a", 3)
    assert way(two[0], client_id, 3, again.ack or 0).data == [3]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", WAYS)
def test_a_held_connect_that_is_taken_over_takes_nothing_with_it(
    two: list[Worker], before: Way, way: Way
) -> None:
    client_id = two[0].client("/a", acknowledges=True)
    held = gevent.spawn(before, two[0], client_id, 1, 0)
    eventually(lambda: is_held(two[0], client_id))
    taking_over = gevent.spawn(way, two[1], client_id, 2, 0)
    assert held.get(timeout=5) == ([], [], None)
    two[0].publish("/a", 1)
    assert taking_over.get(timeout=5).data == [1]


@pytest.mark.parametrize("seed", range(3))
def test_acknowledging_while_answers_are_lost(two: list[Worker], seed: int) -> None:
    """What a client has thrown away it gets again, the rest once, wherever it turns to."""
    client_id = two[0].client("/a", "/**", acknowledges=True)
    rng = Random(seed)
    publishing = gevent.spawn(
        lambda: [two[n % 2].publish("/a", n) or gevent.sleep(0.001) for n in range(300)])
    got: list[int] = []
    ack = lost = 0
    for number in count(1):
        batch = rng.choice(WAYS)(rng.choice(two), client_id, number, ack)
        if rng.random() < 0.3:
            lost += len(batch.data)
            continue
        got += batch.data
        ack = batch.ack or 0
        if len(got) >= 300:
            break
    publishing.join()
    assert got == list(range(300))
    assert lost > 10


def test_what_a_stream_has_read_from_the_log_does_not_come_again(two: list[Worker]) -> None:
    """Its worker followed the channel too late to hear of the message."""
    client_id = two[0].client("/fresh")
    two[1].publish("/fresh", 1)
    stream = two[0].stream(client_id)
    eventually(lambda: stream.payloads and is_confirmed(two[0], client_id))
    assert two[1].poll(client_id, 2, hold=0) == []
    assert stream.data == [1]


def test_what_was_heard_and_what_was_missed_is_passed_on_in_order(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is followed while the listener recovers is not among what it reads."""
    listener = two[0].engine._listener
    heard: list[int] = []
    monkeypatch.setattr(listener, "_on_messages", lambda batch: heard.extend(m.id for m in batch))
    last = listener.last_id
    made = [Message(last + number, "/a", b"{}") for number in range(1, 5)]
    monkeypatch.setattr(listener, "_recover", lambda channels, position: [made[1], made[3]])
    monkeypatch.setattr(listener, "_held", [made[0], made[1], made[2]])
    listener._catch_up(listener._wire, [])
    assert heard == [message.id for message in made]


def test_an_answer_is_repeated_by_a_worker_that_has_not_heard_of_it(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id = two[0].client("/a")
    for number in (1, 2):  # the second worker follows the channel, and knows that it is quiet
        assert two[1].poll(client_id, number, hold=0) == []
    monkeypatch.setattr(two[1].engine._listener, "_handle", lambda replies: None)
    two[0].publish("/a", "lost on its way")
    assert two[0].poll(client_id, 3) == ["lost on its way"]
    assert two[1].poll(client_id, 3) == ["lost on its way"]


def test_a_message_of_which_one_notice_has_come_is_read_from_the_log(two: list[Worker]) -> None:
    client_id = two[0].client("/a/b", "/**")
    assert two[1].poll(client_id, 1, hold=0) == []
    listener, keys = two[1].engine._listener, two[1].engine._keys
    position = listener.last_id
    assert listener.has_heard_nothing("/a/b", position)
    notice = b"%d /a/b {}" % (position + 1)
    listener._handle([[b"message", keys.publish_channel("/**").encode(), notice]])
    assert not listener.has_heard_nothing("/a/b", position)
    assert not listener.has_heard_nothing("/**", position)
    assert listener.has_heard_nothing("/a/b", position + 1)


def test_a_stream_that_has_ended_does_not_go_on_with_its_worker(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word "delivered" is lost, and the worker of the stream has gone on since."""
    client_id = two[0].client("/a")
    stream = two[0].stream(client_id)
    two[1].publish("/a", "by stream")
    eventually(lambda: stream.payloads and is_confirmed(two[0], client_id))
    eventually(lambda: two[0].connections._clients[client_id].follows)
    eventually(lambda: not two[0].connections._positions._joining)

    def hear_nothing(_: str, owed: Any) -> list[None]:
        eventually(lambda: not two[0].connections._positions.ending)
        two[0].publish("/a", "after it")
        last = two[0].engine._last_id()
        key = two[0].engine._keys.server(two[0].engine.server_id)
        eventually(lambda: int(two[0].engine._redis.hget(key, "position")) >= last)
        return [None] * len(owed)
    monkeypatch.setattr(two[1].engine._handovers, "wait", hear_nothing)
    assert two[1].poll(client_id, 2) == ["after it"]
    assert stream.data == ["by stream"]
