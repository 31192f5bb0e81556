"""Who may do what: rules for handshakes, subscriptions and publishing, made by the application.

    policy = Policy()

    @policy.handshake
    def signed_in(attempt):
        return user_of(attempt.cookies.get("session"))  # a name; None refuses

    @policy.subscribe("/users/*")
    def own_channel(attempt):
        return attempt.channel == f"/users/{attempt.user}"

A rule takes an :class:`Attempt` and returns whether it is allowed; None refuses, too. It may wait,
and it may raise :class:`~faye_redis.errors.Denied` with a text for the client. Rules hold for
everything that comes over a network, by every transport; the in-process client is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

from ..headers import cookies, header
from .channels import covers, intersection
from .exchange import Environ, Request
from .grammar import is_pattern, is_subscription
from .messages import Message

HANDSHAKE, SUBSCRIBE, PUBLISH = "handshake", "subscribe", "publish"


class Attempt(NamedTuple):
    """What a client wants to do."""

    action: str
    """"handshake", "subscribe" or "publish"."""
    message: Message
    """As it came, after incoming extensions. What a rule takes out of it is not passed on."""
    request: Request
    """See ``environ``."""
    channel: str = ""
    """What is to be subscribed or published to. For a subscription to a pattern every rule is asked
    whose own pattern has channels in common with it, and this is what they have in common: a rule
    for ``/users/*`` is asked about ``/users/*`` when someone subscribes to ``/**``. Empty for a
    handshake."""
    client_id: str | None = None
    """None if the client has not told; in a handshake, too."""
    user: str | None = None
    """What the rule for handshakes returned for this client, if that was a string."""
    taken: dict[str, Any] | None = None
    """What ``take`` has given to any rule that was asked about this message."""

    @property
    def is_pattern(self) -> bool:
        """Does it take the right to all that ``channel``, a pattern, matches?"""
        return is_pattern(self.channel)

    @property
    def environ(self) -> Environ:
        """The WSGI environ of the request; of a socket that stays, the one that opened it."""
        return self.request() if callable(self.request) else self.request

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the request."""
        return cookies(self.environ)

    @property
    def data(self) -> Any:
        """What is to be published; None if nothing is."""
        return self.message.get("data")

    def header(self, name: str) -> str | None:
        """A header of the request, by any case of its name."""
        return header(self.environ, name)

    def take(self, field: str) -> Any:
        """A field of the message's ``ext``, which is taken out of it, so that subscribers do not
        get it; None if there is none."""
        if self.taken is not None and field in self.taken:
            return self.taken[field]
        ext = self.message.get("ext")
        value = ext.pop(field, None) if isinstance(ext, dict) else None
        if ext == {}:
            del self.message["ext"]
        if self.taken is not None:
            self.taken[field] = value
        return value


Rule = Callable[[Attempt], Any]
"""Allowed if it returns something true. For a handshake that is True or the name of the user, a
string."""


def _check(rule: Rule) -> None:
    if iscoroutinefunction(rule):
        raise ValueError("a rule is a plain function, which may wait: nobody awaits a coroutine")


class _Rule(NamedTuple):
    pattern: str
    ask: Rule


class Policy:
    """Rules. Everything that no rule is about is allowed, unless ``strict``.

    All rules that are about something have to allow it. Rules may be added at any time; they hold
    for messages that come later.

    :param strict: refuse to subscribe or publish where no rule is about all of it.
    """

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        self._rules: dict[str, list[_Rule]] = {HANDSHAKE: [], SUBSCRIBE: [], PUBLISH: []}

    def handshake(self, rule: Rule) -> Rule:
        """Ask ``rule`` about every handshake. Once there is one, a client has to shake hands
        before it publishes (unless ``require_client_id`` is False).

        :raises ValueError: it is a coroutine, which nobody would await.
        """
        _check(rule)
        self._rules[HANDSHAKE].append(_Rule("", rule))
        return rule

    def subscribe(self, *patterns: str) -> Callable[[Rule], Rule]:
        """Ask a rule about subscriptions to these channels and patterns.

        :raises ValueError: one is no channel or pattern, or the rule is a coroutine.
        """
        return self._adder(SUBSCRIBE, patterns)

    def publish(self, *patterns: str) -> Callable[[Rule], Rule]:
        """Ask a rule about publishing to these channels and to what these patterns match.

        :raises ValueError: one is no channel or pattern, or the rule is a coroutine.
        """
        return self._adder(PUBLISH, patterns)

    def _adder(self, action: str, patterns: tuple[str, ...]) -> Callable[[Rule], Rule]:
        if not patterns or callable(patterns[0]):
            raise ValueError(f'say what the rule is about: @policy.{action}("/a", "/b/**")')
        for pattern in patterns:
            if not is_subscription(pattern):
                raise ValueError(f"{pattern!r} is neither a channel nor a pattern")

        def add(rule: Rule) -> Rule:
            _check(rule)
            self._rules[action] += [_Rule(pattern, rule) for pattern in patterns]
            return rule
        return add

    def restricts(self, action: str) -> bool:
        """Is there anything to ask about such attempts?"""
        return bool(self._rules[action]) or (self._strict and action != HANDSHAKE)

    def verdicts(self, attempt: Attempt) -> Iterator[Any]:
        """What each rule that is about ``attempt`` says, one after the other.

        :raises Denied: a rule did. Whatever else a rule raises comes through.
        """
        rules = list(self._rules[attempt.action])
        if self._strict and attempt.action != HANDSHAKE:
            yield any(covers(rule.pattern, attempt.channel) for rule in rules)
        for rule in rules:
            common = intersection(rule.pattern, attempt.channel) if rule.pattern else ""
            if common is not None:
                yield rule.ask(attempt._replace(channel=common))
