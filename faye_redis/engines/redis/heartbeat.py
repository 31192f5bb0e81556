"""Each second: show that this worker lives, and find out whether Redis still has its data.

A time without any heartbeat was an outage: it does not count for the time that clients may be
silent (*grace*).

Redis has a *marker*, set once. A worker that finds another one, or none, knows that Redis has lost
everything (a restart without persistence, FLUSHALL), and puts its clients back from memory. While
that goes on, for ``restore_window`` seconds, clients that Redis does not know are told to try again
instead of to begin anew, and messages are logged whether or not they have subscribers: these may
be about to be put back.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, TypeVar

from ...concurrency import RLock, Task, monotonic, sleep, spawn
from ...errors import EngineError, EngineUnavailable, UnknownClient
from ..base import EngineEvents, Snapshot
from .keys import Keys
from .lifetimes import Lifetimes
from .retries import retried
from .scripts import Scripts

if TYPE_CHECKING:
    import redis

    from ...settings import EngineSettings

log = logging.getLogger("faye_redis.engine")

_SECONDS = 1.0
_GAP_SECONDS = 5.0  # without a heartbeat: Redis was out of reach
_NOTICE_SECONDS = 3.0  # after which every worker has seen a new marker
_AT_ONCE = 100  # clients restored in one round trip

Result = TypeVar("Result")


class Heartbeat:
    """The life of one worker, as Redis sees it."""

    def __init__(
        self, client: redis.Redis, scripts: Scripts, keys: Keys, settings: EngineSettings,
        lifetimes: Lifetimes,
    ) -> None:
        self._redis = client
        self._scripts = scripts
        self._keys = keys
        self._settings = settings
        self._lifetimes = lifetimes
        self._lifetime = round(2 * settings.client_timeout) + 60
        self._marker: bytes | None = None
        self._has_written = False
        self._beating = RLock()
        self._last, self._outage_end = monotonic(), -inf
        self._task: Task | None = None

    def start(
        self, server_id: str, events: EngineEvents, heard: Callable[[], int],
        on_lost: Callable[[], None], after: Callable[[], None],
    ) -> None:
        """Begin to beat.

        :param heard: the highest message id that this worker has heard of.
        :param on_lost: called when the data is found lost.
        :param after: called after each beat that Redis has answered.
        """
        self._server_id, self._events, self._heard = server_id, events, heard
        self._on_lost, self._after = on_lost, after
        self._last = monotonic()
        self._task = spawn(self._beat_always)

    def close(self) -> None:
        if self._task:
            self._task.kill()

    @property
    def is_recovering(self) -> bool:
        """Clients could not be marked as seen for a while: give them time to be seen again."""
        return monotonic() - self._outage_end < self._settings.client_timeout

    @property
    def restore_ms(self) -> int:
        """For how long messages are logged for subscribers who may be about to be put back."""
        return round(self._settings.restore_window * 1000) if self._task else 0

    def surely(self, verb: Callable[[], Result]) -> Result:
        """Carry out ``verb``; if it finds no client, but there was an outage or Redis has lost its
        clients, see to it that they are known again and try once more.

        :raises UnknownClient: there is no such client.
        :raises EngineUnavailable: another worker may be about to put it back.
        """
        try:
            return verb()
        except UnknownClient:
            if self._is_whole():
                raise
        self.beat()
        try:
            return verb()
        except UnknownClient:
            if self._is_whole():
                raise
            raise EngineUnavailable("Redis has lost its data, clients are put back") from None

    @retried
    def _is_whole(self) -> bool:
        if self._task is not None and monotonic() - self._last > _GAP_SECONDS:
            return False
        if not self.restore_ms:
            return True
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.mget(self._keys.marker, self._keys.restoring)
            pipeline.time()
            (marker, restoring), (seconds, _) = pipeline.execute()
        if marker is None or marker != self._marker or restoring:
            return False
        return bool(seconds - int(marker) / 1000 > _NOTICE_SECONDS)

    # The greenlet

    def _beat_always(self) -> None:
        while True:
            try:
                self.beat()
                self._after()
            except EngineError as error:
                log.debug("heartbeat failed: %s", error)
            except Exception:
                log.exception("heartbeat failed")
            sleep(_SECONDS)

    def beat(self) -> None:
        """One heartbeat; puts clients back if Redis has lost them.

        :raises EngineUnavailable: no answer.
        """
        with self._beating:
            position = self._events.delivered(self._heard(), self._has_written)
            self._has_written = False
            marker = self._show_alive(position)
            self._has_written = True
            self._note()
            if self._marker not in (None, marker) and self.restore_ms:
                self._restore(self._events.remembered())
            self._marker = marker

    @retried
    def _show_alive(self, position: int) -> bytes:
        keys = self._keys
        known = self._marker or b""
        return bytes(self._scripts.run(
            "beat", [keys.server(self._server_id), keys.marker, keys.restoring, keys.last_id,
                     keys.alive, keys.grace],
            socket.gethostname(), os.getpid(), position, self._lifetime, known, self._heard(),
            self.restore_ms, round(_GAP_SECONDS * 1000),
            round(self._settings.client_timeout * 1000)))

    def _note(self) -> None:
        now = monotonic()
        if now - self._last > _GAP_SECONDS:
            self._outage_end = now
        self._last = now

    # Lost data

    def _restore(self, clients: list[Snapshot]) -> None:
        self._on_lost()
        log.error("Redis has lost its data: %d clients of this worker are put back", len(clients))
        for start in range(0, len(clients), _AT_ONCE):
            self._put_back(clients[start : start + _AT_ONCE])
        self._events.restored()

    @retried
    def _put_back(self, clients: list[Snapshot]) -> None:
        keys, lifetime = self._keys, self._lifetimes.milliseconds
        with self._redis.pipeline(transaction=False) as pipeline:
            for one in clients:
                channels = [keys.subscribers(name) for name in one.subscriptions]
                places = [item for pair in one.subscriptions.items() for item in pair]
                self._scripts.run(
                    "restore",
                    [keys.client(one.client_id), keys.removed(one.client_id), keys.clients,
                     keys.restoring, *channels],
                    one.client_id, self._server_id, lifetime, one.epoch, one.version, one.cursor,
                    one.connect_id, "" if one.sent is None else one.sent, int(one.stream),
                    int(one.open), int(one.acknowledges), *one.owner, *places, pipeline=pipeline)
            pipeline.execute()
