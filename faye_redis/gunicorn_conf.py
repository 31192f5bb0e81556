"""Settings and hooks for gunicorn: ``gunicorn -c python:faye_redis.gunicorn_conf``.

Without it the server works, less gently: it starts with the first request instead of with the
worker, ``--preload`` is not safe, and a stopping worker drops its sockets.

Options on gunicorn's command line win over those here.
"""

from __future__ import annotations

import atexit
from typing import Any

from . import concurrency

concurrency.patch()  # before gunicorn (with --preload) imports the application

from gunicorn.glogging import Logger  # noqa: E402
from gunicorn.workers.base_async import ALREADY_HANDLED  # noqa: E402

from .adapter import adapters  # noqa: E402
from .errors import ConfigurationError  # noqa: E402

worker_class = "gevent"
keepalive = 75
"""Seconds an idle connection stays open; longer than a proxy in front keeps it (nginx: 60)."""
worker_connections = 10_000
"""Requests at once per worker, held polls included; sockets taken over do not count here."""
graceful_timeout = 4
"""Seconds after which a stopping worker is killed. Held polls and sockets do not take that long.
Where gunicorn parses every request, it also waits for connections that are idle."""

_LOOK_SECONDS = 0.1


def post_worker_init(worker: Any) -> None:
    """Start with the worker, so that a wrong option stops it from booting."""
    if worker.cfg.worker_class_str != "gevent":
        raise ConfigurationError("worker_class", "must be 'gevent' (gunicorn -k gevent), not "
                                 f"{worker.cfg.worker_class_str!r}")
    for adapter in list(adapters):
        if worker.cfg.workers > 1:
            adapter.require_shared_engine()
        adapter.start()
        if worker.wsgi is adapter and not _minds_requests(worker):  # no middleware around it
            adapter.persist(worker.cfg.keepalive, ALREADY_HANDLED)
    atexit.register(_close)
    concurrency.spawn(_drain_when_stopped, worker)


def _minds_requests(worker: Any) -> bool:
    """Does gunicorn itself do something for each request: log, count, call a hook?"""
    cfg = worker.cfg
    logs = worker.log.access_log_enabled or type(worker.log).access is not Logger.access
    hooks = [cfg.settings[name] for name in ("pre_request", "post_request")]
    return (logs or cfg.max_requests > 0 or cfg.keepalive == 0
            or any(hook.get() is not hook.default for hook in hooks))


def _drain_when_stopped(worker: Any) -> None:
    """SIGTERM, a reload and max_requests have one thing in common: ``alive`` goes False."""
    while worker.alive:
        concurrency.sleep(_LOOK_SECONDS)
    for adapter in list(adapters):
        adapter.drain()


def _close() -> None:
    for adapter in list(adapters):
        adapter.close()
