"""One worker for each module, another client of it, and what its log may not hold at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from carriers import CARRIERS, MOUNT, Line
from raw_client import RawClient
from witness import Witness

from support.gunicorn_node import Node

ROOT = Path(__file__).resolve().parents[3]
AMISS = ("Traceback", "failed", "[ERROR]", "[CRITICAL]")


def worker(**options: str) -> Node:
    """A node with one worker and the memory engine; options by the names of their variables."""
    variables = {f"FAYE_REDIS_{name.upper()}": value for name, value in options.items()}
    env = {"PYTHONPATH": str(ROOT), "FAYE_REDIS_MOUNT": MOUNT, **variables}
    return Node(workers=1, env=env)


def check_unharmed(node: Node, pid: int) -> None:
    """The worker is the one that it was, and has nothing to complain of."""
    assert node.worker_pids() == [pid]
    assert [line for line in node.log.splitlines() if any(word in line for word in AMISS)] == []


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    """Options of the module's node; a module may have others."""
    return {"type": "memory"}


@pytest.fixture(scope="module")
def node(options: dict[str, str]) -> Iterator[Node]:
    with worker(**options) as running:
        [pid] = running.worker_pids()
        yield running
        check_unharmed(running, pid)


@pytest.fixture(scope="module")
def bystander(node: Node) -> Iterator[Witness]:
    with ExitStack() as stack:
        yield Witness(node.url, stack)


@pytest.fixture
def witness(bystander: Witness) -> Witness:
    """The bystander; what came too late for an earlier test does not count."""
    bystander.forget()
    return bystander


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def line(carrier: str, node: Node) -> Iterator[Line]:
    with closing(CARRIERS[carrier](node.port)) as opened:
        yield opened


@pytest.fixture
def client(node: Node) -> Iterator[str]:
    """The id of a new client."""
    shaken = RawClient([node.url + MOUNT])
    yield shaken.client_id
    shaken.send({"channel": "/meta/disconnect", "clientId": shaken.client_id})
