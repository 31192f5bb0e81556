"""The browser client as it is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recording_site import Answer, Site

import faye_redis

BROWSER = Path(faye_redis.__file__).parent / "browser"
SCRIPT = "text/javascript; charset=utf-8"
JSON = "application/json; charset=utf-8"

FILES = [
    ("/bayeux.js", "client.min.js", SCRIPT),
    ("/bayeux/client.js", "client.min.js", SCRIPT),
    ("/bayeux/client.js.map", "client.min.js.map", JSON),
    ("/bayeux/client.mjs", "client.min.mjs", SCRIPT),
    ("/bayeux/client.mjs.map", "client.min.mjs.map", JSON),
    ("/bayeux/client.d.ts", "client.d.ts", "text/plain; charset=utf-8"),
]


def tag(site: Site) -> str:
    return site.request("GET", "/bayeux.js").headers["ETag"]


@pytest.mark.parametrize(("path", "name", "content_type"), FILES)
def test_a_file(site: Site, path: str, name: str, content_type: str) -> None:
    answer = site.request("GET", path, HTTP_ORIGIN="http://elsewhere.example")
    assert (answer.status, answer.body) == ("200 OK", (BROWSER / name).read_bytes())
    etag = answer.headers["ETag"]
    assert answer.headers == {
        "Content-Type": content_type, "ETag": etag, "Cache-Control": "no-cache",
        "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
        "Content-Length": str(len(answer.body))}
    assert etag[0] == etag[-1] == '"' and etag.strip('"').isalnum()


@pytest.mark.parametrize(("path", "name", "content_type"), FILES)
def test_head(site: Site, path: str, name: str, content_type: str) -> None:
    head = site.request("HEAD", path)
    assert (head.status, head.body) == ("200 OK", b"")
    assert head.headers == site.request("GET", path).headers


def test_every_file_has_a_tag_of_its_own(site: Site) -> None:
    tags = {site.request("GET", path).headers["ETag"] for path, _, _ in FILES}
    assert len(tags) == len({name for _, name, _ in FILES})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("given", ["{}", "W/{}", '"old", {}', '"old",W/{} , "x"', "*"])
def test_what_is_known_is_not_sent_again(site: Site, method: str, given: str) -> None:
    known = given.replace("{}", tag(site))
    answer = site.request(method, "/bayeux/client.js", HTTP_IF_NONE_MATCH=known)
    assert (answer.status, answer.body) == ("304 Not Modified", b"")
    assert answer.headers == site.request("HEAD", "/bayeux/client.js").headers


@pytest.mark.parametrize("given", ['"old"', "W/", "", '"*"', '"old", "older"'])
def test_what_is_old_is_sent(site: Site, given: str) -> None:
    answer = site.request("GET", "/bayeux.js", HTTP_IF_NONE_MATCH=given)
    assert (answer.status, answer.body) == ("200 OK", (BROWSER / "client.min.js").read_bytes())


@pytest.mark.parametrize("path", [
    "/bayeux/faye.js", "/bayeux/client.min.js", "/bayeux/faye-browser-min.js.map",
    "/bayeux/messages.js", "/bayeux/Client.js", "/bayeux/client.js.js", "/bayeux//client.js",
    "/bayeux/./client.js", "/bayeux/../browser/client.js", "/bayeux/x/../client.js",
    "/bayeux/%2e%2e/client.js", "/bayeux/client.js/x.js", "/bayeux/client.js\0.js",
    "/bayeux.js/client.js", "/bayeux.js.map",
])
def test_there_is_nothing_else(site: Site, path: str) -> None:
    answer = site.request("GET", path)
    assert (answer.status, answer.body) == ("404 Not Found", b"Not found: no such file")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_script_is_only_read(site: Site, method: str) -> None:
    assert site.request(method, "/bayeux/client.js").status == "404 Not Found"


@pytest.mark.parametrize(("mount", "paths"), [
    ("/a/b", ["/a/b.js", "/a/b/client.js"]), ("/", ["/client.js"])])
def test_the_mount(make_site: Callable[..., Site], mount: str, paths: list[str]) -> None:
    def get(path: str) -> Answer:
        return make_site(mount=mount).request("GET", path)
    assert [get(path).status for path in paths] == ["200 OK"] * len(paths)
    assert get("/bayeux/client.js").status == "404 Not Found"
