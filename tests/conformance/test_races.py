"""Things that happen while an answer of the engine is on its way, made to happen every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .worker import Worker, is_held


@pytest.fixture
def worker(engine_settings: EngineSettings) -> Iterator[Worker]:
    worker = Worker(engine_settings)
    yield worker
    worker.close()


class Gate:
    """Lets a verb of an engine happen, and keeps its answer back until ``open``."""

    def __init__(self, engine: Any, verb: str) -> None:
        self._opened = gevent.event.Event()
        self._real: Callable[..., Any] = getattr(engine, verb)
        self.waiting = 0
        setattr(engine, verb, self._call)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        result = self._real(*args, **kwargs)
        self.waiting += 1
        self._opened.wait()
        return result

    def open(self) -> None:
        self._opened.set()


def test_a_stream_that_closes_while_it_catches_up_loses_nothing(worker: Worker) -> None:
    client_id = worker.client("/a")
    worker.publish("/a", 1)
    gate = Gate(worker.engine, "read")
    stream = worker.stream(client_id)
    eventually(lambda: gate.waiting)
    worker.connections.closed(stream)
    gate.open()
    assert worker.poll(client_id, 2) == [1]
    assert stream.data == []


def test_a_message_that_matches_an_old_and_a_new_subscription_comes_once(worker: Worker) -> None:
    client_id = worker.client("/a/*")
    stream = worker.stream(client_id)
    eventually(lambda: is_held(worker, client_id))
    told = worker.connections.changed
    later: list[tuple[str, int]] = []
    worker.connections.changed = lambda *call: later.append(call)  # type: ignore[method-assign]
    worker.engine.subscribe(client_id, ["/a/b"])
    worker.publish("/a/b", 1)
    eventually(lambda: stream.payloads)
    told(*later[0])
    worker.publish("/a/b", 2)
    eventually(lambda: len(stream.payloads) >= 2)
    assert stream.data == [1, 2]


def test_a_position_does_not_pass_a_subscription_that_is_not_known_yet(worker: Worker) -> None:
    client_id = worker.client("/a")
    stream = worker.stream(client_id)
    eventually(lambda: is_held(worker, client_id))
    worker.connections.changed = lambda *call: None  # type: ignore[method-assign]
    worker.engine.subscribe(client_id, ["/b"])
    worker.publish("/b", "new")
    worker.publish("/a", "old")
    eventually(lambda: stream.payloads)
    saved = Gate(worker.engine, "save")
    saved.open()
    worker.connections.closed(stream)
    eventually(lambda: saved.waiting)
    del worker.connections.changed
    assert "new" in worker.poll(client_id, 2)


def test_a_closed_connection_is_not_followed_again_by_a_late_reload(worker: Worker) -> None:
    client_id = worker.client("/a")
    stream = worker.stream(client_id)
    eventually(lambda: is_held(worker, client_id))
    gate = Gate(worker.engine, "session")
    worker.engine.subscribe(client_id, ["/b"])
    eventually(lambda: gate.waiting)
    worker.connections.closed(stream)
    gate.open()
    eventually(lambda: not worker.connections._positions.ending)
    assert worker.connections._followers._connections == {}


def test_a_full_stream_gets_nothing_before_it_has_drained(worker: Worker) -> None:
    client_id = worker.client("/a")
    stream = worker.stream(client_id)
    eventually(lambda: is_held(worker, client_id))
    stream.full = True
    worker.publish("/a", 0)
    eventually(lambda: stream.payloads)
    worker.engine.subscribe(client_id, ["/b"])
    worker.publish("/b", 1)
    follower = worker.stream(worker.client("/end"))
    worker.publish("/end", "end")
    eventually(lambda: follower.payloads)
    assert stream.data == [0]
    stream.full = False
    worker.connections.drained(stream)
    eventually(lambda: len(stream.payloads) >= 2)
    assert stream.data == [0, 1]


def test_what_is_merged_in_while_an_extension_waits_is_not_lost(worker: Worker) -> None:
    waiting: list[Callable[[], None]] = []

    class Slow:
        def outgoing(self, message: dict[str, Any], callback: Callable[[Any], None]) -> None:
            if "data" in message:
                waiting.append(lambda: callback(message))
            else:
                callback(message)

    client_id = worker.client("/a")
    stream = worker.stream(client_id)
    eventually(lambda: is_held(worker, client_id))
    worker.extensions.add(Slow())
    told = worker.connections.changed
    worker.connections.changed = lambda *call: None  # type: ignore[method-assign]
    worker.engine.subscribe(client_id, ["/b"])
    worker.publish("/b", "early")
    worker.publish("/a", "late")
    eventually(lambda: waiting)
    worker.publish("/a", "last")
    told(client_id, worker.connections._clients[client_id].session.version + 1, 0)
    for count in range(3):
        eventually(lambda count=count: len(waiting) > count)
        waiting[count]()
    eventually(lambda: len(stream.payloads) >= 3)
    assert sorted(stream.data) == ["early", "last", "late"]
