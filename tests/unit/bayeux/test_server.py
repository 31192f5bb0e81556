"""What holds for every verb: extensions, failures, listeners; and what the server depends on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from faye_redis.errors import EngineUnavailable

DELETED = "404::message_deleted"
BROKEN = "500::Internal server error"
PUBLISH = {"channel": "/a", "data": 1, "id": "7"}


class Extension:
    """An extension of two functions from message and request to message."""

    def __init__(self, incoming=None, outgoing=None):
        if incoming:
            self.incoming = lambda message, request, callback: callback(incoming(message, request))
        if outgoing:
            self.outgoing = lambda message, request, callback: callback(outgoing(message, request))


def failing(message, request):
    raise RuntimeError("out of order")


@pytest.mark.parametrize("stranger", [None, 5, "x", [], [{}], True])
def test_what_is_no_message_is_answered(bayeux, stranger):
    assert bayeux.send(stranger) == [{"successful": False, "error": "400::Bad request"}]
    assert bayeux.calls == []


@pytest.mark.parametrize("odd", [[1], {}, True, "x" * 129, "<b>", "a b", "ü", "a\n",
                                 "a&b", "'", '"', "\\", "\x7f"])
@pytest.mark.parametrize("channel", ["/a", "/meta/subscribe", "/x y"])
def test_an_odd_id_is_not_sent_back(bayeux, channel, odd):
    assert bayeux.reply({"channel": channel, "data": 1, "id": odd}) == {
        "channel": channel, "successful": False, "error": "400:id:Bad request"}
    assert bayeux.calls == []


@pytest.mark.parametrize("usual", [0, -1, 2**53, 1.5, "7", "zik0zj", "x" * 128, "a.b:c/d+e={f}",
                                   "!12!ab", "#$%()*,;?@[]^_`|~-",
                                   "6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
def test_a_usual_id_is(bayeux, usual):
    assert bayeux.reply({**PUBLISH, "id": usual}).get("id", 0) == usual


def test_a_client_cannot_pretend_to_have_been_refused(bayeux):
    seen = []
    bayeux.extensions.add(Extension(lambda m, request: seen.append(m) or m))
    assert bayeux.reply({**PUBLISH, "error": "403::x", "successful": False})["successful"] is True
    assert seen == [PUBLISH]


def test_too_many_messages(make_bayeux):
    bayeux = make_bayeux(max_message_rate=5)
    bayeux.link.admits = False
    assert bayeux.reply(PUBLISH) == {
        "id": "7", "channel": "/a", "successful": False, "error": "429:5:Too many messages"}
    connect = {"channel": "/meta/connect", "connectionType": "websocket",
               "clientId": "fakeclientid"}
    assert bayeux.reply(connect)["successful"] is True
    assert bayeux.calls == [("touch", "fakeclientid")]


def test_what_is_no_message_counts_as_one(make_bayeux):
    bayeux = make_bayeux(max_message_rate=5)
    bayeux.send(None)
    bayeux.send({**PUBLISH, "clientId": "fakeclientid"})
    assert bayeux.link.asked == [None, "fakeclientid"]


def test_a_rate_that_cannot_be_known_is_a_failure_of_one_message(make_bayeux):
    bayeux = make_bayeux(max_message_rate=5)

    def admit(client_id):
        raise EngineUnavailable("Redis is down")
    bayeux.link.admit = admit
    assert bayeux.reply(PUBLISH)["error"] == BROKEN


def test_a_timeout_that_is_no_exception_is_a_failure_like_others(make_bayeux):
    class Timeout(BaseException):
        """As gevent's."""

    def late(message, request):
        raise Timeout
    bayeux = make_bayeux()
    bayeux.extensions.add(Extension(late))
    with pytest.raises(Timeout):
        bayeux.send(PUBLISH)
    bayeux.server._failures = (Exception, Timeout)
    assert bayeux.reply(PUBLISH)["error"] == BROKEN


def test_clients_that_exist_are_known(bayeux):
    ids = ["fakeclientid", "unknown", "NOT-ONE", 5, None, ["fakeclientid"]]
    assert [bayeux.server.knows(client_id) for client_id in ids] == [True, *[False] * 5]


