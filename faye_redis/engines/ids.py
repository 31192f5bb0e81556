"""Ids of clients, and the order of the ids of their connects."""

from __future__ import annotations

import secrets

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST_COUNTER = 16  # digits of the largest integer that JavaScript counts exactly


def new_client_id() -> str:
    """160 bits from the system's random source in base 36, as Faye's ids: 31 of ``[a-z0-9]``."""
    number, digits = secrets.randbits(160), ""
    for _ in range(31):
        number, digit = divmod(number, 36)
        digits += _DIGITS[digit]
    return digits


def precedes(connect_id: str, latest: str) -> bool:
    """Is ``connect_id`` an older request than ``latest``?

    Clients number their messages (Faye in base 36, CometD in base 10), so a longer id is later.
    Ids too long for a counter have no order; each is then taken for a new one.
    """
    if not connect_id or max(len(connect_id), len(latest)) > _LONGEST_COUNTER:
        return False
    return (len(connect_id), connect_id) < (len(latest), latest)
