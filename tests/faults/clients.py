"""Clients that behave as npm's faye does, unmodified, in greenlets; each keeps to one transport.

Ids of messages count up. A message without an answer is sent again with the same id. Every request
and every socket goes to a node drawn at random. A client that the server does not know any more
shakes hands and subscribes again.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import socket
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit

import gevent

from .ledger import Ledger
from .websocket import Socket

Message = dict[str, Any]

BROKEN = (OSError, http.client.HTTPException, ValueError)
"""What a broken network looks like."""
_ANSWER_SECONDS = 4.0  # beyond what a connect is held
_PAUSE_SECONDS = 0.5
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """A message id as Faye's client counts."""
    digits = _DIGITS[number % 36]
    while number := number // 36:
        digits = _DIGITS[number % 36] + digits
    return digits


class Unknown(Exception):
    """The server advises to shake hands."""


class Site:
    """Where the clients' requests go.

    :param urls: the nodes, with the mount.
    """

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self._urls = urls
        self.rng = rng
        self.timeout = 30.0
        """Seconds that a connect may be held, as the server advises."""

    def url(self) -> str:
        return self.rng.choice(self._urls)

    def post(self, message: Message) -> list[Message]:
        """:raises BROKEN: no answer, or one that is none of Bayeux."""
        with closing(self.connection()) as connection:
            return self.post_by(connection, message)

    def post_by(
        self, connection: http.client.HTTPConnection, message: Message
    ) -> list[Message]:
        """As ``post``, by a connection that may be used again."""
        headers = {"Content-Type": "application/json"}
        return self._request(connection, "POST", "", json.dumps([message]), headers)

    def jsonp(self, message: Message) -> list[Message]:
        """As ``post``, by callback-polling."""
        query = urlencode({"message": json.dumps([message]), "jsonp": "cb"})
        with closing(self.connection()) as connection:
            return self._request(connection, "GET", f"?{query}", None, {})

    def connection(self) -> http.client.HTTPConnection:
        """A new one, to some node."""
        parts = urlsplit(self.url())
        return http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=self.timeout + _ANSWER_SECONDS)

    def _request(
        self, connection: http.client.HTTPConnection, method: str, query: str, body: str | None,
        headers: dict[str, str],
    ) -> list[Message]:
        path = urlsplit(self._urls[0]).path
        connection.request(method, path + query, body, headers)
        text = connection.getresponse().read().decode()
        text = text.removeprefix("/**/cb(").removesuffix(");")
        replies: list[Message] = json.loads(text)
        return replies


