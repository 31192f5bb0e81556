"""Many idle WebSockets at once: opens, subscribes and holds them, and publishes one message.

All must receive it exactly once. Prints what a client takes of memory, in the server and in
Redis: the difference between a tenth of the clients and all of them. More than a few thousand
clients need a high limit of open files (ulimit -n), which root raises by itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from support.processes import children

from .runs import Load, Stage, run
from .scenarios import MEMORY, REDIS_MEMORY
from .servers import OWN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold", type=float, default=30,
                        help="seconds that they are idle; pings come every 25")
    parser.add_argument("--patience", type=float, default=60,
                        help="seconds after which the message is given up")


def main(options: argparse.Namespace) -> int:
    load = Load(options.clients, outstanding=1, messages=1, workers=options.workers,
                steps=(max(options.clients // 10, 1),), settle=options.hold,
                patience=options.patience)
    sockets: list[int] = []

    def count(stage: Stage) -> None:
        sockets.extend(map(_open_files, children(stage.nodes[0].pid)))

    result = run(OWN, load, count)
    print(f"{options.clients:,} clients subscribed in {sum(result.opening):.1f} s, "
          f"open files of the workers: {', '.join(f'{number:,}' for number in sockets)}")
    print(f"one message: {result.counts['deliveries']:,} deliveries "
          f"in {result.window('seconds'):.2f} s, {result.counts['duplicates']} came twice")
    for figure in (MEMORY, REDIS_MEMORY):
        print(f"{figure.title}: {figure.of(result):.2f}")
    problems = result.problems()
    print("\n".join(problems) or "ok")
    return 1 if problems else 0


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
