"""The servers that are compared, and how a node of each is started."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol, Self

from support.gunicorn_node import Node
from support.processes import end, free_port, spawn
from support.redis_server import RedisServer
from support.waiting import eventually

from . import cache

CONNECTIONS = 30_000  # per worker
_GUNICORN = ("--worker-connections", str(CONNECTIONS), "--backlog", "4096")


class Running(Protocol):
    """A node: its port, the pid of its first process, and what it has printed."""

    port: int

    @property
    def pid(self) -> int: ...

    @property
    def log(self) -> str: ...

    def __enter__(self) -> Running: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Peer:
    """One node of another server; use as a context manager.

    :param command: makes the command from the port.
    :param env: environment variables in addition to this process's own.
    """

    def __init__(
        self, command: Callable[[int], Sequence[str | Path]], env: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self._command = command(self.port)
        self._env = {**os.environ, **(env or {})}
        self._directory = Path(tempfile.mkdtemp(prefix="faye_redis-"))
        self._process: subprocess.Popen[Any] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the peer is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        with (self._directory / "log").open("wb") as log:
            self._process = spawn(self._command, stdout=log, stderr=log, env=self._env)
        try:
            eventually(self._answers, timeout=30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _answers(self) -> bool:
        """Any answer will do; it shows that the workers are there, whose CPU is to be measured.
        gunicorn listens before it has one."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended:\n{self.log}")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/bayeux")  # npm faye answers nowhere else
            return connection.getresponse().status > 0
        return False

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)


@dataclass(frozen=True)
class Server:
    """A kind of server.

    :param node: makes a node that is not started yet, from its Redis and its number of workers.
    """

    name: str
    title: str
    node: Callable[[RedisServer | None, int], Running]
    redis: bool = True
    protocol: str = "bayeux"
    path: str = "/bayeux"


def _own(redis: RedisServer | None, workers: int) -> Running:
    assert redis is not None
    environment = {"FAYE_REDIS_URL": redis.url, "FAYE_REDIS_MOUNT": "/bayeux",
                   "FAYE_REDIS_MAX_CONNECTIONS": str(CONNECTIONS)}
    return Node(workers=workers, env=environment, args=_GUNICORN)


def _faye(redis: RedisServer | None, workers: int) -> Running:
    environment = {"NODE_PATH": str(cache.node_modules())}
    engine = [str(redis.port)] if redis else []
    script = cache.PEERS / "faye_server.js"
    return Peer(lambda port: ["node", script, str(port), *engine], environment)


def _socketio(redis: RedisServer | None, workers: int) -> Running:
    assert redis is not None
    python = cache.peer_python()
    return Peer(lambda port: [python, "-m", "gunicorn", "-k", "gevent", "-w", str(workers),
                              "-b", f"127.0.0.1:{port}", "--chdir", cache.PEERS, *_GUNICORN,
                              "--no-control-socket", "socketio_app:application"],
                {"REDIS_URL": redis.url})


OWN = Server("faye_redis", "faye_redis", _own)
SERVERS = {server.name: server for server in (
    OWN,
    Server("npm-faye", "npm faye 1.4, memory", _faye, redis=False),
    Server("npm-faye-redis", "npm faye 1.4, faye-redis 0.2", _faye),
    Server("socketio", "python-socketio 5.18, Redis", _socketio, protocol="socketio",
           path="/socket.io/?EIO=4&transport=websocket"),
)}
