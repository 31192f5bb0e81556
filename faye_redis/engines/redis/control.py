"""What workers hear about the clients they hold, each by its own pub/sub channel.

============================================ =================================================
words                                        meaning
============================================ =================================================
``destroyed`` client [``kicked``]            it has left, has expired or was kicked
``changed`` client version since             its subscriptions have changed, to this version;
                                             new ones count from message ``since`` on
``connected`` client connect-id              it goes on with the stream it has at this worker
``released`` client epoch last               another worker holds it now, as of this epoch, and
                                             since this was the last message id
``forgotten`` client                         nobody may put it back from memory; to all workers
``delivered`` client server epoch position   a stream that lost it had come so far
============================================ =================================================

They are published by the scripts themselves, so each comes in its place among the messages. One
is told at most once: whatever depends on it is also fenced by the epoch, or read again from Redis
after the listener was cut off.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base import EngineEvents
from ..handover import Handovers

_NOTHING_NEW = 2**62


class Control:
    """Passes on what other workers say.

    :param heard: the last message id that this worker has heard of.
    """

    def __init__(
        self, events: EngineEvents, handovers: Handovers, heard: Callable[[], int]
    ) -> None:
        self._events = events
        self._handovers = handovers
        self._heard = heard

    def received(self, words: list[str]) -> None:
        """Called by the listener: must not wait."""
        verb, client_id, *rest = words
        if verb == "destroyed":
            self._events.destroyed(client_id, rest == ["kicked"])
        elif verb == "forgotten":
            self._events.forgotten(client_id)
        elif verb == "changed":
            version, *since = map(int, rest)
            self._events.changed(client_id, version, since[0] if since else _NOTHING_NEW)
        elif verb == "connected":
            self._events.connected(client_id, rest[0])
        elif verb == "released":
            number, last = map(int, rest)
            self._events.released(client_id, number, max(last, self._heard()))
        elif verb == "delivered":
            server_id, epoch, position = rest
            self._handovers.answered(client_id, server_id, int(epoch), int(position))