class Client:
    """One client of one channel; ``run`` is its life.

    :param name: unique, for the ledger.
    :param patterns: what it subscribes to, if that is not just the channel.
    """

    connection_type = "long-polling"

    def __init__(
        self, site: Site, ledger: Ledger, name: str, channel: str, patterns: Sequence[str] = ()
    ) -> None:
        self.site = site
        self.ledger = ledger
        self.name = name
        self.channel = channel
        self._subscription = list(patterns) or channel
        self.client_id = ""
        self.stopped = False
        self.subscribed = False
        self._numbers = itertools.count(1)

    # Life

    def run(self) -> None:
        while not self.stopped:
            try:
                self._begin()
                while not self.stopped:
                    self.step()
            except Unknown:
                if self.stopped:
                    return  # it has left itself
                self.ledger.session_lost(self.name, monotonic())
            finally:
                self.end_transport()

    def _begin(self) -> None:
        self.client_id = ""
        reply = self.exchange({"channel": "/meta/handshake", "version": "1.0",
                               "supportedConnectionTypes": [self.connection_type]})
        self.client_id = reply["clientId"]
        self.site.timeout = reply["advice"]["timeout"] / 1000
        self.exchange({"channel": "/meta/subscribe", "subscription": self._subscription})
        self.ledger.subscribed(self.name, self.channel, monotonic())
        self.subscribed = True

    def leave(self) -> None:
        """Say good-bye, if the server can be told."""
        self.stopped = True
        self.ledger.left(self.name, monotonic())
        with suppress(*BROKEN):
            self.send({"channel": "/meta/disconnect", "clientId": self.client_id,
                       "id": self.next_id()})

    # Messages

    def next_id(self) -> str:
        return base36(next(self._numbers))

    def connect_message(self) -> Message:
        return {"channel": "/meta/connect", "clientId": self.client_id, "id": self.next_id(),
                "connectionType": self.connection_type}

    def exchange(self, message: Message) -> Message:
        """Send a message, again and again until it has succeeded; take what comes with it.

        :raises Unknown: see there.
        """
        message = {**message, "id": message.get("id") or self.next_id()}
        if self.client_id:
            message["clientId"] = self.client_id
        while True:
            reply = self._try(message)
            if reply or self.stopped:
                return reply or {"clientId": "", "advice": {"timeout": 0}}

    def _try(self, message: Message) -> Message | None:
        try:
            replies = self.send(message)
        except BROKEN:
            self.pause()
            return None
        return self.take(replies, message["id"])

    def send(self, message: Message) -> list[Message]:
        return self.site.post(message)

    def take(self, replies: list[Message], wanted: str) -> Message | None:
        """Note what was delivered; return the reply to the message with this id, if it succeeded.

        :raises Unknown: it failed for that reason.
        """
        found = None
        for reply in replies:
            if "successful" in reply:
                if reply.get("id") == wanted:
                    found = reply
            else:
                data = reply["data"]
                self.ledger.received(self.name, data["p"], data["n"], monotonic())
        if found is not None and not found["successful"]:
            if (found.get("advice") or {}).get("reconnect") == "handshake" or (
                    found["error"].startswith("401")):
                raise Unknown
            self.pause((found.get("advice") or {}).get("interval", 0) / 1000)
            return None
        return found

    def pause(self, seconds: float = 0) -> None:
        gevent.sleep(max(seconds, _PAUSE_SECONDS) * self.site.rng.uniform(0.8, 1.2))

    # What a transport does in its own way

    def step(self) -> None:
        """One connect."""
        reply = self.exchange(self.connect_message())
        interval = (reply.get("advice") or {}).get("interval", 0)
        if interval and not self.stopped:
            gevent.sleep(interval / 1000)

    def end_transport(self) -> None:
        """Close what is open."""


