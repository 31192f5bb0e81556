"""Clients that hop at random between workers and transports, over networks that lose things.

``run`` returns what went wrong. Each client is a greenlet that does one thing after another: it
polls, or opens a stream, at a random worker; it closes the stream, or the stream breaks and takes
what was under way with it; an answer to a poll is lost, and the poll is sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import gevent
import orjson

from faye_redis.engines.base import Message
from faye_redis.errors import Superseded

from .worker import Worker


@dataclass
class Result:
    """What the clients got, against what was published."""

    deliveries: int = 0
    lost: int = 0
    duplicates: int = 0
    inversions: int = 0


class Pipe:
    """A stream with a network behind it: what is pushed arrives a little later, in order, and so
    does the confirmation; when it breaks, what is under way is lost."""

    request = None
    confirms = True

    def __init__(self, deliver: Callable[[Any], None], rng: random.Random) -> None:
        self._deliver = deliver
        self._rng = rng
        self._broken = False
        self._under_way: list[Callable[[], None]] = []
        self._moving = False

    def push(self, messages: list[Message], version: int) -> bool:
        for message in messages:
            data = orjson.loads(message.payload)["data"]
            self._send(lambda data=data: self._deliver(data))
        return True

    def checkpoint(self, done: Callable[[], None]) -> None:
        self._send(done)

    def reply(self, items: list[bytes]) -> None:
        """Nobody waits for it."""

    def close(self, code: int, reason: str) -> None:
        self._broken = True

    def _send(self, arrive: Callable[[], None]) -> None:
        self._under_way.append(arrive)
        if not self._moving:
            self._moving = True
            gevent.spawn(self._move)

    def _move(self) -> None:
        while self._under_way and not self._broken:
            arriving = len(self._under_way)
            gevent.sleep(self._rng.uniform(0, 0.01))
            for _ in range(0 if self._broken else arriving):
                self._under_way.pop(0)()
        self._moving = False


class Hopper:
    """One client; ``breaks`` is how often a network fails, 0 for never."""

    def __init__(self, workers: list[Worker], channels: list[str], rng: random.Random,
                 breaks: float) -> None:
        self._workers = workers
        self._rng = rng
        self._breaks = breaks
        self._numbers = count(1)
        self._stream: tuple[Worker, Pipe] | None = None
        self.got: list[Any] = []
        self.client_id = workers[0].client(*channels)

    def run(self, until: Callable[[], bool]) -> None:
        while not until():
            self._step()
        self._poll(hold=0.05)

    def _step(self) -> None:
        choice = self._rng.random()
        if choice < 0.5:
            self._poll(self._rng.uniform(0, 0.05))
        elif choice < 0.8:
            self._open()
            gevent.sleep(self._rng.uniform(0, 0.1))
        elif self._stream and self._rng.random() < self._breaks:
            self._break()
        else:
            gevent.sleep(self._rng.uniform(0, 0.02))

    def _poll(self, hold: float) -> None:
        number = next(self._numbers)
        while True:
            try:
                got = self._rng.choice(self._workers).poll(self.client_id, number, hold)
            except Superseded:
                return
            if self._rng.random() >= self._breaks / 4:
                self.got += got
                return

    def _open(self) -> None:
        worker = self._rng.choice(self._workers)
        pipe = Pipe(self.got.append, self._rng)
        worker.connections.bind(pipe, worker.pending(self.client_id, next(self._numbers), 5))
        self._stream = worker, pipe

    def _break(self) -> None:
        assert self._stream
        worker, pipe = self._stream
        pipe.close(1006, "")
        worker.connections.closed(pipe)
        self._stream = None

    def finish(self, expected: int) -> None:
        """Poll until everything has come."""
        for _ in range(40):
            if len(set(map(tuple, self.got))) >= expected:
                return
            self._poll(hold=0.2)


def run(workers: list[Worker], seed: int, seconds: float, clients: int = 10,
        breaks: float = 0.0) -> Result:
    """Let ``clients`` hop for ``seconds``, while three publishers publish."""
    rng = random.Random(seed)
    stopped = False
    sent: list[tuple[int, int]] = []

    def publish(publisher: int) -> None:
        for number in count():
            if stopped:
                return
            rng.choice(workers).publish("/a/b", (publisher, number))
            sent.append((publisher, number))
            gevent.sleep(rng.uniform(0, 0.03))

    hoppers = [Hopper(workers, ["/a/b", "/a/*", "/**"][: rng.randint(1, 3)], rng, breaks)
               for _ in range(clients)]
    hopping = [gevent.spawn(hopper.run, lambda: stopped) for hopper in hoppers]
    publishing = [gevent.spawn(publish, number) for number in range(3)]
    gevent.sleep(seconds)
    stopped = True
    gevent.joinall(publishing + hopping, raise_error=True)
    gevent.joinall([gevent.spawn(hopper.finish, len(sent)) for hopper in hoppers],
                   raise_error=True)
    return _compare(sent, [list(map(tuple, hopper.got)) for hopper in hoppers])


def _compare(sent: list[tuple[int, int]], received: list[list[tuple[int, int]]]) -> Result:
    result = Result()
    for got in received:
        first = list(dict.fromkeys(got))
        result.deliveries += len(got)
        result.lost += len(set(sent) - set(first))
        result.duplicates += len(got) - len(first)
        for publisher in range(3):
            numbers = [number for one, number in first if one == publisher]
            result.inversions += sum(a > b for a, b in pairwise(numbers))
    return result


