"""What the engine is told of streams that end: all of it, together, and until it has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from faye_redis.connections import confirmations, positions
from faye_redis.connections.confirmations import Confirmations
from faye_redis.connections.positions import Positions
from faye_redis.connections.subscriber import Subscriber
from faye_redis.engines.base import Progress
from faye_redis.errors import EngineUnavailable
from support.waiting import eventually

NO_SERVER: Any = None


class Engine:
    """Keeps what it is told; out of reach for a number of calls."""

    def __init__(self, failures: int = 0) -> None:
        self.saved: list[list[str]] = []
        self._failures = failures

    def save(self, progress: Sequence[Progress]) -> None:
        if self._failures:
            self._failures -= 1
            raise EngineUnavailable("out of reach")
        self.saved.append([one.client_id for one in progress])


class Silent:
    """A stream whose peer answers when told to."""

    confirms = True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def checkpoint(self, done: Any) -> None:
        self.asked.append(done)


def stream(name: str) -> Subscriber:
    return Subscriber(name, "1", Silent(), NO_SERVER, lambda _: None)  # type: ignore[arg-type]


def names(count: int) -> list[str]:
    return [f"client-{number}" for number in range(count)]


def tracked(engine: Engine) -> Positions:
    return Positions(engine)  # type: ignore[arg-type]


def test_streams_that_end_together_are_saved_together() -> None:
    engine = Engine()
    ending = tracked(engine)
    for name in names(1000):
        ending.end(stream(name))
    eventually(lambda: not ending.ending)
    assert sorted(name for call in engine.saved for name in call) == sorted(names(1000))
    assert len(engine.saved) <= 2


def test_all_of_them_are_tried_again_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(positions, "_RETRY_SECONDS", 0.05)
    engine = Engine(failures=1)
    ending = tracked(engine)
    for name in names(100):
        ending.end(stream(name))
    eventually(lambda: len(caplog.records) == 1)
    late = stream("late")
    ending.end(late)
    eventually(lambda: not ending.ending)
    assert sorted(name for call in engine.saved for name in call) == sorted([*names(100), "late"])
    assert len(caplog.records) == 1


def test_many_are_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turn in between; one that is new meanwhile waits for the next time."""
    monkeypatch.setattr(confirmations, "_AT_ONCE", 10)
    asking = Confirmations()
    streams = [stream(name) for name in names(150)]
    for one in streams:
        asking.sent(one)
    turns: list[int] = []

    def breathe(seconds: float) -> None:
        turns.append(sum(len(one.stream.asked) for one in streams))  # type: ignore[attr-defined]
        asking.sent(stream("new"))
    monkeypatch.setattr(confirmations, "sleep", breathe)
    asking.ask()
    assert turns == [10, 20]
    assert sum(len(one.stream.asked) for one in streams) == 30  # type: ignore[attr-defined]
    assert len(asking._queue) == 150 - 30 + 2
