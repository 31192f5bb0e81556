from __future__ import annotations

import threading

import pytest

from faye_redis.bayeux import extensions as module
from faye_redis.bayeux.extensions import Extensions
from faye_redis.errors import ConfigurationError

REQUEST = {"PATH_INFO": "/bayeux"}


class Tag:
    """Notes its name in each message, and what it was called with."""

    def __init__(self, name):
        self.name = name
        self.seen = []

    def incoming(self, message, callback):
        self.seen.append(dict(message))
        callback({**message, "tags": [*message.get("tags", []), self.name]})


class Both:
    def incoming(self, message, request, callback):
        callback({**message, "in": request})

    def outgoing(self, message, callback):
        callback({**message, "out": True})


class Answer:
    """Calls back with a given result."""

    def __init__(self, *results):
        self.results = results

    def incoming(self, message, callback):
        for result in self.results:
            callback(result)


@pytest.fixture
def extensions():
    return Extensions(threading.Event, host="the host")


def test_none(extensions):
    message = {"channel": "/a"}
    assert not extensions.has("incoming") and not extensions.has("outgoing")
    assert extensions.run("incoming", message, REQUEST) is message


def test_in_order_of_addition(extensions):
    extensions.add(Tag("a"))
    extensions.add(Tag("b"))
    assert extensions.run("incoming", {"id": 1}, None) == {"id": 1, "tags": ["a", "b"]}


def test_stages_and_arguments(extensions):
    extensions.add(Both())
    assert extensions.has("incoming") and extensions.has("outgoing")
    assert extensions.run("incoming", {}, REQUEST) == {"in": REQUEST}
    assert extensions.run("incoming", {}, None) == {"in": None}
    assert extensions.run("outgoing", {}, REQUEST) == {"out": True}


def test_one_stage_only(extensions):
    extensions.add(Tag("a"))
    assert extensions.has("incoming") and not extensions.has("outgoing")
    assert extensions.run("outgoing", {"id": 1}, None) == {"id": 1}


@pytest.mark.parametrize("method", [
    lambda message, callback: callback({"got": message}),
    lambda message, callback, extra=1: callback({"got": message}),
    lambda message, callback=None: callback({"got": message}),
    lambda *args: args[1]({"got": args[0]}),
    lambda message, request, callback: callback({"got": message}),
    lambda message, request, callback, extra=1: callback({"got": message}),
])
def test_signatures(extensions, method):
    extension = type("Extension", (), {})()
    extension.incoming = method
    extensions.add(extension)
    assert extensions.run("incoming", {"id": 1}, REQUEST) == {"got": {"id": 1}}


@pytest.mark.parametrize("method", [
    lambda: None, lambda message: None, lambda a, b, c, d: None,
    lambda message, callback, *, key: None, "no function",
])
def test_wrong_signatures_are_refused_at_once(extensions, method):
    extension = type("Extension", (), {})()
    extension.incoming = method
    with pytest.raises(ConfigurationError, match=r"incoming of .* must take \(message, callback\)"):
        extensions.add(extension)
    assert not extensions.has("incoming")


def test_none_drops_and_stops(extensions):
    last = Tag("a")
    extensions.add(Answer(None))
    extensions.add(last)
    assert extensions.run("incoming", {"id": 1}, None) is None
    assert last.seen == []


def test_callback_without_argument_drops(extensions):
    extension = type("Extension", (), {"incoming": lambda self, message, callback: callback()})()
    extensions.add(extension)
    assert extensions.run("incoming", {"id": 1}, None) is None


def test_an_empty_message_is_a_message(extensions):
    extensions.add(Answer({}))
    assert extensions.run("incoming", {"id": 1}, None) == {}


def test_later_extensions_see_an_error(extensions):
    last = Tag("a")
    extensions.add(Answer({"id": 1, "error": "no"}))
    extensions.add(last)
    assert extensions.run("incoming", {"id": 1}, None) == {"id": 1, "error": "no", "tags": ["a"]}
    assert last.seen == [{"id": 1, "error": "no"}]


def test_only_the_first_call_back_counts(extensions):
    extensions.add(Answer({"id": 1}, {"id": 2}, None))
    assert extensions.run("incoming", {}, None) == {"id": 1}


