"""How much one message, one client and one worker may ask for. Pure: time is given."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from . import channels
from .errors import error, exceeded
from .grammar import is_channel, is_subscription

if TYPE_CHECKING:
    from ..settings import Settings

BURST_SECONDS: Final = 4.0
"""What this many seconds allow may come at once, after as long a silence."""

MOST_REMEMBERED: Final = 10_000
"""Clients whose rates are known to a worker; of those seen longest ago nothing is held on to."""


class SubscriptionLimits(NamedTuple):
    """How many subscriptions a client may have; None: any number."""

    subscriptions: int | None = None
    wildcards: int | None = None

    def exceeded_by(self, names: Sequence[str]) -> str | None:
        """The option that does not allow these subscriptions together; None if all do."""
        if self.subscriptions is not None and len(names) > self.subscriptions:
            return "max_subscriptions"
        wildcards = sum(name.endswith("*") for name in names)
        if self.wildcards is not None and wildcards > self.wildcards:
            return "max_wildcards"
        return None


class Rate:
    """So many per second, and what ``BURST_SECONDS`` allow at once (GCRA, ITU-T I.371).

    The state of whoever is limited is one number, which the caller keeps: the time by which all
    that has come so far was due. 0 is as good as any time that is past.

    :param per_second: 0 allows any number.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._interval = 1 / per_second if per_second else 0.0
        self._ahead = max(BURST_SECONDS, self._interval) + 1e-6  # for what rounding adds up to

    def admit(self, due: float, now: float) -> float | None:
        """The new state if one more may come at ``now`` (seconds of any clock), else None."""
        due = max(due, now) + self._interval
        return due if due - now <= self._ahead else None


class ClientRates:
    """The states of many clients that are known by a name only.

    :param clock: seconds that never go back.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def admit(self, name: str) -> bool:
        """May one more message of ``name`` come now?"""
        before = self._due.pop(name, 0.0)
        due = self._rate.admit(before, self._clock())
        self._due[name] = before if due is None else due
        if len(self._due) > MOST_REMEMBERED:
            self._due.popitem(last=False)
        return due is not None


class Limits:
    """The limits of one worker.

    :param clock: seconds that never go back.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._handshakes = Rate(settings.max_handshake_rate)
        self._handshakes_due = 0.0
        self.subscriptions = SubscriptionLimits(
            settings.max_subscriptions, settings.max_wildcards)

    def is_channel(self, name: object) -> TypeGuard[str]:
        """Is it the name of a channel, and not too long?"""
        return is_channel(name) and not self._too_long(name)

    def channel_error(self, name: object) -> str:
        """The error for what is no channel, or no channel or pattern, or too long."""
        return error(405, name, text=self._too_long(name) if is_subscription(name) else "")

    def _too_long(self, name: str) -> str:
        """Which limit the name is over; "" for none."""
        settings = self._settings
        if len(name) > settings.max_channel_length:
            return f"Longer than max_channel_length, {settings.max_channel_length}"
        if name.count("/") > settings.max_channel_segments:
            return f"More segments than max_channel_segments, {settings.max_channel_segments}"
        return ""

    def objection(self, names: Sequence[Any], remote: bool) -> str | None:
        """The error for the first of ``names`` that may not be subscribed to; None if all may.

        :param remote: the client is no in-process client, which is trusted.
        """
        if remote and len(names) > self._settings.max_subscriptions:
            return self.error("max_subscriptions")
        for name in names:
            if not is_subscription(name) or self._too_long(name):
                return self.channel_error(name)
            if remote and (channels.is_meta(name) or channels.is_service(name)):
                return error(403, name)
        return None

    def admit_handshake(self) -> bool:
        """May one more client come to this worker now?"""
        due = self._handshakes.admit(self._handshakes_due, self._clock())
        self._handshakes_due = self._handshakes_due if due is None else due
        return due is not None

    def error(self, option: str) -> str:
        """The error for what ``option`` does not allow."""
        return exceeded(option, getattr(self._settings, option))
