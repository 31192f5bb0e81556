"""Which origins may ask (RFC 6454), whatever a browser or anybody else sends as theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from faye_redis.errors import BadRequest
from faye_redis.origins import normalise
from faye_redis.transports.cors import Cors
from faye_redis.transports.responses import Environ

from .finding import expect
from .values import Source

Origin = tuple[str, str, int]

_EXACT = ("https://a.org", "http://b.org:8080")
_RULES: dict[str, str | tuple[str, ...] | None] = {"same": None, "any": "*", "exact": _EXACT}
_PARTS = ("http", "https", "://", "a.org", "A.ORG", "b.org", "evil.org", "www.", ":", "80", "443",
          "8080", "00443", "@", "/", "?", "#", "null", " ", "\t", "\r\n", "\x00", "[::1]", "\u00e9",
          ",", "*", ".", "%61", "\\", "x" * 260)
_WHOLE = ("https://a.org", "http://a.org", "https://a.org:443", "http://b.org:8080", "null",
          "https://evil.org", "HTTPS://A.org", "http://a.org:80", "https://a.org.evil.org", "")
_HOSTS = ("a.org", "a.org:443", "a.org:80", "b.org:8080", "", "a.org, evil.org", "[::1]")
_SITES = ("cross-site", "same-site", "same-origin", "none", "")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_SCHEME = _LOWER + _DIGITS + "+.-"


class Case(NamedTuple):
    rule: str
    origin: str | None
    page: str
    site: str
    scheme: str
    host: str


def generate(source: Source) -> Case:
    rule = source.PickValueInList(list(_RULES))
    origin = _header(source) if source.ConsumeIntInRange(0, 7) < 7 else None
    return Case(rule, origin, _header(source) + source.PickValueInList(["", "/", "/x?y"]),
                source.PickValueInList(list(_SITES)),
                source.PickValueInList(list(_DEFAULT_PORTS)), source.PickValueInList(list(_HOSTS)))


def _header(source: Source) -> str:
    """The value of a header; its characters stand for bytes (PEP 3333)."""
    kind = source.ConsumeIntInRange(0, 3)
    if kind == 0:
        return str(source.PickValueInList(list(_WHOLE)))
    if kind == 3:
        return source.ConsumeBytes(source.ConsumeIntInRange(0, 80)).decode("latin-1")
    count = source.ConsumeIntInRange(0, 6)
    return "".join(source.PickValueInList(list(_PARTS)) for _ in range(count))


def check(case: Case) -> list[str]:
    rule = Cors(_RULES[case.rule])
    environ = {"wsgi.url_scheme": case.scheme, "HTTP_HOST": case.host,
               "HTTP_SEC_FETCH_SITE": case.site, "HTTP_REFERER": case.page}
    if case.origin is not None:
        environ["HTTP_ORIGIN"] = case.origin
        expect(normalise(case.origin) == parts_of(case.origin), case)
    allowed = case.origin is None or _is_allowed(case, case.origin)
    expect(_passes(rule.check, environ) == allowed, "check", case)
    page = "/".join(case.page.split("/")[:3])
    foreign = case.site in ("cross-site", "same-site") and case.rule != "any"
    script = allowed and (not foreign or _is_allowed(case, page))
    expect(_passes(rule.check_script, environ) == script, "check_script", case)
    if allowed:
        _check_headers(rule, environ)
    return [f"{case.rule} {'passes' if allowed else 'refused'}"]


def _passes(test: Callable[[Environ], None], environ: Environ) -> bool:
    try:
        test(environ)
    except BadRequest as problem:
        expect(problem.status == 403, problem.status)
        return False
    return True


def _check_headers(rule: Cors, environ: Environ) -> None:
    """What goes into a header is what came, and cannot begin another header."""
    for headers in (rule.headers(environ), rule.preflight(environ)):
        for name, value in headers:
            expect(value.isascii() and value.isprintable(), name, value)
            expect(name != "Access-Control-Allow-Origin"
                   or value == environ.get("HTTP_ORIGIN", "*"), value)


def _is_allowed(case: Case, origin: str) -> bool:
    if case.rule == "any":
        return 0 < len(origin) < 256 and all("!" <= character <= "~" for character in origin)
    parts = parts_of(origin)
    if case.rule == "same":
        return parts is not None and parts == parts_of(f"{case.scheme}://{case.host}")
    return parts in [parts_of(exact) for exact in _EXACT]


def parts_of(origin: str) -> Origin | None:
    """Scheme, host and port, found without a regular expression."""
    scheme, separator, rest = origin.lower().partition("://")
    literal = rest.startswith("[")
    host, colon, port = _split_literal(rest) if literal else rest.partition(":")
    named = "0123456789abcdef:." if literal else _LOWER + _DIGITS + "._~-"
    inner = host[1:-1] if literal else host
    valid = (separator and scheme[:1] in set(_LOWER) and not set(scheme) - set(_SCHEME)
             and inner and not set(inner) - set(named)
             and (not colon or (1 <= len(port) <= 5 and not set(port) - set(_DIGITS))))
    if not valid:
        return None
    return scheme, host, int(port) if port else _DEFAULT_PORTS.get(scheme, 0)


def _split_literal(rest: str) -> tuple[str, str, str]:
    """Host, colon and port where the host is an IPv6 address."""
    address, bracket, port = rest.partition("]")
    if not bracket or (port and port[0] != ":"):
        return "", "", ""
    return address + bracket, port[:1], port[1:]
