"""Clients that are further behind than the logs reach: each is told, nobody else is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from redis import ConnectionError

from faye_redis.errors import EngineUnavailable, UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .recorder import RecordingStream
from .worker import Worker, is_confirmed, is_held

MOST = 10
"""max_log: at most 11 messages stay."""

Start = Callable[..., Worker]


@pytest.fixture
def start(engine_settings: EngineSettings) -> Iterator[Start]:
    workers: list[Worker] = []

    def start(**changes: Any) -> Worker:
        workers.append(Worker(replace(engine_settings, **changes)))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(start: Start) -> Worker:
    return start(max_log=MOST)


@pytest.fixture
def departed(worker: Worker) -> list[tuple[str, ...]]:
    """What listeners of events are told of clients that leave."""
    seen: list[tuple[str, ...]] = []
    for event in ("unsubscribe", "disconnect"):
        worker.monitor.on(event, lambda *about, event=event: seen.append((event, *about)))
    return seen


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno >= logging.WARNING and record.name.startswith("faye_redis")]


class TestPolls:
    def test_one_that_was_away_too_long_has_to_begin_anew(
        self, worker: Worker, departed: list[tuple[str, ...]], caplog: pytest.LogCaptureFixture
    ) -> None:
        client_id = worker.client("/a", "/b")
        for number in range(2 * MOST):
            worker.publish("/a", number)
        with pytest.raises(UnknownClient):
            worker.poll(client_id, 1)
        with pytest.raises(UnknownClient):
            worker.engine.touch(client_id)
        eventually(lambda: len(departed) >= 3)
        assert sorted(departed) == [("disconnect", client_id), ("unsubscribe", client_id, "/a"),
                                    ("unsubscribe", client_id, "/b")]
        assert len(warnings(caplog)) == 1

    def test_one_that_has_all_that_was_removed_goes_on(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        client_id, number = worker.client("/a"), 0
        for number in range(3 * MOST):
            worker.publish("/a", number)
            if number % MOST == MOST - 1:
                assert worker.poll(client_id, number)[-1] == number
        assert warnings(caplog) == []

    def test_the_very_next_message_is_still_there(self, start: Start) -> None:
        worker = start(max_log=1)
        client_id = worker.client("/a")
        worker.publish("/a", 0)
        assert worker.poll(client_id, 1) == [0]
        assert worker.poll(client_id, 2, hold=0) == []
        worker.publish("/a", 1)
        assert worker.poll(client_id, 3) == [1]

    def test_another_channel_may_be_trimmed(self, worker: Worker) -> None:
        worker.client("/busy")
        client_id = worker.client("/a")
        worker.publish("/a", "quiet")
        for number in range(3 * MOST):
            worker.publish("/busy", number)
        assert worker.poll(client_id, 1) == ["quiet"]

    def test_who_subscribes_later_gets_everything_new(self, worker: Worker) -> None:
        worker.client("/a")
        for number in range(2 * MOST):
            worker.publish("/a", number)
        client_id = worker.client("/a")
        worker.publish("/a", "new")
        assert worker.poll(client_id, 1) == ["new"]

    def test_an_answer_that_cannot_be_repeated_is_not(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        worker.publish("/a", 0)
        assert worker.poll(client_id, 1) == [0]
        for number in range(2 * MOST):
            worker.publish("/a", number)
        with pytest.raises(UnknownClient):
            worker.poll(client_id, 1)

    def test_messages_that_are_too_old(self, start: Start) -> None:
        worker = start(message_ttl=0.5)
        behind, ahead = worker.client("/a"), worker.client("/a")
        begin = worker.engine.publish("/a", b'{"data": 0}', "first")
        for number in range(1, 5_000):
            worker.publish("/a", number)
            if number % 20 == 0:
                assert worker.poll(ahead, number)[-1] == number
            if worker.engine.read({"/a": begin}, 1).gap:
                break
            gevent.sleep(0.001)
        with pytest.raises(UnknownClient):
            worker.poll(behind, 1)
        worker.publish("/a", "last")
        assert worker.poll(ahead, number + 1)[-1] == "last"


class TestStreams:
    def test_one_that_was_full_too_long_is_closed(
        self, worker: Worker, departed: list[tuple[str, ...]], caplog: pytest.LogCaptureFixture
    ) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        eventually(lambda: is_held(worker, client_id))
        fill(worker, client_id, stream)
        for number in range(3 * MOST):
            worker.publish("/a", number)
        stream.full = False
        worker.connections.drained(stream)
        eventually(lambda: stream.closed_with)
        assert (stream.closed_with, len(stream.replies)) == (1000, 1)
        assert stream.data == ["full"]
        with pytest.raises(UnknownClient):
            worker.stream(client_id, number=2)
        eventually(lambda: len(departed) >= 2)
        assert departed == [("unsubscribe", client_id, "/a"), ("disconnect", client_id)]
        assert len(warnings(caplog)) == 1

    def test_one_that_was_full_goes_on_if_its_log_reaches_so_far(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        eventually(lambda: is_held(worker, client_id))
        for number in range(2 * MOST):
            worker.publish("/a", number)
            eventually(lambda number=number: len(stream.payloads) > number)
        fill(worker, client_id, stream)
        for number in range(MOST):
            worker.publish("/a", number)
        stream.full = False
        worker.connections.drained(stream)
        eventually(lambda: len(stream.payloads) > 3 * MOST)
        assert stream.data == [*range(2 * MOST), "full", *range(MOST)]

    def test_a_quiet_one_may_read_again(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        worker.publish("/a", 0)
        eventually(lambda: stream.payloads and is_held(worker, client_id))
        worker.client("/busy")
        for number in range(3 * MOST):
            worker.publish("/busy", number)
        worker.engine.subscribe(client_id, ["/busy"])
        worker.publish("/busy", "new")
        eventually(lambda: len(stream.payloads) >= 2)
        assert stream.data == [0, "new"]


class TestRedis:
    @pytest.fixture
    def engine_settings(self, redis_settings: EngineSettings) -> EngineSettings:
        return redis_settings

    @pytest.mark.parametrize("leave", [
        lambda engine, client_id: engine.destroy_client(client_id),
        lambda engine, client_id: engine.unsubscribe(client_id, ["/a", "/**"]),
    ])
    def test_what_is_kept_goes_with_the_last_subscriber(
        self, worker: Worker, leave: Callable[[Any, str], Any]
    ) -> None:
        engine: Any = worker.engine
        ids = [worker.client("/a", "/**") for _ in range(2)]
        for number in range(2 * MOST):
            worker.publish("/a", number)
        names = engine._keys.prefix + "*:/*"
        sides = {key.encode() for key in engine._keys.channel_sides(["/a", "/**"])}
        assert set(engine._redis.scan_iter(names)) == sides and len(sides) == 6
        leave(engine, ids[0])
        assert set(engine._redis.scan_iter(names)) == sides
        leave(engine, ids[1])
        assert set(engine._redis.scan_iter(names)) == set()

    def test_the_last_message_removed_is_known_exactly(self, worker: Worker) -> None:
        engine: Any = worker.engine
        worker.client("/a")
        ids = [engine.publish("/a", b"{}", str(number)) for number in range(2 * MOST)]
        left = [int(id.split(b"-")[0]) for id, _ in engine._redis.xrange(engine._keys.log("/a"))]
        assert left == ids[-len(left):] and len(left) <= 1.1 * MOST
        assert int(engine._redis.get(engine._keys.trimmed("/a"))) == ids[-len(left) - 1]

    def test_no_log_runs_out_before_its_messages_are_too_old(self, start: Start) -> None:
        engine: Any = start(message_ttl=60, client_timeout=60).engine
        client_id = engine.create_client()
        engine.subscribe(client_id, ["/a"])
        engine.publish("/a", b"{}", "1")
        assert engine._redis.pttl(engine._keys.log("/a")) > 119_000

    def test_a_listener_that_was_cut_off_too_long_tells_who_has_missed_something(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missing, quiet, polling = worker.client("/a"), worker.client("/b"), worker.client("/c")
        streams = [worker.stream(missing), worker.stream(quiet)]
        poll = gevent.spawn(worker.poll, polling, 1)
        eventually(lambda: all(is_held(worker, id) for id in (missing, quiet, polling)))
        for name, stream in zip("ab", streams, strict=True):
            worker.publish(f"/{name}", "before")
            eventually(lambda stream=stream: stream.payloads)
        eventually(lambda: is_confirmed(worker, missing))
        cut_off(worker, monkeypatch)
        for number in range(3 * MOST):
            worker.publish("/a", number)
        worker.publish("/b", "meanwhile")
        monkeypatch.undo()
        eventually(lambda: streams[0].closed_with)
        with pytest.raises(UnknownClient):
            worker.engine.touch(missing)
        eventually(lambda: is_held(worker, quiet))
        worker.publish("/b", "after")
        eventually(lambda: len(streams[1].payloads) >= 3)
        assert [stream.data for stream in streams] == [
            ["before"], ["before", "meanwhile", "after"]]
        worker.publish("/c", 1)
        assert poll.get(timeout=5) + worker.poll(polling, 2, hold=0.1) == [1]
        assert streams[1].closed_with is None


class TestWorkersThatDie:
    """The clients of a dead worker go on from the position that it wrote for all its streams. One
    that was behind the others, or quiet for long, must not have held it back."""

    @pytest.fixture
    def engine_settings(self, redis_settings: EngineSettings) -> EngineSettings:
        return redis_settings

    def test_nobody_is_behind_because_another_has_been_quiet(self, start: Start) -> None:
        one, two = start(max_log=MOST), start(max_log=MOST)
        quiet, busy = one.client("/quiet"), one.client("/busy")
        slow, stream = one.stream(quiet), one.stream(busy)
        for name, client_id in (("/quiet", quiet), ("/busy", busy)):
            one.publish(name, 0)
            eventually(lambda id=client_id: is_confirmed(one, id) and follows(one, id))
        flow(one, busy, stream)
        slow.silent = True
        one.publish("/quiet", 1)
        eventually(lambda: slow.data == [0, 1])
        die(one)
        two.publish("/busy", "last")
        assert two.poll(busy, 2) == ["last"]
        assert two.poll(quiet, 2) == [1]

    def test_nobody_is_behind_because_another_has_come_back(self, start: Start) -> None:
        one, two = start(max_log=MOST), start(max_log=MOST)
        back, busy = one.client("/quiet"), one.client("/busy")
        stream = one.stream(busy)
        one.publish("/busy", 0)
        eventually(lambda: is_confirmed(one, busy) and follows(one, busy))
        flow(one, busy, stream)
        one.stream(back)
        eventually(lambda: follows(one, back))
        die(one)
        two.publish("/busy", "last")
        assert two.poll(busy, 2) == ["last"]


    def test_one_that_has_closed_misses_nothing_before_its_position_is_saved(
        self, start: Start
    ) -> None:
        one, two = start(), start()
        closed, other = one.client("/a"), one.client("/a")
        streams = [one.stream(closed), one.stream(other)]
        one.publish("/a", 0)
        for client_id in (closed, other):
            eventually(lambda id=client_id: is_confirmed(one, id) and follows(one, id))

        def fail(positions: Any) -> None:
            raise EngineUnavailable("too slow")

        one.engine.save = fail  # type: ignore[method-assign]
        one.connections.closed(streams[0])
        two.publish("/a", 1)
        eventually(lambda: streams[1].data == [0, 1] and is_confirmed(one, other))
        die(one)
        assert two.poll(closed, 2, hold=1) == [1]


def follows(worker: Worker, client_id: str) -> bool:
    """Would the client go on from its worker's position if that died?"""
    engine: Any = worker.engine
    stream = engine._redis.hget(engine._keys.client(client_id), "stream")
    return bool(stream) and not stream.endswith(b"!")


