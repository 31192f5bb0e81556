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
    assert set(followers.hear(message)) == {exact, pattern, both}
    assert [connection.outgoing for connection in (exact, pattern, both, other)] == [
        [message], [message], [message], []]


def test_a_message_below_the_position_is_passed_over() -> None:
    followers = Followers(Clock())
    connection = live()
    connection.position = 5
    followers.add(connection, ["/a"])
    assert followers.hear(Message(5, "/a", b"{}")) == []
    assert followers.hear(Message(6, "/a", b"{}")) == [connection]
    assert followers.hear(Message(7, "/a", b"{}")) == []  # it is known to have something
    assert [message.id for message in connection.outgoing] == [6, 7]


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
