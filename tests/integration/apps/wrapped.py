"""The server inside a middleware, which sees every request and tells how many there were."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.workers.ggevent import GeventWorker

from faye_redis import WSGIAdapter

adapter = WSGIAdapter()
seen = 0


def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    global seen
    seen += 1
    if environ["PATH_INFO"] == "/seen":
        return tell(seen, start_response)
    return adapter(environ, start_response)


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """``GET /parsed``: how many requests gunicorn has parsed."""
    [worker] = [one for one in gc.get_objects() if isinstance(one, GeventWorker)]
    return tell(worker.nr, start_response)


def tell(number: int, start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", str(len(str(number))))])
    return [str(number).encode()]


class Middleware:
    """It has an attribute as Flask's application object has."""

    def __init__(self) -> None:
        self.wsgi_app = WSGIAdapter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        global seen
        seen += 1
        if environ["PATH_INFO"] == "/seen":
            return tell(seen, start_response)
        return self.wsgi_app(environ, start_response)


wrapper = Middleware()
outermost = WSGIAdapter(bare)
