"""A small Bayeux client over bare HTTP that never stays with one server.

Every request goes to a node drawn at random, over a connection of its own: what passes here
needs no affinity of any kind. :class:`SocketClient` is its counterpart for one WebSocket.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.sync.client import connect as open_websocket

Message = dict[str, Any]

PATIENCE = 40
"""Seconds until a missing answer is an error."""


def request(
    url: str, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[http.client.HTTPResponse, str]:
    """One request over a new connection; return the response and its body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    try:
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        connection.request(method, target, body, {**(headers or {}), "Connection": "close"})
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def post(
    url: str, *messages: Message, headers: Mapping[str, str] | None = None
) -> list[Message]:
    """Send messages in one request over a new connection; return what comes back."""
    headers = {**(headers or {}), "Content-Type": "application/json"}
    response, body = request(url, "POST", json.dumps(messages), headers)
    assert response.status == 200, (response.status, body)
    answer: list[Message] = json.loads(body)
    return answer


def base36(number: int) -> str:
    """A message id as Faye's client counts."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits


class RawClient:
    """One client that polls.

    :param urls: the nodes, with the mount.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._numbers = itertools.count(1)
        self.received: list[Message] = []
        self.client_id = self.call({"channel": "/meta/handshake", "version": "1.0",
                                    "supportedConnectionTypes": ["long-polling"]})["clientId"]

    def send(self, *messages: Message) -> list[Message]:
        """Send messages to some node, with ids; record what was delivered; return the replies."""
        numbered = [{**message, "id": base36(next(self._numbers))} for message in messages]
        answer = post(random.choice(self._urls), *numbered)
        self.received += [message for message in answer if "data" in message]
        return [message for message in answer if "data" not in message]

    def call(self, message: Message) -> Message:
        """Send one message, which must succeed; return its reply."""
        (reply,) = self.send(message)
        assert reply["successful"], reply
        return reply

    def subscribe(self, *subscriptions: str) -> None:
        self.call({"channel": "/meta/subscribe", "clientId": self.client_id,
                   "subscription": list(subscriptions)})

    def publish(self, channel: str, data: Any) -> None:
        self.call({"channel": channel, "data": data, "clientId": self.client_id})

    def publish_all(self, channel: str, items: Sequence[Any]) -> None:
        """Publish several in one request."""
        replies = self.send(*({"channel": channel, "data": item, "clientId": self.client_id}
                              for item in items))
        assert [reply["successful"] for reply in replies] == [True] * len(items), replies

    def connect(self, hold: bool = True) -> None:
        """One ``/meta/connect``.

        :param hold: wait for messages as long as the server likes; else be answered at once.
        """
        message = {"channel": "/meta/connect", "clientId": self.client_id,
                   "connectionType": "long-polling"}
        self.call(message if hold else {**message, "advice": {"timeout": 0}})

    def poll_until(self, done: Callable[[], bool]) -> None:
        """Connect again and again until ``done``."""
        while not done():
            self.connect()

    def data(self, channel: str) -> list[Any]:
        return [message["data"] for message in self.received if message["channel"] == channel]

    def disconnect(self) -> None:
        self.call({"channel": "/meta/disconnect", "clientId": self.client_id})


class SocketClient:
    """A client of :class:`RawClient` whose connects go over one WebSocket.

    :param client: shakes hands and subscribes anywhere.
    :param stack: closes the socket and ends the reading at its exit.
    """

    def __init__(self, client: RawClient, url: str, stack: ExitStack) -> None:
        self.received: list[Message] = []
        self._client = client
        self._numbers = itertools.count(1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        stack.callback(self._reader.join, PATIENCE)
        self._socket = stack.enter_context(
            open_websocket(url.replace("http://", "ws://"), proxy=None)
        )
        self._connect()
        self._reader.start()

    def _connect(self) -> None:
        message = {"channel": "/meta/connect", "clientId": self._client.client_id,
                   "connectionType": "websocket", "id": f"w{base36(next(self._numbers))}"}
        self._socket.send(json.dumps(message))

    def _read(self) -> None:
        for text in self._socket:
            for message in json.loads(text):
                if "data" in message:
                    self.received.append(message)
                else:
                    assert message["successful"], message
                    self._connect()

    def data(self, channel: str) -> list[Any]:
        return [message["data"] for message in list(self.received)
                if message["channel"] == channel]
