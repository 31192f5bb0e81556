"""The way out: replies and pushed messages, through the outgoing extensions."""

from __future__ import annotations

from collections.abc import Sequence

from . import messages
from .errors import MESSAGE_DELETED, error
from .exchange import Request
from .extensions import Extensions
from .messages import Message, encode, present, refusal


class Outgoing:
    """Encodes what goes to clients. May wait if, and only if, there are outgoing extensions."""

    def __init__(self, extensions: Extensions) -> None:
        self._extensions = extensions

    def deliver(self, payloads: Sequence[bytes], request: Request | None) -> Sequence[bytes]:
        """Pass messages on their way to a client through the outgoing extensions.

        One that an extension drops, or that carries an error afterwards, is not delivered.

        :returns: ``payloads`` itself when there are no outgoing extensions.
        """
        if not self._extensions.outgoing:
            return payloads
        piped = (self._pipe_push(payload, request) for payload in payloads)
        return [payload for payload in piped if payload is not None]

    def send(self, reply: Message, request: Request | None) -> list[bytes]:
        """Encode one reply, through the outgoing extensions. A reply they drop is replaced by an
        error, since a client that gets no reply sends its message again and again."""
        if not self._extensions.outgoing:
            return [encode(reply)]
        piped = self._extensions.run("outgoing", reply, request)
        if piped is None:
            return [encode(refusal(reply, MESSAGE_DELETED))]
        return [messages.try_encode(piped) or encode(refusal(reply, error(500)))]

    def _pipe_push(self, payload: bytes, request: Request | None) -> bytes | None:
        piped = self._extensions.run("outgoing", messages.decode(payload), request)
        if piped is None or present(piped.get("error")):
            return None
        return messages.try_encode(piped)