class PersistentClient(Client):
    """Polls by one connection as long as that lasts."""

    _connection: http.client.HTTPConnection | None = None

    def send(self, message: Message) -> list[Message]:
        if message["channel"] == "/meta/disconnect":  # a connect may be held
            return super().send(message)
        self._connection = self._connection or self.site.connection()
        try:
            return self.site.post_by(self._connection, message)
        except BROKEN:
            self.end_transport()
            raise

    def end_transport(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class JsonpClient(Client):
    connection_type = "callback-polling"

    def send(self, message: Message) -> list[Message]:
        return self.site.jsonp(message)


class SocketClient(Client):
    """Connects go by a WebSocket, which stays."""

    connection_type = "websocket"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._socket: Socket | None = None
        self._pending: Message | None = None

    def step(self) -> None:
        """Open the socket if there is none, connect if no connect is held, and read on."""
        try:
            if self._socket is None:
                self._socket = Socket(self.site.url())
                self._ask()
            self._read()
        except BROKEN:
            self.end_transport()
            self.pause()

    def _ask(self) -> None:
        self._pending = self._pending or self.connect_message()
        self._pending["clientId"] = self.client_id
        self._due = monotonic() + self.site.timeout + _ANSWER_SECONDS
        assert self._socket
        self._socket.send(json.dumps([self._pending]))

    def _read(self) -> None:
        assert self._pending and self._socket
        replies = json.loads(self._socket.recv(timeout=max(self._due - monotonic(), 0.01)))
        answered = [one for one in replies if one.get("id") == self._pending["id"]]
        try:
            reply = self.take(replies, self._pending["id"])
        except Unknown:
            self._pending = None
            raise
        if reply:
            self._pending = None
            interval = (reply.get("advice") or {}).get("interval", 0)
            if interval:
                gevent.sleep(interval / 1000)
        if answered:
            self._ask()

    def end_transport(self) -> None:
        if self._socket is not None:
            sock, self._socket = self._socket, None
            with suppress(*BROKEN):
                sock.close()
            for text in sock.left():  # it has arrived, and a browser would have handled it
                super().take(json.loads(text), "")


class EventSourceClient(Client):
    """Messages come by a stream, connects go by requests; the browser opens the stream again."""

    connection_type = "eventsource"
    _RETRY_SECONDS = 1.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._reader: Any = None
        self._sock: socket.socket | None = None
        self._last_event_id = ""

    def step(self) -> None:
        if self._reader is None:
            self._last_event_id = ""
            self._reader = gevent.spawn(self._listen, self.client_id)
        reply = self.exchange(self.connect_message())
        interval = (reply.get("advice") or {}).get("interval", 0) / 1000
        until = monotonic() + interval
        while monotonic() < until and not self.stopped:
            gevent.sleep(0.2)

    def _listen(self, client_id: str) -> None:
        """A browser opens a stream again when it breaks, but not after another answer than 200:
        then it stays deaf, and the client does not notice."""
        while not self.stopped:
            with suppress(*BROKEN):
                if not self._stream(client_id):
                    return
            gevent.sleep(self._RETRY_SECONDS)

    def _stream(self, client_id: str) -> bool:
        parts = urlsplit(self.site.url())
        self._sock = socket.create_connection((str(parts.hostname), parts.port or 80), 5)
        self._sock.settimeout(25)  # a comment comes every 10 seconds
        last = f"Last-Event-ID: {self._last_event_id}\r\n" if self._last_event_id else ""
        self._sock.sendall(f"GET {parts.path}/{client_id} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                           f"Accept: text/event-stream\r\n{last}\r\n".encode())
        with self._sock, self._sock.makefile("r", encoding="utf-8", newline="\n") as lines:
            status = lines.readline()
            if " 200 " in status:
                self._read_events(lines)
        return not status or " 200 " in status

    def _read_events(self, lines: Any) -> None:
        id = data = ""
        for line in lines:
            if not line.endswith("\n"):
                return  # an event that is cut is none
            line = line.rstrip("\r\n")
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                data += line[6:]
            elif not line and data:
                self._last_event_id = id
                self.take(json.loads(data), "")
                data = ""

    def end_transport(self) -> None:
        if self._reader is not None:
            self._reader.kill()
            self._reader = None
        if self._sock is not None:
            with suppress(OSError):
                self._sock.close()


class HoppingClient(SocketClient):
    """Goes from WebSocket to polling and back, each second, in good order."""

    _hopping = False

    def step(self) -> None:
        until = monotonic() + 1
        while monotonic() < until and not self.stopped:
            super().step()
        self._hop()

    def _hop(self) -> None:
        self._pending = None
        self._hopping = True
        self.exchange({**self.connect_message(), "connectionType": "long-polling",
                       "advice": {"timeout": 300}})
        self._hopping = False
        self.end_transport()

    def take(self, replies: list[Message], wanted: str) -> Message | None:
        """What came by the socket before the poll took over was sent before."""
        if self._hopping and self._socket is not None:
            with suppress(*BROKEN):
                while True:
                    super().take(json.loads(self._socket.recv(timeout=0.05)), "")
        return super().take(replies, wanted)


class Publisher:
    """Publishes to one channel after the other, each message when the one before is answered.

    :param rate: messages per second.
    """

    def __init__(self, site: Site, ledger: Ledger, number: int, channels: Sequence[str],
                 rate: float) -> None:
        self._site = site
        self._ledger = ledger
        self._number = number
        self._channels = channels
        self._pause = 1 / rate
        self._client_id = f"publisher{number}x{uuid.uuid4().hex[:8]}"
        self._numbers = itertools.count()
        self.stopped = False
        self.slowest = 0.0
        """Seconds that the slowest answer took that came at all."""

    def run(self) -> None:
        gevent.sleep(self._site.rng.uniform(0, self._pause))
        while not self.stopped:
            began = monotonic()
            self._publish(next(self._numbers))
            gevent.sleep(max(0.0, began + self._pause - monotonic()))

    def _publish(self, number: int) -> None:
        channel = self._channels[number % len(self._channels)]
        message = {"channel": channel, "id": f"{self._number}-{number}",
                   "data": {"p": self._number, "n": number, "pad": "x" * 100}}
        began = monotonic()
        self._ledger.publishing(self._number, number, began)
        while monotonic() - began < 30:
            with suppress(*BROKEN):
                tried = monotonic()
                reply = self._site.post({**message, "clientId": self._client_id})[0]
                self.slowest = max(self.slowest, monotonic() - tried)
                if reply["successful"]:
                    self._ledger.acknowledged(self._number, number, channel)
                return
            gevent.sleep(_PAUSE_SECONDS)


KINDS = {"websocket": SocketClient, "poll": Client, "persistent": PersistentClient,
         "jsonp": JsonpClient, "eventsource": EventSourceClient, "hopping": HoppingClient}
