"""A server whose application fails in every place where user code runs, and whose data is secret.

``POST /down`` and others outside the mount answer 200 with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from faye_redis import Attempt, Denied, Policy, WSGIAdapter

policy = Policy()


@policy.handshake
def by_token(attempt: Attempt) -> str:
    if not attempt.take("token"):
        raise Denied("No token")
    return "ann"


@policy.publish("/fails/rule")
def fails(attempt: Attempt) -> bool:
    raise RuntimeError("a rule failed")


class Extension:
    """Fails on some channels."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __repr__(self) -> str:
        return f"Extension({self.seen})"

    def incoming(self, message: Any, request: Any, callback: Callable[[Any], None]) -> None:
        self.seen.append((message, request))
        channel = message.get("channel")
        if channel == "/fails/extension":
            raise RuntimeError("an extension failed")
        if channel == "/fails/json":
            message["data"] = {"no json": object(), "data": message["data"]}
        callback(str(message) if channel == "/fails/type" else message)


def site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


application = WSGIAdapter(site, {
    "policy": policy, "extensions": [Extension()], "bind_clients": "cookie",
    "allowed_origins": ["https://example.org"]})


@application.service("/service/fails")
def service(attempt: Attempt) -> None:
    raise RuntimeError("a handler failed")


def listener(*args: Any) -> None:
    raise RuntimeError("a listener failed")


application.on("publish", listener)
