"""A page with the browser client, on a server that refuses some things.

``POST /kick?ID`` and ``POST /expire?ID`` do so to a client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from faye_redis import Attempt, Denied, Policy, WSGIAdapter

PAGE = b'<!doctype html><title>Page</title><script src="/bayeux/client.js"></script>'

policy = Policy()


@policy.handshake
def by_token(attempt: Attempt) -> str:
    token: str = attempt.take("token") or "anybody"
    if token == "stolen":
        raise Denied("This token is stolen")
    return token


@policy.publish("/locked/**")
def by_its_user(attempt: Attempt) -> bool:
    if attempt.user != "ann":
        raise Denied("Only ann: nobody else")
    return True


@policy.subscribe("/secret/**")
def nobody(attempt: Attempt) -> bool:
    return False


def site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "POST":
        removal = application.kick if environ["PATH_INFO"] == "/kick" else application.expire
        removal(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]


application = WSGIAdapter(site, {"policy": policy})