def test_callback_from_another_thread(extensions):
    asked = threading.Event()

    class Late:
        def incoming(self, message, callback):
            def answer():
                asked.wait(10)
                callback({**message, "thread": threading.get_ident()})
            self.thread = threading.Thread(target=answer)
            self.thread.start()

    class WaitedFor(threading.Event().__class__):
        def wait(self, timeout=None):
            asked.set()
            return super().wait(timeout)

    late = Late()
    extensions = Extensions(WaitedFor)
    extensions.add(late)
    extensions.add(Tag("a"))
    message = extensions.run("incoming", {"id": 1}, None)
    late.thread.join(10)
    assert message["thread"] != threading.get_ident()
    assert (message["id"], message["tags"]) == (1, ["a"])


def test_callback_between_the_event_and_the_wait():
    """The callback comes after the event was made and before it is waited on."""
    callbacks = []

    class NeverSet:
        def wait(self, timeout):
            raise AssertionError("waited for a callback that has come")

    def factory():
        callbacks[0]({"id": 2})
        return NeverSet()

    extension = type("Extension", (), {
        "incoming": lambda self, message, callback: callbacks.append(callback)})()
    extensions = Extensions(factory)
    extensions.add(extension)
    assert extensions.run("incoming", {"id": 1}, None) == {"id": 2}


def test_no_event_is_made_for_a_callback_at_once():
    extensions = Extensions(lambda: pytest.fail("an event was made"))
    extensions.add(Tag("a"))
    assert extensions.run("incoming", {}, None) == {"tags": ["a"]}


def test_no_callback_at_all_is_a_failure(caplog):
    waits = []

    class Never:
        def set(self):
            raise AssertionError

        def wait(self, timeout):
            waits.append(timeout)

    extensions = Extensions(Never)
    extensions.add(Answer())
    message = extensions.run("incoming", {"id": 1}, None)
    assert message == {"id": 1, "error": "500::Internal server error"}
    assert waits == [module.CALLBACK_TIMEOUT] == [30.0]
    assert "no callback within 30 s" in caplog.text


@pytest.mark.parametrize("wrong", ["text", 5, [], True, False], ids=repr)
def test_calling_back_with_no_message_is_a_failure(extensions, wrong, caplog):
    extensions.add(Answer(wrong))
    message = extensions.run("incoming", {"id": 1}, None)
    assert message == {"id": 1, "error": "500::Internal server error"}
    assert "neither a message nor None" in caplog.text


def test_raising_is_logged_and_the_others_go_on(extensions, caplog):
    class Broken:
        def incoming(self, message, callback):
            raise RuntimeError("out of order")

        outgoing = incoming

    last = Tag("a")
    extensions.add(Broken())
    extensions.add(last)
    message = {"id": 1}
    assert extensions.run("incoming", message, None)["error"] == "500::Internal server error"
    assert last.seen == [{"id": 1, "error": "500::Internal server error"}]
    assert message == {"id": 1}
    assert "out of order" in caplog.text
    assert extensions.run("outgoing", {"id": 1, "successful": True}, None) == {
        "id": 1, "successful": False, "error": "500::Internal server error"}


def test_added_and_removed(extensions):
    calls = []

    class Hooks(Both):
        def added(self, host):
            calls.append(("added", host))

        def removed(self, host):
            calls.append(("removed", host))

    hooks = Hooks()
    extensions.add(hooks)
    extensions.remove(hooks)
    extensions.remove(hooks)
    assert calls == [("added", "the host"), ("removed", "the host")]
    assert not extensions.has("incoming") and not extensions.has("outgoing")


def test_remove_leaves_the_others(extensions):
    first, second = Tag("a"), Tag("b")
    extensions.add(first)
    extensions.add(second)
    extensions.remove(first)
    extensions.remove(Tag("b"))
    assert extensions.run("incoming", {}, None) == {"tags": ["b"]}


def test_removal_during_a_run_takes_effect_with_the_next_message(extensions):
    last = Tag("z")

    class Remover:
        def incoming(self, message, callback):
            extensions.remove(last)
            callback(message)

    extensions.add(Remover())
    extensions.add(last)
    assert extensions.run("incoming", {}, None) == {"tags": ["z"]}
    assert extensions.run("incoming", {}, None) == {}
