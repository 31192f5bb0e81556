"""Errors as they stand in replies: ``code:arguments:text`` (Bayeux 3.14), in one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TEXTS = {
    300: "Version mismatch",
    301: "Connection types not supported",
    302: "Extension mismatch",
    400: "Bad request",
    401: "Unknown client",
    402: "Missing required parameter",
    403: "Forbidden channel",
    404: "Unknown channel",
    405: "Invalid channel",
    406: "Unknown extension",
    407: "Failed to publish",
    409: "Too many subscriptions",
    429: "Too many messages",
    500: "Internal server error",
}
"""Faye's codes and texts, and 409 and 429."""

_EXCEEDED = {
    "max_subscriptions": (409, "Too many subscriptions"),
    "max_wildcards": (409, "Too many wildcard subscriptions"),
    "max_handshake_rate": (429, "Too many handshakes"),
    "max_message_rate": (429, "Too many messages"),
}

_DENIED = {"handshake": "Handshake denied", "subscribe": "Subscription denied",
           "publish": "Publishing denied"}

MESSAGE_DELETED = "404::message_deleted"
"""An extension dropped the message or its reply (CometD's token; Faye keeps silent)."""

MAX_ARGUMENTS = 255
"""Characters of the arguments that are repeated to whoever sent them."""


def error(code: int, *args: Any, text: str = "") -> str:
    """The text of error ``code``: ``error(405, "/x")`` is ``"405:/x:Invalid channel"``.

    :param args: taken from a message, so JSON values of any kind; written as JavaScript would.
    :param text: in place of the one in the table.
    """
    return f"{code}:{_text(list(args))[:MAX_ARGUMENTS]}:{text or TEXTS[code]}"


def exceeded(option: str, limit: float) -> str:
    """The error for more than an option allows: ``409:128:Too many subscriptions``."""
    code, text = _EXCEEDED[option]
    return f"{code}:{limit:.12g}:{text}"


def _first(values: list[Any]) -> Iterator[str]:
    """The texts of as many as can be needed: a request may hold very many."""
    size = 0
    for value in values:
        yield (text := _text(value))
        size += len(text) + 1
        if size > MAX_ARGUMENTS:
            return


def denied(action: str, channel: str, text: str) -> str:
    """The error for what a policy does not allow: ``403:/a:Subscription denied``.

    :param text: what the policy says, instead.
    """
    return f"403:{channel}:{(text or _DENIED[action])[:MAX_ARGUMENTS]}"


def _text(value: Any) -> str:
    """A JSON value as JavaScript's ``String()`` gives it; clients know Faye's texts."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_first(value))
    if isinstance(value, dict):
        return "[object Object]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
