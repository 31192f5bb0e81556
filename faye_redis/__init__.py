"""faye_redis: a Bayeux messaging server for WSGI applications, compatible with Faye.

    from faye_redis import WSGIAdapter

    application = WSGIAdapter(app, {"mount": "/faye", "engine": {"url": "redis://localhost"}})

Names are imported on first use, so that importing a part (``faye_redis.bayeux``) loads no more
than it needs, and so that ``faye_redis.gunicorn_conf`` can patch the process before the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import WSGIAdapter as WSGIAdapter
    from .bayeux.policy import Attempt as Attempt
    from .bayeux.policy import Policy as Policy
    from .client import Client as Client
    from .client import Subscription as Subscription
    from .errors import Denied as Denied
    from .publisher import Publisher as Publisher
    from .settings import Settings as Settings

__version__ = "0.1.0"

_HOMES = {
    "Attempt": "bayeux.policy",
    "Denied": "errors",
    "Policy": "bayeux.policy",
    "Publisher": "publisher",
    "WSGIAdapter": "adapter",
    "Client": "client",
    "Subscription": "client",
    "Settings": "settings",
}

__all__ = ["Attempt", "Client", "Denied", "Policy", "Publisher", "Settings", "Subscription",
           "WSGIAdapter", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
