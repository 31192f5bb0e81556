"""This server and others side by side, on this machine.

Every run has fresh servers and a fresh Redis; the servers take turns, so that what else the
machine does falls on all of them. A table of the medians is printed. CPU is the time on CPU of
all processes of the server per delivery; K is the number of messages in flight per publisher.
In brackets stands how many times better this server is: the ratio holds where the figures
themselves depend on the machine.

A run in which a message was lost, came twice, out of order or was not acknowledged is marked
with "!", and the exit code is 1. What has not come ten seconds after its publication, and not by
the end of the run, counts as lost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from . import tables
from .cache import Missing, load_generator, node_modules, peer_python
from .runs import Run, run
from .scenarios import SCENARIOS, Figure, Scenario
from .servers import OWN, SERVERS, Server

_MARK = " !"
_SET_UP = {"npm-faye": node_modules, "npm-faye-redis": node_modules, "socketio": peer_python}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, metavar="NAME",
                        help=f"only this one; may be repeated: {', '.join(SCENARIOS)}")
    parser.add_argument("--server", action="append", choices=SERVERS, metavar="NAME",
                        help=f"only this one; may be repeated: {', '.join(SERVERS)}")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--duration", type=float, default=5, help="seconds measured in a run")
    parser.add_argument("--table", type=Path, help="file for the table, in reStructuredText")


def main(options: argparse.Namespace) -> int:
    load_generator()
    servers = _available([SERVERS[name] for name in options.server or SERVERS])
    comparison = Comparison(servers)
    for name in options.scenario or SCENARIOS:
        comparison.measure(SCENARIOS[name], options.runs, options.duration)
    print(f"\n{tables.plain(comparison.rows)}\n")
    if options.table:
        options.table.write_text(tables.rst(comparison.rows, comparison.notes))
    for note in comparison.notes:
        print(note)
    return 1 if comparison.notes else 0


def _available(servers: Sequence[Server]) -> list[Server]:
    """Those that can be run here; says why others cannot."""
    found = []
    for server in servers:
        try:
            _SET_UP.get(server.name, lambda: None)()
            found.append(server)
        except Missing as missing:
            print(f"bench: without {server.name}: {missing}", file=sys.stderr)
    return found


class Comparison:
    """The rows of the table so far, and what went wrong."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self.rows = [["Scenario", *(server.title for server in servers)]]
        self.notes: list[str] = []

    def measure(self, scenario: Scenario, times: int, duration: float) -> None:
        """Run a scenario on every server, and add its rows."""
        runs: dict[str, list[Run]] = {server.name: [] for server in self._servers}
        for _ in range(times):
            for server in filter(scenario.suits, self._servers):
                runs[server.name] += self._run(server, scenario, duration)
        self.rows += [self._row(scenario, figure, runs) for figure in scenario.figures]

    def _run(self, server: Server, scenario: Scenario, duration: float) -> list[Run]:
        """The run in a list, which is empty if it has failed."""
        load = scenario.load
        if load.duration:
            load = replace(load, duration=duration)
        try:
            result = run(server, load)
        except (RuntimeError, AssertionError) as error:
            print(error, file=sys.stderr)
            self._note(server, scenario, str(error).partition("\n")[0])
            return []
        for problem in result.problems():
            self._note(server, scenario, problem)
        figure = scenario.figures[0]
        print(f"{scenario.title}: {server.title}: {figure.title} "
              f"{tables.shown(figure.of(result))}", file=sys.stderr)
        return [result]

    def _note(self, server: Server, scenario: Scenario, problem: str) -> None:
        self.notes.append(f"! {scenario.title}: {server.title}: {problem}")
        print(self.notes[-1], file=sys.stderr)

    def _row(self, scenario: Scenario, figure: Figure, runs: dict[str, list[Run]]) -> list[str]:
        values = {name: median(map(figure.of, made)) for name, made in runs.items() if made}
        cells = [_cell(figure, server.name, values, runs) for server in self._servers]
        return [f"{scenario.title}: {figure.title}", *cells]


def _cell(
    figure: Figure, name: str, values: dict[str, float], runs: dict[str, list[Run]]
) -> str:
    if name not in values:
        return "n/a"
    text = tables.shown(values[name])
    own = values.get(OWN.name)
    if own and values[name] > 0 and name != OWN.name:
        ratio = own / values[name] if figure.more else values[name] / own
        text += f" ({tables.times(ratio)})"
    return text + (_MARK if any(one.problems() for one in runs[name]) else "")
