"""Clients that acknowledge what they have had: nothing is confirmed by anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest

from faye_redis.engines.base import Engine, Verdict
from faye_redis.errors import EngineUnavailable, Superseded, UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .recorder import AnswerStream
from .worker import Worker, batch_of, is_held

BEYOND = 2**53 - 1


@pytest.fixture
def worker(engine_settings: EngineSettings) -> Iterator[Worker]:
    worker = Worker(engine_settings, max_message_size=2000)
    yield worker
    worker.close()


@pytest.fixture
def client_id(worker: Worker) -> str:
    return worker.client("/a", acknowledges=True)


class TestEngine:
    def test_a_client_acknowledges_or_not_for_life(self, engine: Engine) -> None:
        for acknowledges in (True, False):
            client_id = engine.create_client(acknowledges)
            assert engine.touch(client_id) is acknowledges
            session = engine.connect(client_id, "1", False)
            assert session.acknowledges is acknowledges
            assert engine.session(client_id, session.epoch) == session

    def test_an_acknowledgement_moves_the_cursor(self, engine: Engine) -> None:
        client_id = self.answered(engine, 50)
        assert engine.connect(client_id, "2", False, 50).cursor == 50

    @pytest.mark.parametrize("ack", [None, 0, -1, 51, BEYOND, 2**62])
    def test_nothing_else_does(self, engine: Engine, ack: int | None) -> None:
        client_id = self.answered(engine, 50)
        for connect_id, stream in (("2", False), ("", False), ("3", True), ("", True)):
            session = engine.connect(client_id, connect_id, stream, ack)
            assert (session.cursor, session.repeat_to) == (0, None)
        assert engine.connect(client_id, "4", False, 50).cursor == 50

    def test_an_older_acknowledgement_changes_nothing(self, engine: Engine) -> None:
        client_id = self.answered(engine, 50)
        engine.connect(client_id, "2", False, 50)
        assert engine.connect(client_id, "3", False, 40).cursor == 50

    def test_the_highest_answer_counts(self, engine: Engine) -> None:
        client_id = self.answered(engine, 50)
        session = engine.connect(client_id, "2", False)
        engine.answer(client_id, session, "2", 40)
        assert engine.connect(client_id, "3", False, 50).cursor == 50

    def test_an_invented_one_before_any_answer(self, engine: Engine) -> None:
        client_id = engine.create_client(acknowledges=True)
        assert engine.connect(client_id, "1", False, 1).cursor == 0

    def test_a_client_that_never_asked_for_it_acknowledges_nothing(self, engine: Engine) -> None:
        client_id = self.answered(engine, 50, acknowledges=False)
        again = engine.connect(client_id, "1", False, 30)
        assert (again.cursor, again.repeat_to) == (0, 50)
        assert engine.connect(client_id, "2", False, 30).cursor == 50

    def answered(self, engine: Engine, position: int, acknowledges: bool = True) -> str:
        """A client whose first connect was answered up to ``position``."""
        client_id = engine.create_client(acknowledges)
        session = engine.connect(client_id, "1", False)
        assert engine.answer(client_id, session, "1", position) is Verdict.RECORDED
        return client_id


class TestPolls:
    def test_every_reply_has_a_number(self, worker: Worker, client_id: str) -> None:
        assert isinstance(worker.batch(client_id, 1, 0, hold=0).ack, int)
        worker.publish("/a", 1)
        assert isinstance(worker.batch(client_id, 2, 0).ack, int)

    def test_those_of_other_clients_have_none(self, worker: Worker) -> None:
        client_id = worker.client("/a")
        worker.publish("/a", 1)
        assert worker.batch(client_id, 1, 0).ack is None
        assert worker.batch(client_id, 2, 0, hold=0).data == []

    def test_a_lost_answer_comes_again_before_anything_newer(
        self, worker: Worker, client_id: str
    ) -> None:
        worker.publish("/a", 1)
        worker.publish("/a", 2)
        lost = worker.batch(client_id, 1, 0)
        worker.publish("/a", 3)
        again = worker.batch(client_id, 2, 0)
        assert (lost.data, again.data) == ([1, 2], [1, 2, 3])
        assert again.ids[:2] == lost.ids

    def test_what_was_acknowledged_does_not(self, worker: Worker, client_id: str) -> None:
        worker.publish("/a", 1)
        ack = worker.batch(client_id, 1, 0).ack
        worker.publish("/a", 2)
        assert worker.batch(client_id, 2, ack).data == [2]

    def test_an_earlier_number_brings_back_what_came_after_it(
        self, worker: Worker, client_id: str
    ) -> None:
        worker.publish("/a", 1)
        first = worker.batch(client_id, 1, 0)
        worker.publish("/a", 2)
        worker.batch(client_id, 2, 0)
        assert worker.batch(client_id, 3, first.ack).data == [2]

    def test_an_invented_number_loses_nothing(self, worker: Worker, client_id: str) -> None:
        worker.publish("/a", 1)
        worker.batch(client_id, 1, 0)
        worker.publish("/a", 2)
        assert worker.batch(client_id, 2, BEYOND).data == [1, 2]

    def test_a_connect_without_a_number_confirms_nothing(
        self, worker: Worker, client_id: str
    ) -> None:
        worker.publish("/a", 1)
        assert worker.poll(client_id, 1) == [1]
        again = worker.batch(client_id, 2, None)
        assert again.data == [1]
        assert worker.batch(client_id, 3, again.ack, hold=0).data == []

    def test_the_same_connect_again_reads_again(self, worker: Worker, client_id: str) -> None:
        worker.publish("/a", 1)
        assert worker.batch(client_id, 1, 0).data == [1]
        worker.publish("/a", 2)
        assert worker.batch(client_id, 1, 0).data == [1, 2]

    def test_the_same_connect_while_it_is_held(self, worker: Worker, client_id: str) -> None:
        held = gevent.spawn(worker.batch, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        again = gevent.spawn(worker.batch, client_id, 1, 0)
        with pytest.raises(Superseded):
            held.get(timeout=5)
        worker.publish("/a", 1)
        assert again.get(timeout=5).data == [1]

    def test_a_connect_that_is_taken_over_says_no_number(
        self, worker: Worker, client_id: str
    ) -> None:
        """Coming late, it would take the client back to an earlier batch."""
        held = gevent.spawn(worker.batch, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        other = gevent.spawn(worker.batch, client_id, 2, 0)
        assert held.get(timeout=5) == ([], [], None)
        worker.publish("/a", 1)
        assert other.get(timeout=5).data == [1]

    def test_each_part_of_a_long_backlog_has_its_number(
        self, worker: Worker, client_id: str
    ) -> None:
        for number in range(30):
            worker.publish("/a", f"{number:0200}")
        got, ack, number = [], 0, 0
        while len(got) < 30:
            number += 1
            part = worker.batch(client_id, number, ack)
            assert worker.batch(client_id, number, ack) == part  # lost once
            got += part.data
            ack = part.ack
        assert [int(text) for text in got] == list(range(30))
        assert number > 2

    def test_extensions_see_numbers_and_messages(self, worker: Worker, client_id: str) -> None:
        seen: list[dict[str, Any]] = []

        class Witness:
            def outgoing(self, message: dict[str, Any], callback: Callable[[Any], None]) -> None:
                seen.append(message)
                callback(message)

        worker.extensions.add(Witness())
        worker.publish("/a", 1)
        ack = worker.batch(client_id, 1, 0).ack
        assert [one.get("ext") for one in seen] == [{"ack": ack}, None]
        assert seen[1]["data"] == 1

    def test_a_later_subscription_is_not_skipped(self, worker: Worker, client_id: str) -> None:
        ack = worker.batch(client_id, 1, 0, hold=0).ack
        worker.engine.subscribe(client_id, ["/b"])
        worker.publish("/b", 1)
        worker.publish("/a", 2)
        assert worker.batch(client_id, 2, ack).data == [1, 2]


class TestStreams:
    def test_messages_come_with_the_reply(self, worker: Worker, client_id: str) -> None:
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        worker.publish("/a", 1)
        eventually(lambda: stream.answers)
        worker.publish("/a", 2)
        worker.bind(stream, client_id, 2, batch_of(stream.answers[0]).ack or 0)
        eventually(lambda: len(stream.answers) == 2)
        assert [batch_of(answer).data for answer in stream.answers] == [[1], [2]]
        assert stream.payloads == []
        assert worker.connections._polls._by_stream == {}

    def test_what_was_not_acknowledged_comes_again(self, worker: Worker, client_id: str) -> None:
        stream = AnswerStream()
        worker.publish("/a", 1)
        for number in (1, 2):
            worker.bind(stream, client_id, number, 0)
            eventually(lambda number=number: len(stream.answers) == number)
        first, second = map(batch_of, stream.answers)
        assert first.data == [1]
        assert first == second

    def test_other_clients_are_served_as_ever(self, worker: Worker) -> None:
        client_id, stream = worker.client("/a"), AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        worker.publish("/a", 1)
        eventually(lambda: stream.payloads)
        assert (stream.data, stream.answers) == ([1], [])
        worker.bind(stream, client_id, 2, 0)
        assert batch_of(stream.answers[0]) == ([], [], None)

    def test_a_socket_that_closes_takes_nothing_with_it(
        self, worker: Worker, client_id: str
    ) -> None:
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        worker.connections.closed(stream)
        eventually(lambda: client_id not in worker.connections._clients)
        worker.publish("/a", 1)
        assert worker.batch(client_id, 2, 0).data == [1]
        assert stream.answers == []

    def test_a_socket_that_closes_at_once(self, worker: Worker, client_id: str) -> None:
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        worker.connections.closed(stream)
        worker.publish("/a", 1)
        assert worker.batch(client_id, 2, 0).data == [1]
        assert stream.answers == []
        assert worker.connections._polls._by_stream == {}

    def test_it_goes_on_where_a_stream_was(self, worker: Worker, client_id: str) -> None:
        """A connect without a number is an ordinary one: the socket gets the messages."""
        stream = worker.stream(client_id, number=1)
        worker.publish("/a", 1)
        eventually(lambda: stream.payloads)
        worker.bind(stream, client_id, 2, 0)
        eventually(lambda: stream.replies and is_held(worker, client_id))
        worker.publish("/a", 2)
        eventually(lambda: len(stream.replies) == 3)
        assert stream.data == [1]
        assert [reply.get("data") for reply in stream.replies] == [None, None, 2]

    def test_the_client_leaves(self, worker: Worker, client_id: str) -> None:
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        worker.engine.destroy_client(client_id)
        eventually(lambda: stream.closed_with)
        assert (stream.closed_with, len(stream.answers)) == (1000, 1)

    def test_an_unknown_client_is_refused(self, worker: Worker) -> None:
        with pytest.raises(UnknownClient):
            worker.bind(AnswerStream(), "nosuchclient", 1, 0)

    def test_a_failure_is_an_error_reply(
        self, worker: Worker, client_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any) -> None:
            raise EngineUnavailable("out of reach")

        monkeypatch.setattr(worker.engine, "connect", fail)
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        eventually(lambda: stream.answers)
        reply = orjson.loads(stream.answers[0][0])
        assert (reply["successful"], reply["advice"]["reconnect"]) == (False, "retry")

    def test_draining_answers_it(self, worker: Worker, client_id: str) -> None:
        stream = AnswerStream()
        worker.bind(stream, client_id, 1, 0)
        eventually(lambda: is_held(worker, client_id))
        worker.connections.drain()
        eventually(lambda: stream.answers)
        assert batch_of(stream.answers[0]).ack is not None
