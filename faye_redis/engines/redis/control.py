"""What workers tell each other about the clients they hold, each by its own pub/sub channel.

========================================= ====================================================
words                                     meaning
========================================= ====================================================
``destroyed`` client                      it has left or expired
``changed`` client version                its subscriptions have changed, to this version
``resume`` client connect-id              it goes on with the stream it has at this worker
``released`` client epoch server          that server holds it now, as of this epoch
``delivered`` client epoch position       answer to ``released``: how far a stream had come, for
version                                   which version of the subscriptions
========================================= ====================================================

A message is told at most once. Whatever depends on it is also fenced by the epoch, or read again
from Redis after the listener was cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...concurrency import Event, spawn
from ..base import EngineEvents, Session
from .client import retried
from .keys import Keys

if TYPE_CHECKING:
    import redis

    from ...settings import EngineSettings

_HANDOVER_SECONDS = 0.25
_NO_VERSION = -1  # no stream of the client here: what Redis has is right


class Handover(Event):
    """What the previous holder of a client answers."""

    value = (0, 0)
    """Position up to which it has delivered, and the version of the subscriptions then."""


class Control:
    """Tells other workers, and passes on what they tell this one."""

    def __init__(self, client: redis.Redis, keys: Keys, settings: EngineSettings) -> None:
        self._redis = client
        self._keys = keys
        self._settings = settings
        self._server_id = ""
        self._events: EngineEvents | None = None
        self._handovers: dict[tuple[str, int], Handover] = {}

    def start(self, server_id: str, events: EngineEvents) -> None:
        """From now on ``received`` speaks to ``events``, and ``tell`` takes a short cut if what
        it tells is for ``server_id``."""
        self._server_id = server_id
        self._events = events

    def tell(self, server_id: str, *words: object) -> None:
        """Tell a worker; nothing if ``server_id`` is empty."""
        if server_id and server_id == self._server_id:
            self.received([str(word) for word in words])
        elif server_id:
            self._publish(server_id, " ".join(map(str, words)))

    @retried
    def _publish(self, server_id: str, text: str) -> None:
        self._redis.publish(self._keys.server_channel(server_id), text)

    def release(self, client_id: str, session: Session) -> int:
        """See ``Engine.release``."""
        key = (client_id, session.epoch)
        answer = self._handovers[key] = Handover()  # before asking: the answer may be quick
        try:
            self.tell(session.previous, "released", client_id, session.epoch, self._server_id)
            if not session.previous_streams:
                return session.cursor
            if not answer.wait(_HANDOVER_SECONDS):
                return max(session.cursor, self._last_position(session.previous))
            return max(session.cursor, _valid_position(session, *answer.value))
        finally:
            del self._handovers[key]

    @retried
    def _last_position(self, server_id: str) -> int:
        """What a worker that is gone has left; each wrote its own once a second."""
        return int(self._redis.hget(self._keys.server(server_id), "position") or 0)

    def received(self, words: list[str]) -> None:
        """Called by the listener: must not wait."""
        verb, client_id, *rest = words
        events = self._events
        if events is None:
            return
        if verb == "destroyed":
            events.destroyed(client_id)
        elif verb == "changed":
            events.changed(client_id, int(rest[0]))
        elif verb == "resume":
            events.resume(client_id, rest[0])
        elif verb == "released":
            self._hand_over(events, client_id, int(rest[0]), rest[1])
        elif verb == "delivered":
            self._take_over(client_id, *map(int, rest))

    def _hand_over(
        self, events: EngineEvents, client_id: str, epoch: int, new_holder: str
    ) -> None:
        delivered = events.released(client_id, epoch) or (0, _NO_VERSION)
        spawn(self.tell, new_holder, "delivered", client_id, epoch, *delivered)

    def _take_over(self, client_id: str, epoch: int, position: int, version: int) -> None:
        if answer := self._handovers.get((client_id, epoch)):
            answer.value = (position, version)
            answer.set()


def _valid_position(session: Session, position: int, version: int) -> int:
    """``position`` was reached with older subscriptions: newer ones are read from their start."""
    if version == session.version:
        return position
    newer = [start for start in session.subscriptions.values() if start > session.cursor]
    return min([position, *newer])
