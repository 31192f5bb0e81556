"""Sends the same protocol steps to two servers and says what each answered, in comparable form.

A :class:`Case` (the table of them is in ``parity_cases.py``) is a list of steps. ``$name`` in a
path or a body stands for the client id that an earlier step saved under ``name``. Observations
are plain values; client ids in them are turned back into ``$name``, headers are reduced to those
that clients and browsers act upon, JSON and JSON-P bodies are parsed.

Where this server differs from Faye on purpose, that is data too: :data:`RULES` for what differs
in every answer of a kind, ``Case.differs`` and ``Case.ours`` for the rest. The list of
differences in the documentation can be made from, or checked against, :func:`differences`.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

TIMEOUT = 2
"""Seconds that both servers hold a connect."""

PATIENCE = 20
"""Seconds until a missing answer fails the case."""

HEADERS = ("content-type", "cache-control", "content-disposition", "x-content-type-options",
           "vary", "x-accel-buffering", "access-control-allow-credentials",
           "access-control-allow-headers", "access-control-allow-methods",
           "access-control-allow-origin", "access-control-max-age")

Observation = dict[str, Any]


class Run:
    """One case against one server: names of client ids, open sockets and streams."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        self.stack = stack
        self.clients: dict[str, str] = {}
        self.sockets: dict[str, ClientConnection] = {}
        self.streams: dict[str, EventStream] = {}
        self.held: dict[str, Held] = {}

    def fill(self, text: str) -> str:
        """Put client ids in the place of ``$name``."""
        for name, client_id in self.clients.items():
            text = text.replace(f"${name}", client_id)
        return text

    def save(self, name: str | None, replies: Any) -> None:
        """Remember the client id in the first reply under ``name``."""
        if name is not None:
            assert isinstance(replies, list) and "clientId" in replies[0], replies
            self.clients[name] = replies[0]["clientId"]

    def hide(self, value: Any) -> Any:
        """The reverse of :meth:`fill`, in a parsed body."""
        if isinstance(value, str):
            for name, client_id in self.clients.items():
                value = value.replace(client_id, f"${name}")
            return value
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        if isinstance(value, dict):
            return {key: self.hide(item) for key, item in value.items()}
        return value


class Step(Protocol):
    """One thing a client does."""

    def run(self, run: Run) -> Observation:
        """Do it and tell what came of it."""


@dataclass(frozen=True)
class Request:
    """One HTTP request on a connection of its own.

    :param save: name for the client id in the first reply.
    :param timed: observe also whether the answer was held.
    """

    method: str
    path: str
    body: str | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    save: str | None = None
    timed: bool = False

    def run(self, run: Run) -> Observation:
        started = time.monotonic()
        observation, body = self._exchange(run)
        if self.timed:
            observation["held"] = time.monotonic() - started > 0.8 * TIMEOUT
        run.save(self.save, body)
        return {key: run.hide(value) for key, value in observation.items()}

    def _exchange(self, run: Run) -> tuple[Observation, Any]:
        host = urlsplit(run.url)
        connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=PATIENCE)
        body = run.fill(self.body).encode() if isinstance(self.body, str) else self.body
        try:
            connection.request(self.method, run.fill(self.path), body, dict(self.headers))
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        length = response.getheader("Content-Length")
        assert self.method == "HEAD" or length in (None, str(len(data)))
        parsed = parse_body(response.getheader("Content-Type", ""), data)
        headers = relevant(response.getheaders())
        return {"status": response.status, "headers": headers, "body": parsed}, parsed


class Held(threading.Thread):
    """A request that waits in the background."""

    def __init__(self, request: Request, run: Run) -> None:
        super().__init__(daemon=True)
        self._request, self._run = request, run
        self.result: Observation = {}

    def run(self) -> None:
        self.result = self._request.run(self._run)


@dataclass(frozen=True)
class Begin:
    """Send a request without waiting for its answer."""

    name: str
    request: Request

    def run(self, run: Run) -> Observation:
        run.held[self.name] = Held(self.request, run)
        run.held[self.name].start()
        return {}


@dataclass(frozen=True)
class Finish:
    """Wait for the answer to what :class:`Begin` sent."""

    name: str

    def run(self, run: Run) -> Observation:
        thread = run.held.pop(self.name)
        thread.join(PATIENCE)
        return thread.result


