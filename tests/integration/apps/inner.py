"""An application behind the server, and a server that writes its events into a Redis list.

``GET /pid`` names the worker; ``GET /patched`` tells whether gevent had patched the process when
this module was imported; ``GET /stream?<path>`` sends one line at once and another when that
file exists. With ``EVENTS_URL`` and ``EVENTS_KEY`` each event is appended to that list, as
``name client_id [channel]``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gevent.monkey import is_module_patched
from redis import Redis

from faye_redis import WSGIAdapter

PATCHED = is_module_patched("socket")


def inner(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Inner", "yes")])
    path = environ["PATH_INFO"]
    if path == "/pid":
        return [str(os.getpid()).encode()]
    if path == "/patched":
        return [str(PATCHED).encode()]
    if path == "/stream":
        return lines(Path(environ["QUERY_STRING"]))
    return [f"{environ['REQUEST_METHOD']} {path}".encode(), environ["wsgi.input"].read()]


def lines(path: Path) -> Iterator[bytes]:
    yield b"one\n"
    while not path.exists():
        time.sleep(0.01)
    yield b"two\n"


application = WSGIAdapter(inner)

if "EVENTS_URL" in os.environ:
    events = Redis.from_url(os.environ["EVENTS_URL"])

    def append(*words: str) -> None:
        events.rpush(os.environ["EVENTS_KEY"], " ".join(words))

    for name in ("handshake", "subscribe", "unsubscribe", "disconnect"):
        application.on(name, partial(append, name))
