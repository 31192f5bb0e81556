"""The middleware: what it serves and what it passes on, its life, extensions and events."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import orjson
import pytest
from redis import Redis

from faye_redis import Attempt, Policy, WSGIAdapter
from faye_redis.errors import ConfigurationError, UnknownClient
from support.redis_server import RedisServer
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
Message = dict[str, Any]
Make = Callable[..., WSGIAdapter]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes adapters, and closes them; the environment has no options."""
    for variable in [name for name in os.environ if name.startswith("FAYE_REDIS_")]:
        monkeypatch.delenv(variable)
    adapters: list[WSGIAdapter] = []

    def make(app: Any = None, settings: Any = None) -> WSGIAdapter:
        adapters.append(WSGIAdapter(app, settings))
        return adapters[-1]

    yield make
    for adapter in adapters:
        adapter.close()


@pytest.fixture
def adapter(make: Make) -> WSGIAdapter:
    return make()


def environ(path: str, body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "example.org", "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http", "wsgi.multiprocess": False,
        **more,
    }


def call(adapter: WSGIAdapter, request: dict[str, Any]) -> tuple[str, bytes]:
    """The status and the body that a request is answered with."""
    started: list[str] = []
    body = b"".join(adapter(request, lambda status, headers: started.append(status)))
    [status] = started
    return status, body


def send(adapter: WSGIAdapter, *messages: Message) -> list[Message]:
    status, body = call(adapter, environ("/bayeux", orjson.dumps(messages)))
    assert status == "200 OK"
    answer: list[Message] = orjson.loads(body)
    return answer


def handshake(adapter: WSGIAdapter) -> str:
    [reply] = send(adapter, {"channel": "/meta/handshake", "version": "1.0",
                             "supportedConnectionTypes": ["long-polling"]})
    return str(reply["clientId"])


def greenlets() -> set[int]:
    return {id(item) for item in gc.get_objects()
            if issubclass(type(item), gevent.Greenlet) and not item.dead}


