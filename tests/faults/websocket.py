"""A WebSocket client over a socket of gevent: the protocol is websockets', without its threads."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.event import Event
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri


class Socket:
    """One connection; a greenlet reads, and answers pings as soon as they come.

    :param url: ``http://`` address.
    :param timeout: seconds for opening it.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, url: str, timeout: float = 5) -> None:
        parts = urlsplit(url)
        self._protocol = ClientProtocol(parse_uri(url.replace("http://", "ws://")))
        self._messages: deque[str] = deque()
        self._came = Event()
        self._sock = socket.create_connection((str(parts.hostname), parts.port or 80), timeout)
        try:
            self._protocol.send_request(self._protocol.connect())
            self._flush()
            while self._protocol.state is State.CONNECTING:
                self._receive()
        except BaseException:
            self._sock.close()
            raise
        self._sock.settimeout(None)
        self._reader = gevent.spawn(self._read)

    def send(self, text: str) -> None:
        """:raises OSError: the connection is lost."""
        if self._protocol.state is not State.OPEN:
            raise ConnectionError("closed")
        self._protocol.send_text(text.encode())
        self._flush()

    def recv(self, timeout: float) -> str:
        """The next message.

        :raises TimeoutError: none came.
        :raises OSError: the connection is lost.
        """
        with gevent.Timeout(timeout, TimeoutError):
            while not self._messages:
                if self._reader.dead:
                    raise ConnectionError("closed")
                self._came.clear()
                self._came.wait()
        return self._messages.popleft()

    def close(self) -> None:
        """Say good-bye, and do not wait for the answer."""
        with contextlib.suppress(OSError):
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()
        self._reader.kill()
        self._sock.close()

    def left(self) -> list[str]:
        """Messages that have come and were not asked for."""
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self._receive():
                pass
        self._came.set()

    def _receive(self) -> bool:
        data = self._sock.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            self._take(event)
        if self._protocol.handshake_exc:
            raise ConnectionError(str(self._protocol.handshake_exc))
        self._flush()
        return bool(data) and self._protocol.state is not State.CLOSED

    def _take(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            assert event.fin, "Bayeux servers send whole messages"
            self._messages.append(bytes(event.data).decode())
            self._came.set()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._sock.sendall(data)
            else:
                self._sock.shutdown(socket.SHUT_WR)
