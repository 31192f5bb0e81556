"""One worker for each module, another client of it, and what its log may not hold at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from carriers import CARRIERS, MOUNT, Line
from raw_client import RawClient
from witness import Witness

from support.gunicorn_node import Node

ROOT = Path(__file__).resolve().parents[3]
AMISS = ("Traceback", "failed", "[ERROR]", "[CRITICAL]")


@contextmanager
def worker(options: Mapping[str, str]) -> Iterator[Node]:
    """A node with one worker, which at the end is the one that it was, and has nothing to
    complain of; options by the names of their variables."""
    variables = {f"FAYE_REDIS_{name.upper()}": value for name, value in options.items()}
    env = {"PYTHONPATH": str(ROOT), "FAYE_REDIS_MOUNT": MOUNT, **variables}
    with Node(workers=1, env=env) as running:
        [pid] = running.worker_pids()
        yield running
        assert running.worker_pids() == [pid]
        assert [line for line in running.log.splitlines()
                if any(word in line for word in AMISS)] == []


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
