"""CometD's acknowledged messages: the field ``ext.ack`` of handshake and connect.

A client that asks for it is told with each connect reply the number of the batch that the reply
carries, and says with its next connect which batch it had last; what came after that is sent
again. Here the number of a batch is a position in the order of all messages: everything up to it
has been sent. So it says all there is to know, whichever worker hears it.
"""

from __future__ import annotations

from typing import Any

from .messages import Message

_BEYOND = 2**53  # no number that JavaScript counts exactly


def is_wanted(handshake: Message) -> bool:
    """Does the client ask for it? ``true`` and ``{"enabled": true}`` both mean so."""
    ack = _ack(handshake)
    return (ack.get("enabled") if isinstance(ack, dict) else ack) is True


def position(connect: Message) -> int | None:
    """What the client has received, as its connect says; None if it does not say."""
    ack = _ack(connect)
    return ack if type(ack) is int and -1 <= ack < _BEYOND else None  # bool is no number here


def _ack(message: Message) -> Any:
    ext = message.get("ext")
    return ext.get("ack") if isinstance(ext, dict) else None
