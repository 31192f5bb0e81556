"""Sending to many: everything goes out, in parts, and what comes close together in one write."""

from __future__ import annotations

import pytest

from faye_redis.concurrency import run_later
from faye_redis.connections import outbox
from faye_redis.connections.connection import Connection
from faye_redis.connections.outbox import Outbox
from faye_redis.engines.base import Message
from support.waiting import eventually


class Recording(Connection):
    """Keeps each list of messages that would be one write."""

    def __init__(self, log: list[object]) -> None:
        super().__init__("client", "1")
        self.live = True
        self.log = log

    def flush(self) -> bool:
        self.log.append(self.take_outgoing())
        return True


def message(number: int) -> Message:
    return Message(number, "/a", b"{}")


def hear(box: Outbox, connections: list[Recording], number: int) -> None:
    box.add([one for one in connections if one.hear([message(number)])])


def test_everybody_is_sent_to_once() -> None:
    log: list[object] = []
    box, connections = Outbox(), [Recording(log) for _ in range(10)]
    hear(box, connections, 1)
    hear(box, connections, 2)
    assert log == []  # adding sends nothing
    eventually(lambda: len(log) == 10)
    assert log == [[message(1), message(2)]] * 10


def test_others_have_their_turn_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 3)
    log: list[object] = []
    box, connections = Outbox(), [Recording(log) for _ in range(9)]
    hear(box, connections, 1)
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(log))
        if len(log) < 9:
            run_later(0, turn)
    run_later(0, turn)
    eventually(lambda: len(log) == 9)
    assert {3, 6} & set(turns)


def test_one_that_costs_more_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 4)
    monkeypatch.setattr(Recording, "weight", 2)
    box, connections = Outbox(), [Recording([]) for _ in range(5)]
    box._waiting = list(connections)
    parts = [box._take_part() for _ in range(4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    assert [one for part in parts for one in part] == connections


def test_what_comes_meanwhile_goes_with_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 2)
    log: list[object] = []
    box, connections = Outbox(), [Recording(log) for _ in range(4)]
    hear(box, connections, 1)
    run_later(0, hear, box, connections, 2)  # comes between the first part and the second
    eventually(lambda: len(log) == 6)
    assert log.count([message(1)]) == 2 and log.count([message(2)]) == 2
    assert log.count([message(1), message(2)]) == 2


def test_one_that_has_ended_meanwhile_gets_nothing() -> None:
    log: list[object] = []
    box, connections = Outbox(), [Recording(log) for _ in range(3)]
    hear(box, connections, 1)
    connections[0].closed = True
    connections[1].live = False
    eventually(lambda: log)
    assert log == [[message(1)]]
    assert connections[1].outgoing == [message(1)]


def test_after_a_long_one_the_next_waits_a_little() -> None:
    log: list[object] = []
    box, connections = Outbox(), [Recording(log) for _ in range(3)]
    box._took = 0.5  # seconds
    hear(box, connections, 1)
    run_later(0, hear, box, connections, 2)
    eventually(lambda: log)
    assert log == [[message(1), message(2)]] * 3