@dataclass(frozen=True)
class Open:
    """Open a WebSocket."""

    name: str
    path: str = "/faye"
    subprotocols: Sequence[str] = ()

    def run(self, run: Run) -> Observation:
        url = run.url.replace("http://", "ws://") + self.path
        protocols: Any = list(self.subprotocols) or None
        connection = open_websocket(url, subprotocols=protocols, proxy=None, max_size=2**22)
        run.sockets[self.name] = run.stack.enter_context(connection)
        return {"subprotocol": connection.subprotocol}


@dataclass(frozen=True)
class Send:
    """Send one text frame."""

    name: str
    text: str

    def run(self, run: Run) -> Observation:
        run.sockets[self.name].send(run.fill(self.text))
        return {}


@dataclass(frozen=True)
class Receive:
    """Receive ``frames`` frames, in any order."""

    name: str
    frames: int = 1
    save: str | None = None
    timed: bool = False

    def run(self, run: Run) -> Observation:
        started = time.monotonic()
        connection = run.sockets[self.name]
        bodies = [json.loads(connection.recv(PATIENCE)) for _ in range(self.frames)]
        run.save(self.save, bodies[0])
        frames = sorted((run.hide(body) for body in bodies), key=json.dumps)
        observation: Observation = {"frames": frames}
        if self.timed:
            observation["held"] = time.monotonic() - started > 0.8 * TIMEOUT
        return observation


@dataclass(frozen=True)
class Closed:
    """Wait for the server to close the WebSocket, and observe what comes before that."""

    name: str

    def run(self, run: Run) -> Observation:
        rest = [run.hide(json.loads(text)) for text in run.sockets[self.name]]
        return {"closed": True, "frames": rest}


class EventStream:
    """The client side of an EventSource."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        host = urlsplit(url)
        self._socket = socket.create_connection((host.hostname, host.port), PATIENCE)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host.netloc}", "Accept: text/event-stream",
                 *(f"{name}: {value}" for name, value in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.response = http.client.HTTPResponse(self._socket)
        self.response.begin()

    def block(self) -> list[str]:
        """The lines up to the next empty one, without comments."""
        lines: list[str] = []
        while True:
            line = self.response.readline().decode()
            assert line, "the stream has ended"
            line = line.rstrip("\r\n")
            if not line and lines:
                return lines
            if line and not line.startswith(":"):
                lines.append(line)

    def close(self) -> None:
        self.response.close()
        self._socket.close()


@dataclass(frozen=True)
class Listen:
    """Open an EventSource."""

    name: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def run(self, run: Run) -> Observation:
        stream = EventStream(run.url, run.fill(self.path), self.headers)
        run.stack.callback(stream.close)
        run.streams[self.name] = stream
        headers = relevant(stream.response.getheaders())
        first = stream.block() if stream.response.status == 200 else []
        return {"status": stream.response.status, "headers": headers, "first": first}


@dataclass(frozen=True)
class Event:
    """Receive one event."""

    name: str

    def run(self, run: Run) -> Observation:
        lines = run.streams[self.name].block()
        data = "\n".join(line.removeprefix("data: ") for line in lines if line[:5] == "data:")
        return {"event": run.hide(json.loads(data))}


@dataclass(frozen=True)
class Case:
    """One row of the table.

    :param only: the parts of an observation that are compared; default all.
    :param differs: why this server answers differently; "" where it must not.
    :param ours: index of the step -> the parts of the observation that differ, exactly.
    """

    name: str
    steps: Sequence[Step]
    only: Sequence[str] = ()
    differs: str = ""
    ours: Mapping[int, Observation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert bool(self.differs) == bool(self.ours), self.name


def relevant(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that are compared, by lower-case name."""
    return {name.lower(): value for name, value in headers if name.lower() in HEADERS}


def parse_body(content_type: str, data: bytes) -> Any:
    """A JSON or JSON-P body as values, anything else as text."""
    text = data.decode()
    if content_type.startswith("application/json") and data:
        return json.loads(text)
    if content_type.startswith("text/javascript") and text.startswith("/**/"):
        assert "\u2028" not in text and "\u2029" not in text
        match = re.fullmatch(r"/\*\*/([^(]+)\((.*)\);", text, re.DOTALL)
        assert match is not None, text
        return [{"callback": match[1]}, *json.loads(match[2])]
    return text


