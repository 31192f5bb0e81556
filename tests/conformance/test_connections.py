"""Delivery to the connections of one worker, over every engine: exact counts, exact order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest

from faye_redis.errors import Superseded, UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .recorder import RecordingStream
from .worker import Worker, is_confirmed, is_held

Start = Callable[..., Worker]


@pytest.fixture
def start(engine_settings: EngineSettings) -> Iterator[Start]:
    workers: list[Worker] = []

    def start(**options: Any) -> Worker:
        workers.append(Worker(engine_settings, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(start: Start) -> Worker:
    return start()


class TestPolls:
    def test_what_waits_is_answered_at_once(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        worker.publish("/a", 1)
        worker.publish("/a", 2)
        assert worker.poll(client_id, 1) == [1, 2]

    def test_a_held_poll_is_woken(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        poll = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        worker.publish("/a", 1)
        assert poll.get(timeout=5) == [1]

    def test_a_poll_that_may_not_be_held_is_answered_empty(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        assert worker.poll(client_id, 1, hold=0) == []
        assert worker.poll(client_id, 2, hold=0.05) == []

    def test_each_message_once_over_many_polls(self, worker: Worker) -> None:
        client_id = worker.client("/a", "/*", "/**")
        publisher = gevent.spawn(lambda: [worker.publish("/a", n) or gevent.sleep(0)
                                          for n in range(300)])
        got: list[int] = []
        number = 0
        while len(got) < 300:
            number += 1
            got += worker.poll(client_id, number)
        publisher.join()
        assert got == list(range(300))
        assert worker.poll(client_id, number + 1, hold=0) == []

    def test_an_answer_is_repeated_exactly(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        worker.publish("/a", 1)
        assert worker.poll(client_id, 1) == [1]
        worker.publish("/a", 2)
        assert worker.poll(client_id, 1) == [1]
        assert worker.poll(client_id, 2) == [2]

    def test_an_empty_answer_is_repeated_too(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        assert worker.poll(client_id, 1, hold=0) == []
        worker.publish("/a", 1)
        assert worker.poll(client_id, 1) == []
        assert worker.poll(client_id, 2) == [1]

    def test_the_next_poll_completes_the_held_one(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        first = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        second = gevent.spawn(worker.poll, client_id, 2)
        assert first.get(timeout=5) == []
        eventually(lambda: is_held(worker, client_id))
        worker.publish("/a", 1)
        assert second.get(timeout=5) == [1]

    def test_the_same_poll_again_leaves_the_held_one_unanswered(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        first = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        second = gevent.spawn(worker.poll, client_id, 1)
        with pytest.raises(Superseded):
            first.get(timeout=5)
        worker.publish("/a", 1)
        assert second.get(timeout=5) == [1]

    def test_a_subscription_reaches_the_held_poll(self, worker: Worker) -> None:
        client_id = worker.client()
        poll = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        worker.engine.subscribe(client_id, ["/a"])
        worker.publish("/a", 1)
        assert poll.get(timeout=5) == [1]

    def test_a_held_poll_ends_with_its_client(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        poll = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        worker.engine.destroy_client(client_id)
        assert poll.get(timeout=5) == []
        with pytest.raises(UnknownClient):
            worker.poll(client_id, 2)

    def test_draining_answers_held_polls_and_holds_no_more(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        poll = gevent.spawn(worker.poll, client_id, 1)
        eventually(lambda: is_held(worker, client_id))
        worker.connections.drain()
        assert poll.get(timeout=5) == []
        reply, = worker.connections.poll(worker.pending(client_id, 3), hold=True, sock=None)
        assert 0 <= orjson.loads(reply)["advice"]["interval"] <= 2000  # spread: drain_jitter
        assert worker.poll(client_id, 4) == []

    def test_a_long_backlog_comes_in_parts(self, start: Start) -> None:
        worker = start(max_message_size=1000)
        client_id = worker.client("/a")
        for number in range(30):
            worker.publish("/a", f"{number:0200}")
        parts = []
        while sum(map(len, parts)) < 30:
            parts.append(worker.poll(client_id, len(parts) + 1))
        assert [int(text) for part in parts for text in part] == list(range(30))
        assert max(map(len, parts)) == 4

    def test_more_than_one_read(self, worker: Worker) -> None:
        client_id = worker.client("/a", "/b")
        for number in range(1200):
            worker.publish("/ab"[0] + "ab"[number % 2], number)
        got: list[int] = []
        number = 0
        while len(got) < 1200:
            number += 1
            got += worker.poll(client_id, number)
        assert got == list(range(1200))


class TestStreams:
    def test_messages_are_pushed_once_in_order(self, worker: Worker) -> None:
        client_id = worker.client("/a/b", "/a/*", "/**")
        worker.publish("/a/b", 0)
        stream = worker.stream(client_id)
        for number in range(1, 200):
            worker.publish("/a/b", number)
        eventually(lambda: len(stream.payloads) >= 200)
        assert stream.data == list(range(200))

    def test_the_connect_reply_comes_when_it_is_due(self, worker: Worker) -> None:
        stream = worker.stream(worker.client("/a"), number=7, hold=0.05)
        eventually(lambda: stream.replies)
        assert [reply["id"] for reply in stream.replies] == ["7"]

    def test_a_further_connect_completes_the_one_before(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id, number=1)
        worker.connections.bind(stream, worker.pending(client_id, 2))
        assert [reply["id"] for reply in stream.replies] == ["1"]

    def test_a_subscription_is_followed(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        for number in range(20):
            worker.publish("/a", number)
        worker.engine.subscribe(client_id, ["/b"])
        for number in range(20, 40):
            worker.publish("/b", number)
        eventually(lambda: len(stream.payloads) >= 40)
        assert stream.data == list(range(40))

    def test_nothing_comes_after_unsubscribing(self, worker: Worker) -> None:
        client_id = worker.client("/a", "/b")
        stream = worker.stream(client_id)
        worker.engine.unsubscribe(client_id, ["/a"])
        worker.publish("/a", "no")
        worker.publish("/b", "yes")
        eventually(lambda: stream.payloads)
        assert stream.data == ["yes"]

    def test_what_was_pushed_does_not_come_to_the_next_connection(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        worker.publish("/a", 1)
        eventually(lambda: stream.payloads and is_confirmed(worker, client_id))
        worker.connections.closed(stream)
        worker.publish("/a", 2)
        assert worker.poll(client_id, 2) == [2]

    def test_what_was_pushed_is_saved_when_the_socket_closes(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        worker.publish("/a", 1)
        eventually(lambda: stream.payloads and is_confirmed(worker, client_id))
        connection = worker.connections._clients[client_id]
        worker.connections.closed(stream)
        eventually(lambda: worker.engine.session(client_id, connection.session.epoch).cursor
                   == connection.position)

    def test_a_stream_that_opens_anew_says_what_its_client_has(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        marks: list[str] = []
        push = stream.push
        stream.push = lambda messages, version: (  # type: ignore[method-assign]
            marks.append(f"{messages[-1].id}-{version}") or push(messages, version))
        for number in range(3):
            worker.publish("/a", number)
            eventually(lambda number=number: len(stream.data) > number)
        eventually(lambda: is_confirmed(worker, client_id))
        again = RecordingStream()
        worker.connections.open(client_id, again, marks[0])
        eventually(lambda: len(again.data) >= 2)
        assert again.data == [1, 2]

    def test_a_full_stream_catches_up_when_it_has_drained(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        eventually(lambda: is_held(worker, client_id))
        stream.full = True
        worker.publish("/a", 0)
        eventually(lambda: stream.payloads)
        for number in range(1, 700):
            worker.publish("/a", number)
        eventually(lambda: not is_held(worker, client_id))
        assert stream.data == [0]
        stream.full = False
        worker.connections.drained(stream)
        eventually(lambda: len(stream.payloads) >= 700)
        assert stream.data == list(range(700))

    def test_a_poll_takes_over_and_the_stream_takes_back(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id, number=1)
        worker.publish("/a", "stream")
        eventually(lambda: stream.payloads)
        poll = gevent.spawn(worker.poll, client_id, 2)
        eventually(lambda: stream.replies)
        worker.publish("/a", "poll")
        assert poll.get(timeout=5) == ["poll"]
        worker.engine.touch(client_id, "3")
        eventually(lambda: is_held(worker, client_id))
        worker.publish("/a", "again")
        eventually(lambda: stream.data[-1] == "again")
        assert stream.data == ["stream", "again"]
        assert stream.closed_with is None

    def test_a_stream_is_closed_with_its_client_after_the_connect_reply(
        self, worker: Worker
    ) -> None:
        client_id = worker.client("/a")
        stream = worker.stream(client_id)
        worker.engine.destroy_client(client_id)
        eventually(lambda: stream.closed_with)
        assert (stream.closed_with, len(stream.replies)) == (1000, 1)

    def test_outgoing_extensions_see_each_message(self, worker: Worker) -> None:
        class Marker:
            def outgoing(self, message: dict[str, Any], callback: Callable[[Any], None]) -> None:
                if "data" in message:
                    message["data"] = [message["data"]]
                gevent.spawn_later(0.001, callback, message)

        worker.extensions.add(Marker())
        stream = worker.stream(worker.client("/a"))
        for number in range(10):
            worker.publish("/a", number)
        eventually(lambda: len(stream.payloads) >= 10)
        assert stream.data == [[number] for number in range(10)]

    def test_an_unknown_client_is_refused(self, worker: Worker) -> None:
        with pytest.raises(UnknownClient):
            worker.stream("nosuchclient")


class TestEvents:
    def test_connections_open_and_close(self, worker: Worker) -> None:
        seen: list[tuple[str, str]] = []
        for event in ("connection:open", "connection:close"):
            worker.monitor.on(event, lambda id, event=event: seen.append((event, id)))
        client_id = worker.client()
        worker.poll(client_id, 1, hold=0)
        eventually(lambda: len(seen) >= 2)
        assert seen == [("connection:open", client_id), ("connection:close", client_id)]


def test_a_poll_reads_no_log_in_which_nothing_is_new(worker: Worker) -> None:
    client_id = worker.client("/a", "/b/*")
    reads: list[Any] = []
    read = worker.engine.read
    worker.engine.read = lambda *args: reads.append(1) or read(*args)  # type: ignore[method-assign]
    poll = gevent.spawn(worker.poll, client_id, 1)
    eventually(lambda: is_held(worker, client_id))
    worker.publish("/a", 1)
    assert poll.get(timeout=5) == [1]
    known = len(reads)
    for number in range(2, 10):
        poll = gevent.spawn(worker.poll, client_id, number)
        eventually(lambda: is_held(worker, client_id))
        worker.publish("/b/c", number)
        assert poll.get(timeout=5) == [number]
    if worker.engine.server_id != "memory":  # there a read costs nothing
        assert len(reads) == known
    worker.publish("/a", "between")
    worker.publish("/b/c", "two")
    assert worker.poll(client_id, 10) == ["between", "two"]
