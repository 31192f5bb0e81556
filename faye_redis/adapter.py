"""The WSGI middleware: the one place where the parts are put together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakSet

from . import logs
from .bayeux.extensions import Extensions
from .bayeux.grammar import is_subscription
from .bayeux.monitoring import Monitor
from .bayeux.server import BayeuxServer
from .bayeux.services import Handler
from .bayeux.sessions import Sessions
from .cleanup import CleanupTimer
from .client import Client
from .concurrency import Event, RLock, Timeout, require_patched
from .connections import Connections
from .engines import create_engine
from .errors import ConfigurationError
from .settings import Settings
from .transports import Transports
from .transports.cookies import browser
from .transports.responses import Environ, StartResponse

Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_SETTLE_SECONDS = 1.0

log = logging.getLogger("faye_redis")

adapters: WeakSet[WSGIAdapter] = WeakSet()
"""Every adapter of this process, for the hooks in ``gunicorn_conf``."""


class WSGIAdapter:
    """A Bayeux server mounted in front of a WSGI application.

    Requests at ``mount`` and below are served here, all others by ``app``, untouched. Nothing is
    connected and no greenlet runs before the first request (or ``start``), so it may be built
    before gunicorn forks its workers.

    :param app: the wrapped application; without one, everything outside ``mount`` is 404.
    :param settings: options as described in :mod:`faye_redis.settings`; environment variables
        ``FAYE_REDIS_*`` fill in what is not given.
    :raises ConfigurationError: an option is unknown or wrong.
    """

    def __init__(
        self, app: Application | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        if app is not None and not callable(app):
            raise ConfigurationError(
                "app", "must be a WSGI application or None; options are the second argument")
        self.settings = Settings.load(settings, os.environ)
        logs.configure(self.settings.engine.log_level)
        self.engine = create_engine(self.settings.engine)
        """The engine; ``adapter.engine.cleanup_expired()`` removes expired clients by hand."""
        self._app = app
        self._extensions = Extensions(Event, self)
        self._monitor = Monitor()
        bind = self.settings.bind_clients
        sessions = Sessions(self.engine, browser if isinstance(bind, str) else bind)
        self._server = BayeuxServer(
            self.engine, self.settings, self._extensions, self._monitor, sessions,
            failures=(Exception, Timeout))
        self._connections = Connections(self.engine, self.settings, self._server, self._monitor)
        self._transports = Transports(self._server, self._connections, self.settings)
        self._cleanup = CleanupTimer(self.engine, self.settings.engine.gc_interval)
        self._client: Client | None = None
        self._starting = RLock()
        self._stopping = RLock()
        self._pid: int | None = None
        for extension in self.settings.extensions:
            self.add_extension(extension)
        adapters.add(self)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._is_ours(environ.get("PATH_INFO", "")):
            if self._app is None:
                return self._transports.refuse(environ, start_response, 404)
            return self._app(environ, start_response)
        if self._pid != os.getpid():
            self._start_for(environ)
        return self._transports(environ, start_response)

    def _is_ours(self, path: str) -> bool:
        """The mount itself, anything below it, and the mount with an extension (Faye)."""
        mount = self.settings.mount.rstrip("/")
        if not path.startswith(mount):
            return False
        rest = path[len(mount) :]
        return rest == "" or rest[0] == "/" or (rest[0] == "." and "/" not in rest)

    # Life

    def start(self) -> None:
        """Connect and start greenlets, once per process. The first request does it otherwise.

        :raises NotPatchedError: the process is not monkey-patched.
        :raises ConfigurationError: an option is wrong, as Redis says.
        """
        with self._starting:
            if self._pid == os.getpid():
                return
            require_patched()
            self.engine.start(self._connections)
            self._connections.start()
            self._cleanup.start()
            self._pid = os.getpid()

    def _start_for(self, environ: Environ) -> None:
        if environ.get("wsgi.multiprocess"):
            self.require_shared_engine()
        self.start()

    def require_shared_engine(self) -> None:
        """:raises ConfigurationError: the engine keeps everything in this one process."""
        if self.settings.engine.type == "memory":
            raise ConfigurationError(
                "engine.type", "'memory' serves one process, and would deliver to some of the "
                "clients only; use 'redis', or run gunicorn with one worker (-w 1)"
            )

    def persist(self, idle_seconds: float, handled: Any) -> None:
        """Have gunicorn parse a head that comes again and again on a connection only once. For a
        server that asks nothing of the requests it does not see: neither a log nor a count.

        :param idle_seconds: after which a connection without a request is closed.
        :param handled: what tells gunicorn that a request has been answered.
        """
        self._transports.persist(idle_seconds, handled)

    def drain(self) -> None:
        """Answer held requests at once and close sockets with 1001, spread over
        ``drain_jitter`` seconds, which this takes; for a worker that is about to stop.

        What has arrived at the peers is stored before this returns (a second more at most).
        """
        with self._stopping:
            self._connections.drain()
            self._transports.close(self.settings.drain_jitter)
            self._connections.settle(_SETTLE_SECONDS)

    def close(self) -> None:
        """Stop: held requests are answered, sockets closed, connections to Redis dropped. Waits
        for a ``drain`` under way, and a second for what has to be stored."""
        if self._pid != os.getpid():
            return
        self._pid = None
        self._cleanup.close()
        with self._stopping:
            self._connections.drain()
            self._transports.close(0)
            self._connections.settle(_SETTLE_SECONDS)
        self._connections.close()
        self.engine.close()
        self._monitor.trigger("close")

    # For the application

    def get_client(self) -> Client:
        """The in-process client, always the same one."""
        if self._client is None:
            self._client = Client(self._server, self._connections, self.start)
        return self._client

    def service(self, channel: str) -> Callable[[Handler], Handler]:
        """A decorator: have a function called with each
        :class:`~faye_redis.bayeux.policy.Attempt` to publish to this channel under ``/service``,
        on the worker that it comes to. What it returns, if not None, goes back to the sender alone,
        as a message on the same channel with the same id.

        :raises ValueError: it is no channel under ``/service``.
        """
        def add(handler: Handler) -> Handler:
            self._server.services.add(channel, handler)
            return handler
        return add

    def user(self, client_id: str) -> str | None:
        """The user that the policy's rule for handshakes named for a client, if it did.

        :raises UnknownClient: it does not exist (any more).
        """
        self.start()
        return self.engine.owner(client_id).user or None

    def kick(self, client_id: str) -> None:
        """Remove a client, whichever worker holds it, and advise it not to come back. What it is
        owed is dropped.

        :raises UnknownClient: it does not exist (any more).
        """
        self._remove(client_id, kick=True)

    def expire(self, client_id: str) -> None:
        """Remove a client as if it had not been seen for ``client_timeout``: it may shake hands
        again, and is asked everything anew.

        :raises UnknownClient: it does not exist (any more).
        """
        self._remove(client_id, kick=False)

    def _remove(self, client_id: str, kick: bool) -> None:
        self.start()
        channels = self.engine.destroy_client(client_id, kick)
        self.engine.forget(client_id)
        self._monitor.departed(client_id, channels)

    def unsubscribe(self, client_id: str, *channels: str) -> list[str]:
        """End subscriptions of a client, whichever worker holds it. The client is not told.

        :returns: those that it had.
        :raises ValueError: one is neither a channel nor a pattern.
        :raises UnknownClient: it does not exist (any more).
        """
        self.start()
        if strange := [name for name in channels if not is_subscription(name)]:
            raise ValueError(f"{strange[0]!r} is neither a channel nor a pattern")
        removed = self.engine.unsubscribe(client_id, channels)
        self.engine.forget(client_id)
        for channel in removed:
            self._monitor.trigger("unsubscribe", client_id, channel)
        return removed

    def add_extension(self, extension: Any) -> None:
        """Have messages pass through ``extension.incoming`` and ``extension.outgoing``, each
        taking (message, callback) or (message, request, callback), as in Faye."""
        self._extensions.add(extension)

    def remove_extension(self, extension: Any) -> None:
        """Undo ``add_extension``; nothing if it was not added."""
        self._extensions.remove(extension)

    def on(self, event: str, callback: Callable[..., Any]) -> None:
        """Call ``callback`` on ``handshake``, ``subscribe``, ``unsubscribe``, ``publish``,
        ``disconnect``, ``connection:open``, ``connection:close`` or ``close``.

        :raises ConfigurationError: there is no such event.
        """
        self._monitor.on(event, callback)

    def off(self, event: str, callback: Callable[..., Any] | None = None) -> None:
        """Undo ``on``, for one callback or all of the event."""
        self._monitor.off(event, callback)
