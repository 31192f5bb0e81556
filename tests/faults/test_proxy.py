"""The proxy itself, between plain sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from faults.proxy import Proxy
from support.waiting import eventually


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.got: list[bytes] = []
        self.ended = 0
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1000):
                self.got.append(data)
                connection.sendall(data)
        except OSError:
            pass
        connection.close()
        self.ended += 1

    def close(self) -> None:
        for sock in [self.listener, *self.connections]:
            sock.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.listener.getsockname()) as running:
        yield running


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(proxy.address, timeout=1)


def ask(sock: socket.socket, data: bytes = b"hello") -> bytes:
    sock.sendall(data)
    return sock.recv(1000)


def silent(sock: socket.socket) -> bool:
    sock.settimeout(0.2)
    try:
        return ask(sock) == b"never"
    except TimeoutError:
        return True
    finally:
        sock.settimeout(1)


def is_reset(sock: socket.socket) -> bool:
    try:
        ask(sock)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_passes_both_ways_and_ends_with_either_side(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        assert ask(sock) == b"hello"
        assert len(proxy.links) == 1
    eventually(lambda: echo.ended == 1 and not proxy.links)
    with dial(proxy) as sock:
        assert ask(sock) == b"hello"
        echo.connections[-1].shutdown(socket.SHUT_RDWR)
        assert sock.recv(1) == b""
    eventually(lambda: not proxy.links)


def test_a_black_hole_swallows_and_the_connections_it_took_are_reset_later(
    proxy: Proxy, echo: Echo
) -> None:
    with dial(proxy) as old, dial(proxy) as unused:
        ask(old)
        ask(unused)
        proxy.black_hole()
        with dial(proxy) as new:
            assert silent(old) and silent(new)
            proxy.heal()
            assert ask(unused) == b"hello"
            assert is_reset(old) and is_reset(new)
    assert echo.got == [b"hello"] * 3


def test_refuses_new_connections_and_keeps_the_port(proxy: Proxy) -> None:
    with dial(proxy) as old:
        ask(old)
        for _ in range(2):
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                dial(proxy)
            assert ask(old) == b"hello"
            proxy.heal()
            with dial(proxy) as new:
                assert ask(new) == b"hello"


def test_a_target_that_is_gone_resets(proxy: Proxy, echo: Echo) -> None:
    echo.close()
    with dial(proxy) as sock:
        assert is_reset(sock) or is_reset(sock)


def test_resets_what_exists(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        ask(sock)
        proxy.reset()
        assert is_reset(sock)
    eventually(lambda: echo.ended == 1 and not proxy.links)
    with dial(proxy) as sock:
        assert ask(sock) == b"hello"


def test_delays(proxy: Proxy) -> None:
    proxy.delay(0.1)
    with dial(proxy) as sock:
        begun = time.monotonic()
        assert ask(sock) == b"hello"
        assert time.monotonic() - begun >= 0.2


def test_throttles(proxy: Proxy) -> None:
    proxy.throttle(5000)
    with dial(proxy) as sock:
        begun = time.monotonic()
        ask(sock, bytes(500))
        assert time.monotonic() - begun >= 0.2


def test_cuts_in_the_middle_of_a_reply(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        assert ask(sock, b"before") == b"before"
        proxy.cut_after(7)
        assert ask(sock, b"12345") == b"12345"
        sock.sendall(b"67890")
        assert echo.got[-1] == b"12345" or echo.got[-1] == b"67890"
        got = b""
        with pytest.raises(ConnectionResetError):
            while data := sock.recv(100):
                got += data
        assert got in (b"", b"67")
    eventually(lambda: echo.got[-1] == b"67890")


def test_half_closes(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        ask(sock)
        proxy.half_close()
        eventually(lambda: echo.ended == 1)
        assert sock.recv(1) == b""


def test_strands_for_ever(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        ask(sock)
        proxy.strand()
        proxy.heal()
        assert silent(sock)
    assert echo.ended == 0


def test_acts_on_some_connections_only(proxy: Proxy) -> None:
    def marked(link: object) -> bool:
        return b"marked" in link.head  # type: ignore[attr-defined]

    with dial(proxy) as one, dial(proxy) as other:
        ask(one, b"marked")
        ask(other)
        proxy.black_hole(only=marked)
        assert silent(one)
        assert ask(other) == b"hello"
        proxy.heal()
        proxy.reset(only=marked)
        assert is_reset(one)
        assert ask(other) == b"hello"
        with dial(proxy) as third:
            assert ask(third) == b"hello"
