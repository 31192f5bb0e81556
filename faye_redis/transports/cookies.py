"""The cookie that a browser's clients are bound to, if ``bind_clients`` is "cookie" (as CometD's).

A handshake that comes without it sets it, and so does opening a WebSocket, by which a handshake may
come. Pages elsewhere cannot read it, and their requests do not carry it.
"""

from __future__ import annotations

from typing import Final

from ..engines.ids import new_client_id
from ..headers import cookies
from .responses import Environ, Headers

NAME: Final = "BAYEUX_BROWSER"
_KEY: Final = "faye_redis.browser"  # where an environ has the value that its answer sets


def browser(environ: Environ) -> str | None:
    """The value that the request shows, or that the answer to it sets."""
    if _KEY in environ:
        return str(environ[_KEY])
    return cookies(environ).get(NAME)


class BrowserCookie:
    """Gives it to those who have none.

    :param enabled: does nothing if not.
    :param mount: path of the server within the application.
    """

    def __init__(self, enabled: bool, mount: str) -> None:
        self._enabled = enabled
        self._mount = mount

    def give(self, environ: Environ) -> Headers:
        """The header that sets it, if the request has none; the request counts as one with it."""
        if not self._enabled or browser(environ):
            return []
        environ[_KEY] = value = new_client_id()
        secure = "; Secure" if environ["wsgi.url_scheme"] == "https" else ""
        path = environ.get("SCRIPT_NAME", "") + self._mount
        return [("Set-Cookie", f"{NAME}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}")]
