"""Greenlets, events, timers and socket watchers: the only module that names gevent.

Callbacks given to ``run_soon`` and the watchers run in the hub: they must neither block nor
raise (an exception stops a watcher for good).
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.lock import RLock

from .errors import NotPatchedError

__all__ = ["Event", "RLock", "Task", "Timeout", "Watcher", "deadline", "monotonic", "patch",
           "require_patched", "run_later", "run_soon", "sleep", "spawn", "watch_read",
           "watch_write"]

log = logging.getLogger("faye_redis")

Task: TypeAlias = "gevent.Greenlet[..., None]"
Timeout = gevent.Timeout
"""What user code may raise in its greenlet although it is no ``Exception``."""
monotonic = time.monotonic
sleep = gevent.sleep


def patch() -> None:
    """Monkey-patch the standard library; idempotent."""
    if not monkey.is_module_patched("socket"):
        monkey.patch_all()


def require_patched() -> None:
    """Refuse to run where one blocking call would stop every client of the worker.

    :raises NotPatchedError: the process is not monkey-patched.
    """
    if not monkey.is_module_patched("socket"):
        raise NotPatchedError(
            "faye_redis needs a process monkey-patched by gevent: run gunicorn with `-k gevent` "
            "(and, with --preload, `-c python:faye_redis.gunicorn_conf`)"
        )


def spawn(function: Callable[..., Any], *args: Any) -> Task:
    """Run ``function`` in a greenlet. An exception ends the greenlet and is logged."""
    return gevent.spawn(_guarded, function, *args)


def _guarded(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception:
        log.exception("%s failed", getattr(function, "__qualname__", function))


def run_soon(function: Callable[..., Any], *args: Any) -> None:
    """Call ``function`` in the hub at its next turn, after the running greenlet has yielded."""
    gevent.get_hub().loop.run_callback(_guarded, function, *args)


def run_later(seconds: float, function: Callable[..., Any], *args: Any) -> None:
    """Call ``function`` in the hub after ``seconds``, but not before every socket that is ready
    now has had its turn (``run_soon`` does not wait for them)."""
    timer = gevent.get_hub().loop.timer(seconds)

    def fire() -> None:
        timer.close()
        _guarded(function, *args)
    timer.start(fire)


def deadline(seconds: float) -> AbstractContextManager[object]:
    """Raise ``TimeoutError`` in this greenlet if the ``with`` block takes longer."""
    return gevent.Timeout(seconds, TimeoutError)


class Watcher:
    """Calls a function in the hub whenever a descriptor is ready, until stopped."""

    __slots__ = ("_io",)

    def __init__(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        self._io: Any = gevent.get_hub().loop.io(fd, events)
        self._io.start(_guarded, callback)

    def stop(self) -> None:
        """Stop for good; must come before the descriptor is closed. Idempotent."""
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = None


def watch_read(sock: socket.socket, callback: Callable[[], None]) -> Watcher:
    """Call ``callback`` while ``sock`` has bytes, or the end of the stream, to read."""
    return Watcher(sock.fileno(), 1, callback)


def watch_write(sock: socket.socket, callback: Callable[[], None]) -> Watcher:
    """Call ``callback`` while ``sock`` can take more bytes."""
    return Watcher(sock.fileno(), 2, callback)
