"""Which origins may talk to the server, and what a browser is told about it. Pure.

The rule is the same for every transport: a request that shows that it comes from a page of
another origin is refused unless that origin is allowed. Requests without an ``Origin`` come from
pages of this server, from scripts in them or from programs that are no browser, and pass.

Faye lets every origin in. Here that takes ``allowed_origins = "*"``; its answers are then
Faye's, except that ``Referer`` never stands in for ``Origin``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..errors import BadRequest
from ..origins import normalise
from .responses import Environ, Headers

_ELSEWHERE: Final = ("cross-site", "same-site")
_HEADER_SAFE: Final = re.compile(r"[!-~]{1,255}")

_PREFLIGHT: Final[Headers] = [
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers",
     "Accept, Authorization, Content-Type, Pragma, X-Requested-With"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Max-Age", "86400"),
    ("Vary", "Origin"),
]


class Cors:
    """The origin rule of one server.

    :param allowed: None for the same origin only, ``"*"`` for any, or exact origins.
    """

    def __init__(self, allowed: str | Sequence[str] | None) -> None:
        self._any = allowed == "*"
        exact = [] if allowed is None or self._any else allowed
        self._exact = {normalise(origin) for origin in exact} - {None}
        self._same = allowed is None

    def check(self, environ: Environ) -> None:
        """Let the request pass or refuse it.

        :raises BadRequest: status 403; the reason names the setting.
        """
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not self._allows(origin, environ):
            raise BadRequest(f"origin {origin[:100]!r} is not in allowed_origins", 403)

    def check_script(self, environ: Environ) -> None:
        """As ``check``, for a request made by a ``<script>`` element: it carries no ``Origin``,
        but browsers tell of a page elsewhere in ``Sec-Fetch-Site``, and which in ``Referer``. They
        do the former over TLS and on localhost only; elsewhere a ``Referer`` alone counts.

        :raises BadRequest: status 403; the reason names the setting.
        """
        self.check(environ)
        site = environ.get("HTTP_SEC_FETCH_SITE")
        ours = not environ.get("HTTP_REFERER") if site is None else site not in _ELSEWHERE
        if ours or self._any:
            return
        page = "/".join(environ.get("HTTP_REFERER", "").split("/", 3)[:3])
        if not self._allows(page, environ):
            raise BadRequest(f"JSON-P from page {page[:100]!r}, not in allowed_origins", 403)

    def _allows(self, origin: str, environ: Environ) -> bool:
        if self._any:
            return _HEADER_SAFE.fullmatch(origin) is not None
        parts = normalise(origin)
        if parts is None:
            return False
        return parts == _own_origin(environ) if self._same else parts in self._exact

    def headers(self, environ: Environ) -> Headers:
        """Headers of an answer to an allowed request; none without an ``Origin``."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            return []
        return [("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"), ("Vary", "Origin")]

    def preflight(self, environ: Environ) -> Headers:
        """Headers of the answer to a preflight request.

        :raises BadRequest: status 403, the origin is not allowed.
        """
        self.check(environ)
        origin = environ.get("HTTP_ORIGIN", "*" if self._any else None)
        return _PREFLIGHT + ([("Access-Control-Allow-Origin", origin)] if origin else [])


def _own_origin(environ: Environ) -> tuple[str, str, int] | None:
    return normalise(f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}")
