"""What names look like (Bayeux 2.1, 2.2): channels, patterns, client ids, connect ids.

ASCII only, matched to the very end, and each expression reads its input once: no nested
repetition over the same characters, so no input makes a match slow. Lengths are the caller's
business, except where a name's length is part of what it is.
"""

from __future__ import annotations

import re
from typing import TypeGuard

_SEGMENT = r"/[A-Za-z0-9\-_!~()$@]+"

_channel = re.compile(rf"(?:{_SEGMENT})+").fullmatch
_pattern = re.compile(rf"(?:{_SEGMENT})*/\*\*?").fullmatch
_client_id = re.compile(r"[a-z0-9]{1,64}").fullmatch
_counter = re.compile(r"[0-9a-z]{1,16}").fullmatch
_message_id = re.compile(r"[!#$%()*+,\-./0-9:;=?@A-Z\[\]^_`a-z{|}~]{0,128}").fullmatch


def is_channel(name: object) -> TypeGuard[str]:
    """True for the name of one channel: ``/a/b``."""
    return isinstance(name, str) and _channel(name) is not None


def is_pattern(name: object) -> TypeGuard[str]:
    """True for a pattern: ``/a/*`` matches one more segment, ``/a/**`` one or more."""
    return isinstance(name, str) and _pattern(name) is not None


def is_subscription(name: object) -> TypeGuard[str]:
    """True for what one can subscribe to: a channel or a pattern."""
    return is_channel(name) or is_pattern(name)


def is_client_id(name: object) -> TypeGuard[str]:
    """True for what an engine can have issued as a client id: ``[a-z0-9]{1,64}``."""
    return isinstance(name, str) and _client_id(name) is not None


def is_message_id(value: object) -> bool:
    """True for an id that a message may have: none (false and null are none), a number, or a short
    string of printable ASCII without those that have a meaning in HTML or end a string. It is sent
    back as it came."""
    if isinstance(value, str):
        return _message_id(value) is not None
    return value is None or (isinstance(value, int | float) and value is not True)


def is_counter(name: str) -> bool:
    """True for a message id that can be compared with a later one of the same client.

    Faye counts in base 36 and CometD in base 10; an id of any other kind (a UUID, say) tells
    nothing about the order of two messages.
    """
    return _counter(name) is not None
