"""Long-polling, cross-origin-long-polling, callback-polling, and what is refused on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from recording_site import Site, Stalled

MESSAGE = b'{"channel":"/a","id":"1","data":{}}'
REPLY = b'[{"channel":"/a","id":"1","ok":true}]'
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def refused(answer: Any, status: str, text: bytes, reason: bytes = b"", **headers: str) -> None:
    """``reason``: is in the text behind the colon, which is there unless it is our own fault."""
    start, colon, rest = answer.body.partition(b": ")
    assert (answer.status, start, bool(colon and rest)) == (status, text, status[0] == "4")
    assert reason in rest and len(answer.body) <= 256
    assert answer.headers == {
        **TEXT, "Content-Length": str(len(answer.body)),
        **{name.replace("_", "-"): value for name, value in headers.items()}}


def bad_request(answer: Any, reason: bytes = b"") -> None:
    refused(answer, "400 Bad Request", b"Bad request", reason)


# POST

@pytest.mark.parametrize("content_type", [
    "application/json", "application/json;charset=UTF-8", "Application/JSON ; x=y"])
def test_post_json(site: Site, content_type: str) -> None:
    answer = site.post(MESSAGE, content_type)
    assert (answer.status, answer.body) == ("200 OK", REPLY)
    assert answer.headers == {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(REPLY)),
        "Cache-Control": "no-cache, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    assert site.server.requests[0]["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/xml", ""])
def test_post_form_of_any_type(site: Site, content_type: str) -> None:
    message = '{"channel":"/a","id":"1","data":"+ä&="}'
    body = f"x=1&message={quote(message)}".encode()
    assert site.post(body, content_type).body == REPLY
    assert site.server.seen == [orjson.loads(message)]


def test_post_without_content_type(site: Site) -> None:
    assert site.request("POST", body=b"message=" + quote(MESSAGE).encode()).body == REPLY


def test_batch_is_handled_in_order(site: Site) -> None:
    answer = site.post(b'[{"channel":"/b"},{"channel":"/a"},3,{"channel":"/c"}]')
    assert [reply["channel"] for reply in orjson.loads(answer.body)] == ["/b", "/a", "/c"]
    assert site.channels == ["/b", "/a", "/c"]
    assert site.server.strangers == [3]


def test_empty_array(site: Site) -> None:
    assert site.post(b"[]").body == b"[]"


def test_lone_connect_is_held_and_watches_the_socket(site: Site) -> None:
    sock = object()
    connect = b'[{"channel":"/meta/connect","clientId":"c"}]'
    answer = site.post(connect, **{"gunicorn.socket": sock})
    assert [message["channel"] for message in orjson.loads(answer.body)] == [
        "/meta/connect", "/news"]
    assert site.connections.polls == [("c", True, sock)]


def test_connect_of_a_batch_is_not_held(site: Site) -> None:
    site.post(b'[{"channel":"/meta/connect","clientId":"c"},{"channel":"/a"}]')
    assert site.connections.polls == [("c", False, None)]


def test_the_shared_connection_of_http2_is_not_watched(site: Site) -> None:
    site.post(b'{"channel":"/meta/connect","clientId":"c"}',
              **{"gunicorn.socket": object(), "SERVER_PROTOCOL": "HTTP/2"})
    assert site.connections.polls == [("c", True, None)]


def test_superseded_poll_ends_without_an_answer(site: Site) -> None:
    site.connections.superseded = True
    with pytest.raises(StopIteration):
        site.post(b'{"channel":"/meta/connect","clientId":"c"}')


@pytest.mark.parametrize("body", [
    b"", b"[{", b"1", b'"x"', b"null", b"[1]", b"[null]", b"[[]]", b"\xff\xfe[\0]\0",
    b"\xef\xbb\xbf[]", b'[{"channel":"\xff"}]', b"[" * 100_000, b'{"a":NaN}'])
def test_post_what_is_no_message(site: Site, body: bytes) -> None:
    bad_request(site.post(body))


@pytest.mark.parametrize("body", [b"", b"other=1", b"message=", b"message=%5B%7B", b"message=%FF",
                                  b"message=\xff", b"&".join([b"a=1"] * 65)])
def test_post_a_form_without_a_message(site: Site, body: bytes) -> None:
    bad_request(site.post(body, "text/plain"))


# Limits

def test_body_over_the_limit_by_its_length(make_site: Callable[..., Site]) -> None:
    site = make_site(max_message_size=1000)
    refused(site.post(Stalled(), CONTENT_LENGTH="1001"),
            "413 Request Entity Too Large", b"Request entity too large",
            b"max_message_size, 1000 bytes")


def test_body_over_the_limit_without_a_length(make_site: Callable[..., Site]) -> None:
    site = make_site(max_message_size=1000)
    stream = site.environ("POST", body=b" " * 5000)["wsgi.input"]
    assert site.post(stream).status == "413 Request Entity Too Large"
    assert stream.tell() == 1001


def test_body_as_long_as_the_limit(make_site: Callable[..., Site]) -> None:
    site = make_site(max_message_size=len(MESSAGE))
    assert site.post(MESSAGE, CONTENT_LENGTH=str(len(MESSAGE))).body == REPLY


def test_batch_over_the_limit(make_site: Callable[..., Site]) -> None:
    site = make_site(max_batch=2)
    body = b'[{"channel":"/a"},{"channel":"/a"},{"channel":"/a"}]'
    refused(site.post(body), "413 Request Entity Too Large", b"Request entity too large",
            b"3 messages, max_batch is 2")
    assert site.channels == []


def test_slow_body(make_site: Callable[..., Site]) -> None:
    site = make_site(body_timeout=0.05)
    began = time.monotonic()
    refused(site.post(Stalled()), "408 Request Timeout", b"Request timeout", b"body_timeout, 0.05")
    assert 0.04 < time.monotonic() - began < 5


def test_body_that_the_server_cannot_read(site: Site) -> None:
    class Cut:
        def read(self, size: int) -> bytes:
            raise OSError("bad chunk")
    bad_request(site.post(Cut()))


def test_encoded_body(site: Site) -> None:
    refused(site.post(MESSAGE, HTTP_CONTENT_ENCODING="gzip"),
            "415 Unsupported Media Type", b"Unsupported media type")


def test_identity_is_no_encoding(site: Site) -> None:
    assert site.post(MESSAGE, HTTP_CONTENT_ENCODING="Identity").body == REPLY


# GET

def jsonp(site: Site, message: str, callback: str | None = None, **more: Any) -> Any:
    query = f"message={quote(message)}" + ("" if callback is None else f"&jsonp={quote(callback)}")
    return site.request("GET", QUERY_STRING=query, **more)


def test_jsonp(site: Site) -> None:
    answer = jsonp(site, MESSAGE.decode(), "__jsonp1__")
    script = b"/**/__jsonp1__(" + REPLY + b");"
    assert (answer.status, answer.body) == ("200 OK", script)
    assert answer.headers == {
        "Content-Type": "text/javascript; charset=utf-8",
        "Content-Length": str(len(script)),
        "Cache-Control": "no-cache, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment; filename=f.txt",
    }


def test_jsonp_default_callback(site: Site) -> None:
    assert jsonp(site, MESSAGE.decode()).body == b"/**/jsonpcallback(" + REPLY + b");"


def test_jsonp_empty_callback_is_the_default(site: Site) -> None:
    assert jsonp(site, MESSAGE.decode(), "").body.startswith(b"/**/jsonpcallback(")


@pytest.mark.parametrize("callback", ["a", "$", "_.b$.C9", "jQuery.x", "a" * 64, "a.delete"])
def test_jsonp_callbacks(site: Site, callback: str) -> None:
    assert jsonp(site, MESSAGE.decode(), callback).body.startswith(f"/**/{callback}(".encode())


@pytest.mark.parametrize("callback", [
    "alert(1)//", "a b", "a\r\nb", "a;b", "a[0]", "a\u2028", "a\n", "1a", ".a", "a.", "a..b",
    "ä", "a" * 65, "delete", "this.x", "<b>"])
def test_jsonp_bad_callbacks(site: Site, callback: str) -> None:
    bad_request(jsonp(site, MESSAGE.decode(), callback))
    assert site.channels == []


def test_jsonp_escapes_what_could_end_the_script(site: Site) -> None:
    nasty = "\u2028\u2029</script>*/ä"
    body = jsonp(site, orjson.dumps({"channel": "/x", "id": nasty}).decode()).body
    array = body.removeprefix(b"/**/jsonpcallback(").removesuffix(b");")
    assert orjson.loads(array) == [{"channel": "/x", "id": nasty, "ok": True}]
    assert array == (b'[{"channel":"/x","id":"\\u2028\\u2029\\u003c/script>*\\/\xc3\xa4",'
                     b'"ok":true}]')


def test_query_with_raw_utf8(site: Site) -> None:
    query = 'message={"channel":"/a","data":"ä"}'.encode().decode("latin-1")
    assert site.request("GET", QUERY_STRING=query).status == "200 OK"
    assert site.server.seen == [{"channel": "/a", "data": "ä"}]


def test_get_without_a_message(site: Site) -> None:
    bad_request(site.request("GET", QUERY_STRING="jsonp=a"))


def test_jsonp_of_a_page_elsewhere(make_site: Callable[..., Site]) -> None:
    site = make_site(allowed_origins=["https://good.com"])
    refused(jsonp(site, MESSAGE.decode(), HTTP_SEC_FETCH_SITE="cross-site"),
            "403 Forbidden", b"Forbidden", Vary="Origin")


# Origins

def test_cors_headers(make_site: Callable[..., Site]) -> None:
    site = make_site(allowed_origins=["https://good.com"])
    answer = site.post(MESSAGE, HTTP_ORIGIN="https://good.com")
    assert answer.body == REPLY
    assert {name: answer.headers[name] for name in (
        "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary")} == {
        "Access-Control-Allow-Origin": "https://good.com",
        "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def test_foreign_origin_is_refused_unheard(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    refused(site.post(MESSAGE, "text/plain", HTTP_ORIGIN="http://evil.com"),
            "403 Forbidden", b"Forbidden", Vary="Origin")
    assert site.channels == []
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [
        (logging.WARNING, None)]
    assert "allowed_origins" in caplog.text


@pytest.mark.parametrize(("method", "more"), [
    ("OPTIONS", {}), ("OPTIONS", {"HTTP_UPGRADE": "websocket"}),
    ("POST", {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"})])
def test_preflight(site: Site, method: str, more: dict[str, str]) -> None:
    answer = site.request(method, HTTP_ORIGIN="http://example.org", **more)
    assert (answer.status, answer.body) == ("200 OK", b"")
    assert answer.headers == {
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers":
            "Accept, Authorization, Content-Type, Pragma, X-Requested-With",
        "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Origin": "http://example.org",
        "Access-Control-Max-Age": "86400",
        "Content-Length": "0",
        "Vary": "Origin",
    }


def test_preflight_of_a_foreign_origin(site: Site) -> None:
    answer = site.request("OPTIONS", HTTP_ORIGIN="http://evil.com")
    refused(answer, "403 Forbidden", b"Forbidden", Vary="Origin")


# Routing and failures

@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "PATCH", "X" * 1000])
def test_other_methods(site: Site, method: str) -> None:
    refused(site.request(method), "405 Method Not Allowed", b"Method not allowed",
            Allow="GET, POST, OPTIONS")


def test_head_has_no_body(site: Site) -> None:
    answer = site.request("HEAD")
    assert (answer.status, answer.body) == ("405 Method Not Allowed", b"")
    assert answer.headers == {**TEXT, "Allow": "GET, POST, OPTIONS", "Content-Length": str(len(
        site.request("PUT").body))}


@pytest.mark.parametrize("path", ["/bayeux.js.map", "/bayeux/faye.js", "/bayeux/client.map"])
def test_other_scripts(site: Site, path: str) -> None:
    refused(site.request("GET", path), "404 Not Found", b"Not found")


@pytest.mark.parametrize("path", ["/bayeux", "/bayeux/", "/bayeux/connect", "/bayeux/a/b.c"])
def test_any_path_takes_messages(site: Site, path: str) -> None:
    assert site.request("POST", path, MESSAGE, CONTENT_TYPE="application/json").body == REPLY


def test_failure_is_logged_and_not_shown(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    refused(site.post(b'{"channel":"/crash"}'),
            "500 Internal Server Error", b"Internal server error")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
