"""Redis URLs: what they say, in names of this package's options."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigurationError
from .options import nearest

# What redis-py calls the parts of a URL and its query options: what they set here.
PARTS = {
    "host": "host", "port": "port", "path": "host", "db": "database",
    "username": "username", "password": "password",
    "ssl_certfile": "ssl.cert_file", "ssl_keyfile": "ssl.key_file",
    "ssl_ca_certs": "ssl.ca_file", "ssl_check_hostname": "ssl.check_hostname",
    "ssl_cert_reqs": "ssl.verify",
}


def parse(url: str) -> dict[str, Any]:
    """Values of the engine's options (``host``, ``ssl.ca_file``) that ``url`` sets.

    redis-py reads the URL; this refuses what it would pass over (a wrong database, a fragment,
    unknown query options).

    :raises ConfigurationError: the URL is wrong; no part of it is quoted.
    """
    options: dict[str, Any] = {"ssl.enabled": url.startswith("rediss://")}
    for part, value in _split(url).items():
        if part not in PARTS:
            raise _wrong("unknown query option" + nearest(part, {name: name for name in PARTS}))
        options[PARTS[part]] = _verify(value) if part == "ssl_cert_reqs" else value
    return options


def _split(url: str) -> dict[str, Any]:
    from redis.connection import parse_url  # late: the memory engine does without

    if re.match(r"redis\+(sentinel|cluster)://", url):
        raise _wrong("Sentinel and Cluster are not supported by this version")
    try:
        parts, options = urlsplit(url), dict(parse_url(url))  # type: ignore[no-untyped-call]
        port = parts.port
    except ValueError:  # its text may quote the password
        raise _wrong("must be a valid redis://, rediss:// or unix:// URL; characters such as "
                     "/ # ? @ : in a password are percent-encoded") from None
    options.pop("connection_class", None)
    path = r"/.+" if parts.scheme == "unix" else r"/?|/\d+"
    if not re.fullmatch(path, parts.path) or parts.fragment or port == 0:
        raise _wrong("must be redis://user:password@host:port/database-number or "
                     "unix:///path/of/socket?db=database-number")
    return options


def _verify(requirement: str) -> bool:
    if requirement not in ("none", "required"):
        raise _wrong("ssl_cert_reqs must be none or required")
    return requirement == "required"


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("engine.url", problem)
