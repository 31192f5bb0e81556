"""The demo's web application: one page, and the Bayeux server around it.

``client.js`` speaks Bayeux by itself. Here an extension tells the page which worker process it
talks to, so that one can see messages cross from one worker to the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faye_redis import WSGIAdapter

HERE = Path(__file__).parent
FILES = {
    "/": ("text/html; charset=utf-8", (HERE / "page.html").read_bytes()),
    "/client.js": ("text/javascript; charset=utf-8", (HERE / "client.js").read_bytes()),
}
"""Path -> type and content of all that there is."""

NOT_FOUND = ("text/plain; charset=utf-8", b"Not found\n")


def site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve ``FILES`` and nothing else."""
    found = FILES.get(environ["PATH_INFO"])
    kind, content = found or NOT_FOUND
    start_response("200 OK" if found else "404 Not Found",
                   [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]


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
