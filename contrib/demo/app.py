"""The demo's web application: one page, and the Bayeux server around it.

``page.html`` speaks Bayeux by itself. Here an extension tells it which worker process it
talks to, so that one can see messages cross from one worker to the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faye_redis import WSGIAdapter

PAGE = (Path(__file__).parent / "page.html").read_bytes()


def site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve the page at ``/`` and nothing else."""
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"Not found\n"]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"),
                              ("Content-Length", str(len(PAGE)))])
    return [PAGE]


class ShowWorker:
    """Puts ``ext: {"worker": pid}`` into the replies to handshake and connect."""

    def outgoing(
        self,
        message: dict[str, Any],
        request: dict[str, Any] | None,
        callback: Callable[[dict[str, Any]], None],
    ) -> None:
        if message.get("channel") in ("/meta/handshake", "/meta/connect"):
            message.setdefault("ext", {})["worker"] = os.getpid()
        callback(message)


application = WSGIAdapter(
    site, {"mount": "/bayeux", "engine": {"type": "redis", "url": os.environ["FAYE_REDIS_URL"]}}
)
application.add_extension(ShowWorker())
