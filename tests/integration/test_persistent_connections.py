"""Requests on one connection that gunicorn does not parse, and when it has to parse them all."""

from __future__ import annotations

import http.client
import json
import os
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

HERE = Path(__file__).resolve().parent
HANDSHAKE = [{"channel": "/meta/handshake", "version": "1.0", "id": "1",
              "supportedConnectionTypes": ["long-polling"]}]
REQUESTS = 10


@pytest.fixture
def env(server: RedisServer) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE / "apps")]),
            "FAYE_REDIS_URL": server.url, "FAYE_REDIS_MOUNT": "/faye",
            "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}"}


def node(env: dict[str, str], app: str, *args: str) -> Node:
    return Node(app, env=env, workers=1, args=args)


def connect(node: Node) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)


def shake_hands(connection: http.client.HTTPConnection) -> str:
    """Always the same request; a new client."""
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/faye", json.dumps(HANDSHAKE), headers)
    [reply] = json.loads(connection.getresponse().read())
    client_id: str = reply["clientId"]
    return client_id


def number(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    return int(connection.getresponse().read())


def test_most_requests_are_not_parsed(env: dict[str, str]) -> None:
    with node(env, "wrapped:outermost") as running, closing(connect(running)) as line:
        before = number(line, "/parsed")
        assert len({shake_hands(line) for _ in range(REQUESTS)}) == REQUESTS
        assert number(line, "/parsed") - before == 3  # two, and this one


@pytest.mark.parametrize("app", ["wrapped:middleware", "wrapped:wrapper"])
def test_a_middleware_around_the_server_sees_all(env: dict[str, str], app: str) -> None:
    with node(env, app) as running, closing(connect(running)) as line:
        before = number(line, "/seen")
        for _ in range(REQUESTS):
            shake_hands(line)
        assert number(line, "/seen") - before == REQUESTS + 1


def test_an_access_log_tells_of_all(env: dict[str, str]) -> None:
    with node(env, "wrapped:outermost", "--access-logfile", "-") as running:
        with closing(connect(running)) as line:
            for _ in range(REQUESTS):
                shake_hands(line)
        eventually(lambda: running.log.count('"POST /faye HTTP/1.1" 200') == REQUESTS)


def test_a_logger_of_ones_own_is_told_of_all(env: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "conf.py"
    conf.write_text("from faye_redis.gunicorn_conf import *\n"
                    "from gunicorn.glogging import Logger\n"
                    "class logger_class(Logger):\n"
                    "    def access(self, resp, req, environ, request_time):\n"
                    "        self.error('access: ' + req.path)\n")
    check_that_all_are_told("access: /faye", env, conf)


def test_max_requests_counts_all(env: dict[str, str]) -> None:
    with node(env, "wrapped:outermost", "--max-requests", str(REQUESTS)) as running:
        [first] = running.worker_pids()
        with closing(connect(running)) as line:
            for _ in range(REQUESTS):
                shake_hands(line)
        eventually(lambda: running.worker_pids() not in ([first], []))


def test_hooks_are_called_for_all(env: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "conf.py"
    conf.write_text("from faye_redis.gunicorn_conf import *\n"
                    "def post_request(worker, req, environ, resp):\n"
                    "    worker.log.error('hook: ' + req.path)\n")
    check_that_all_are_told("hook: /faye", env, conf)


def check_that_all_are_told(line: str, env: dict[str, str], conf: Path) -> None:
    with Node("wrapped:outermost", env=env, workers=1, conf=str(conf)) as running:
        with closing(connect(running)) as connection:
            for _ in range(REQUESTS):
                shake_hands(connection)
        eventually(lambda: running.log.count(line) == REQUESTS)


def test_an_idle_connection_does_not_hold_up_a_stopping_worker(env: dict[str, str]) -> None:
    with node(env, "wrapped:outermost") as running, closing(connect(running)) as line:
        shake_hands(line)
        assert running.stop() == 0
        assert "graceful timeout" not in running.log


def test_a_client_polls_by_one_connection(env: dict[str, str]) -> None:
    """Exact messages, each once, with others published in between by the same connection."""
    with node(env, "wrapped:outermost") as running, closing(connect(running)) as line:
        client = {"clientId": shake_hands(line)}

        def send(**message: Any) -> Any:
            headers = {"Content-Type": "application/json"}
            line.request("POST", "/faye", json.dumps([{**client, **message}]), headers)
            return json.loads(line.getresponse().read())
        send(channel="/meta/subscribe", subscription="/a", id="s")
        got = []
        for n in range(40):
            assert send(channel="/a", data=n, id=f"p{n}")[0]["successful"]
            held = n % 5 == 4  # the last one, too: it waits for what is still on its way
            reply, *messages = send(channel="/meta/connect", connectionType="long-polling",
                                    id=f"{n + 1:x}", advice={"timeout": 5000 if held else 0})
            assert reply["successful"]
            got += [message["data"] for message in messages]
        assert got == list(range(40))
