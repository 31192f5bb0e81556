"""The cookie that clients are bound to: who gets it, and who shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from recording_site import Answer, Site

from faye_redis.transports.cookies import browser

HANDSHAKE = b'[{"channel":"/meta/handshake"}]'
COOKIE = re.compile(r"BAYEUX_BROWSER=([a-z0-9]{31}); Path=/bayeux; HttpOnly; SameSite=Lax")


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(bind_clients="cookie")


def given(answer: Answer) -> str:
    match = COOKIE.fullmatch(answer.headers["Set-Cookie"])
    assert match
    return match[1]


def test_a_handshake_sets_it(site: Site) -> None:
    first, second = given(site.post(HANDSHAKE)), given(site.post(HANDSHAKE))
    assert first != second
    assert [browser(request) for request in site.server.requests] == [first, second]


def test_by_json_p_as_well(site: Site) -> None:
    query = "message=%5B%7B%22channel%22%3A%22%2Fmeta%2Fhandshake%22%7D%5D"
    given(site.request("GET", QUERY_STRING=query))


def test_its_path_is_that_of_the_browser(site: Site) -> None:
    answer = site.post(HANDSHAKE, SCRIPT_NAME="/app")
    assert "; Path=/app/bayeux; " in answer.headers["Set-Cookie"]


def test_over_tls_it_is_secure(site: Site) -> None:
    answer = site.post(HANDSHAKE, **{"wsgi.url_scheme": "https"})
    assert answer.headers["Set-Cookie"].endswith("; SameSite=Lax; Secure")


@pytest.mark.parametrize("header", ["BAYEUX_BROWSER=abc", "a=1; BAYEUX_BROWSER=abc; b=2",
                                    'BAYEUX_BROWSER="abc"', 'p={"a":[1]}; BAYEUX_BROWSER=abc'])
def test_who_has_it_keeps_it(site: Site, header: str) -> None:
    assert "Set-Cookie" not in site.post(HANDSHAKE, HTTP_COOKIE=header).headers
    assert browser(site.server.requests[0]) == "abc"


@pytest.mark.parametrize("header", ["", "a=1", "XBAYEUX_BROWSER=1", "BAYEUX_BROWSER", "\x00=;;"])
def test_who_has_none_shows_none(header: str) -> None:
    assert browser({"HTTP_COOKIE": header}) is None


@pytest.mark.parametrize("body", [
    b'{"channel":"/a"}', b'{"channel":"/meta/connect","clientId":"c"}', b"[]", b"[{"])
def test_other_requests_do_not_set_it(site: Site, body: bytes) -> None:
    assert "Set-Cookie" not in site.post(body).headers


def test_a_websocket_sets_it(site: Site) -> None:
    peer = site.websocket(SCRIPT_NAME="")
    lines = [line for line in peer.head.decode().split("\r\n") if line.startswith("Set-Cookie: ")]
    assert len(lines) == 1
    match = COOKIE.fullmatch(lines[0].removeprefix("Set-Cookie: "))
    peer.text({"channel": "/a"})
    peer.replies()
    assert match and browser(site.server.requests[0]()) == match[1]
    assert b"Set-Cookie" not in site.websocket(HTTP_COOKIE="BAYEUX_BROWSER=abc").head


@pytest.mark.parametrize("bind", [None, lambda environ: None])
def test_without_being_asked_for_it_is_not_set(make_site: Callable[..., Site], bind: Any) -> None:
    site = make_site(bind_clients=bind)
    assert "Set-Cookie" not in site.post(HANDSHAKE).headers
    assert b"Set-Cookie" not in site.websocket().head
