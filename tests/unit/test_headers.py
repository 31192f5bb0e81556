"""Cookies and other headers, however odd."""

from __future__ import annotations

import pytest

from faye_redis.headers import cookies, header, size


@pytest.mark.parametrize(("text", "found"), [
    ("", {}), ("a=1; b=2", {"a": "1", "b": "2"}), ("a=1;b=2", {"a": "1", "b": "2"}),
    ("a", {}), ("a=", {"a": ""}), ("a=b=c", {"a": "b=c"}), (';;=;"', {"": ""}),
    ('s="x y"; t="', {"s": "x y", "t": '"'}), ("a=1; a=2", {"a": "1"}),
    ('prefs={"a":1,"b":[2]}; sid=7', {"prefs": '{"a":1,"b":[2]}', "sid": "7"}),
    ("bad[]=1; sid=7", {"bad[]": "1", "sid": "7"}), ("\x00\xff=1; sid=7", {"\x00\xff": "1",
                                                                       "sid": "7"}),
])
def test_cookies(text: str, found: dict[str, str]) -> None:
    assert cookies({"HTTP_COOKIE": text}) == found


def test_no_cookies() -> None:
    assert cookies({}) == {}


def test_a_header_that_is_long_and_odd_is_read_once() -> None:
    hostile = 'a="' + "\\" * 400_000 + "; " + "=" * 400_000
    assert cookies({"HTTP_COOKIE": hostile}).keys() == {"a", ""}


@pytest.mark.parametrize(("name", "value"), [
    ("x-token", "t"), ("X-Token", "t"), ("Content-Type", "text/plain"), ("content-length", "5"),
    ("Token", None)])
def test_header(name: str, value: str | None) -> None:
    environ = {"HTTP_X_TOKEN": "t", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "5"}
    assert header(environ, name) == value


def test_size() -> None:
    assert size({"HTTP_A": "123", "HTTP_BC": "", "PATH_INFO": "/long/path"}) == 9 + 7