class App:
    """A WSGI application that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []
        self.answer = iter([b"never read here"])

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        self.calls.append((environ, start_response))
        return self.answer


# What is served here

@pytest.mark.parametrize(("path", "status"), [
    ("/bayeux", "200 OK"),
    ("/bayeux/", "200 OK"),
    ("/bayeux/handshake", "200 OK"),
    ("/bayeux/a/b", "200 OK"),
    ("/bayeux.js", "404 Not Found"),
    ("/bayeux-min.js", None),
    ("/bayeux.js/more", None),
    ("/bayeuxX", None),
    ("/bayeu", None),
    ("/Bayeux", None),
    ("/x/bayeux", None),
    ("/", None),
    ("", None),
])
def test_the_mount_is_served_and_the_rest_passed_on(
    make: Make, path: str, status: str | None
) -> None:
    app = App()
    adapter = make(app)
    request = environ(path, b"[]")
    if status:
        assert call(adapter, request)[0] == status
        assert app.calls == []
    else:
        adapter(request, print)
        assert app.calls == [(request, print)]


@pytest.mark.parametrize("mount", ["/faye/", "faye", "/faye"])
def test_the_mount_is_an_option(make: Make, mount: str) -> None:
    app = App()
    adapter = make(app, {"mount": mount})
    assert call(adapter, environ("/faye", b"[]"))[0] == "200 OK"
    assert app.calls == []
    adapter(environ("/bayeux", b"[]"), print)
    assert len(app.calls) == 1


@pytest.mark.parametrize("path", ["", "/", "/connect", "/a/b"])
def test_a_mount_at_the_root_serves_everything(make: Make, path: str) -> None:
    app = App()
    assert call(make(app, {"mount": "/"}), environ(path, b"[]"))[0] == "200 OK"
    assert app.calls == []


def test_the_app_gets_the_very_call_and_its_iterable_goes_out_untouched(make: Make) -> None:
    app = App()
    adapter = make(app)
    request, start_response = environ("/other"), object()
    before = dict(request)
    assert adapter(request, start_response) is app.answer  # type: ignore[arg-type]
    [(got_environ, got_start_response)] = app.calls
    assert got_environ is request and request == before
    assert got_start_response is start_response
    assert next(app.answer) == b"never read here"


def test_what_the_app_raises_goes_out_untouched(make: Make) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise KeyError("of the app")

    with pytest.raises(KeyError, match="of the app"):
        make(app)(environ("/other"), print)


def test_without_an_app_the_rest_is_404(adapter: WSGIAdapter) -> None:
    assert call(adapter, environ("/other")) == ("404 Not Found", b"Not found")


# Options

@pytest.mark.parametrize(("settings", "text"), [
    ({"engine": {"prot": 1}}, "engine.prot: unknown option; did you mean engine.port?"),
    ({"engine": {"port": 0}}, "engine.port: must be a whole number from 1 to 65535, not 0"),
    ({"timeout": 0}, "timeout: must be a number of seconds above 0 to 31536000, not 0"),
    ({"extensions": [object()]}, "extensions: must be a list of objects with an incoming or an "
                                 "outgoing method, not this list"),
])
def test_a_wrong_option_is_named_at_construction(make: Make, settings: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(None, settings)
    assert str(caught.value) == text


def test_options_are_no_application(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="options are the second argument"):
        make({"mount": "/x"})


def test_environment_variables_are_options(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAYE_REDIS_MOUNT", "/from-env")
    monkeypatch.setenv("FAYE_REDIS_NAMESPACE", "from-env")
    adapter = make(None, {"mount": "/given"})
    assert (adapter.settings.mount, adapter.settings.engine.namespace) == ("/given", "from-env")
    assert adapter.settings.engine.type == "redis"


def test_the_memory_engine_refuses_to_be_one_of_several_processes(make: Make) -> None:
    app = App()
    adapter = make(app)
    with pytest.raises(ConfigurationError) as caught:
        call(adapter, environ("/bayeux", b"[]", **{"wsgi.multiprocess": True}))
    assert str(caught.value) == (
        "engine.type: 'memory' serves one process, and would deliver to some of the clients only; "
        "use 'redis', or run gunicorn with one worker (-w 1)")
    adapter(environ("/other", **{"wsgi.multiprocess": True}), print)
    assert len(app.calls) == 1


def test_the_redis_engine_may_be_one_of_several_processes(
    make: Make, redis_server: RedisServer, namespace: str
) -> None:
    adapter = make(None, {"engine": {"url": redis_server.url, "namespace": namespace}})
    request = environ("/bayeux", b"[]", **{"wsgi.multiprocess": True})
    assert call(adapter, request) == ("200 OK", b"[]")


# Life

def test_nothing_runs_and_nothing_is_connected_before_the_first_request(make: Make) -> None:
    with RedisServer() as server, Redis(unix_socket_path=server.unix_socket) as admin:
        before = greenlets()
        adapter = make(App(), {"engine": {"url": server.url}})
        adapter.add_extension(Marker())
        adapter.get_client()
        adapter(environ("/other"), print)
        assert greenlets() - before == set()
        assert [client["fd"] for client in admin.client_list()] == [
            admin.client_info()["fd"]]

        assert call(adapter, environ("/bayeux", b"[]"))[0] == "200 OK"
        assert greenlets() - before != set()
        eventually(lambda: len(admin.client_list()) > 1)


def test_start_may_be_repeated(adapter: WSGIAdapter) -> None:
    adapter.start()
    before = greenlets()
    adapter.start()
    handshake(adapter)
    assert greenlets() - before == set()


def test_close_is_idempotent_and_told_once(adapter: WSGIAdapter) -> None:
    closed: list[str] = []
    before = greenlets()
    adapter.on("close", lambda: closed.append("closed"))
    adapter.close()
    assert closed == []  # it never ran
    handshake(adapter)
    adapter.close()
    adapter.close()
    assert closed == ["closed"]
    eventually(lambda: greenlets() - before == set())


def test_close_answers_held_requests(adapter: WSGIAdapter) -> None:
    opened: list[str] = []
    adapter.on("connection:open", opened.append)
    connect = {"channel": "/meta/connect", "clientId": handshake(adapter), "id": "1",
               "connectionType": "long-polling"}
    held = gevent.spawn(send, adapter, connect)
    eventually(lambda: opened)
    adapter.close()
    [reply] = held.get(timeout=5)
    assert (reply["channel"], reply["successful"]) == ("/meta/connect", True)


def test_close_leaves_nothing_connected(make: Make) -> None:
    with RedisServer() as server, Redis(unix_socket_path=server.unix_socket) as admin:
        adapter = make(None, {"engine": {"url": server.url}})
        handshake(adapter)
        eventually(lambda: admin.keys("faye:servers:*") and admin.pubsub_channels("faye:server:*"))
        assert len(admin.client_list()) >= 3  # one for commands, one that listens, this one
        adapter.close()
        adapter.close()
        eventually(lambda: len(admin.client_list()) == 1)


def unpatched(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python that nobody has monkey-patched."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("FAYE_REDIS_")}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, text=True,
                          capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("use", [
    'adapter({"PATH_INFO": "/bayeux"}, print)',
    "adapter.start()",
    'adapter.get_client().publish("/a", 1)',
    'adapter.get_client().subscribe("/a", print)',
])
def test_an_unpatched_process_is_told_what_to_do(use: str) -> None:
    done = unpatched(f"from faye_redis import WSGIAdapter\nadapter = WSGIAdapter()\n{use}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "faye_redis.errors.NotPatchedError: faye_redis needs a process monkey-patched by gevent: "
        "run gunicorn with `-k gevent` (and, with --preload, "
        "`-c python:faye_redis.gunicorn_conf`)")


def test_an_unpatched_process_may_build_it_and_serve_the_app() -> None:
    done = unpatched(
        "from faye_redis import WSGIAdapter\n"
        "adapter = WSGIAdapter(lambda environ, start_response: [b'app'])\n"
        "print(adapter({'PATH_INFO': '/'}, None))")
    assert (done.stdout, done.stderr) == ("[b'app']\n", "")


# Extensions

class Marker:
    """Writes down the host and every message, and refuses channel ``/no``."""

    def __init__(self) -> None:
        self.hosts: list[tuple[str, Any]] = []
        self.seen: list[tuple[str, Any]] = []

    def added(self, host: Any) -> None:
        self.hosts.append(("added", host))

    def removed(self, host: Any) -> None:
        self.hosts.append(("removed", host))

    def incoming(self, message: Message, request: Any, callback: Callable[[Any], None]) -> None:
        self.seen.append((message["channel"], request and request["PATH_INFO"]))
        if message["channel"] == "/no":
            message["error"] = "999::no"
        callback(message)


def publish(adapter: WSGIAdapter, channel: str) -> Message:
    [reply] = send(adapter, {"channel": channel, "data": 1, "id": "1"})
    return reply


def test_extensions_of_the_settings_see_messages(make: Make) -> None:
    one, two = Marker(), Marker()
    adapter = make(None, {"extensions": [one, two]})
    assert one.hosts == two.hosts == [("added", adapter)]
    assert publish(adapter, "/no") == {"channel": "/no", "id": "1", "successful": False,
                                       "error": "999::no"}
    assert publish(adapter, "/yes")["successful"] is True
    assert one.seen == two.seen == [("/no", "/bayeux"), ("/yes", "/bayeux")]


def test_extensions_are_added_and_removed(adapter: WSGIAdapter) -> None:
    marker = Marker()
    adapter.add_extension(marker)
    assert publish(adapter, "/no")["successful"] is False
    adapter.remove_extension(marker)
    adapter.remove_extension(marker)
    assert publish(adapter, "/no")["successful"] is True
    assert marker.seen == [("/no", "/bayeux")]
    assert marker.hosts == [("added", adapter), ("removed", adapter)]


def test_what_the_in_process_client_sends_has_no_request(adapter: WSGIAdapter) -> None:
    marker = Marker()
    adapter.add_extension(marker)
    adapter.get_client().publish("/a", 1)
    assert marker.seen == [("/a", None)]


def test_there_is_one_in_process_client(adapter: WSGIAdapter) -> None:
    assert adapter.get_client() is adapter.get_client()


# Events

VERBS = ("handshake", "subscribe", "unsubscribe", "publish", "disconnect")


def record(adapter: WSGIAdapter, *events: str) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    for event in events:
        adapter.on(event, lambda *args, event=event: seen.append((event, *args)))
    return seen


def test_events_come_in_order(adapter: WSGIAdapter) -> None:
    seen = record(adapter, *VERBS)
    client_id = handshake(adapter)
    change = {"clientId": client_id, "subscription": "/a/b"}
    send(adapter, {"channel": "/meta/subscribe", **change})
    send(adapter, {"channel": "/meta/subscribe", **change})
    send(adapter, {"channel": "/a/b", "data": {"n": 1}, "clientId": client_id})
    send(adapter, {"channel": "/a/b", "data": 2})
    send(adapter, {"channel": "/a/*", "data": "refused"})
    send(adapter, {"channel": "/meta/unsubscribe", **change})
    send(adapter, {"channel": "/meta/unsubscribe", **change})
    send(adapter, {"channel": "/meta/subscribe", **change, "subscription": ["/c", "/c"]})
    send(adapter, {"channel": "/meta/disconnect", "clientId": client_id})
    send(adapter, {"channel": "/meta/disconnect", "clientId": client_id})
    assert seen == [
        ("handshake", client_id),
        ("subscribe", client_id, "/a/b"),
        ("publish", client_id, "/a/b", {"n": 1}),
        ("publish", None, "/a/b", 2),
        ("unsubscribe", client_id, "/a/b"),
        ("subscribe", client_id, "/c"),
        ("unsubscribe", client_id, "/c"),
        ("disconnect", client_id),
    ]


def test_a_connection_is_told_open_and_closed(adapter: WSGIAdapter) -> None:
    seen = record(adapter, "connection:open", "connection:close")
    client_id = handshake(adapter)
    connect = {"channel": "/meta/connect", "clientId": client_id, "id": "1",
               "connectionType": "long-polling", "advice": {"timeout": 0}}
    send(adapter, connect)
    eventually(lambda: len(seen) == 2)
    assert seen == [("connection:open", client_id), ("connection:close", client_id)]


def test_listeners_are_removed(adapter: WSGIAdapter) -> None:
    seen: list[tuple[str, str]] = []

    def first(client_id: str) -> None:
        seen.append(("first", client_id))

    def second(client_id: str) -> None:
        seen.append(("second", client_id))

    adapter.on("handshake", first)
    adapter.on("handshake", second)
    one = handshake(adapter)
    adapter.off("handshake", first)
    two = handshake(adapter)
    adapter.off("handshake")
    handshake(adapter)
    assert seen == [("first", one), ("second", one), ("second", two)]


def test_an_unknown_event_is_refused(adapter: WSGIAdapter) -> None:
    with pytest.raises(ConfigurationError, match="'handshakes' does not exist; did you mean h"):
        adapter.on("handshakes", print)


def test_a_listener_that_raises_stops_nobody(adapter: WSGIAdapter) -> None:
    adapter.on("handshake", lambda client_id: 1 / 0)
    seen = record(adapter, "handshake")
    client_id = handshake(adapter)
    assert seen == [("handshake", client_id)]


# Removing clients, and services

def connect(adapter: WSGIAdapter, client_id: str) -> Message:
    [reply] = send(adapter, {"channel": "/meta/connect", "clientId": client_id,
                             "connectionType": "long-polling", "advice": {"timeout": 0}})
    return reply


@pytest.mark.parametrize(("remove", "reconnect"), [
    (WSGIAdapter.kick, "none"), (WSGIAdapter.expire, "handshake")])
def test_a_client_is_removed(adapter: WSGIAdapter, remove: Any, reconnect: str) -> None:
    client_id = handshake(adapter)
    send(adapter, {"channel": "/meta/subscribe", "clientId": client_id,
                   "subscription": ["/a", "/b"]})
    told = record(adapter, "unsubscribe", "disconnect")
    remove(adapter, client_id)
    assert told == [("unsubscribe", client_id, "/a"), ("unsubscribe", client_id, "/b"),
                    ("disconnect", client_id)]
    reply = connect(adapter, client_id)
    assert reply["error"] == f"401:{client_id}:Unknown client"
    assert reply["advice"]["reconnect"] == reconnect
    with pytest.raises(UnknownClient):
        remove(adapter, client_id)


def test_subscriptions_of_a_client_are_ended(adapter: WSGIAdapter) -> None:
    client_id = handshake(adapter)
    send(adapter, {"channel": "/meta/subscribe", "clientId": client_id,
                   "subscription": ["/a", "/b"]})
    told = record(adapter, "unsubscribe", "disconnect")
    assert adapter.unsubscribe(client_id, "/b", "/c") == ["/b"]
    assert told == [("unsubscribe", client_id, "/b")]
    assert connect(adapter, client_id)["successful"] is True
    with pytest.raises(UnknownClient):
        adapter.unsubscribe("unknown", "/a")
    for field in ("user", "epoch", "/a/", "/*/a"):
        with pytest.raises(ValueError, match="neither a channel nor a pattern"):
            adapter.unsubscribe(client_id, "/a", field)


def test_removing_starts_the_server(make: Make) -> None:
    with pytest.raises(UnknownClient):
        make(None, {}).kick("unknown")


def test_a_service_answers(adapter: WSGIAdapter) -> None:
    @adapter.service("/service/twice")
    def twice(attempt: Attempt) -> int:
        return 2 * int(attempt.data)
    assert twice(Attempt("publish", {"data": 4}, {})) == 8
    assert send(adapter, {"channel": "/service/twice", "data": 21, "id": "1"}) == [
        {"channel": "/service/twice", "id": "1", "successful": True},
        {"channel": "/service/twice", "id": "1", "data": 42}]


def test_a_policy_is_an_option(make: Make) -> None:
    policy = Policy()
    adapter = make(None, {"policy": policy})
    assert handshake(adapter)
    policy.handshake(lambda attempt: attempt.header("X-Key") == "1")
    hello = {"channel": "/meta/handshake", "version": "1.0",
             "supportedConnectionTypes": ["long-polling"]}
    [reply] = send(adapter, hello)
    assert reply["error"] == "403::Handshake denied"
