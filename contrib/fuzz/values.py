"""JSON values, messages and requests, made of what the protocol is made of and of oddities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

Message = dict[str, Any]


class Source(Protocol):
    """What is used of ``atheris.FuzzedDataProvider``. At the end of its bytes it gives the least
    number, the first value and empty strings: whatever ends a recursion stands first."""

    def ConsumeIntInRange(self, low: int, high: int) -> int: ...
    def ConsumeBool(self) -> bool: ...
    def ConsumeBytes(self, count: int) -> bytes: ...
    def ConsumeUnicode(self, count: int) -> str: ...
    def ConsumeUnicodeNoSurrogates(self, count: int) -> str: ...
    def ConsumeRegularFloat(self) -> float: ...
    def PickValueInList(self, values: list[Any]) -> Any: ...
    def remaining_bytes(self) -> int: ...


SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 2**53, 2**63, 2**64, -(2**70), 0.5, 1e15, 1e-7, 1e300, -0.0,
    "", "a", "0", "true", "\u00e9", "\u2028\u2029", "</script>", "*/", "\x00\x7f", "\U0001f600",
    "\r\n", "x" * 300, "__proto__", "null"]
CHANNELS = ["/a", "/a/b", "/a/b/c", "/service/a", "/service", "/meta", "/meta/x", "/meta/*", "/*",
            "/**", "/a/*", "/a/**", "/a/*/b", "/", "", "a", "/a/", "//a", "/a b", "/\u00e9", "/a\n",
            "/" + "a" * 39, "/" + "a" * 40, "/a" * 20, "/a" * 21, "/!~()$@-_", "/services/a"]
TYPES = ["long-polling", "callback-polling", "websocket", "eventsource", "in-process", "flash"]
CLIENT_IDS = ["client1", "client2", "client3", "client", "CLIENT1", "client1\n", "a" * 65]
IDS = ["1", "2", "zz", 1, 10, "0", "1.5", "9" * 16, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"]

TEMPLATES: list[Message] = [
    {"channel": "/a/b", "data": {"x": 1}, "clientId": "client1", "id": "1"},
    {"channel": "/meta/handshake", "version": "1.0", "id": "1",
     "supportedConnectionTypes": ["long-polling", "websocket"]},
    {"channel": "/meta/connect", "clientId": "client1", "connectionType": "long-polling",
     "id": "2"},
    {"channel": "/meta/subscribe", "clientId": "client2", "subscription": "/a/*", "id": "3"},
    {"channel": "/meta/unsubscribe", "clientId": "client1", "subscription": "/**", "id": "4"},
    {"channel": "/meta/disconnect", "clientId": "client2", "id": "5"},
    {},
]
FIELDS: dict[str, list[Any]] = {
    "channel": [*CHANNELS, *(template.get("channel") for template in TEMPLATES)],
    "clientId": CLIENT_IDS,
    "id": IDS,
    "data": [{}, "text", None, [1, [2]], {"a": {"b": "</script>"}}],
    "subscription": [*CHANNELS, [], ["/a", "/a"], ["/a/b", "/*", "/**"], ["/a", "/meta/*"],
                     ["/a", 5], [["/a"]], ["/a", "/b", "/c", "/d", "/e"]],
    "connectionType": TYPES,
    "supportedConnectionTypes": [TYPES, ["flash"], [], "websocket", [["websocket"]], [None]],
    "version": ["1.0", "0.1", "x", 1.0],
    "minimumVersion": ["1.0", "9.9"],
    "advice": [{"timeout": 0}, {"timeout": -1}, {"timeout": 1e300}, {"timeout": "0"}, {}, []],
    "ext": [{"ack": True}, {"ack": 0}, {"ack": -1}, {"ack": 2**53}, {"ack": {"enabled": True}}],
    "error": ["401::Unknown client", "", "x" * 400, {}, 0],
    "successful": [True, False, "no"],
}


def value(source: Source, levels: int = 3) -> Any:
    """Any JSON value. Integers may be greater than JSON parsers like."""
    kind = source.ConsumeIntInRange(0, 6 if levels else 3)
    if kind == 1:
        return source.ConsumeUnicodeNoSurrogates(source.ConsumeIntInRange(0, 20))
    if kind == 2:
        return source.ConsumeRegularFloat()
    if kind == 3:
        return source.ConsumeIntInRange(-(2**63), 2**63 - 1)
    if kind == 4:
        return [value(source, levels - 1) for _ in range(source.ConsumeIntInRange(0, 4))]
    if kind == 5:
        return {str(value(source, 0)): value(source, levels - 1)
                for _ in range(source.ConsumeIntInRange(0, 4))}
    if kind == 6:
        return _nested(source.ConsumeIntInRange(0, 40), source.ConsumeBool())
    return source.PickValueInList(SCALARS)


def _nested(levels: int, lists: bool) -> Any:
    inner: Any = 1
    for _ in range(levels):
        inner = [inner] if lists else {"a": inner}
    return inner


def message(source: Source) -> Any:
    """A message with up to four fields that are odd, missing or too many; perhaps none at all."""
    made = dict(source.PickValueInList(TEMPLATES))
    for _ in range(source.ConsumeIntInRange(0, 4)):
        field = source.PickValueInList([*FIELDS, *(name for name in made if name in FIELDS)])
        change = source.ConsumeIntInRange(0, 3)
        if change == 3:
            made.pop(field, None)
        else:
            made[field] = value(source) if change == 2 else source.PickValueInList(FIELDS[field])
    if source.ConsumeIntInRange(0, 15) == 15:
        made[source.ConsumeUnicodeNoSurrogates(5)] = value(source)
    return value(source) if source.ConsumeIntInRange(0, 31) == 31 else made


def request(source: Source) -> bytes:
    """The bytes of a request: one message or several, perhaps damaged, or no JSON at all."""
    kind = source.ConsumeIntInRange(0, 9)
    if kind == 9:
        return source.ConsumeBytes(source.remaining_bytes())
    made = [message(source) for _ in range(source.ConsumeIntInRange(1, 5))]
    text = json.dumps(made[0] if kind == 1 else made, ensure_ascii=source.ConsumeBool())
    return damaged(source, text.encode()) if kind == 8 else text.encode()


def damaged(source: Source, data: bytes) -> bytes:
    """``data`` with a few bytes of it replaced by others."""
    at = source.ConsumeIntInRange(0, len(data))
    lost = source.ConsumeIntInRange(0, 3)
    return data[:at] + source.ConsumeBytes(source.ConsumeIntInRange(0, 4)) + data[at + lost :]


def joined(source: Source, parts: Sequence[str], most: int) -> str:
    """Up to ``most`` of ``parts`` in a row, or any text."""
    if source.ConsumeIntInRange(0, 7) == 7:
        return source.ConsumeUnicode(source.ConsumeIntInRange(0, 60))
    count = source.ConsumeIntInRange(0, most)
    return "".join(source.PickValueInList(list(parts)) for _ in range(count))
