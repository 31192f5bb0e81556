"""The benchmarks count exactly, and their checks can fail."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gevent
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.server import ServerConnection, serve

from bench import compare, scale
from bench.cache import load_generator
from bench.runs import FAULTS, Generator, Load, Run, run
from bench.scenarios import SERVER_CPU, Scenario
from bench.servers import OWN, SERVERS
from support.requirements import require

SUBSCRIBERS, MESSAGES = 5, 20
PEER = SERVERS["npm-faye"]
FANOUT = Load(SUBSCRIBERS, messages=MESSAGES, outstanding=4)
POLLING = Load(SUBSCRIBERS, messages=MESSAGES, outstanding=4, long_polling=True)


@pytest.fixture(autouse=True)
def compiler() -> None:
    require(shutil.which("cc"), "no C compiler here")
    load_generator()


@pytest.mark.parametrize("load", [FANOUT, POLLING], ids=["fan-out", "long-polling"])
def test_a_run_counts_exactly(load: Load) -> None:
    result = run(OWN, load)
    assert result.problems() == []
    assert result.counts["published"] == result.counts["acknowledged"] == MESSAGES
    assert result.counts["expected"] == result.counts["deliveries"] == SUBSCRIBERS * MESSAGES
    assert result.window("deliveries") == SUBSCRIBERS * MESSAGES
    assert result.cpu_us("server") > 0


def test_many_clients_are_shared_by_several_generators(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scale, "_PER_GENERATOR", 15)
    options = argparse.Namespace(clients=40, workers=1, hold=0, patience=10)
    assert scale.main(options) == 0
    assert "one message: 40 of 40 deliveries" in capsys.readouterr().out


# The table

def test_a_comparison_shows_ratios_and_marks_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {name: 0 for name in FAULTS} | {"published": 1, "acknowledged": 1}
    results = {
        OWN.name: Run(good | {"window": {"deliveries": 10, "cpu_us": {"server": 100}}}, []),
        PEER.name: Run(good | {"window": {"deliveries": 10, "cpu_us": {"server": 250}},
                               "lost": 3}, [])}
    monkeypatch.setattr(compare, "run", lambda server, load: results[server.name])
    comparison = compare.Comparison([OWN, PEER])
    comparison.measure(Scenario("fan-out", FANOUT, (SERVER_CPU,)), times=3, duration=1)
    assert comparison.rows[1] == [f"fan-out: {SERVER_CPU.title}", "10", "25 (2.5 x) !"]
    assert set(comparison.notes) == {f"! fan-out: {PEER.title}: lost 3"}


# A server that makes mistakes

class Faulty:
    """Bayeux over WebSocket for one channel; ``fault`` befalls the third publication."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._subscribers: list[ServerConnection] = []
        self._held: list[str] = []
        self._publications = 0

    def serve(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosedError):
            for text in connection:
                for message in json.loads(text):
                    self._handle(connection, message)

    def _handle(self, connection: ServerConnection, message: dict[str, str]) -> None:
        reply = {"channel": message["channel"], "id": message["id"], "successful": True}
        if message["channel"] == "/meta/handshake":
            reply["clientId"] = f"client{id(connection)}"
        elif message["channel"] == "/meta/subscribe":
            self._subscribers.append(connection)
        elif message["channel"] == "/meta/connect":
            return  # held for ever
        else:
            fault = self._publish(message)
            reply["successful"] = fault != "refused"
            if fault == "unacknowledged":
                return
        connection.send(_compact(reply))

    def _publish(self, message: dict[str, str]) -> str:
        """Deliver, and return the fault that befalls this publication."""
        self._publications += 1
        fault = self._fault if self._publications == 3 else ""
        delivery = _compact({"channel": message["channel"], "data": message["data"]})
        if fault == "reordered":
            self._held.append(delivery)
            return fault
        for subscriber in self._subscribers:
            faults = fault if subscriber is self._subscribers[0] else ""
            for _ in range({"lost": 0, "duplicates": 2}.get(faults, 1)):
                subscriber.send(delivery)
            for late in self._held:
                subscriber.send(late)
        self._held.clear()
        return fault


def _compact(message: dict[str, object]) -> str:
    return json.dumps([message], separators=(",", ":"))


@contextmanager
def faulty(fault: str) -> Iterator[int]:
    """The port of a server with that fault."""
    with serve(Faulty(fault).serve, "127.0.0.1", 0, compression=None) as server:
        serving = gevent.spawn(server.serve_forever)
        yield server.socket.getsockname()[1]
        server.shutdown()
        serving.join()


def counts_of(port: int) -> Run:
    named = {"subscribe-port": port, "subscribers": SUBSCRIBERS, "messages": MESSAGES,
             "outstanding": 4, "patience": 0.3}
    with Generator([text for name, value in named.items()
                    for text in (f"--{name}", str(value))]) as generator:
        assert generator.next_step() == 0
        return Run(generator.counts, [])


def test_a_server_without_a_fault_has_no_problems() -> None:
    with faulty("") as port:
        assert counts_of(port).problems() == []


@pytest.mark.parametrize(("fault", "found"), [
    ("lost", ["lost 1", "given up 1"]),
    ("duplicates", ["duplicates 1"]),
    ("reordered", [f"reordered {SUBSCRIBERS}"]),
    ("unacknowledged", ["given up 1", "unacknowledged 1"]),
    ("refused", ["refused 1", "given up 1", "unacknowledged 1"]),
])
def test_every_fault_is_found(fault: str, found: list[str]) -> None:
    with faulty(fault) as port:
        assert counts_of(port).problems() == found
