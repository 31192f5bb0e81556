"""Monitoring: user code that is told what happened. The events are those of Faye."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from ..errors import ConfigurationError

log = logging.getLogger("faye_redis")

EVENTS = {
    "handshake": "(client_id): a client was created; once in the cluster",
    "subscribe": "(client_id, channel): not if it was subscribed before; once in the cluster",
    "unsubscribe": "(client_id, channel): also when the client left or expired; once likewise",
    "publish": "(client_id or None, channel, data): the engine has it; once in the cluster",
    "disconnect": "(client_id): the client left, expired or fell behind; once in the cluster",
    "connection:open": "(client_id): this worker holds the client's connection",
    "connection:close": "(client_id): it no longer does",
    "close": "(): this worker's server is closed",
}
"""Event -> arguments of its listeners, and when."""

Listener = Callable[..., Any]


class Monitor:
    """Listeners by event. They run where the event happens, in the order they were added."""

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    def on(self, event: str, callback: Listener) -> None:
        """Call ``callback`` whenever ``event`` happens; see :data:`EVENTS` for its arguments.

        :raises ConfigurationError: there is no such event.
        """
        _check(event)
        self._listeners[event] = (*self._listeners.get(event, ()), callback)

    def off(self, event: str, callback: Listener | None = None) -> None:
        """Undo ``on`` for one callback, or for all callbacks of the event.

        :raises ConfigurationError: there is no such event.
        """
        _check(event)
        known = self._listeners.pop(event, ())
        kept = tuple(listener for listener in known if callback not in (None, listener))
        if kept:
            self._listeners[event] = kept

    def has(self, event: str) -> bool:
        """True if anyone listens to ``event``."""
        return event in self._listeners

    def trigger(self, event: str, *args: Any) -> None:
        """Tell the listeners. One that raises is logged, and the others are still told. Those
        added or removed meanwhile do not matter to the event under way. Never raises."""
        if not self._listeners:
            return
        for listener in self._listeners.get(event, ()):
            try:
                listener(*args)
            except Exception:
                log.exception("listener of %r failed", event)

    def departed(self, client_id: str, channels: Iterable[str]) -> None:
        """Tell that a client is no more: unsubscribe for each of ``channels``, then disconnect."""
        for channel in channels:
            self.trigger("unsubscribe", client_id, channel)
        self.trigger("disconnect", client_id)


def _check(event: str) -> None:
    if event not in EVENTS:
        near = get_close_matches(event, EVENTS, n=1) or [", ".join(EVENTS)]
        raise ConfigurationError("event", f"{event!r} does not exist; did you mean {near[0]}?")