def test_too_many_handshakes(make_bayeux):
    bayeux = make_bayeux(max_handshake_rate=0.5)
    handshake = {"channel": "/meta/handshake", "version": "1.0",
                 "supportedConnectionTypes": ["websocket"]}
    replies = [bayeux.reply(handshake) for _ in range(3)]
    assert [reply["successful"] for reply in replies] == [True, True, False]
    assert replies[2]["error"] == "429:0.5:Too many handshakes"
    assert replies[2]["advice"]["reconnect"] == "handshake"
    assert 1000 <= replies[2]["advice"]["interval"] < 2000
    assert bayeux.reply(handshake, None)["successful"] is True


def test_incoming_sees_request_and_changes_the_message(bayeux):
    seen = []

    def incoming(message, request):
        seen.append((dict(message), request))
        return {**message, "data": "changed"}

    bayeux.extensions.add(Extension(incoming))
    bayeux.send(PUBLISH, {"PATH_INFO": "/x"})
    bayeux.send(PUBLISH, None)
    assert seen == [(PUBLISH, {"PATH_INFO": "/x"}), (PUBLISH, None)]
    assert [orjson.loads(call[2])["data"] for call in bayeux.calls] == ["changed", "changed"]


def test_incoming_error_refuses(bayeux):
    bayeux.extensions.add(Extension(lambda m, request: {**m, "error": "403::Not you"}))
    assert bayeux.reply(PUBLISH) == {
        "id": "7", "channel": "/a", "successful": False, "error": "403::Not you"}
    assert bayeux.calls == []


def test_incoming_error_at_handshake(bayeux):
    bayeux.extensions.add(Extension(lambda m, request: {**m, "error": "401::Log in"}))
    reply = bayeux.reply({"channel": "/meta/handshake", "version": "1.0",
                          "supportedConnectionTypes": ["websocket"]})
    assert (reply["error"], reply["advice"]["reconnect"]) == ("401::Log in", "handshake")
    assert "clientId" not in reply and bayeux.calls == []


@pytest.mark.parametrize("message", [
    PUBLISH, {"channel": "/meta/connect", "id": "7", "clientId": "fakeclientid",
              "connectionType": "websocket"}])
def test_dropped_incoming_message_gets_a_reply(bayeux, message):
    bayeux.extensions.add(Extension(lambda m, request: None))
    assert bayeux.reply(message) == {
        "id": "7", "channel": message["channel"], "successful": False, "error": DELETED}
    assert bayeux.calls == [] and bayeux.link.pending == []


def test_incoming_that_fails_refuses(bayeux):
    bayeux.extensions.add(Extension(failing))
    assert bayeux.reply(PUBLISH) == {
        "id": "7", "channel": "/a", "successful": False, "error": BROKEN}
    assert bayeux.calls == []


def test_incoming_that_makes_no_json_is_refused(bayeux):
    bayeux.extensions.add(Extension(lambda m, request: {**m, "data": object()}))
    assert bayeux.reply(PUBLISH)["error"] == BROKEN
    assert bayeux.calls == []


def test_outgoing_changes_replies(bayeux):
    seen = []

    def outgoing(message, request):
        seen.append((message, request))
        return {**message, "ext": {"n": 1}}

    bayeux.extensions.add(Extension(outgoing=outgoing))
    assert bayeux.reply(PUBLISH, {"a": 1}) == {
        "id": "7", "channel": "/a", "successful": True, "ext": {"n": 1}}
    assert seen == [({"id": "7", "channel": "/a", "successful": True}, {"a": 1})]


def test_outgoing_sees_the_advice_and_may_change_it(bayeux):
    def stop(message, request):
        message["advice"]["reconnect"] = "none"
        return message

    bayeux.extensions.add(Extension(outgoing=stop))
    reply = bayeux.reply({"channel": "/meta/handshake", "version": "1.0"})
    assert reply["advice"]["reconnect"] == "none"


def test_outgoing_sees_the_reply_and_each_message(bayeux):
    bayeux.link.inbox = [b'{"channel":"/a","data":1}', b'{"channel":"/b","data":2}']
    bayeux.extensions.add(Extension(outgoing=lambda m, request: {**m, "seen": m["channel"]}))
    replies = bayeux.send({"channel": "/meta/connect", "clientId": "fakeclientid",
                           "connectionType": "long-polling"})
    assert [reply["seen"] for reply in replies] == ["/meta/connect", "/a", "/b"]


