from __future__ import annotations

import pytest

from faye_redis.bayeux.monitoring import EVENTS, Monitor
from faye_redis.errors import ConfigurationError


@pytest.fixture
def monitor():
    return Monitor()


def test_events_are_those_of_faye():
    assert set(EVENTS) == {"handshake", "subscribe", "unsubscribe", "publish", "disconnect",
                           "connection:open", "connection:close", "close"}


def test_listeners_in_order_with_arguments(monitor):
    calls = []
    monitor.on("publish", lambda *args: calls.append((1, *args)))
    monitor.on("publish", lambda *args: calls.append((2, *args)))
    monitor.on("close", lambda: calls.append("close"))
    monitor.trigger("publish", None, "/a", {"x": 1})
    monitor.trigger("handshake", "c")
    assert calls == [(1, None, "/a", {"x": 1}), (2, None, "/a", {"x": 1})]


@pytest.mark.parametrize(("name", "near"), [
    ("publsh", "publish"), ("connection_open", "connection:open"), ("zzz", "handshake, subscribe"),
])
def test_unknown_event(monitor, name, near):
    with pytest.raises(ConfigurationError, match=f"'{name}' does not exist; did you mean {near}"):
        monitor.on(name, print)
    with pytest.raises(ConfigurationError):
        monitor.off(name)


def test_a_listener_that_raises(monitor, caplog):
    calls = []
    monitor.on("handshake", lambda client_id: 1 / 0)
    monitor.on("handshake", calls.append)
    monitor.trigger("handshake", "c")
    assert calls == ["c"]
    assert "listener of 'handshake' failed" in caplog.text and "ZeroDivisionError" in caplog.text


def test_off_one(monitor):
    first, second = [], []
    monitor.on("handshake", first.append)
    monitor.on("handshake", second.append)
    monitor.off("handshake", print)
    monitor.off("handshake", first.append)
    monitor.trigger("handshake", "c")
    assert (first, second) == ([], ["c"])


def test_off_all_of_an_event(monitor):
    calls = []
    monitor.on("handshake", calls.append)
    monitor.on("handshake", print)
    monitor.on("disconnect", calls.append)
    monitor.off("handshake")
    monitor.off("handshake")
    monitor.trigger("handshake", "c")
    monitor.trigger("disconnect", "d")
    assert calls == ["d"]


def test_has(monitor):
    assert not monitor.has("handshake")
    monitor.on("handshake", print)
    monitor.on("handshake", repr)
    assert monitor.has("handshake") and not monitor.has("disconnect")
    monitor.off("handshake", print)
    assert monitor.has("handshake")
    monitor.off("handshake", repr)
    assert not monitor.has("handshake")


def test_listeners_removed_while_triggering(monitor):
    calls = []

    def once(client_id):
        calls.append(client_id)
        monitor.off("handshake", once)

    monitor.on("handshake", once)
    monitor.on("handshake", lambda client_id: calls.append("other"))
    monitor.trigger("handshake", "a")
    monitor.trigger("handshake", "b")
    assert calls == ["a", "other", "other"]


def test_departed(monitor):
    calls = []
    for event in EVENTS:
        monitor.on(event, lambda *args, event=event: calls.append((event, *args)))
    monitor.departed("c", ["/a", "/b/*"])
    assert calls == [("unsubscribe", "c", "/a"), ("unsubscribe", "c", "/b/*"), ("disconnect", "c")]