def observe(case: Case, url: str) -> list[Observation]:
    """Run a case; one observation for each step."""
    with ExitStack() as stack:
        run = Run(url, stack)
        seen = [step.run(run) for step in case.steps]
        # A client that stays would receive what later cases publish, at the cost of their time.
        for client_id in run.clients.values():
            goodbye = {"channel": "/meta/disconnect", "clientId": client_id}
            Request("POST", "/faye", json.dumps(goodbye), JSON).run(run)
    return [_parts(case, observation) for observation in seen]


def _parts(case: Case, observation: Observation) -> Observation:
    return {key: value for key, value in observation.items()
            if not case.only or key in case.only}


JSON = {"Content-Type": "application/json"}


def messages_in(value: Any) -> Iterable[dict[str, Any]]:
    """Every message in an observation: replies and delivered ones."""
    if isinstance(value, dict):
        if "channel" in value or "successful" in value:
            yield value
        else:
            yield from messages_in(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from messages_in(item)


def is_delivered(message: Mapping[str, Any]) -> bool:
    """True for a message to a subscriber, false for a reply."""
    return "data" in message


@dataclass(frozen=True)
class Rule:
    """A difference in every answer of a kind; ``apply`` checks it and takes it out."""

    name: str
    why: str
    apply: Callable[[Observation], None]


def _vary(observation: Observation) -> None:
    headers = observation.get("headers", {})
    if "access-control-allow-credentials" in headers:
        assert headers.pop("vary") == "Origin"
    assert "vary" not in headers


def _message_id(observation: Observation) -> None:
    for message in messages_in(observation):
        if is_delivered(message):
            assert re.fullmatch("[0-9a-f]{32}", message.pop("id"))


def _interval(observation: Observation) -> None:
    for message in messages_in(observation):
        advice = message.get("advice", {})
        if advice.get("reconnect") == "handshake":
            assert 1000 <= advice.pop("interval") < 2000


def _stream_headers(observation: Observation) -> None:
    headers = observation.get("headers", {})
    if headers.get("content-type") == "text/event-stream":
        assert headers.pop("x-accel-buffering") == "no"
        assert headers.pop("x-content-type-options") == "nosniff"


def _reason(observation: Observation) -> None:
    body = observation.get("body")
    if observation.get("status") in range(400, 500) and isinstance(body, str) and body:
        observation["body"], colon, reason = body.partition(": ")
        assert colon and reason


RULES = (
    Rule("text of a refusal", "What is wrong stands behind the words of Faye.", _reason),
    Rule("Vary: Origin", "Answers that depend on the Origin header say so, for caches.", _vary),
    Rule("id of delivered messages",
         "A unique id of the server stands in for the publisher's, which other clients could take "
         "for the id of a request of their own; with it they can tell a second copy.",
         _message_id),
    Rule("interval in advice after a failure",
         "One to two seconds; without it Faye's client, refused, tries again at once for ever.",
         _interval),
    Rule("headers of an event stream",
         "X-Accel-Buffering keeps nginx from holding events back; nosniff as in other answers.",
         _stream_headers),
)


def as_reference(observation: Observation) -> Observation:
    """What the reference would have answered: the rules' differences checked and taken out."""
    for rule in RULES:
        rule.apply(observation)
    return observation


def without_ids(observation: Observation) -> Observation:
    """The reference's answer without what a rule replaces."""
    for message in messages_in(observation):
        if is_delivered(message):
            message.pop("id", None)
    return observation


def expected(case: Case, reference: Sequence[Observation]) -> list[Observation]:
    """What this server must answer, after :func:`as_reference`."""
    return [{**observation, **case.ours.get(index, {})}
            for index, observation in enumerate(map(without_ids, reference))]


def differences(cases: Iterable[Case]) -> list[tuple[str, str]]:
    """Name and reason of every difference, for the documentation."""
    rules = [(rule.name, rule.why) for rule in RULES]
    return rules + [(case.name, case.differs) for case in cases if case.differs]
