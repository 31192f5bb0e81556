"""The origin rule."""

from __future__ import annotations

from typing import Any

import pytest

from faye_redis.errors import BadRequest
from faye_redis.origins import normalise
from faye_redis.transports.cors import Cors

LISTED = ["https://good.com", "http://localhost:3000"]


def request(origin: str | None, host: str = "example.org", scheme: str = "http") -> dict[str, Any]:
    environ: dict[str, Any] = {"wsgi.url_scheme": scheme, "HTTP_HOST": host}
    return environ if origin is None else {**environ, "HTTP_ORIGIN": origin}


def allows(cors: Cors, environ: dict[str, Any]) -> bool:
    try:
        cors.check(environ)
    except BadRequest as refusal:
        assert refusal.status == 403
        assert "allowed_origins" in refusal.reason
        return False
    return True


@pytest.mark.parametrize(("origin", "parts"), [
    ("http://a.b", ("http", "a.b", 80)),
    ("https://A.b:443", ("https", "a.b", 443)),
    ("https://a.b:00443", ("https", "a.b", 443)),
    ("http://[::1]:8080", ("http", "[::1]", 8080)),
    ("capacitor://localhost", ("capacitor", "localhost", 0)),
    ("null", None), ("", None), ("a.b", None), ("http://", None), ("http://a.b/", None),
    ("http://a.b\n", None), ("http://u@a.b", None), ("http://a.b:", None),
    ("http://a.b:123456", None), ("http://a.b,http://c.d", None), ("http://ä.b", None),
    ("http://a.b http://c.d", None),
])
def test_normalise(origin: str, parts: Any) -> None:
    assert normalise(origin) == parts


@pytest.mark.parametrize(("environ", "allowed"), [
    (request(None), True),
    (request("http://example.org"), True),
    (request("http://example.org:80"), True),
    (request("HTTP://EXAMPLE.ORG"), True),
    (request("http://example.org", host="example.org:80"), True),
    (request("https://example.org", scheme="https", host="example.org:443"), True),
    (request("https://example.org"), False),
    (request("http://example.org", scheme="https"), False),
    (request("http://example.org:8080"), False),
    (request("http://example.org.evil.com"), False),
    (request("http://sub.example.org"), False),
    (request("null"), False),
    (request(""), False),
    (request("http://example.org,http://example.org"), False),
    (request("null", host=""), False),
])
def test_same_origin_is_the_default(environ: dict[str, Any], allowed: bool) -> None:
    assert allows(Cors(None), environ) is allowed


@pytest.mark.parametrize(("origin", "allowed"), [
    ("https://good.com", True),
    ("https://good.com:443", True),
    ("https://GOOD.com", True),
    ("http://localhost:3000", True),
    ("http://localhost", False),
    ("http://example.org", False),
    ("https://good.com.evil.com", False),
    ("https://goodXcom", False),
    ("http://good.com", False),
    ("https://good.com:444", False),
    ("null", False),
    ("https://good.com,https://good.com", False),
])
def test_a_list_is_exact(origin: str, allowed: bool) -> None:
    assert allows(Cors(LISTED), request(origin)) is allowed


@pytest.mark.parametrize(("origin", "allowed"), [
    ("https://anything.example", True), ("null", True), ("", False),
    ("a b", False), ("é", False), ("x" * 256, False),
])
def test_any_origin_that_can_be_a_header_value(origin: str, allowed: bool) -> None:
    assert allows(Cors("*"), request(origin)) is allowed


def test_headers_reflect_the_origin_with_credentials() -> None:
    assert Cors(LISTED).headers(request("https://good.com")) == [
        ("Access-Control-Allow-Origin", "https://good.com"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
    ]


def test_no_headers_without_an_origin() -> None:
    assert Cors("*").headers(request(None)) == []


PREFLIGHT = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Pragma, X-Requested-With",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Max-Age": "86400",
    "Vary": "Origin",
}


@pytest.mark.parametrize(("allowed", "origin", "reflected"), [
    ("*", "http://a.b", "http://a.b"), ("*", None, "*"),
    (LISTED, "https://good.com", "https://good.com"), (LISTED, None, None), (None, None, None),
])
def test_preflight(allowed: Any, origin: str | None, reflected: str | None) -> None:
    headers = dict(Cors(allowed).preflight({**request(origin), "HTTP_REFERER": "http://r.org/"}))
    assert headers.pop("Access-Control-Allow-Origin", None) == reflected
    assert headers == PREFLIGHT


def test_preflight_of_a_foreign_origin_is_refused() -> None:
    with pytest.raises(BadRequest) as refusal:
        Cors(None).preflight(request("http://evil.com"))
    assert refusal.value.status == 403


@pytest.mark.parametrize(("allowed", "site", "referer", "passes"), [
    (None, "same-origin", "", True),
    (None, "none", "", True),
    (None, None, "", True),
    (None, None, "http://example.org/page", True),
    (None, None, "http://evil.com/page", False),
    (LISTED, None, "https://good.com/page", True),
    (LISTED, None, "http://evil.com/page", False),
    ("*", None, "http://evil.com/page", True),
    (None, "cross-site", "http://evil.com/page", False),
    (None, "cross-site", "", False),
    (None, "same-site", "http://sub.example.org/", False),
    (LISTED, "cross-site", "", False),
    (LISTED, "cross-site", "https://good.com/a/b?c", True),
    (LISTED, "cross-site", "https://good.com", True),
    (LISTED, "cross-site", "https://good.com.evil.com/", False),
    (LISTED, "cross-site", "https://evil.com/https://good.com/", False),
    ("*", "cross-site", "", True),
])
def test_scripts_of_other_pages(allowed: Any, site: str | None, referer: str, passes: bool) -> None:
    environ = {**request(None), "HTTP_REFERER": referer}
    if site is not None:
        environ["HTTP_SEC_FETCH_SITE"] = site
    try:
        Cors(allowed).check_script(environ)
    except BadRequest as refusal:
        assert (refusal.status, passes) == (403, False)
    else:
        assert passes


def test_a_script_request_with_a_foreign_origin_is_refused() -> None:
    with pytest.raises(BadRequest):
        Cors(None).check_script(request("http://evil.com"))
