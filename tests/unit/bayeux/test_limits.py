"""Rates and limits, with a clock of their own."""

from __future__ import annotations

import pytest

from faye_redis.bayeux import limits
from faye_redis.bayeux.limits import ClientRates, Rate, SubscriptionLimits


def admitted(rate: Rate, times: list[float]) -> list[bool]:
    due, result = 0.0, []
    for now in times:
        state = rate.admit(due, now)
        due = due if state is None else state
        result.append(state is not None)
    return result


@pytest.mark.parametrize(("per_second", "burst"), [
    (0.01, 1), (0.25, 1), (0.5, 2), (1, 4), (50, 200), (333, 1332), (1e6, 4_000_000)])
def test_what_four_seconds_allow_may_come_at_once(per_second: float, burst: int) -> None:
    if burst < 5000:
        assert sum(admitted(Rate(per_second), [1e6] * (burst + 10))) == burst
    else:
        assert all(admitted(Rate(per_second), [1e6] * 5000))


def test_then_as_many_as_the_rate_allows() -> None:
    times = [1000.0] * 40 + [1000 + tick / 100 for tick in range(1, 1001)]
    assert sum(admitted(Rate(10), times)) == 40 + 100


def test_silence_is_saved_for_four_seconds_only() -> None:
    times = [1000.0] * 50 + [2000.0] * 50
    assert admitted(Rate(10), times) == [*[True] * 40, *[False] * 10] * 2


def test_clients_have_rates_of_their_own() -> None:
    now = [1000.0]
    rates = ClientRates(Rate(0.5), lambda: now[0])
    assert [rates.admit(name) for name in "aabaabb"] == [
        True, True, True, False, False, True, False]
    now[0] += 2
    assert [rates.admit(name) for name in "aab"] == [True, False, True]


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_REMEMBERED", 2)
    rates = ClientRates(Rate(0.25), lambda: 1000.0)
    assert [rates.admit(name) for name in "abacba"] == [
        True, True, False, True, True, True]  # b, then a was seen longest ago


@pytest.mark.parametrize(("names", "option"), [
    (["/a", "/b/*"], None), (["/a", "/b", "/c", "/d"], "max_subscriptions"),
    (["/a/*", "/b/**"], "max_wildcards"), (["/a/*", "/b/**", "/c", "/d"], "max_subscriptions")])
def test_subscriptions(names: list[str], option: str | None) -> None:
    assert SubscriptionLimits(3, 1).exceeded_by(names) == option
    assert SubscriptionLimits().exceeded_by(names) is None
