"""Many idle WebSockets at once: opens, subscribes and holds them, and publishes one message.

All must receive it exactly once. Prints what a client takes of memory, in the server and in
Redis: the difference between a tenth of the clients and all of them. A worker needs as many open
files as it has clients (ulimit -n); root raises the limit by itself where that is allowed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.processes import children

from .runs import FAULTS, Generator, Load, Look, Run, Stage, arguments, staged
from .scenarios import MEMORY, REDIS_MEMORY
from .servers import OWN

_PER_GENERATOR = 10_000
_SUMMED = (*FAULTS, "published", "acknowledged", "expected", "deliveries")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold", type=float, default=30,
                        help="seconds that they are idle; pings come every 25")
    parser.add_argument("--patience", type=float, default=60,
                        help="seconds after which the message is given up")


def main(options: argparse.Namespace) -> int:
    loads = _loads(options)
    with staged(OWN, loads[0]) as stage, ExitStack() as stack:
        generators = [stack.enter_context(Generator(arguments(OWN, load, stage)))
                      for load in loads]
        result = _follow(generators, stage, options.hold)
    print(f"one message: {result.counts['deliveries']:,} of {options.clients:,} deliveries in "
          f"{result.window('seconds'):.2f} s, {result.counts['duplicates']} came twice")
    for figure in (MEMORY, REDIS_MEMORY):
        print(f"{figure.title}: {figure.of(result):.2f}")
    problems = result.problems()
    print("\n".join(problems) or "ok")
    return 1 if problems else 0


def _loads(options: argparse.Namespace) -> list[Load]:
    """A share of the clients for each load generator; the first one publishes."""
    count = -(-options.clients // _PER_GENERATOR)
    shares = [options.clients // count + (n < options.clients % count) for n in range(count)]
    return [Load(share, outstanding=1, messages=1, publishers=int(not number),
                 workers=options.workers, steps=(max(share // 10, 1),), patience=options.patience)
            for number, share in enumerate(shares)]


def _follow(generators: Sequence[Generator], stage: Stage, hold: float) -> Run:
    looks: list[Look] = []
    began = time.monotonic()
    while all(steps := [generator.next_step() for generator in generators]):
        clients = sum(steps)
        print(f"{clients:,} subscribed after {time.monotonic() - began:.1f} s; open files of the "
              f"workers: {_open_files(stage)}", file=sys.stderr)
        time.sleep(hold)
        looks.append(stage.look(clients))
        for generator in reversed(generators):  # the publisher last
            generator.go_on()
    counts = _sum([generator.counts for generator in generators])
    return Run(counts, looks, log_errors=stage.log_errors())


def _sum(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All counts together, with the longest window."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update({name: one[name] for name in _SUMMED})
    windows = [one["window"] for one in counts]
    return {**total, "window": max(windows, key=lambda window: float(window["seconds"]))}


def _open_files(stage: Stage) -> str:
    numbers = [sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
               for pid in children(stage.nodes[0].pid)]
    return ", ".join(f"{number:,}" for number in numbers)
