"""The browser client as a file: ``<mount>/client.js``, or ``<mount>.js`` as Faye calls it.

The files are public, so pages of any origin may load them. Browsers keep them and ask each time
whether they are still the same (RFC 9110, 13.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Final, NamedTuple

from .responses import NO_SNIFF, Environ, Headers, StartResponse, respond

_SCRIPT: Final = "text/javascript; charset=utf-8"
_JSON: Final = "application/json; charset=utf-8"

# What is asked for: the file that is served.
_FILES: Final = {
    "client.js": ("client.min.js", _SCRIPT),
    "client.js.map": ("client.min.js.map", _JSON),
    "client.mjs": ("client.min.mjs", _SCRIPT),
    "client.mjs.map": ("client.min.mjs.map", _JSON),
    "client.d.ts": ("client.d.ts", "text/plain; charset=utf-8"),
}


class File(NamedTuple):
    """One file."""

    content: bytes
    etag: str
    headers: Headers

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a GET or HEAD request."""
        status = 304 if self._is_known(environ.get("HTTP_IF_NONE_MATCH", "")) else 200
        body = respond(start_response, status, self.headers, self.content)
        return body if status == 200 and environ["REQUEST_METHOD"] == "GET" else []

    def _is_known(self, tags: str) -> bool:
        """By weak comparison: a proxy that compresses makes a tag weak."""
        given = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return self.etag in given or given == ["*"]


@cache
def _load(name: str, content_type: str) -> File:
    content = (files("faye_redis") / "browser" / name).read_bytes()
    etag = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    return File(content, etag, [
        ("Content-Type", content_type), ("ETag", etag), ("Cache-Control", "no-cache"),
        ("Access-Control-Allow-Origin", "*"), NO_SNIFF])


class Static:
    """The files of one server.

    :param mount: its path.
    """

    def __init__(self, mount: str) -> None:
        base = mount.rstrip("/")
        self._files = {f"{base}/{name}": _load(*file) for name, file in _FILES.items()}
        self._files[f"{base}.js"] = self._files[f"{base}/client.js"]

    def find(self, environ: Environ) -> File | None:
        """What a request is for, if it is for one of the files."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return None
        return self._files.get(environ.get("PATH_INFO", ""))
