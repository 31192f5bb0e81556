"""What callback-polling answers: a script that calls one function with the replies."""

from __future__ import annotations

import io
import random
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import orjson

from faye_redis.bayeux.pending import PendingReply
from faye_redis.errors import BadRequest
from faye_redis.transports.cookies import BrowserCookie
from faye_redis.transports.cors import Cors
from faye_redis.transports.http import HttpTransport

from .finding import expect, no_error_logged
from .values import Source, damaged, joined, request
from .world import World, numbered_clients

_CALLBACKS = ("jsonpcallback", "__jsonp1__", "$", "_", "a", ".", "b2", "2", "[0]", "(", ")", ";",
              "this", "new", "class", "alert(1)//", "\u00e9", "\n", " ", "\x00", "<", "*/",
              "\u2028", "x" * 60, "Faye", "cometd")
_PUSHED = '{"channel":"/a","data":"</script>\u2028\u2029<!--*/ \\u003c"}'.encode()
_PREFIX = b"/**/"
_HEADERS = {"Content-Type": "text/javascript; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": "attachment; filename=f.txt"}
_IDENTIFIER = re.compile(r"[a-zA-Z_$][a-zA-Z_$0-9]*\Z")
_LONGEST = 64
# ECMA-262, 12.7.2, and what strict mode and await add.
_RESERVED = frozenset("""
    await break case catch class const continue debugger default delete do else enum export extends
    false finally for function if implements import in instanceof interface let new null package
    private protected public return static super switch this throw true try typeof var void while
    with yield""".split())

Answer = tuple[dict[str, str], bytes]


class _Connections:
    """Answers every connect at once with a message that is meant to leave the script."""

    def __init__(self, world: World) -> None:
        self._engine = world.engine

    def poll(self, pending: PendingReply, hold: bool, sock: Any) -> list[bytes]:
        self._engine.touch(pending.client_id)
        return pending.finish([_PUSHED])


def generate(source: Source) -> str:
    """A query string."""
    if source.ConsumeIntInRange(0, 7) == 7:
        return source.ConsumeBytes(source.remaining_bytes()).decode("latin-1")
    callback = joined(source, _CALLBACKS, 4).encode("utf-8", "surrogatepass")
    fields = {"jsonp": callback, "message": request(source)}
    if source.ConsumeBool():
        del fields["jsonp"]
    query = urlencode(fields, quote_via=quote).encode()
    return (damaged(source, query) if source.ConsumeBool() else query).decode("latin-1")


def check(query: str) -> list[str]:
    """The same fields in a form are answered with the same replies as plain JSON."""
    with no_error_logged():
        script, plain = _answer("GET", query), _answer("POST", query)
    if isinstance(plain, int):
        expect(script in (plain, 400), "refused otherwise than a form", script, plain)
        return [f"refused {plain}"]
    if isinstance(script, int):
        expect(script == 400 and not is_callback(_requested(query)), "callback refused", query)
        return ["callback refused"]
    headers, body = script
    expect(_HEADERS.items() <= headers.items(), headers)
    callback, json = _taken_apart(body)
    expect(callback == _requested(query) and is_callback(callback), callback)
    expect(orjson.loads(json) == orjson.loads(plain[1]), json, plain[1])
    return ["pushed" if _PUSHED in plain[1] else "answered"]


def _answer(method: str, query: str) -> Answer | int:
    """Headers and body from a server of its own, or the status of the refusal."""
    random.seed(0)  # what clients are advised is random
    with numbered_clients():
        world = World()
        connections: Any = _Connections(world)
        http = HttpTransport(world.server, connections, world.settings, Cors(None),
                             BrowserCookie(False, "/"))
        environ = {"REQUEST_METHOD": method, "SERVER_PROTOCOL": "HTTP/1.1",
                   "QUERY_STRING": query if method == "GET" else "",
                   "wsgi.input": io.BytesIO(query.encode("latin-1"))}
        found: dict[str, str] = {}
        try:
            body = (http.get if method == "GET" else http.post)(
                environ, lambda status, headers: found.update(headers))
        except BadRequest as problem:
            return problem.status
    return found, b"".join(body)


def _requested(query: str) -> str:
    return parse_qs(query.encode("latin-1").decode(), errors="strict").get(
        "jsonp", ["jsonpcallback"])[0]


def is_callback(name: str) -> bool:
    """Is it a name, or names joined by dots, that a script may call?"""
    first, *properties = name.split(".")
    return len(name) <= _LONGEST and first not in _RESERVED and all(
        _IDENTIFIER.match(part) for part in (first, *properties))


def _taken_apart(body: bytes) -> tuple[str, bytes]:
    """Callback and JSON of ``/**/callback(JSON);``, in which nothing ends the script."""
    expect(body.startswith(_PREFIX) and body.endswith(b");"), body)
    script = body[len(_PREFIX) :]
    for mark in ("<", "*/", "\u2028", "\u2029"):
        expect(mark.encode() not in script, mark, body)
    callback, _, rest = script.partition(b"(")
    return callback.decode("ascii"), rest[:-2]
