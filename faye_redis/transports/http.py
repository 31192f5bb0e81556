"""Transports that are single requests: long-polling, cross-origin-long-polling, callback-polling.

====================================  ============================================
POST with ``application/json``        the body is the message or messages
POST with any other Content-Type      form field ``message``
GET                                   query fields ``message`` and ``jsonp``
====================================  ============================================

The answer to a request that could be read is 200 and an array of replies, whatever they say:
clients take any other status for a failure of the transport. Statuses, headers and bodies are
those of Faye's Node adapter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from ..bayeux.channels import is_handshake
from ..bayeux.limits import ClientRates, Rate
from ..bayeux.messages import parse
from ..concurrency import deadline, monotonic
from ..errors import BadRequest, Superseded
from .cookies import BrowserCookie
from .cors import Cors
from .responses import NO_CACHE, NO_SNIFF, Environ, Headers, StartResponse, respond
from .sockets import raw_socket

if TYPE_CHECKING:
    from ..bayeux.pending import PendingReply
    from ..bayeux.server import BayeuxServer
    from ..connections import Connections
    from ..settings import Settings

_READ: Final = "faye_redis.body_is_read"  # in an environ

DEFAULT_CALLBACK: Final = "jsonpcallback"
_CALLBACK: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*")
_CALLBACK_LIMIT: Final = 64
_WORDS: Final = (
    "await break case catch class const continue debugger default delete do else enum export "
    "extends false finally for function if implements import in instanceof interface let new "
    "null package private protected public return static super switch this throw true try "
    "typeof var void while with yield"
)
_RESERVED: Final = frozenset(_WORDS.split())

# Legal in JSON but not in a script, or able to end one.
_SCRIPT_ESCAPES: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"),
                          (b"<", b"\\u003c"), (b"*/", b"*\\/"))


class Poll:
    """How one HTTP request serves ``/meta/connect``: it waits for the answer."""

    __slots__ = ("_address", "_connections", "_hold", "_rates", "_server", "_sock")

    def __init__(
        self, server: BayeuxServer, connections: Connections, hold: bool, environ: Environ,
        rates: ClientRates,
    ) -> None:
        self._server = server
        self._connections = connections
        self._hold = hold
        self._sock = raw_socket(environ)
        self._address: str = environ.get("REMOTE_ADDR", "")
        self._rates = rates

    def admit(self, client_id: object) -> bool:
        """By the client; what comes from none that exists, by the address."""
        if self._server.knows(client_id):
            return self._rates.admit(client_id)
        return self._rates.admit(self._address)

    def connect(self, pending: PendingReply) -> list[bytes]:
        """:raises UnknownClient, Superseded: see ``Connections.poll``."""
        return self._connections.poll(pending, self._hold, self._sock)

    def disconnected(self, client_id: str) -> None:
        """Nothing to close: the request ends with its replies."""


class HttpTransport:
    """Serves POST and GET requests."""

    def __init__(
        self, server: BayeuxServer, connections: Connections, settings: Settings, cors: Cors,
        cookie: BrowserCookie,
    ) -> None:
        self._server = server
        self._connections = connections
        self._settings = settings
        self._cors = cors
        self._cookie = cookie
        self._rates = ClientRates(Rate(settings.max_message_rate), monotonic)

    def post(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """long-polling and cross-origin-long-polling.

        :raises BadRequest: the origin, the body or what is in it is refused.
        """
        self._cors.check(environ)
        body = read_body(environ, self._settings)
        content_type = environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower()
        message = body if content_type == "application/json" else _form_message(body)
        replies, more = self._process(message, environ)
        headers = [("Content-Type", "application/json; charset=utf-8"), NO_CACHE, NO_SNIFF, *more]
        return respond(start_response, 200, headers, replies)

    def get(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """callback-polling: the answer is a script that calls the ``jsonp`` function.

        :raises BadRequest: the page, the callback or the message is refused.
        """
        self._cors.check_script(environ)
        fields = _fields(environ.get("QUERY_STRING", "").encode("latin-1"))
        callback = _callback(fields.get("jsonp") or DEFAULT_CALLBACK)
        replies, more = self._process(_message(fields), environ)
        for raw, escaped in _SCRIPT_ESCAPES:
            replies = replies.replace(raw, escaped)
        headers = [("Content-Type", "text/javascript; charset=utf-8"), NO_CACHE, NO_SNIFF,
                   ("Content-Disposition", "attachment; filename=f.txt"), *more]
        # The comment keeps plug-ins from taking the answer for a file of theirs by its start.
        script = b"/**/%s(%s);" % (callback.encode("ascii"), replies)
        return respond(start_response, 200, headers, script)

    def _process(self, data: bytes | str, environ: Environ) -> tuple[bytes, Headers]:
        """The replies as an array, and the headers that go with them."""
        limits = self._settings
        messages = parse(data, limits.max_message_size, limits.max_batch, limits.max_depth)
        cookie = self._cookie.give(environ) if any(map(is_handshake, messages)) else []
        poll = Poll(self._server, self._connections, len(messages) == 1, environ, self._rates)
        replies: list[bytes] = []
        try:
            for message in messages:
                replies += self._server.process(message, environ, poll)
        except Superseded:
            # The newer request gets the answer. Ends the call and the connection without a
            # response; gunicorn's way to say so.
            raise StopIteration from None
        return b"[" + b",".join(replies) + b"]", [*self._cors.headers(environ), *cookie]


def read_body(environ: Environ, settings: Settings) -> bytes:
    """Read the body of a request.

    :param settings: uses max_message_size, beyond which never more than a byte is read, and
        body_timeout: gunicorn sets no limit.
    :raises BadRequest: status 413 too long, 408 too slow, 415 encoded, 400 unreadable.
    """
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise BadRequest("Content-Encoding is not supported", 415)
    if environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
        raise BadRequest("a Transfer-Encoding besides chunked is not supported", 415)
    length, limit = environ.get("CONTENT_LENGTH") or "0", settings.max_message_size
    too_long = BadRequest(f"the body is longer than max_message_size, {limit} bytes", 413)
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_long
    body = _read(environ["wsgi.input"], limit + 1, settings.body_timeout)
    if len(body) > limit:
        raise too_long
    environ[_READ] = True
    if length.isdecimal() and "HTTP_TRANSFER_ENCODING" not in environ and len(body) < int(length):
        raise BadRequest("the body ended before its Content-Length")  # RFC 9112, 8
    return body


def has_unread_body(environ: Environ) -> bool:
    """Is there a body that has not been read to its end?"""
    declared = environ.get("CONTENT_LENGTH") not in (None, "", "0")
    return (declared or "HTTP_TRANSFER_ENCODING" in environ) and _READ not in environ


def _read(stream: Any, size: int, seconds: float) -> bytes:
    if isinstance(stream, BytesIO):
        return stream.read(size)  # it is all there
    try:
        with deadline(seconds):
            return bytes(stream.read(size))
    except TimeoutError:
        raise BadRequest(f"the body took longer than body_timeout, {seconds:g} s", 408) from None
    except Exception as error:  # whatever the server's parser makes of a cut or bad body
        raise BadRequest(f"unreadable body: {type(error).__name__}") from error


def _fields(data: bytes) -> dict[str, str]:
    try:
        text = data.decode("utf-8")
        fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise BadRequest(f"unreadable form: {error}") from None
    return {name: values[0] for name, values in fields.items()}


def _message(fields: dict[str, str]) -> str:
    if "message" not in fields:
        raise BadRequest("request with no message (JSON needs Content-Type: application/json)")
    return fields["message"]


def _form_message(body: bytes) -> str:
    return _message(_fields(body))


def _callback(name: str) -> str:
    valid = len(name) <= _CALLBACK_LIMIT and _CALLBACK.fullmatch(name)
    if not valid or name.split(".")[0] in _RESERVED:
        raise BadRequest(f"invalid JSON-P callback {name[:_CALLBACK_LIMIT]!r}")
    return name
