"""Headers of a request, as a WSGI environ has them. Reads each character once, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_WITHOUT_PREFIX: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")


def header(environ: Mapping[str, Any], name: str) -> str | None:
    """A header, by any case of its name."""
    key = name.upper().replace("-", "_")
    value: str | None = environ.get(key if key in _WITHOUT_PREFIX else f"HTTP_{key}")
    return value


def cookies(environ: Mapping[str, Any]) -> dict[str, str]:
    """The cookies that a request shows (RFC 6265, 4.2); of two with one name the first, which is
    the more specific one.

    Not by ``http.cookies``: it reads no cookie behind one that is not as the RFC wants it, as those
    of many applications are, and takes seconds for a header that is long enough.
    """
    found: dict[str, str] = {}
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        name, equals, value = pair.strip(" \t").partition("=")
        if equals:
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            found.setdefault(name, value[1:-1] if quoted else value)
    return found


def size(environ: Mapping[str, Any]) -> int:
    """Characters in all headers."""
    return sum(len(name) + len(value) for name, value in environ.items()
               if name.startswith("HTTP_"))
