"""Whose a client is: the user that its handshake named, and the browser or account it is bound to.

Whoever knows a client id can act as that client. Where clients are bound, they also have to show
what they showed at the handshake: the same cookie, or whatever else tells the application who asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ..errors import UnknownClient
from .exchange import Environ, Request
from .grammar import is_client_id

if TYPE_CHECKING:
    from ..engines.base import Engine, Owner

log = logging.getLogger("faye_redis")

_MOST_REMEMBERED: Final = 10_000  # clients; of others the engine is asked each time
_DIGEST_BYTES: Final = 16

Identify = Callable[[Environ], str | None]


class Sessions:
    """Knows the owners of clients.

    :param identify: tells from a request who asks; None binds clients to nobody.
    """

    def __init__(self, engine: Engine, identify: Identify | None) -> None:
        self._identify = identify
        self._owner = lru_cache(maxsize=_MOST_REMEMBERED)(engine.owner)  # it never changes

    @property
    def binds(self) -> bool:
        """Are clients bound?"""
        return self._identify is not None

    def binding(self, request: Request) -> str:
        """What a client is bound to that shakes hands by ``request``: a digest, so that nothing
        secret is stored; "" if clients are not bound."""
        if self._identify is None:
            return ""
        environ = request() if callable(request) else request
        identity = self._identify(environ) or ""
        return blake2b(identity.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    def check(self, client_id: object, request: Request) -> None:
        """Let pass who may act as the client. An unknown one is nobody's, and left to others.

        :raises UnknownClient: it is bound to somebody else.
        """
        owner = self.owner(client_id)
        if owner and owner.binding != self.binding(request):
            log.warning("client %.6s... is bound to somebody else than who uses it", client_id)
            raise UnknownClient(str(client_id))

    def forget(self) -> None:
        """Forget what is known of clients, some of which have been removed."""
        self._owner.cache_clear()

    def user(self, client_id: object) -> str | None:
        """The user that the client's handshake named, if there is such a client and it did."""
        owner = self.owner(client_id)
        return (owner.user or None) if owner else None

    def owner(self, client_id: object) -> Owner | None:
        """Whose it is; None if there is no such client."""
        try:
            return self._owner(client_id) if is_client_id(client_id) else None
        except UnknownClient:
            return None
