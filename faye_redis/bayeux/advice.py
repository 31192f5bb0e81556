"""What a server tells a client about reconnecting (Bayeux 3.6), and a client about waiting.

Advice stands only in replies to handshake and connect. Every successful one says "retry":
cometd.js replaces its stored advice with each that arrives, and a success while it stores
"handshake" is an error to it.
"""

from __future__ import annotations

import random
from typing import Any

MIN_FAILURE_INTERVAL = 1000
"""Milliseconds a client waits after a failure. Faye gives none, and its client, refused at
handshake, then tries again without a pause."""


def success(connection_type: object, timeout: float, interval: float) -> dict[str, Any]:
    """Advice of a successful reply. An EventSource client is to connect every ``timeout``, and
    is answered at once.

    :param timeout: seconds that a connect is held.
    :param interval: seconds between a client's connects.
    """
    if connection_type == "eventsource":
        timeout, interval = 0, timeout
    return {"reconnect": "retry", "interval": int(interval * 1000), "timeout": int(timeout * 1000)}


def failure(reconnect: str, interval: float) -> dict[str, Any]:
    """Advice of a failed reply: a pause of at least a second, spread so that many clients that
    failed together do not come back together.

    :param reconnect: "handshake" (start again), "retry" (the same again) or "none".
    :param interval: seconds between a client's connects in normal times.
    """
    pause = max(MIN_FAILURE_INTERVAL, int(interval * 1000))
    return {"reconnect": reconnect, "interval": pause + random.randrange(MIN_FAILURE_INTERVAL)}


def delayed(advice: Any, seconds: float) -> dict[str, Any]:
    """``advice`` with a random pause of up to ``seconds`` more, so that the many who are sent away
    at once do not come back at once."""
    given = advice if isinstance(advice, dict) else {"reconnect": "retry"}
    pause = int(given.get("interval", 0)) + random.randrange(int(seconds * 1000) + 1)
    return {**given, "interval": pause}


def hold(advice: Any, limit: float) -> float:
    """Seconds a connect may be held, given the advice the client sent with it.

    ``advice.timeout`` (ms) shortens it: cometd.js sends 0 with its first connect to learn at
    once whether it works. It cannot lengthen it; anything but a number is ignored.
    """
    timeout = advice.get("timeout") if isinstance(advice, dict) else None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return limit
    return min(max(timeout / 1000, 0.0), limit)
