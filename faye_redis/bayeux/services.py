"""Service channels (Bayeux 2.2.3): what a client sends to the server alone, and what it answers.

A handler stands in for the engine: the message is not published, and what the handler returns goes
back with the reply, to the sender alone. CometD's remote calls are made so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .channels import is_service
from .grammar import is_channel
from .messages import Message, present
from .policy import Attempt

Handler = Callable[[Attempt], Any]
"""Takes what was sent (``attempt.data``); returns what is sent back, None for nothing."""


class Services:
    """The handlers of one server, by channel."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __bool__(self) -> bool:
        return bool(self._handlers)

    def add(self, channel: str, handler: Handler) -> None:
        """Have ``handler`` called with what is sent to ``channel``, in place of an earlier one.

        :raises ValueError: it is no channel under ``/service``.
        """
        if not (is_channel(channel) and is_service(channel) and channel != "/service"):
            raise ValueError(f"{channel!r} is no channel under /service")
        self._handlers[channel] = handler

    def has(self, channel: str) -> bool:
        """Does a handler answer on ``channel``?"""
        return channel in self._handlers

    def call(self, attempt: Attempt) -> list[Message]:
        """What the handler sends back, as a message on the same channel with the same id."""
        data = self._handlers[attempt.channel](attempt)
        if data is None:
            return []
        answer = {"channel": attempt.channel, "data": data}
        if present(number := attempt.message.get("id")):
            answer["id"] = number
        return [answer]
