"""The table of channels and connections, without an engine."""

from __future__ import annotations

from faye_redis.connections.connection import Connection
from faye_redis.connections.followers import Followers
from faye_redis.engines.base import Message


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def live() -> Connection:
    connection = Connection("client", "1")
    connection.live = True
    return connection


def test_a_message_reaches_each_matching_connection_once() -> None:
    followers = Followers(Clock())
    exact, pattern, both, other = (live() for _ in range(4))
    followers.add(exact, ["/a/b"])
    followers.add(pattern, ["/a/*"])
    followers.add(both, ["/a/b", "/a/**", "/**"])
    followers.add(other, ["/a", "/a/c"])
    message = Message(1, "/a/b", b"{}")
    assert set(followers.hear([message])) == {exact, pattern, both}
    assert [connection.outgoing for connection in (exact, pattern, both, other)] == [
        [message], [message], [message], []]


def test_a_message_below_the_position_is_passed_over() -> None:
    followers = Followers(Clock())
    connection = live()
    connection.position = 5
    followers.add(connection, ["/a"])
    assert followers.hear([Message(5, "/a", b"{}")]) == []
    assert followers.hear([Message(6, "/a", b"{}")]) == [connection]
    assert followers.hear([Message(7, "/a", b"{}")]) == []  # it is known to have something
    assert [message.id for message in connection.outgoing] == [6, 7]


def test_a_batch_over_several_channels_keeps_its_order() -> None:
    followers = Followers(Clock())
    all_, one = live(), live()
    followers.add(all_, ["/a/*", "/a/b", "/a/**"])
    followers.add(one, ["/a/c"])
    batch = [Message(id, channel, b"{}") for id, channel in enumerate(
        ["/a/b", "/a/c", "/a/b", "/a/b", "/a/c"], start=1)]
    assert followers.hear(batch) == [all_, one]
    assert all_.outgoing == batch
    assert [message.id for message in one.outgoing] == [2, 5]


def test_what_is_owed_to_many_alike_is_one_list() -> None:
    followers = Followers(Clock())
    connections = [live() for _ in range(3)]
    for connection in connections:
        followers.add(connection, ["/a", "/b"])
    assert len(followers.hear([Message(1, "/a", b"{}"), Message(2, "/b", b"{}")])) == 3
    assert followers.hear([Message(3, "/a", b"{}")]) == []
    assert [message.id for message in connections[0].outgoing] == [1, 2, 3]
    assert len({id(connection.outgoing) for connection in connections}) == 1


def test_a_batch_that_was_read_in_part() -> None:
    followers = Followers(Clock())
    connection, behind = live(), live()
    connection.position = 5
    behind.live, behind.held = False, [Message(5, "/a", b"{}")]
    followers.add(connection, ["/a"])
    followers.add(behind, ["/a", "/*"])
    batch = [Message(id, "/a", b"{}") for id in (5, 6, 7)]
    assert followers.hear(batch) == [connection]
    assert [message.id for message in connection.outgoing] == [6, 7]
    assert [message.id for message in behind.held] == [5, 6, 7]
    assert len(batch) == 3


def test_channels_are_idle_since_the_last_connection_left() -> None:
    clock = Clock()
    followers = Followers(clock)
    one, two = live(), live()
    followers.add(one, ["/a", "/b"])
    followers.add(two, ["/a"])
    followers.remove(one, ["/a", "/b"])
    clock.now = 61
    assert followers.take_idle(60) == ["/b"]
    assert followers.take_idle(60) == []
    followers.remove(two, ["/a"])
    clock.now = 100
    followers.add(one, ["/a"])
    clock.now = 1000
    assert followers.take_idle(60) == []
