"""The queue of what is due."""

from __future__ import annotations

from faye_redis.connections.deadlines import Deadlines


def test_what_is_due_comes_once_in_order_of_time() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for at, item in ((3.0, "c"), (1.0, "a"), (2.0, "b1"), (2.0, "b2")):
        deadlines.add(at, item)
    assert deadlines.take(0.5) == []
    assert deadlines.take(2.0) == ["a", "b1", "b2"]
    assert deadlines.take(9.0) == ["c"]
    assert deadlines.take(9.0) == []