@pytest.mark.parametrize(("outgoing", "error"), [
    (lambda m, request: None, DELETED),
    (lambda m, request: {"odd": object()}, BROKEN),
], ids=["dropped", "no JSON"])
def test_unsendable_reply_is_replaced(bayeux, outgoing, error):
    bayeux.extensions.add(Extension(outgoing=outgoing))
    reply = bayeux.reply({**PUBLISH, "clientId": "c"})
    assert reply == {"id": "7", "channel": "/a", "successful": False, "error": error}


def test_outgoing_that_fails_on_a_reply(bayeux):
    bayeux.extensions.add(Extension(outgoing=failing))
    assert bayeux.reply(PUBLISH) == {
        "id": "7", "channel": "/a", "successful": False, "error": BROKEN}


def test_deliver_without_outgoing_extensions_touches_nothing(bayeux):
    bayeux.extensions.add(Extension(incoming=failing))
    payloads = [b"not even JSON"]
    assert bayeux.server.deliver(payloads, None) is payloads


def test_changes_outgoing(bayeux):
    bayeux.extensions.add(Extension(incoming=failing))
    assert bayeux.server.changes_outgoing is False
    bayeux.extensions.add(Extension(outgoing=failing))
    assert bayeux.server.changes_outgoing is True


def test_deliver(bayeux):
    requests = []

    def outgoing(message, request):
        requests.append(request)
        if message["data"] == "drop":
            return None
        if message["data"] == "fail":
            raise RuntimeError
        if message["data"] == "error":
            return {**message, "error": "403::Not you"}
        if message["data"] == "odd":
            return {**message, "data": object()}
        return {**message, "data": message["data"].upper()}

    bayeux.extensions.add(Extension(outgoing=outgoing))
    payloads = [orjson.dumps({"channel": "/a", "data": data})
                for data in ["a", "drop", "fail", "error", "odd", "b"]]
    assert bayeux.server.deliver(payloads, {"r": 1}) == [
        b'{"channel":"/a","data":"A"}', b'{"channel":"/a","data":"B"}']
    assert requests == [{"r": 1}] * 6


def test_messages_do_not_disturb_each_other(bayeux):
    bayeux.engine.failure = ZeroDivisionError()
    assert bayeux.reply(PUBLISH)["error"] == BROKEN
    bayeux.engine.failure = None
    assert bayeux.reply(PUBLISH)["successful"] is True


def test_an_unforeseen_failure_is_an_error_reply(bayeux, caplog):
    bayeux.engine.failure = ZeroDivisionError("a bug")
    assert bayeux.reply({"channel": "/meta/subscribe", "clientId": "fakeclientid",
                         "subscription": "/a", "id": 1}) == {
        "id": 1, "channel": "/meta/subscribe", "clientId": "fakeclientid", "subscription": "/a",
        "successful": False, "error": BROKEN}
    assert "a bug" in caplog.text


def test_a_failing_listener_disturbs_nothing(bayeux):
    bayeux.monitor.on("publish", lambda *args: 1 / 0)
    assert bayeux.reply(PUBLISH)["successful"] is True


def test_without_listeners_and_extensions_none_is_called(bayeux, monkeypatch):
    for event in ("publish", "handshake"):
        bayeux.monitor.off(event)
    monkeypatch.setattr(bayeux.extensions, "run", failing)
    assert bayeux.reply(PUBLISH)["successful"] is True
    assert bayeux.events == []


@pytest.mark.parametrize("message", [{}, {"id": 1}, {"channel": {"a": 1}}, {"channel": ["/a"]}])
def test_any_object_gets_exactly_one_reply(bayeux, message):
    assert bayeux.reply(message)["error"] == "402:data:Missing required parameter"


def test_the_protocol_needs_neither_gevent_nor_redis():
    package = Path(__file__).parents[3] / "faye_redis" / "bayeux"
    names = sorted(path.stem for path in package.glob("*.py"))
    assert "server" in names
    script = (
        "import importlib, sys\n"
        "for name in ('gevent', 'redis', 'socket', 'select', 'websockets', 'gunicorn'):\n"
        "    sys.modules[name] = None\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module('faye_redis.bayeux.' + name)\n"
        "print('pure')\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=package.parents[1],
                          capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("pure\n", "")
