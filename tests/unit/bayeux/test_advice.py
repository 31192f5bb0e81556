from __future__ import annotations

import pytest

from faye_redis.bayeux import advice


def test_success():
    assert advice.success("long-polling", 25, 0) == {
        "reconnect": "retry", "interval": 0, "timeout": 25000}
    assert advice.success(None, 0.5, 1.25) == {
        "reconnect": "retry", "interval": 1250, "timeout": 500}


def test_eventsource_clients_connect_at_intervals():
    assert advice.success("eventsource", 25, 2) == {
        "reconnect": "retry", "interval": 25000, "timeout": 0}


@pytest.mark.parametrize(("interval", "lowest"), [(0, 1000), (0.5, 1000), (3, 3000)])
def test_failure_pauses_and_spreads(interval, lowest):
    given = [advice.failure("retry", interval) for _ in range(500)]
    pauses = {advised.pop("interval") for advised in given}
    assert given == [{"reconnect": "retry"}] * 500
    assert lowest <= min(pauses) and max(pauses) < lowest + 1000
    assert len(pauses) > 100


@pytest.mark.parametrize(("given", "expected"), [
    ({"timeout": 0}, 0), ({"timeout": 1500}, 1.5), ({"timeout": 250.5}, 0.2505),
    ({"timeout": 25000}, 25), ({"timeout": 99999}, 25), ({"timeout": -5}, 0),
    ({"timeout": 2**63}, 25), ({"timeout": "0"}, 25), ({"timeout": None}, 25),
    ({"timeout": False}, 25), ({"timeout": [0]}, 25), ({}, 25), (None, 25), ("x", 25), ([0], 25),
], ids=repr)
def test_hold(given, expected):
    assert advice.hold(given, 25) == expected


def test_delayed_spreads_clients_over_time():
    given = {"reconnect": "retry", "interval": 500, "timeout": 25000}
    intervals = {advice.delayed(given, 2)["interval"] for _ in range(200)}
    assert 500 <= min(intervals) < 1000 and 2000 < max(intervals) <= 2500
    assert len(intervals) > 100
    assert advice.delayed(given, 0) == given
    assert advice.delayed(None, 0) == {"reconnect": "retry", "interval": 0}
