"""The in-process client, over every engine: exact counts, exact order, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from redis import Redis

from conformance.recorder import RecordingStream
from faye_redis import Client, WSGIAdapter, client
from faye_redis.bayeux.messages import publication
from faye_redis.errors import PublishError, SubscriptionError
from support.redis_server import RedisServer
from support.waiting import eventually

END = "/end/of/test"
Message = dict[str, Any]
Make = Callable[..., WSGIAdapter]


@pytest.fixture(params=["memory", "redis"])
def engine(request: pytest.FixtureRequest, namespace: str) -> dict[str, Any]:
    if request.param == "memory":
        return {"type": "memory"}
    return {"url": request.getfixturevalue("redis_server").url, "namespace": namespace}


@pytest.fixture
def make() -> Iterator[Make]:
    adapters: list[WSGIAdapter] = []

    def make(engine: dict[str, Any], **settings: Any) -> WSGIAdapter:
        adapters.append(WSGIAdapter(settings={"engine": engine, **settings}))
        return adapters[-1]

    yield make
    for adapter in adapters:
        adapter.close()


@pytest.fixture
def adapter(make: Make, engine: dict[str, Any]) -> WSGIAdapter:
    return make(engine)


@pytest.fixture
def bus(adapter: WSGIAdapter) -> Client:
    return adapter.get_client()


class Ears:
    """Callbacks that write down what they are called with.

    :meth:`finish` waits for a last message: what was published before it has arrived by then.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.heard: list[tuple[str, Any]] = []
        self._ended: list[Any] = []
        client.subscribe(END, self._ended.append)

    def on(self, channel: str, name: str | None = None) -> client.Subscription:
        return self._client.subscribe(
            channel, lambda data: self.heard.append((name or channel, data)))

    def finish(self, publisher: Client | None = None) -> list[tuple[str, Any]]:
        ended = len(self._ended)
        (publisher or self._client).publish(END, "end")
        eventually(lambda: len(self._ended) > ended)
        return self.heard


def record(adapter: WSGIAdapter, *events: str) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in events:
        adapter.on(event, lambda *args, event=event: seen.append((event, *args)))
    return seen


# Delivery

def test_messages_arrive_once_and_in_order(bus: Client) -> None:
    ears = Ears(bus)
    ears.on("/a")
    for number in range(300):
        bus.publish("/a", number)
    assert ears.finish() == [("/a", number) for number in range(300)]


@pytest.mark.parametrize("data", [None, 0, "", "ä\u2028", [], {}, [1, {"a": [None, 1.5, True]}]])
def test_data_arrives_as_it_was(bus: Client, data: Any) -> None:
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", data)
    assert ears.finish() == [("/a", data)]


def test_patterns_match_and_each_callback_hears_a_message_once(bus: Client) -> None:
    ears = Ears(bus)
    for channel in ("/a/b", "/a/*", "/a/**"):
        ears.on(channel)
    for number, channel in enumerate(("/a/b", "/a/c", "/a/b/c", "/a", "/b")):
        bus.publish(channel, number)
    assert sorted(ears.finish()) == [
        ("/a/*", 0), ("/a/*", 1),
        ("/a/**", 0), ("/a/**", 1), ("/a/**", 2),
        ("/a/b", 0),
    ]


def test_what_was_published_before_is_not_heard(bus: Client) -> None:
    ears = Ears(bus)
    bus.publish("/a", "before")
    ears.on("/a")
    bus.publish("/a", "after")
    assert ears.finish() == [("/a", "after")]


def test_callbacks_of_one_channel_are_called_in_order(adapter: WSGIAdapter, bus: Client) -> None:
    ears = Ears(bus)
    seen = record(adapter, "subscribe")
    for name in ("one", "two", "three"):
        ears.on("/a", name)
    bus.publish("/a", 1)
    bus.publish("/a", 2)
    assert ears.finish() == [(name, number) for number in (1, 2)
                             for name in ("one", "two", "three")]
    assert [event[2] for event in seen] == ["/a"]


