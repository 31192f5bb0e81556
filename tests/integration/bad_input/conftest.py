"""One worker for each module, and another client of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from carriers import CARRIERS, MOUNT, Line
from nodes import worker
from raw_client import PATIENCE, RawClient
from witness import Witness

from support.gunicorn_node import Node


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    """Options of the module's node; a module may have others."""
    return {"type": "memory"}


@pytest.fixture(scope="module")
def node(options: dict[str, str]) -> Iterator[Node]:
    with worker(options) as running:
        yield running


@pytest.fixture(scope="module")
def bystander(node: Node) -> Iterator[Witness]:
    with ExitStack() as stack:
        yield Witness(node.url, stack)


@pytest.fixture
def witness(bystander: Witness) -> Witness:
    """The bystander; what came too late for an earlier test does not count."""
    bystander.forget()
    return bystander


@pytest.fixture
def sock(node: Node) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as opened:
        yield opened


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def line(carrier: str, node: Node) -> Iterator[Line]:
    with closing(CARRIERS[carrier](node.port)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(node: Node) -> str:
    """The id of a client that no test may disconnect."""
    return RawClient([node.url + MOUNT]).client_id
