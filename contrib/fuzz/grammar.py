"""Names of channels and patterns, and the subscriptions that match a channel."""

from __future__ import annotations

import re

from faye_redis.bayeux import channels, grammar

from .finding import expect
from .values import Source, joined

# Faye's grammar.js word for word, but for `$`: in Python it matches before a last newline, too.
_CHARACTER = r"(((([a-z]|[A-Z])|[0-9])|(\-|\_|\!|\~|\(|\)|\$|\@)))"
CHANNEL = re.compile(rf"^\/{_CHARACTER}+(\/{_CHARACTER}+)*\Z")
PATTERN = re.compile(rf"^(\/{_CHARACTER}+)*\/\*{{1,2}}\Z")

_PARTS = ("/", "/a", "/b", "/meta", "/service", "Z9", "-_!~()$@", "/*", "/**", "*", ".", " ",
          "\n", "\x00", "\u00e9", "\u0663", "\uff41", "%2f", ":")
_LONGEST = 200


def generate(source: Source) -> tuple[str, str]:
    """Two names, to be held against each other."""
    return joined(source, _PARTS, 24), joined(source, _PARTS, 8)


def check(case: tuple[str, str]) -> list[str]:
    first, second = (name[:_LONGEST] for name in case)
    kinds = [_check_name(first), _check_name(second)]
    if kinds[0] == "channel":
        _check_expansion(first, second)
        for pattern in _relatives(first):
            _check_expansion(first, pattern)
    return kinds


def _check_name(name: str) -> str:
    channel, pattern = bool(CHANNEL.match(name)), bool(PATTERN.match(name))
    expect(grammar.is_channel(name) == channel, "is_channel", name)
    expect(grammar.is_pattern(name) == pattern, "is_pattern", name)
    expect(grammar.is_subscription(name) == (channel or pattern), "is_subscription", name)
    for root, test in (("/meta", channels.is_meta), ("/service", channels.is_service)):
        below = (channel or pattern) and f"{name}/".startswith(f"{root}/")
        expect(test(name) == below, root, name)
    return "channel" if channel else "pattern" if pattern else "neither"


def _relatives(name: str) -> list[str]:
    """Patterns at every depth of ``name``."""
    parts = name.split("/")
    return ["/".join([*parts[:depth], star])
            for depth in range(1, len(parts) + 1) for star in ("*", "**")]


def _check_expansion(channel: str, subscription: str) -> None:
    found = channels.expand(channel)
    expect(len(set(found)) == len(found), "expand gives one twice", channel)
    expect((subscription in found) == matches(subscription, channel), channel, subscription)


def matches(subscription: str, channel: str) -> bool:
    """What a subscription means, said by segments; a service channel reaches nobody who has not
    asked for it below ``/service``."""
    if not (CHANNEL.match(subscription) or PATTERN.match(subscription)):
        return False
    *fixed, last = subscription.split("/")[1:]
    parts = channel.split("/")[1:]
    if parts[0] == "service" and last != parts[-1] and not fixed:
        return False
    rest = parts[len(fixed) :] if parts[: len(fixed)] == fixed else []
    if last == "**":
        return len(rest) >= 1
    return len(rest) == 1 and last in ("*", rest[0])
