"""A connection that gunicorn's own worker serves, over a real socket: which requests it parses."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import ref

import gevent
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base_async import ALREADY_HANDLED
from gunicorn.workers.ggevent import GeventWorker

from faye_redis.transports import persistent
from faye_redis.transports.persistent import PersistentConnections
from faye_redis.transports.responses import Environ, StartResponse
from support.waiting import eventually


class Site:
    """A worker with one connection. ``/faye`` is served with what is tested, the rest is not."""

    def __init__(self, idle_seconds: float = 30) -> None:
        config = Config()
        self.worker = GeventWorker(0, 0, [], None, 30, config, Logger(config))
        self.worker.wsgi = self._dispatch
        self.persistent = PersistentConnections(self._echo, idle_seconds, ALREADY_HANDLED)
        self.environs: list[Environ] = []
        self.outside: list[str] = []
        listener = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(listener.getsockname(), timeout=10)
        self.task = gevent.spawn(self.worker.handle, listener, *listener.accept())
        self._unread = b""

    @property
    def parsed(self) -> int:
        """Requests that gunicorn has parsed."""
        return int(self.worker.nr)

    def _dispatch(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/faye":
            return self.persistent(environ, start_response)
        self.outside.append(environ["wsgi.input"].read().decode())
        start_response("200 OK", [("Content-Length", "7")])
        return [b"outside"]

    def _echo(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_X_UNREAD" in environ:  # answers without reading
            start_response(environ["HTTP_X_UNREAD"], [("Content-Length", "0")])
            return [b""]
        self.environs.append(environ)
        body = environ["wsgi.input"].read()
        if body == b"hold":
            self.persistent.close()
        if body == b"stop":
            raise StopIteration
        start_response("200 OK", [("X-Echo", "yes"), ("Content-Length", str(len(body)))])
        return [body]

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)

    def answer(self) -> tuple[list[bytes], bytes]:
        """The lines of the head, without the date, and the body."""
        while b"\r\n\r\n" not in self._unread:
            self._receive()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        length = next(int(line[16:]) for line in lines if line.startswith(b"Content-Length: "))
        while len(self._unread) < length:
            self._receive()
        body, self._unread = self._unread[:length], self._unread[length:]
        return [line for line in lines if not line.startswith(b"Date: ")], body

    def ask(self, body: bytes, *headers: str, path: str = "/faye") -> bytes:
        """The body of the answer to one request."""
        self.send(post(body, *headers, path=path))
        return self.answer()[1]

    def is_closed(self) -> bool:
        """Has it closed the connection, or does it within the time-out?"""
        return self.peer.recv(1) == b""

    def _receive(self) -> None:
        data = self.peer.recv(65536)
        assert data, "closed"
        self._unread += data


def post(body: bytes, *headers: str, path: str = "/faye") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: example.com", *headers,
             f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.peer.close()
    made.task.kill()


def test_a_head_that_comes_again_is_not_parsed_again(site: Site) -> None:
    assert [site.ask(b"body%d" % n) for n in range(6)] == [b"body%d" % n for n in range(6)]
    assert site.parsed == 2  # the first one could not be seen


def test_the_answer_is_the_same_but_for_its_date(site: Site) -> None:
    site.worker.wsgi = site._echo
    site.send(post(b"one"))
    by_gunicorn = site.answer()
    site.worker.wsgi = site._dispatch
    for _ in range(3):
        site.send(post(b"one"))
        assert site.answer() == by_gunicorn
    assert site.parsed == 3


def test_each_request_has_an_environ_of_its_own(site: Site) -> None:
    for _ in range(4):
        site.ask(b"body", "Cookie: a=b")
    assert len({id(environ) for environ in site.environs}) == 4
    assert {environ["HTTP_COOKIE"] for environ in site.environs} == {"a=b"}
    assert {environ["wsgi.url_scheme"] for environ in site.environs} == {"http"}
    site.environs[3]["HTTP_COOKIE"] = "changed"
    site.ask(b"body", "Cookie: a=b")
    assert site.environs[4]["HTTP_COOKIE"] == "a=b"
    assert site.parsed == 2


@pytest.mark.parametrize("other", [("Cookie: a=c",), ("Cookie: a=b", "X: y")])
def test_any_other_head_is_parsed(site: Site, other: tuple[str, ...]) -> None:
    for _ in range(3):
        site.ask(b"body", "Cookie: a=b")
    before = site.parsed
    assert site.ask(b"body", *other) == b"body"
    assert site.parsed == before + 1
    assert site.environs[-1]["HTTP_COOKIE"] == other[0][8:]


def test_so_is_a_body_of_another_length(site: Site) -> None:
    for _ in range(3):
        site.ask(b"four")
    assert site.ask(b"seven..") == b"seven.."
    assert site.parsed == 3
    assert site.ask(b"seven, ") == b"seven, "
    assert site.ask(b"five") == b"five"
    assert site.parsed == 3  # both lengths are known


def test_a_body_may_come_by_itself(site: Site) -> None:
    for number in range(6):
        site.send(post(b"")[:-4].replace(b"h: 0", b"h: 4") + b"\r\n\r\n")
        gevent.sleep(0.02)  # so that it is read alone; a test that passes does not depend on it
        site.send(b"bod%d" % number)
        assert site.answer()[1] == b"bod%d" % number
    assert site.parsed == 2


def test_a_body_that_is_slow_is_left_to_gunicorn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistent, "_BODY_SECONDS", 0.05)
    for _ in range(3):
        site.ask(b"body")
    site.send(post(b"slow")[:-2])
    eventually(lambda: site.parsed == 3)
    site.send(b"ow")
    assert site.answer()[1] == b"slow"


def test_a_body_that_does_not_come(site: Site) -> None:
    for _ in range(3):
        site.ask(b"body")
    site.send(post(b"body")[:-2])
    site.peer.shutdown(socket.SHUT_WR)
    site.task.join(10)
    assert site.task.ready() and not site.persistent._idle


def test_a_body_under_way_is_waited_for_when_the_worker_stops(site: Site) -> None:
    for _ in range(3):
        site.ask(b"body")
    site.send(post(b"body")[:-2])
    eventually(lambda: not site.persistent._idle)
    site.persistent.close()
    site.send(b"dy")
    assert site.answer()[1] == b"body"


def test_few_heads_are_remembered(site: Site) -> None:
    for length in range(1, 50):
        site.ask(b"x" * length)
    (heads,) = site.persistent._heads.values()
    assert len(heads._environs) <= 4


def test_a_request_to_the_wrapped_application_is_never_mistaken(site: Site) -> None:
    """It is not seen when gunicorn parses it, only the bytes of its head are seen before."""
    for _ in range(3):
        site.ask(b"ours")
    assert site.ask(b"them", path="/app") == b"outside"
    assert site.ask(b"ours") == b"ours"
    for _ in range(3):
        assert site.ask(b"them", path="/app") == b"outside"
        assert site.ask(b"ours") == b"ours"
    assert site.outside == ["them"] * 4


def test_requests_that_come_together(site: Site) -> None:
    site.ask(b"1")
    site.ask(b"2")
    site.send(post(b"3") + post(b"4") + post(b"5"))
    assert [site.answer()[1] for _ in range(3)] == [b"3", b"4", b"5"]
    assert site.ask(b"6") == b"6"


@pytest.mark.parametrize("cut", [3, 30, -4, -1])
def test_a_request_that_comes_in_two_pieces(site: Site, cut: int) -> None:
    for _ in range(3):
        site.ask(b"body")
    request = post(b"BODY")
    for _ in range(3):
        site.send(request[:cut])
        gevent.sleep(0.05)  # so that it is read alone; a test that passes does not depend on it
        site.send(request[cut:])
        assert site.answer()[1] == b"BODY"
    assert site.ask(b"body") == b"body"


@pytest.mark.parametrize("header", ["Transfer-Encoding: chunked", "Expect: 100-continue",
                                    "Upgrade: h2c", "Connection: close"])
def test_what_is_no_plain_request_is_left_to_gunicorn(site: Site, header: str) -> None:
    chunked = "chunked" in header
    request = post(b"body", header)
    if chunked:
        request = request.replace(b"Content-Length: 4\r\n", b"").replace(
            b"body", b"4\r\nbody\r\n0\r\n\r\n")
    site.send(request)
    if "Expect" in header:
        assert site.peer.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n")).startswith(b"HTTP/1.1 100")
    assert site.answer()[1] == b"body"
    assert not site.persistent._heads


@pytest.mark.parametrize("status", ["200 OK", "413 Content Too Large"])
def test_a_body_that_was_not_read_is_never_taken_for_a_request(site: Site, status: str) -> None:
    for _ in range(3):
        site.ask(b"mine", "Cookie: known")
    for hidden in (post(b"evil", "Cookie: known"), post(b"evil", "Cookie: unknown")):
        seen = len(site.environs)
        assert site.ask(hidden, f"X-Unread: {status}") == b""
        assert site.ask(b"body", "Cookie: victim") == b"body"
        assert [one["HTTP_COOKIE"] for one in site.environs[seen:]] == ["victim"]
    for _ in range(3):
        site.ask(b"evil", "Cookie: unknown")
        assert site.environs[-1]["HTTP_COOKIE"] == "unknown"


def test_what_is_written_into_an_environ_is_gone_with_it(site: Site) -> None:
    """The application does that while it serves the request."""
    for _ in range(4):
        site.ask(b"body")
        assert "app.user" not in site.environs[-1]
        site.environs[-1]["app.user"] = "somebody"
    written: list[bool] = []
    plain = site.persistent._app

    def writing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        written.append("app.user" in environ)
        environ["app.user"] = "somebody"
        return plain(environ, start_response)
    site.persistent._app = writing
    for _ in range(3):
        for _ in range(4):
            site.ask(b"body", "X: y")
        site.ask(b"another length", "X: y")
    assert written == [False] * 15


def test_nothing_of_an_answer_is_kept_while_the_next_request_is_waited_for(site: Site) -> None:
    class Body(list[bytes]):
        """A list that can be referred to weakly."""

    plain, made = site.persistent._app, []

    def large(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = Body(plain(environ, start_response))
        made.append(ref(body))
        return body
    site.persistent._app = large
    for _ in range(4):
        site.ask(b"body")
    eventually(lambda: site.persistent._idle)
    assert [one() for one in made] == [None] * 4


def test_a_request_that_is_not_to_be_answered_ends_the_connection(site: Site) -> None:
    for _ in range(3):
        site.ask(b"body")
    site.send(post(b"stop"))
    assert site.is_closed()
    assert site.parsed == 2


def test_idle_connections_are_closed_at_once(site: Site) -> None:
    for _ in range(3):
        site.ask(b"body")
    eventually(lambda: site.persistent._idle)
    site.persistent.close()
    assert site.is_closed()
    site.task.join(10)
    assert not site.persistent._idle


def test_one_that_is_not_idle_is_left_to_gunicorn_afterwards(site: Site) -> None:
    for _ in range(3):
        site.ask(b"body")
    eventually(lambda: site.persistent._idle)
    site.worker.alive = False
    site.peer.sendall(post(b"late"))  # it is there before the end
    site.persistent.close()
    head, body = site.answer()
    assert body == b"late" and b"Connection: close" in head
    assert site.is_closed()


@pytest.mark.parametrize("before", [0, 3])
def test_an_answer_held_when_the_worker_stops_is_the_last(site: Site, before: int) -> None:
    for _ in range(before):
        site.ask(b"body")
    site.send(post(b"hold"))
    head, body = site.answer()
    assert body == b"hold" and b"Connection: close" in head
    assert site.is_closed()


def test_a_connection_without_a_request_is_closed() -> None:
    site = Site(idle_seconds=0.1)
    site.ask(b"body")
    assert site.is_closed()


def test_a_peer_that_goes_leaves_nothing_behind(site: Site) -> None:
    site.ask(b"body")
    assert len(site.persistent._heads) == 1
    site.peer.close()
    site.task.join(10)
    assert site.task.successful() and not site.persistent._idle
    site.environs.clear()
    assert not site.persistent._heads


def test_a_peer_that_has_gone_when_it_is_answered(site: Site, caplog: Any) -> None:
    site.ask(b"body")
    site.ask(b"body")
    site.send(post(b"x" * 4))
    site.peer.shutdown(socket.SHUT_RDWR)
    site.peer.close()
    site.task.join(10)
    assert site.task.successful()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
