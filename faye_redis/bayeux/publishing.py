"""The verb that is no meta channel: publish (Bayeux, "Publish Request")."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

from ..engines.base import Engine, Published
from ..errors import Denied, EngineError
from . import messages
from .authorization import Authorization
from .errors import denied, error
from .exchange import Exchange, Refused, Request, refuse_preset
from .exchange import client_id as client_id_of
from .limits import Limits
from .messages import Message
from .monitoring import Monitor
from .services import Services

log = logging.getLogger("faye_redis")

Send = Callable[[Message, Request | None], list[bytes]]


class Publishing:
    """Publishes for one server.

    :param send: encodes a reply.
    """

    def __init__(
        self, engine: Engine, limits: Limits, authorization: Authorization, monitor: Monitor,
        send: Send,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._authorization = authorization
        self._monitor = monitor
        self._send = send
        self.services = Services()

    def carry_out(self, exchange: Exchange) -> list[bytes]:
        """MUST contain channel, data (null is data); MAY contain clientId, ext, id. Accepted once
        the engine has it.

        :raises Refused: in this order: 402 data, 405, preset, if clients must be known 402
            clientId, then 403 and 407. A service's handler answers in place of the engine, or
            raises ``Denied``.
        :raises UnknownClient: clients must be known, and this one is not; comes before 403.
        """
        message = exchange.message
        channel = self._channel(message)
        if exchange.request is not None and self._authorization.requires_client:
            self._engine.touch(client_id_of(message))
        self._authorization.publish(exchange, channel)
        if self.services.has(channel):
            return self._serve(exchange, channel)
        operation, payload = messages.publication(message)
        try:
            self._engine.publish(channel, payload, operation)
        except EngineError as problem:
            _refuse(channel, problem)
        self._monitor.trigger("publish", message.get("clientId"), channel, message["data"])
        return self._send(exchange.reply, exchange.request)

    @property
    def asks_nobody(self) -> bool:
        """May everything be published at once, and nobody is told?"""
        return not (self._authorization.asks_about_publishing or self.services
                    or self._monitor.has("publish"))

    def begin(self, exchange: Exchange, stored: Published) -> None:
        """``carry_out`` without waiting, if it ``asks_nobody``.

        :param stored: gets what is to be given to ``finish``.
        :raises Refused: likewise.
        """
        channel = self._channel(exchange.message)
        operation, payload = messages.publication(exchange.message)
        self._engine.publish_soon(channel, payload, operation, stored)

    def finish(self, exchange: Exchange, result: int | EngineError) -> list[bytes]:
        """:raises Refused: 407."""
        if isinstance(result, EngineError):
            _refuse(exchange.message["channel"], result)
        return self._send(exchange.reply, exchange.request)

    def _channel(self, message: Message) -> str:
        """The channel of a message that says all that it has to.

        :raises Refused: 402 data, 405, preset.
        """
        channel = message.get("channel")
        if "data" not in message:
            raise Refused(error(402, "data"))
        if not self._limits.is_channel(channel):
            raise Refused(self._limits.channel_error(channel))
        refuse_preset(message)
        return channel

    def _serve(self, exchange: Exchange, channel: str) -> list[bytes]:
        try:
            answer = self.services.call(self._authorization.attempt(exchange, channel))
        except Denied as no:
            raise Refused(denied("publish", channel, no.text)) from None
        return [line for reply in (exchange.reply, *answer)
                for line in self._send(reply, exchange.request)]


def _refuse(channel: str, problem: EngineError) -> NoReturn:
    log.error("publish to %s failed: %s", channel, problem)
    raise Refused(error(407, channel)) from problem
