"""The reply to a ``/meta/connect`` while it is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import acknowledgement, advice, channels
from .exchange import Exchange, connect_id

if TYPE_CHECKING:
    from .server import BayeuxServer


class PendingReply:
    """A successful ``/meta/connect`` reply, waiting for messages or for its deadline."""

    __slots__ = ("_link", "_server", "acknowledged", "client_id", "connect_id", "hold",
                 "reply", "request")

    def __init__(self, server: BayeuxServer, exchange: Exchange, hold: float) -> None:
        self._server = server
        self._link = exchange.link
        self.acknowledged = acknowledgement.position(exchange.message)
        """What the client says that it has received, as one of its connect replies named it; None
        unless it uses CometD's acknowledged messages extension."""
        self.client_id: str = exchange.message["clientId"]
        self.connect_id = connect_id(exchange.message.get("id"))
        """The message id as text; "" if there is none, or none that tells the order of two
        connects, see :func:`~faye_redis.bayeux.grammar.is_counter`."""
        self.hold = hold
        """Seconds the reply may be held."""
        self.reply = exchange.reply
        """The reply with its advice; may be changed until ``finish``."""
        self.request = exchange.request
        """What brought the connect; None in process."""

    def ask_for_acknowledgement(self, position: int) -> None:
        """Give the reply the number by which the client's next connect confirms it."""
        self.reply["ext"] = {"ack": position}

    def serve(self, answer: Callable[[], list[bytes]]) -> list[bytes]:
        """What ``answer`` returns; a failure becomes an error reply, as in
        ``BayeuxServer.process``, which is over.

        :raises Superseded: a newer request of the client took over.
        """
        message = {"channel": channels.CONNECT, "clientId": self.client_id}
        exchange = Exchange(message, self.reply, self.request, self._link)
        return self._server.carry_out(exchange, lambda _: answer())

    def dismiss(self) -> None:
        """Advise the client not to connect again."""
        self.reply["advice"] = {"reconnect": "none"}

    def spread(self, seconds: float) -> None:
        """Advise the client to wait up to ``seconds`` before its next connect."""
        self.reply["advice"] = advice.delayed(self.reply.get("advice"), seconds)

    def finish(self, payloads: Sequence[bytes] = ()) -> list[bytes]:
        """The encoded reply followed by ``payloads``, all through the outgoing extensions.

        Blocks only if an outgoing extension does.
        """
        reply = self._server.send(self.reply, self.request)
        return [*reply, *self._server.deliver(payloads, self.request)]
