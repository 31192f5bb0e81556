"""JSON to messages and back, and the form in which a published message is stored."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

from ..errors import BadRequest

Message = dict[str, Any]

log = logging.getLogger("faye_redis")

encode = orjson.dumps
"""A message to JSON bytes; TypeError if it holds what is no JSON (only user code can do that)."""

decode = orjson.loads

OPERATION_BYTES = 16


def parse(data: bytes | str, max_size: int, max_batch: int, max_depth: int) -> list[Any]:
    """The messages in one request: a JSON object, or an array of them.

    Members of the array that are no objects stay where they are. Of equal keys of an object the
    last one counts, as in JavaScript; nothing looks at the text again. UTF-8 is checked strictly;
    NaN, infinities and lone surrogates, which would be poison to subscribers, are refused.
    Integers beyond 64 bits become floats, as in JavaScript.

    :param max_size: bytes.
    :param max_batch: members of the array.
    :param max_depth: levels of arrays and objects, the outermost included.
    :raises BadRequest: 413 above ``max_size`` or ``max_batch``, else 400.
    """
    document = _load(data, max_size, max_depth)
    if isinstance(document, dict):
        return [document]
    if not isinstance(document, list):
        raise BadRequest("neither an object nor an array")
    if len(document) > max_batch:
        raise BadRequest(f"{len(document)} messages, max_batch is {max_batch}", 413)
    if document and not any(isinstance(member, dict) for member in document):
        raise BadRequest("an array without any message")
    return document


def _load(data: bytes | str, max_size: int, max_depth: int) -> Any:
    try:
        text = data.encode() if isinstance(data, str) else data
        if len(text) > max_size:
            raise BadRequest(f"{len(text)} bytes, max_message_size is {max_size}", 413)
        document = decode(text)
    except ValueError as problem:  # of UTF-8 as well as of JSON
        raise BadRequest(f"no JSON: {problem}") from problem
    # Fewer brackets than levels allowed: true of nearly every message, and cheap to see.
    if text.count(b"[") + text.count(b"{") > max_depth and _deeper(document, max_depth):
        raise BadRequest(f"nested deeper than max_depth, {max_depth}")
    return document


def _deeper(document: Any, levels: int) -> bool:
    """True if arrays and objects are nested deeper than ``levels``. Level by level: no recursion
    that the input could exhaust."""
    level = [document]
    for _ in range(levels):
        level = [inner for outer in level for inner in _members(outer)]
    return any(isinstance(value, dict | list) for value in level)


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def present(value: Any) -> bool:
    """True for what JavaScript takes for true. Faye drops empty fields by that rule, and an empty
    list of channels is not an empty field."""
    return bool(value) or isinstance(value, dict | list)


def without_verdict(message: Message) -> Message:
    """``message`` without what only a server says. A client could pretend by it that an extension
    has refused its message."""
    if "error" in message or "successful" in message:
        return {name: message[name] for name in message if name not in ("error", "successful")}
    return message


def success(message: Message) -> Message:
    """A successful reply with what the client needs to match it; ids keep their type."""
    reply = {key: message[key] for key in ("id", "clientId", "channel")
             if present(message.get(key))}
    reply["successful"] = True
    return reply


def refusal(message: Message, error: str) -> Message:
    """A failed reply to ``message`` (or in place of that reply) with nothing else of it."""
    reply = {key: message[key] for key in ("id", "channel") if present(message.get(key))}
    return {**reply, "successful": False, "error": error}


def publication(message: Message) -> tuple[str, bytes]:
    """What the engine gets for a published message: its operation id and its stored form.

    Subscribers receive the message as it was published, unknown fields included, but for:

    - ``id``, which becomes the operation id. It is unique, so that no client takes it for a reply
      to a message of its own, and clients can tell a second copy.
    - ``clientId``, the publisher's secret.
    - ``advice`` and ``successful``, which speak for the server: clients obey them.

    :raises TypeError: an extension put something into it that is no JSON.
    """
    data = encode(message["data"])
    operation = operation_id(message, data)
    stored = {**message, "id": operation, "data": orjson.Fragment(data)}
    for field in ("clientId", "advice", "successful"):
        stored.pop(field, None)
    return operation, encode(stored)


def operation_id(message: Message, data: bytes) -> str:
    """Names the act of publishing: 128 bits in hex, the same whenever a client sends the same
    message again (same client id, id, channel and data), else random.

    :param data: the message's data, encoded.
    """
    author, number = message.get("clientId"), message.get("id")
    if not (present(author) and present(number)):
        return secrets.token_hex(OPERATION_BYTES)
    identity = encode([author, number, message["channel"]])
    return blake2b(identity + data, digest_size=OPERATION_BYTES).hexdigest()


def try_encode(message: Message) -> bytes | None:
    """``encode`` for what came out of an extension: None, and a line in the log, if it cannot."""
    try:
        return encode(message)
    except TypeError as problem:
        log.error("an extension made a message that is no JSON: %s", problem)
        return None
