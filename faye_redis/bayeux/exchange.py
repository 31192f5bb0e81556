"""One message being carried out, and what its verb finds wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UnknownClient
from .errors import error
from .grammar import is_client_id, is_counter
from .messages import Message, present

if TYPE_CHECKING:
    from .server import Link

Environ = dict[str, Any]
Request = Environ | Callable[[], Environ]
"""The WSGI environ of a request, or what makes it anew from the little that is kept of it."""


class Exchange(NamedTuple):
    """A message being carried out, and the reply that its verb completes."""

    message: Message
    reply: Message
    request: Request | None
    link: Link


class Refused(Exception):
    """A verb refuses its message; carries the error as it goes into the reply.

    :param reconnect: what a client that wanted to shake hands or connect is advised to do.
    """

    def __init__(self, error: Any, reconnect: str = "handshake") -> None:
        super().__init__(error)
        self.error = error
        self.reconnect = reconnect


def required(message: Message, field: str) -> Any:
    """:raises Refused: 402, the field is missing or empty."""
    value = message.get(field)
    if not present(value):
        raise Refused(error(402, field))
    return value


def refuse_preset(message: Message) -> None:
    """:raises Refused: an extension has put an error into the message."""
    if present(message.get("error")):
        raise Refused(message["error"])


def client_id(message: Message) -> str:
    """The client id.

    :raises Refused: 402, there is none.
    :raises UnknownClient: no engine can have issued it; nobody has to be asked.
    """
    given = required(message, "clientId")
    if not is_client_id(given):
        raise UnknownClient(str(given))
    return given


def connect_id(message_id: Any) -> str:
    """A message id as text; "" if it is none that tells the order of two connects."""
    text = str(message_id) if isinstance(message_id, str | int) else ""
    return text if is_counter(text) else ""
