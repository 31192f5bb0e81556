"""The stand-alone application with crash points, for the nodes of the fault tests.

The file named by ``TEST_CRASH_FILE`` holds the name of a point, ``<verb>:before`` or
``<verb>:after``. The first worker that gets there kills itself; ``TEST_CRASH_MARK`` is a file that
it makes, so that it is the only one. The package knows nothing of this: its methods are wrapped
from outside. Each worker also writes the number of its greenlets into a file once a second.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from faye_redis.transports.websocket import WebSocket
from faye_redis.wsgi import application

VERBS = ("publish", "answer", "connect", "subscribe", "follow", "destroy_client", "save", "read")

_FILE = Path(os.environ["TEST_CRASH_FILE"])
_MARK = os.environ["TEST_CRASH_MARK"]


def _crash_at(point: str) -> None:
    try:
        armed = _FILE.read_text()
    except OSError:
        return
    if armed != point:
        return
    try:
        os.close(os.open(_MARK, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        _crash_at(f"{name}:before")
        result = method(*args, **kwargs)
        _crash_at(f"{name}:after")
        return result
    return call


def _count_greenlets() -> None:
    while True:
        number = sum(isinstance(one, gevent.Greenlet) and not one.dead for one in gc.get_objects())
        (_FILE.parent / f"greenlets-{os.getpid()}").write_text(str(number))
        gevent.sleep(2)


for _verb in VERBS:
    setattr(application.engine, _verb, _wrapped(getattr(application.engine, _verb), _verb))
WebSocket.push = _wrapped(WebSocket.push, "push")  # type: ignore[method-assign]
gevent.spawn(_count_greenlets)  # a worker loads this after the fork
