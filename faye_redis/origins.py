"""Web origins (RFC 6454): scheme, host and port."""

from __future__ import annotations

import re
from typing import Final

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def normalise(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a serialised origin; None if it is not one. Hosts that are not
    ASCII are written in Punycode, as browsers do."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return scheme, host, int(port) if port else _DEFAULT_PORTS.get(scheme, 0)