def test_callbacks_run_one_at_a_time(bus: Client) -> None:
    ears, running, most = Ears(bus), [0], [0]

    def callback(data: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        gevent.sleep(0.002)
        running[0] -= 1

    for _ in range(2):
        bus.subscribe("/a", callback)
    for number in range(10):
        bus.publish("/a", number)
    ears.finish()
    assert most == [1]


def test_publishing_does_not_wait_for_callbacks(bus: Client) -> None:
    ears, gate = Ears(bus), Event()
    bus.subscribe("/slow", lambda data: gate.wait(10))
    ears.on("/a")
    bus.publish("/slow", 1)
    bus.publish("/a", 2)
    assert ears.heard == []
    gate.set()
    assert ears.finish() == [("/a", 2)]


def test_a_callback_may_publish_and_subscribe(bus: Client) -> None:
    ears = Ears(bus)

    def callback(data: Any) -> None:
        ears.on("/answer")
        bus.publish("/answer", data + 1)
        bus.publish("/finish", None)

    finished: list[Any] = []
    bus.subscribe("/finish", finished.append)
    bus.subscribe("/question", callback)
    bus.publish("/question", 1)
    eventually(lambda: finished)
    assert ears.finish() == [("/answer", 2)]


def test_a_backlog_over_the_limit_waits_in_the_engine(
    adapter: WSGIAdapter, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MOST_WAITING", 50)
    ears, gate = Ears(bus), Event()
    bus.subscribe("/a", lambda data: gate.wait(10))
    ears.on("/a")
    ears.finish()
    for number in range(100):
        bus.publish("/a", number)
    eventually(lambda: len(bus._inbox) >= 50)
    waiting = len(bus._inbox)
    witness, stream = adapter.engine.create_client(), RecordingStream()
    adapter.engine.subscribe(witness, ["/a"])
    adapter._connections.open(witness, stream)
    for number in range(100, 700):
        bus.publish("/a", number)
    eventually(lambda: len(stream.payloads) == 600)
    assert len(bus._inbox) == waiting
    gate.set()
    eventually(lambda: len(ears.heard) >= 700)
    assert ears.finish() == [("/a", number) for number in range(700)]


def test_messages_come_from_another_server(
    make: Make, redis_server: RedisServer, namespace: str
) -> None:
    engine = {"url": redis_server.url, "namespace": namespace}
    one, two = make(engine).get_client(), make(engine).get_client()
    ears = Ears(one)
    ears.on("/a")
    for number in range(50):
        two.publish("/a", number)
    assert ears.finish(two) == [("/a", number) for number in range(50)]


def test_publishing_alone_makes_no_client(adapter: WSGIAdapter, bus: Client) -> None:
    seen = record(adapter, "handshake", "publish")
    bus.publish("/a", 1)
    assert seen == [("publish", None, "/a", 1)]


def test_a_callback_may_want_the_channel(bus: Client) -> None:
    ears = Ears(bus)
    heard: list[tuple[str, Any]] = []

    def hear(channel: str, data: Any) -> None:
        heard.append((channel, data))
    without = bus.subscribe("/a/*").with_channel(hear)
    ears.on("/a/*").with_channel(hear)
    bus.publish("/a/b", 1)
    ears.finish()
    without.cancel()
    bus.publish("/a/c", 2)
    assert ears.finish() == [("/a/*", 1), ("/a/*", 2)]
    assert heard == [("/a/b", 1), ("/a/b", 1), ("/a/c", 2)]


# Leaving

def test_a_cancelled_callback_hears_no_more(adapter: WSGIAdapter, bus: Client) -> None:
    ears = Ears(bus)
    seen = record(adapter, "unsubscribe")
    one, two = ears.on("/a", "one"), ears.on("/a", "two")
    bus.publish("/a", 1)
    ears.finish()
    one.cancel()
    one.cancel()
    assert seen == []  # the other one still listens
    bus.publish("/a", 2)
    ears.finish()
    two.cancel()
    two.cancel()
    assert [event[2] for event in seen] == ["/a"]
    bus.publish("/a", 3)
    assert ears.finish() == [("one", 1), ("two", 1), ("two", 2)]


def test_a_callback_may_cancel_itself(bus: Client) -> None:
    ears, heard = Ears(bus), []

    def callback(data: Any) -> None:
        heard.append(data)
        subscription.cancel()

    subscription = bus.subscribe("/a", callback)
    for number in range(3):
        bus.publish("/a", number)
    ears.finish()
    assert heard == [0]


def test_unsubscribing_cancels_every_callback_of_the_channel(
    adapter: WSGIAdapter, bus: Client
) -> None:
    ears = Ears(bus)
    seen = record(adapter, "unsubscribe")
    for name in ("one", "two"):
        ears.on("/a", name)
    ears.on("/*")
    bus.unsubscribe("/a")
    bus.unsubscribe("/a")
    bus.unsubscribe("/never")
    assert [event[2] for event in seen] == ["/a"]
    bus.publish("/a", 1)
    assert ears.finish() == [("/*", 1)]


def test_disconnecting_ends_all_and_a_new_subscription_begins_anew(
    adapter: WSGIAdapter, bus: Client
) -> None:
    seen = record(adapter, "handshake", "unsubscribe", "disconnect")
    heard: list[Any] = []
    bus.subscribe("/a", heard.append)
    bus.disconnect()
    bus.disconnect()
    bus.publish("/a", "nobody")
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", "again")
    assert ears.finish() == [("/a", "again")]
    assert heard == []
    first, second = (event[1] for event in seen if event[0] == "handshake")
    assert first != second
    assert [event for event in seen if event[0] != "handshake"] == [
        ("unsubscribe", first, "/a"), ("disconnect", first)]


# Refusals

@pytest.mark.parametrize(("channel", "error"), [
    ("/a/*", "405:/a/*:Invalid channel"),
    ("no-slash", "405:no-slash:Invalid channel"),
    ("/meta/subscribe/x", "403:/meta/subscribe/x:Forbidden channel"),
])
def test_a_refused_publish_raises_the_bayeux_error(
    adapter: WSGIAdapter, bus: Client, channel: str, error: str
) -> None:
    seen = record(adapter, "publish")
    with pytest.raises(PublishError) as caught:
        bus.publish(channel, 1)
    assert str(caught.value) == error
    assert seen == []


@pytest.mark.parametrize("data", [object(), {1, 2}, b"bytes", {"deep": [object()]}, {1: 2}])
def test_data_that_is_no_json_is_refused(
    adapter: WSGIAdapter, bus: Client, data: Any
) -> None:
    seen = record(adapter, "publish")
    with pytest.raises(PublishError, match=r"^400::data is no JSON: "):
        bus.publish("/a", data)
    assert seen == []


def test_a_refused_subscription_raises_the_bayeux_error(bus: Client) -> None:
    with pytest.raises(SubscriptionError) as caught:
        bus.subscribe("/a/**/b", print)
    assert str(caught.value) == "405:/a/**/b:Invalid channel"
    bus.unsubscribe("/a/**/b")
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", 1)
    assert ears.finish() == [("/a", 1)]


def test_an_extension_may_refuse(adapter: WSGIAdapter, bus: Client) -> None:
    class Refusing:
        def incoming(self, message: Message, callback: Callable[[Any], None]) -> None:
            callback({**message, "error": "403::not today"})

    adapter.add_extension(Refusing())
    with pytest.raises(PublishError, match=r"^403::not today$"):
        bus.publish("/a", 1)
    with pytest.raises(SubscriptionError, match=r"^403::not today$"):
        bus.subscribe("/a", print)


def test_service_channels_are_open_to_it_and_to_no_pattern_outside(bus: Client) -> None:
    ears = Ears(bus)
    ears.on("/service/x")
    ears.on("/service/*")
    ears.on("/**")
    bus.publish("/service/x", 1)
    heard = ears.finish()
    assert sorted(heard) == [("/**", "end"), ("/service/*", 1), ("/service/x", 1)]


# Its own extensions

class Passing:
    """Writes down what passes: what, and which fields of it are of interest."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def outgoing(self, message: Message, callback: Callable[[Any], None]) -> None:
        self.seen.append(("out", message["channel"], message.get("data")))
        callback(message)

    def incoming(self, message: Message, request: Any, callback: Callable[[Any], None]) -> None:
        self.seen.append(("in", message["channel"], message.get("data", message.get("successful"))))
        assert request is None
        callback(message)


def test_an_extension_sees_what_is_sent_and_received(
    adapter: WSGIAdapter, bus: Client
) -> None:
    passing, heard = Passing(), list[Any]()
    bus.add_extension(passing)
    bus.subscribe("/a", heard.append)
    bus.publish("/a", 1)
    eventually(lambda: heard == [1])
    bus.publish("/b", 2)
    bus.unsubscribe("/a")
    assert sorted(passing.seen) == sorted([
        ("out", "/meta/handshake", None), ("in", "/meta/handshake", True),
        ("out", "/meta/subscribe", None), ("in", "/meta/subscribe", True),
        ("out", "/a", 1), ("in", "/a", True), ("in", "/a", 1),
        ("out", "/b", 2), ("in", "/b", True),
        ("out", "/meta/unsubscribe", None), ("in", "/meta/unsubscribe", True)])
    bus.remove_extension(passing)
    bus.remove_extension(passing)
    bus.publish("/a", 3)
    assert len(passing.seen) == 11


class Changing:
    """Calls back with what a function makes of messages of one channel, on their way ``stage``."""

    def __init__(self, stage: str, channel: str, change: Callable[[Message], Any]) -> None:
        def method(message: Message, callback: Callable[[Any], None]) -> None:
            callback(change(message) if message["channel"] == channel else message)
        setattr(self, stage, method)


def test_extensions_change_messages_in_their_order(bus: Client) -> None:
    ears = Ears(bus)
    ears.on("/a")
    for stage, word in (("outgoing", "one"), ("outgoing", "two"), ("incoming", "three")):
        bus.add_extension(Changing(stage, "/a", lambda message, word=word: (
            {**message, "data": [*message["data"], word]} if "data" in message else message)))
    bus.publish("/a", [])
    assert ears.finish() == [("/a", ["one", "two", "three"])]


def test_what_an_extension_drops_is_not_sent(adapter: WSGIAdapter, bus: Client) -> None:
    seen = record(adapter, "publish", "handshake")
    for channel in ("/a", "/meta/handshake"):
        bus.add_extension(Changing("outgoing", channel, lambda message: None))
    with pytest.raises(PublishError, match=r"^404::message_deleted$"):
        bus.publish("/a", 1)
    with pytest.raises(SubscriptionError, match=r"^404::message_deleted$"):
        bus.subscribe("/b", print)
    assert seen == []


def test_an_extension_may_refuse_or_drop_a_reply(bus: Client) -> None:
    bus.add_extension(Changing("outgoing", "/a", lambda message: {**message, "error": "403::no"}))
    bus.add_extension(Changing("incoming", "/b", lambda message: None))
    with pytest.raises(PublishError, match=r"^403::no$"):
        bus.publish("/a", 1)
    with pytest.raises(PublishError, match=r"^404::message_deleted$"):
        bus.publish("/b", 1)


def spoil(message: Message) -> None:
    raise ValueError


def hang(message: Message) -> None:
    raise gevent.Timeout


@pytest.mark.parametrize("change", [
    lambda message: None, spoil, hang, lambda message: {**message, "channel": 5},
    lambda message: {"channel": message["channel"]}], ids=str)
def test_a_message_that_is_dropped_or_made_unusable_stops_no_other(
    make: Make, engine: dict[str, Any], change: Callable[[Message], Any]
) -> None:
    """The messages come from elsewhere: this client has no replies on their channel."""
    adapter = make(engine)
    bus, ears = adapter.get_client(), Ears(adapter.get_client())
    ears.on("/*")
    bus.add_extension(Changing("incoming", "/a", change))
    for number, channel in enumerate(("/b", "/a", "/b")):
        operation, payload = publication({"channel": channel, "data": number})
        adapter.engine.publish(channel, payload, operation)
    assert ears.finish() == [("/*", 0), ("/*", 2)]


def test_extensions_of_both_ends_see_a_message_in_turn(adapter: WSGIAdapter, bus: Client) -> None:
    turns: list[str] = []

    def note(stage: str) -> Changing:
        return Changing(stage, "/a", lambda message: turns.append(stage) or message)
    adapter.add_extension(note("incoming"))
    bus.add_extension(note("outgoing"))
    bus.publish("/a", 1)
    assert turns == ["outgoing", "incoming"]


# Failures

@pytest.mark.parametrize("failure", [ValueError, gevent.Timeout])  # not an Exception
def test_a_callback_that_raises_stops_no_other(
    bus: Client, failure: type[BaseException]
) -> None:
    def callback(data: Any) -> None:
        raise failure

    ears = Ears(bus)
    ears.on("/a", "before")
    bus.subscribe("/a", callback)
    ears.on("/a", "after")
    bus.publish("/a", 1)
    bus.publish("/a", 2)
    assert ears.finish() == [("before", 1), ("after", 1), ("before", 2), ("after", 2)]


def lose(adapter: WSGIAdapter, seen: list[tuple[Any, ...]]) -> str:
    """Destroy the client behind its back; ``seen`` has its handshake. Returns its id."""
    [client_id] = [event[1] for event in seen if event[0] == "handshake"]
    adapter.engine.destroy_client(client_id)
    return str(client_id)


def test_a_lost_client_comes_back_with_its_subscriptions(
    adapter: WSGIAdapter, bus: Client
) -> None:
    seen = record(adapter, "handshake", "subscribe")
    ears = Ears(bus)
    ears.on("/a")
    ears.on("/b/*")
    bus.publish("/a", "before")
    ears.finish()
    lost = lose(adapter, seen)
    eventually(lambda: len(seen) == 8)
    bus.publish("/a", "after")
    bus.publish("/b/c", "after")
    assert ears.finish() == [("/a", "before"), ("/a", "after"), ("/b/*", "after")]
    found = seen[4][1]
    assert found != lost
    assert seen == [
        ("handshake", lost), ("subscribe", lost, END), ("subscribe", lost, "/a"),
        ("subscribe", lost, "/b/*"),
        ("handshake", found), ("subscribe", found, END), ("subscribe", found, "/a"),
        ("subscribe", found, "/b/*"),
    ]


def test_a_lost_client_without_subscriptions_stays_away(
    adapter: WSGIAdapter, bus: Client
) -> None:
    seen = record(adapter, "handshake")
    bus.subscribe("/a", print).cancel()
    lose(adapter, seen)
    eventually(lambda: bus._client_id is None)
    assert len(seen) == 1
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", 1)
    assert ears.finish() == [("/a", 1)]
    assert len(seen) == 2


def test_a_lost_client_can_leave(adapter: WSGIAdapter, bus: Client) -> None:
    seen = record(adapter, "handshake")
    Ears(bus).finish()
    lose(adapter, seen)
    bus.disconnect()
    bus.disconnect()
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", 1)
    assert ears.finish() == [("/a", 1)]
    assert len({event[1] for event in seen}) == len(seen)
    assert len(seen) in (2, 3)  # it may have come back just before it was told to leave


def test_a_client_lost_while_it_shakes_hands_begins_anew(
    adapter: WSGIAdapter, bus: Client
) -> None:
    class Destroying:
        def outgoing(self, message: Message, callback: Callable[[Any], None]) -> None:
            if message["channel"] == "/meta/handshake":
                adapter.engine.destroy_client(message["clientId"])
            callback(message)

    destroying = Destroying()
    adapter.add_extension(destroying)
    with pytest.raises(SubscriptionError):
        bus.subscribe("/a", print)
    adapter.remove_extension(destroying)
    ears = Ears(bus)
    ears.on("/a")
    bus.publish("/a", 1)
    assert ears.finish() == [("/a", 1)]


QUICK = {"retry_delay": 0, "max_retries": 0}


def test_redis_out_of_reach_is_a_bayeux_error(make: Make) -> None:
    with RedisServer() as server:
        bus = make({"url": server.url, **QUICK}).get_client()
        bus.publish("/a", 1)
        server.stop()
        with pytest.raises(PublishError, match=r"^407:/a:Failed to publish$"):
            bus.publish("/a", 2)
        with pytest.raises(SubscriptionError, match=r"^500::Internal server error$"):
            bus.subscribe("/a", print)


def test_it_comes_back_when_redis_has_lost_everything(make: Make) -> None:
    with RedisServer() as server:
        adapter = make({"url": server.url, "restore_window": 0, **QUICK})
        seen = record(adapter, "subscribe")
        ears = Ears(adapter.get_client())
        ears.on("/a")
        server.restart()
        eventually(lambda: len(seen) == 4, timeout=30)
        adapter.get_client().publish("/a", 1)
        assert ears.finish() == [("/a", 1)]


def test_it_goes_on_when_redis_has_lost_everything(make: Make) -> None:
    with RedisServer() as server:
        adapter = make({"url": server.url, **QUICK})
        seen = record(adapter, "handshake")
        ears = Ears(adapter.get_client())
        ears.on("/a")
        eventually(lambda: adapter.engine._heartbeat._marker)
        Redis(port=server.port).flushall()
        adapter.get_client().publish("/a", 1)
        assert ears.finish() == [("/a", 1)]
        assert len(seen) == 1


def test_it_tries_to_come_back_until_it_is_back(make: Make) -> None:
    with RedisServer() as server:
        adapter = make({"url": server.url, **QUICK})
        bus = adapter.get_client()
        seen = record(adapter, "subscribe")
        ears = Ears(bus)
        ears.on("/a")
        server.stop()
        bus.close(1011, "Try again later")
        eventually(lambda: bus._client_id is None)
        with pytest.raises(PublishError):
            bus.publish("/a", "lost")
        server.start()
        eventually(lambda: len(seen) >= 4, timeout=30)
        bus.publish("/a", 1)
        assert ears.finish() == [("/a", 1)]