def flow(worker: Worker, client_id: str, stream: RecordingStream) -> None:
    """More messages than the log keeps, each confirmed; the worker's position is beyond them."""
    engine: Any = worker.engine
    for number in range(1, 3 * MOST):
        worker.publish("/busy", number)
        eventually(lambda number=number: len(stream.payloads) > number)
    eventually(lambda: is_confirmed(worker, client_id))
    last = worker.connections._clients[client_id].position
    key = engine._keys.server(engine.server_id)
    eventually(lambda: int(engine._redis.hget(key, "position")) >= last)


def die(worker: Worker) -> None:
    """After one heartbeat more."""
    engine: Any = worker.engine
    engine._heartbeat.beat()
    engine.close()


def fill(worker: Worker, client_id: str, stream: RecordingStream) -> None:
    """Let the stream take one message more, and then none until it has drained."""
    stream.full = True
    worker.publish("/a", "full")
    eventually(lambda: not is_held(worker, client_id))


def cut_off(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its listener cannot reach Redis until the patch is undone."""
    def fail(**options: Any) -> Any:
        raise ConnectionError("cut off")

    listener: Any = worker.engine._listener
    monkeypatch.setattr(listener._pool, "connection_class", fail)
    listener._wire.close()
    eventually(lambda: not listener.connected.is_set())
