"""The event stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from recording_site import Answer, Peer, Site, messages

from faye_redis.concurrency import monotonic
from faye_redis.errors import EngineUnavailable
from faye_redis.transports.sockets import State
from support.waiting import eventually

RETRY = b"retry: 5000\r\n\r\n"


def stream_request(site: Site, path: str = "/bayeux/known", **more: Any) -> Any:
    return site.environ("GET", path, **{"HTTP_ACCEPT": "text/event-stream", **more})


def open_stream(site: Site, **more: Any) -> tuple[Peer, Any]:
    peer = site.connect(stream_request(site, **more))
    peer.head = peer.read_until(b"\r\n\r\n")
    assert peer.read_until(b"\r\n\r\n") == RETRY
    return peer, site.connections.opened[-1][1]


def sweep(site: Site, seconds: float) -> None:
    site.transports._table.sweep(monotonic() + seconds)


def test_opens(site: Site) -> None:
    peer, stream = open_stream(site)
    lines = peer.head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    headers = dict(line.split(": ") for line in lines[1:-2])
    del headers["Date"]
    assert headers == {
        "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-store",
        "X-Content-Type-Options": "nosniff", "Connection": "close", "X-Accel-Buffering": "no"}
    assert site.connections.opened == [("known", stream)]
    assert stream.request()["REMOTE_ADDR"] == "192.0.2.1"
    assert site.transports.open_sockets == 1


def test_messages(site: Site) -> None:
    peer, stream = open_stream(site)
    assert stream.push(messages(b'{"n":1}', b'{"n":2}'), 1) is True
    assert peer.read_until(b"\r\n\r\n") == b'id: 1-1\r\ndata: [{"n":1},{"n":2}]\r\n\r\n'
    stream.reply([b'{"n":3}'])
    assert peer.read_until(b"\r\n\r\n") == b'data: [{"n":3}]\r\n\r\n'


def test_line_ends_become_data_lines(site: Site) -> None:
    peer, stream = open_stream(site)
    stream.push(messages(b'{"n":\n1,\r\n"m":\r2}'), 1)
    assert peer.read_until(b"\r\n\r\n") == (
        b'id: 1-1\r\ndata: [{"n":\r\ndata: 1,\r\ndata: "m":\r\ndata: 2}]\r\n\r\n')


def test_messages_pushed_while_it_opens_come_behind_the_head(site: Site) -> None:
    site.connections.on_open = lambda stream: stream.push(messages(b'{"n":1}'), 1)
    peer, _ = open_stream(site)
    assert peer.read_until(b"\r\n\r\n") == b'id: 1-1\r\ndata: [{"n":1}]\r\n\r\n'


def test_closed_while_it_opens(site: Site) -> None:
    site.connections.on_open = lambda stream: stream.close(1000, "")
    peer = site.connect(stream_request(site))
    peer.expect_end()
    eventually(lambda: len(site.connections.closed_streams) == 1)
    assert site.transports.open_sockets == 0


@pytest.mark.parametrize("path", [
    "/bayeux/unknown", "/bayeux/", "/bayeux/../known.", "/bayeux/KNOWN", "/bayeux/known\n",
    "/bayeux/" + "k" * 65, "/bayeux/foreign"])
def test_unknown_client(site: Site, path: str) -> None:
    answer = site.call(stream_request(site, path, **{"gunicorn.socket": object()}))
    assert (answer.status, answer.body[:10]) == ("404 Not Found", b"Not found:")
    assert site.connections.opened == []


def test_store_is_down(site: Site) -> None:
    def fail(stream: Any) -> None:
        raise EngineUnavailable("down")
    site.connections.on_open = fail
    with pytest.raises(StopIteration):  # no answer: a browser would not come back after one
        site.call(stream_request(site, **{"gunicorn.socket": object()}))


def test_no_stream_while_the_worker_stops(site: Site) -> None:
    site.transports.close(0)
    with pytest.raises(StopIteration):
        site.call(stream_request(site, **{"gunicorn.socket": object()}))


def test_no_stream_over_a_shared_connection(site: Site) -> None:
    answer = site.call(stream_request(
        site, **{"gunicorn.socket": object(), "SERVER_PROTOCOL": "HTTP/2"}))
    assert answer.status == "404 Not Found"


@pytest.mark.parametrize(("accept", "method", "stream"), [
    ("text/event-stream", "GET", True), ("text/html, text/event-stream;q=0.9", "GET", True),
    ("text/event-streams", "GET", False), ("*/*", "GET", False),
    ("text/event-stream", "POST", False)])
def test_what_asks_for_a_stream(site: Site, accept: str, method: str, stream: bool) -> None:
    environ = {**stream_request(site, "/bayeux/unknown"), "HTTP_ACCEPT": accept,
               "REQUEST_METHOD": method, "gunicorn.socket": object()}
    assert site.call(environ).status == ("404 Not Found" if stream else "400 Bad Request")


def test_foreign_origin(site: Site) -> None:
    answer: Answer = site.call(stream_request(site, HTTP_ORIGIN="http://evil.com"))
    assert (answer.status, answer.headers["Vary"]) == ("403 Forbidden", "Origin")
    assert site.connections.opened == []


def test_allowed_origin(make_site: Callable[..., Site]) -> None:
    site = make_site(allowed_origins=["https://good.com"])
    peer, _ = open_stream(site, HTTP_ORIGIN="https://good.com")
    assert b"\r\nAccess-Control-Allow-Origin: https://good.com\r\n" in peer.head
    assert b"\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n" in peer.head


def test_counts_towards_max_connections(make_site: Callable[..., Site]) -> None:
    site = make_site(max_connections=1)
    open_stream(site)
    answer = site.call(stream_request(site, **{"gunicorn.socket": object()}))
    assert answer.status == "503 Service Unavailable"


@pytest.mark.parametrize(("ping", "interval"), [(25, 10), (4, 4)])
def test_pings(make_site: Callable[..., Site], ping: float, interval: float) -> None:
    site = make_site(ping=ping)
    peer, stream = open_stream(site)
    sweep(site, interval - 1)
    sweep(site, interval + 0.5)
    assert stream.push(messages(b"{}"), 1)
    assert peer.read_until(b"\r\n\r\n") == b":\r\n\r\n"
    assert peer.read_until(b"\r\n\r\n") == b"id: 1-1\r\ndata: [{}]\r\n\r\n"


def test_without_pings(make_site: Callable[..., Site]) -> None:
    site = make_site(ping=False)
    peer, stream = open_stream(site)
    sweep(site, 1000)
    assert stream.push(messages(b"{}"), 1)
    assert peer.read_until(b"\r\n\r\n") == b"id: 1-1\r\ndata: [{}]\r\n\r\n"


def test_what_the_client_sends_is_thrown_away(site: Site) -> None:
    peer, stream = open_stream(site)
    peer.send(b"GET / HTTP/1.1\r\n\r\n" * 1000)
    assert stream.push(messages(b"{}"), 1)
    assert peer.read_until(b"\r\n\r\n") == b"id: 1-1\r\ndata: [{}]\r\n\r\n"


def test_client_goes(site: Site) -> None:
    peer, stream = open_stream(site)
    peer.sock.close()
    eventually(lambda: site.connections.closed_streams == [stream])
    assert stream.state is State.GONE
    assert stream.push(messages(b"{}"), 1) is False


def test_close(site: Site) -> None:
    peer, stream = open_stream(site)
    stream.close(1000, "")
    peer.expect_end()
    eventually(lambda: site.connections.closed_streams == [stream])


def test_slow_client(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=1000)
    peer, stream = open_stream(site)
    big = b'"%s"' % (b"x" * 2_000_000)
    assert stream.push(messages(big), 1) is False
    assert site.connections.drained_streams == []
    assert peer.read_until(b"\r\n\r\n") == b"id: 1-1\r\ndata: [" + big + b"]\r\n\r\n"
    eventually(lambda: site.connections.drained_streams == [stream])


def test_worker_stops(site: Site) -> None:
    peer, _ = open_stream(site)
    site.transports.close(0)
    peer.expect_end()


@pytest.mark.parametrize(("sent", "mark"), [
    ("1764000000000000-3", "1764000000000000-3"), ("", ""), ("x", ""), ("1-", ""), ("1-2-3", ""),
    ("99999999999999999-1", ""), ("\u0661-1", "")])
def test_a_browser_that_comes_back_says_what_it_has(site: Site, sent: str, mark: str) -> None:
    open_stream(site, HTTP_LAST_EVENT_ID=sent)
    assert site.connections.marks == [mark]


def test_a_checkpoint_waits_for_the_peer(site: Site) -> None:
    peer, stream = open_stream(site)
    done: list[int] = []
    stream.push(messages(b'"%s"' % (b"x" * 20_000_000)), 1)
    stream.checkpoint(lambda: done.append(1))
    assert done == []
    peer.read_until(b'"]\r\n\r\n')
    eventually(lambda: stream.is_flushed)
    stream.checkpoint(lambda: done.append(2))
    assert done == [2]
