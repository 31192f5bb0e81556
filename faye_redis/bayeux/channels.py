"""Meta and service channels, and which subscriptions a channel matches (Bayeux 2.2)."""

from __future__ import annotations

from functools import lru_cache

from .grammar import is_subscription

_DEEP = 16  # levels beyond which nothing is remembered: it would be much

HANDSHAKE = "/meta/handshake"
CONNECT = "/meta/connect"
DISCONNECT = "/meta/disconnect"
SUBSCRIBE = "/meta/subscribe"
UNSUBSCRIBE = "/meta/unsubscribe"


def is_handshake(message: object) -> bool:
    """True for a message that asks for a handshake."""
    return isinstance(message, dict) and message.get("channel") == HANDSHAKE


def is_meta(name: str) -> bool:
    """True for ``/meta`` and the channels and patterns under it."""
    return _is_under("/meta", name)


def is_service(name: str) -> bool:
    """True for ``/service`` and the channels and patterns under it."""
    return _is_under("/service", name)


def _is_under(root: str, name: str) -> bool:
    return (name == root or name.startswith(root + "/")) and is_subscription(name)


def covers(pattern: str, name: str) -> bool:
    """Does ``pattern`` (or channel) match all that ``name``, a channel or a pattern, stands for?

    By the names alone: ``/**`` covers ``/service/x``, although a subscription to it does not match
    that channel.
    """
    if pattern == name:
        return True
    if pattern.endswith("/**"):
        return name.startswith(pattern[:-2])
    if pattern.endswith("/*"):
        parent, _, last = name.rpartition("/")
        return parent == pattern[:-2] and last != "**"
    return False


def intersection(one: str, other: str) -> str | None:
    """What two channels or patterns have in common, which is always one of them, or None."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def expand(name: str) -> tuple[str, ...]:
    """The names of every subscription that matches channel ``name``, each once.

    ``/a/b`` gives ``/**``, ``/a/b``, ``/a/*`` and ``/a/**``. A service channel is no broadcast
    channel (Bayeux 2.2.3): only subscriptions to it, or to patterns under ``/service``, match.
    Those are open to in-process clients alone, so no remote client ever sees its messages.

    :param name: a valid channel, see :func:`~faye_redis.bayeux.grammar.is_channel`.
    """
    return _expand_often(name) if name.count("/") <= _DEEP else _expand(name)


def _expand(name: str) -> tuple[str, ...]:
    segments = name.split("/")[1:]
    parents = ["/" + "/".join(segments[:depth]) for depth in range(1, len(segments))]
    deep = [f"{parent}/**" for parent in parents]
    shallow = f"{parents[-1]}/*" if parents else "/*"
    if segments[0] != "service":
        return ("/**", name, shallow, *deep)
    return (name, shallow, *deep) if parents else (name,)


_expand_often = lru_cache(maxsize=1024)(_expand)
