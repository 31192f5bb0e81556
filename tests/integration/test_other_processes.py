"""Publishing by a plain process, to clients of several workers; and the command that publishes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from raw_client import RawClient, SocketClient, post
from redis import Redis

from conformance.conftest import least_rights
from faye_redis import WSGIAdapter
from support.command import command
from support.gunicorn_node import Node
from support.processes import end, free_port, spawn
from support.redis_server import RedisServer
from support.waiting import eventually

SCRIPT = Path(__file__).parent / "apps" / "publishing.py"
ROOT = Path(__file__).resolve().parents[2]
THREADS, MESSAGES = 4, 100
NAMESPACE = "published"
HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "id": "1",
             "supportedConnectionTypes": ["long-polling"]}


@pytest.fixture
def store() -> Iterator[RedisServer]:
    """Keeps its data over a restart. Its user has the rights that the README gives."""
    user = ("--user", "faye", "on", ">secret", *least_rights(NAMESPACE))
    with RedisServer("--appendonly", "yes", "--appendfsync", "always", *user) as server:
        yield server


@pytest.fixture
def variables(store: RedisServer) -> dict[str, str]:
    return {"FAYE_REDIS_URL": store.url.replace("//", "//faye:secret@"),
            "FAYE_REDIS_NAMESPACE": NAMESPACE, "FAYE_REDIS_MOUNT": "/bayeux"}


@pytest.fixture
def nodes(variables: dict[str, str]) -> Iterator[list[Node]]:
    """Two, of one worker each, so that clients of both are known to be on two workers."""
    with Node(workers=1, env=variables) as one, Node(workers=1, env=variables) as two:
        yield [one, two]


class Plain:
    """A process of the script."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.process = spawn(
            [sys.executable, str(SCRIPT)], env={"PYTHONPATH": str(ROOT), **variables}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begin(self, name: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def plain(variables: dict[str, str]) -> Iterator[Plain]:
    """It is patient enough for a restart of Redis."""
    patience = {"FAYE_REDIS_OPERATION_TIMEOUT": "30", "FAYE_REDIS_MAX_RETRIES": "100",
                "FAYE_REDIS_RETRY_DELAY": "0.05"}
    plain = Plain({**variables, **patience})
    yield plain
    end(plain.process)


def check(singles: list[Any], together: list[Any], *rounds: str) -> None:
    """Each message of each round once, in the order of its thread."""
    assert len(singles) == len(rounds) * THREADS * MESSAGES
    for name in rounds:
        for thread in range(THREADS):
            numbers = [item[2] for item in singles if item[:2] == [name, thread]]
            assert numbers == list(range(MESSAGES))
    assert together == [[name, number] for name in rounds for number in range(MESSAGES)]


def test_clients_of_two_workers_receive_each_message_once_and_in_order(
    nodes: list[Node], store: RedisServer, plain: Plain
) -> None:
    urls = [f"{node.url}/bayeux" for node in nodes]
    with ExitStack() as stack:
        sockets = []
        for url in urls:
            client = RawClient(urls)
            client.subscribe("/one/by/one", "/together", "/one/**")
            sockets.append(SocketClient(client, url, stack))
        for name in ("before", "after"):
            plain.begin(name)
            plain.finish()
            for socket in sockets:
                eventually(lambda s=socket, n=name: [n, MESSAGES - 1] in s.data("/together"))
            store.restart()
            eventually(lambda: all(works(url) for url in urls), timeout=30)
        for socket in sockets:
            check(socket.data("/one/by/one"), socket.data("/together"), "before", "after")


def works(url: str) -> bool:
    return bool(post(url, HANDSHAKE)[0]["successful"])


def logged(redis: Redis, channel: str) -> list[dict[str, Any]]:
    """What Redis has for a channel, in order."""
    return [json.loads(fields[b"p"])
            for _, fields in redis.xrange(f"{NAMESPACE}:messages:{channel}")]


def test_each_message_is_stored_once_whatever_happens_to_redis_meanwhile(
    nodes: list[Node], store: RedisServer, plain: Plain
) -> None:
    RawClient([f"{nodes[0].url}/bayeux"]).subscribe("/one/by/one", "/together")
    redis = Redis(unix_socket_path=store.unix_socket)
    plain.begin("under fire")
    for _ in range(3):
        count = len(logged(redis, "/one/by/one"))
        eventually(lambda count=count: len(logged(redis, "/one/by/one")) > count)
        store.kill()
        store.start()
    plain.finish()
    singles, together = logged(redis, "/one/by/one"), logged(redis, "/together")
    check([message["data"] for message in singles], [message["data"] for message in together],
          "under fire")
    ids = [message["id"] for message in (*singles, *together)]
    assert len(set(ids)) == len(ids)


# The command

@pytest.fixture
def heard(redis_server: RedisServer, namespace: str) -> Iterator[list[tuple[str, Any]]]:
    """What a client hears, with its channel."""
    adapter = WSGIAdapter(settings={"engine": {"url": redis_server.url, "namespace": namespace}})
    heard: list[tuple[str, Any]] = []
    adapter.get_client().subscribe("/**").with_channel(
        lambda channel, data: heard.append((channel, data)))
    yield heard
    adapter.close()


@pytest.mark.parametrize(("data", "stdin", "expected"), [
    ('{"text": "ä"}', None, {"text": "ä"}),
    ("null", None, None),
    ("-5", None, -5),
    ("-", '["ä",\n 1]\n', ["ä", 1]),
    ("-", f'"{"x" * 1_000_000}"', "x" * 1_000_000),
])
def test_the_command_publishes(
    redis_server: RedisServer, namespace: str, heard: list[tuple[str, Any]], data: str,
    stdin: str | None, expected: Any,
) -> None:
    arguments = ("publish", "--url", redis_server.url, "--namespace", namespace, "/a", data)
    done = command(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    eventually(lambda: heard)
    assert heard == [("/a", expected)]


def test_redis_out_of_reach_is_exit_code_1() -> None:
    done = command("publish", "/a", "1", FAYE_REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    [line] = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("faye-redis: ConnectionError: Error 111 connecting to 127.0.0.1:")


def test_a_message_that_cannot_be_stored_is_exit_code_1(redis_server: RedisServer) -> None:
    with Redis.from_url(redis_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">secret", "+@all")
    url = redis_server.url.replace("//", "//narrow:secret@")
    done = command("publish", "/a", "1", "--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "faye-redis: 407:/a:Failed to publish (NoPermissionError: No permissions to access a key")


@pytest.mark.parametrize(("arguments", "variables", "error"), [
    (["/a", "hello"], {}, "faye-redis: 400::data is no JSON: "),
    (["/a", ""], {}, "faye-redis: 400::data is no JSON: "),
    (["a", "1"], {}, "faye-redis: 405:a:Invalid channel"),
    (["/meta/a", "1"], {}, "faye-redis: 403:/meta/a:Forbidden channel"),
    (["/a", "1"], {"FAYE_REDIS_DATABASE": "9999"}, "faye-redis: engine.database: 9999: DB index "
                                                   "is out of range"),
    (["/a"], {}, "faye-redis publish: error: the following arguments are required: data"),
])
def test_wrong_usage_is_exit_code_2(
    redis_server: RedisServer, arguments: list[str], variables: dict[str, str], error: str
) -> None:
    done = command("publish", *arguments, FAYE_REDIS_PORT=str(redis_server.port), **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(error)
