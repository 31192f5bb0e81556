"""Visitors of ``contrib/examples/auth``: browsers with a session or without, on every transport."""

from __future__ import annotations

import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from parity import EventStream, parse_body
from raw_client import PATIENCE, Message, base36, post, request
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

EXAMPLE = Path(__file__).resolve().parents[2] / "contrib" / "examples" / "auth"
SECRET = "of the tests"
NAMESPACE = f"test-{uuid.uuid4().hex[:12]}"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MOUNT = "/bayeux"

UNKNOWN = "401:{}:Unknown client"
END = {"from": "bob", "text": "end"}

Headers = Mapping[str, str]


# One message by each transport

def by_json(url: str, headers: Headers, message: Message) -> list[Message]:
    return post(url, message, headers=headers)


def by_form(url: str, headers: Headers, message: Message) -> list[Message]:
    body = urlencode({"message": json.dumps(message)})
    return _answer(url, "POST", body, {**headers, **FORM})


def by_jsonp(url: str, headers: Headers, message: Message) -> list[Message]:
    query = urlencode({"message": json.dumps(message), "jsonp": "cb"})
    callback, *answer = _answer(f"{url}?{query}", "GET", None, headers)
    assert callback == {"callback": "cb"}
    return answer


def _answer(url: str, method: str, body: str | None, headers: Headers) -> list[Message]:
    response, text = request(url, method, body, headers)
    assert response.status == 200, (response.status, text)
    answer: list[Message] = parse_body(response.getheader("Content-Type", ""), text.encode())
    return answer


def by_websocket(url: str, headers: Headers, message: Message) -> list[Message]:
    with _websocket(url, headers) as socket:
        socket.send(json.dumps(message))
        answer: list[Message] = json.loads(socket.recv(PATIENCE))
        return answer


def _websocket(url: str, headers: Headers) -> Any:
    return open_websocket(url.replace("http://", "ws://"), additional_headers=headers, proxy=None)


SENDERS = {"json": by_json, "form": by_form, "jsonp": by_jsonp, "websocket": by_websocket}


# All that comes by each transport, until the server ends it

def connects(client_id: str, connection_type: str) -> Iterator[Message]:
    for number in itertools.count(1):
        yield {"channel": "/meta/connect", "clientId": client_id, "id": f"c{base36(number)}",
               "connectionType": connection_type}


def polls(send: Callable[..., list[Message]], connection_type: str) -> Callable[..., Any]:
    def listen(url: str, headers: Headers, client_id: str) -> Iterator[Message]:
        for message in connects(client_id, connection_type):
            answer = send(url, headers, message)
            yield from answer
            if not goes_on(answer):
                return
    return listen


def goes_on(answer: list[Message]) -> bool:
    return all(one["advice"]["reconnect"] == "retry" for one in answer if "advice" in one)


def socket_messages(url: str, headers: Headers, client_id: str) -> Iterator[Message]:
    with _websocket(url, headers) as socket, suppress(ConnectionClosed):
        for message in connects(client_id, "websocket"):
            socket.send(json.dumps(message))
            answered = False
            while not answered:
                answer = json.loads(socket.recv(PATIENCE))
                yield from answer
                answered = any(one["channel"] == "/meta/connect" for one in answer)


def stream_messages(url: str, headers: Headers, client_id: str) -> Iterator[Message]:
    host = url.removesuffix(MOUNT)
    with closing(EventStream(host, f"{MOUNT}/{client_id}", headers)) as stream:
        for line in stream.response:
            if line.startswith(b"data: "):
                yield from json.loads(line[6:])


LISTENERS: dict[str, Callable[..., Iterator[Message]]] = {
    "websocket": socket_messages,
    "eventsource": stream_messages,
    "long-polling": polls(by_json, "long-polling"),
    "callback-polling": polls(by_jsonp, "callback-polling"),
}


class Ear(threading.Thread):
    """Listens in the background until the server ends it."""

    def __init__(self, transport: str, visitor: Visitor, client_id: str) -> None:
        super().__init__(daemon=True)
        self.client_id = client_id
        self.received: list[Message] = []
        self._visitor = visitor
        self._messages = LISTENERS[transport](visitor.mount, dict(visitor.headers), client_id)
        self.start()

    def run(self) -> None:
        for message in self._messages:
            self.received.append(message)

    def data(self, channel: str) -> list[Any]:
        """What was published to a channel."""
        return [message["data"] for message in list(self.received)
                if message["channel"] == channel and "data" in message]

    def all_data(self) -> list[Any]:
        """What was published to any."""
        return [message["data"] for message in list(self.received) if "data" in message]

    def leave(self) -> None:
        """Say goodbye, and wait for the end."""
        goodbye = self._visitor.call({"channel": "/meta/disconnect", "clientId": self.client_id})
        assert goodbye["successful"], goodbye
        self.join(PATIENCE)


Listen = Callable[..., Ear]
"""Visitor, transport, subscriptions -> a client of the visitor's, listening."""


class Visitor:
    """A browser at the example: no session at first.

    :param url: of the example, without a trailing slash.
    """

    def __init__(self, url: str, user: str | None = None) -> None:
        self._url = url
        self.mount = url + MOUNT
        self.headers: dict[str, str] = {}
        self.token = ""
        if user:
            assert self.form("/sign-in", name=user, password=PASSWORDS[user]) == 302
            self.token = self._token()

    def form(self, path: str, **fields: str) -> int:
        """Send a form; take the cookie that comes back, and return the status."""
        response, _ = request(
            self._url + path, "POST", urlencode(fields), {**self.headers, **FORM})
        if cookie := response.getheader("Set-Cookie"):
            value = cookie.partition(";")[0]
            self.headers = {"Cookie": value} if value != "session=" else {}
        return response.status

    def _token(self) -> str:
        _, page = request(self._url + "/", headers=self.headers)
        found = re.search(r'const token = "([^"]+)"', page)
        assert found, page
        return found[1]

    def send(self, message: Message, transport: str = "json") -> list[Message]:
        return SENDERS[transport](self.mount, self.headers, message)

    def call(self, message: Message, transport: str = "json") -> Message:
        """The reply, which may be a refusal, to one message."""
        (reply,) = self.send(message, transport)
        return reply

    def handshake(self, transport: str = "json", token: str | None = None) -> Message:
        return self.call(handshake(self.token if token is None else token), transport)

    def client(self, *subscriptions: str) -> str:
        """The id of a new client."""
        client_id: str = self.handshake()["clientId"]
        if subscriptions:
            assert self.subscribe(client_id, list(subscriptions))["successful"]
        return client_id

    def subscribe(self, client_id: str, subscription: Any) -> Message:
        return self.call({"channel": "/meta/subscribe", "clientId": client_id,
                          "subscription": subscription})

    def publish(self, client_id: str, channel: str, data: Any) -> list[Message]:
        return self.send({"channel": channel, "data": data, "clientId": client_id})


def handshake(token: str) -> Message:
    message: Message = {"channel": "/meta/handshake", "version": "1.0",
                        "supportedConnectionTypes": ["websocket", "long-polling"]}
    return {**message, "ext": {"token": token}} if token else message


def said(reply: Message) -> tuple[bool, str | None, str]:
    """Successful, error, advice."""
    return reply["successful"], reply.get("error"), reply["advice"]["reconnect"]
