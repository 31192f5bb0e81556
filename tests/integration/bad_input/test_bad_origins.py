"""Requests made by pages elsewhere: over every transport, under every rule for origins."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from carriers import MOUNT, HttpLine, Refusal, form_body, json_body, script_query
from nodes import worker
from raw_client import PATIENCE, Message, RawClient
from refusals import check_refusal
from wire import answer, head
from witness import Witness, check_undisturbed

GOOD = b'{"channel":"/a","data":1}'
HEARD = {"channel": "/a", "data": 1}

RULES = {"same": {}, "list": {"allowed_origins": "https://good.com,http://localhost:3000"},
         "any": {"allowed_origins": "*"}}
OWN = "http://a"  # wire.head says "Host: a"


@dataclass(frozen=True)
class Row:
    """What a browser says of the page, and whether it may come in.

    :param rule: one of ``RULES``.
    """

    rule: str
    headers: tuple[str, ...]
    passes: bool

    def __str__(self) -> str:
        return f"{self.rule}: {', '.join(self.headers)[:60]!a}"


def origins(rule: str, passing: tuple[str, ...], refused: tuple[str, ...]) -> list[Row]:
    return [Row(rule, (f"Origin: {origin}",), origin in passing) for origin in (*passing, *refused)]


ROWS = [
    *origins("same", (OWN, "http://a:80", "HTTP://A"), (
        "null", "", "https://a", "http://a:8080", "http://a.evil.com", "http://evil.com",
        "http://evil.com/http://a", "http://a@evil.com", "http://a/", "//a", "a",
        "http://a http://a", "file://", "http://\xe4", "*", "http://" + "a" * 4000)),
    *origins("list", ("https://good.com", "https://good.com:443", "https://GOOD.com",
                      "http://localhost:3000"), (
        OWN, "null", "", "http://good.com", "https://good.com:444", "https://good.com.evil.com",
        "https://goodXcom", "https://evil-good.com", "https://www.good.com", "https://good.com.",
        "https://good.com/", "https://good.com,https://good.com", "https://good.com\tx",
        "http://localhost", "*")),
    *origins("any", ("http://evil.com", "null", "*", OWN), ("", "a b", "\xe4", "a" * 256)),
    Row("same", (f"Origin: {OWN}", f"Origin: {OWN}"), False),
    Row("same", (f"Origin: {OWN}", "Origin: http://evil.com"), False),
    Row("list", ("Origin: https://good.com", "Origin: http://evil.com"), False),
    Row("same", ("Origin: http://evil.com", f"Referer: {OWN}/page"), False),
    Row("same", ("Origin: http://evil.com", "X-Forwarded-Host: evil.com"), False),
    Row("same", ("Origin: http://evil.com", "Cookie: session=1"), False),
    Row("same", (), True),
    Row("list", (), True),
    Row("any", (), True),
]

TRANSPORTS = ("long-polling", "cross-origin-long-polling", "callback-polling", "websocket",
              "eventsource", "preflight")
PUBLISHING = {"long-polling": json_body, "cross-origin-long-polling": form_body,
              "callback-polling": script_query}
OPENING = {
    "websocket": (f"GET {MOUNT}", "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "eventsource": (f"GET {MOUNT}/$id", "Accept: text/event-stream"),
    "preflight": (f"OPTIONS {MOUNT}", "Access-Control-Request-Method: POST"),
}


def request(transport: str, client: str, headers: Sequence[str]) -> bytes:
    if transport in OPENING:
        start, *lines = OPENING[transport]
        return head(start.replace("$id", client), *lines, *headers)
    method, path, body, own = PUBLISHING[transport](GOOD)
    lines = [f"{name}: {value}" for name, value in own.items()]
    return head(f"{method} {path}", *lines, f"Content-Length: {len(body)}", *headers) + body


class Site(NamedTuple):
    """A node with one of the rules, and two clients of it."""

    port: int
    client: str
    witness: Witness


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Site]]:
    with ExitStack() as stack:
        nodes = {rule: stack.enter_context(worker({"type": "memory", **options}))
                 for rule, options in RULES.items()}
        yield {rule: Site(node.port, RawClient([node.url + MOUNT]).client_id,
                          Witness(node.url, stack)) for rule, node in nodes.items()}


def ask(site: Site, transport: str, headers: Sequence[str]) -> Refusal:
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        sock.sendall(request(transport, site.client, headers))
        return answer(sock)


def heard(site: Site) -> list[Message]:
    with closing(HttpLine(site.port, json_body)) as line:
        return check_undisturbed(line, site.witness)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_origin(row: Row, transport: str, sites: Mapping[str, Site]) -> None:
    site = sites[row.rule]
    site.witness.forget()
    got = ask(site, transport, row.headers)
    if row.passes:
        assert got.status == (101 if transport == "websocket" else 200)
        check_told(row, transport, got.headers)
    else:
        check_refusal(got, 403, ["allowed_origins"])
        assert (got.headers["Vary"], got.headers.get(ALLOWED)) == ("Origin", None)
    assert heard(site) == [HEARD] * (row.passes and transport in PUBLISHING)


ALLOWED = "Access-Control-Allow-Origin"


def check_told(row: Row, transport: str, headers: Mapping[str, str]) -> None:
    """The page may read the answer: its origin as it gave it, and never ``*`` with credentials."""
    origin = row.headers[0].removeprefix("Origin: ") if row.headers else None
    if transport == "preflight" and row.rule == "any":
        origin = origin or "*"
    if transport != "websocket":
        assert headers.get(ALLOWED) == origin
        if origin and row.headers:
            assert headers["Access-Control-Allow-Credentials"] == "true"
            assert headers["Vary"] == "Origin"


# Scripts carry no Origin: headers, and under which rules they may come in
SCRIPTS: list[tuple[tuple[str, ...], set[str]]] = [
    (("Sec-Fetch-Site: cross-site",), {"any"}),
    (("Sec-Fetch-Site: cross-site", "Referer: http://evil.com/"), {"any"}),
    (("Sec-Fetch-Site: cross-site", "Referer: https://good.com/page"), {"any", "list"}),
    (("Sec-Fetch-Site: same-site", "Referer: https://www.good.com/page"), {"any"}),
    (("Sec-Fetch-Site: same-origin",), set(RULES)),
    ((), set(RULES)),
    (("Referer: http://evil.com/",), {"any"}),  # from where no Sec-Fetch-Site is sent
    (("Referer: https://good.com/",), {"any", "list"}),
    ((f"Referer: {OWN}/page",), {"any", "same"}),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("headers", "passing"), SCRIPTS, ids=str)
def test_script(
    headers: tuple[str, ...], passing: set[str], rule: str, sites: Mapping[str, Site]
) -> None:
    site = sites[rule]
    site.witness.forget()
    got = ask(site, "callback-polling", headers)
    if rule in passing:
        assert got.status == 200
    else:
        check_refusal(got, 403, ["allowed_origins"])
    assert heard(site) == [HEARD] * (rule in passing)
