"""Faults under full load: one after the other, or at random for as long as asked.

``contrib/soak --matrix`` injects every fault of the matrix and prints a table; ``contrib/soak``
runs clients that come and go, with a random fault every few seconds, and compares what workers
and Redis hold after the first minute of it with what they hold at the end.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import mean
from time import monotonic

import gevent

from .cluster import Cluster, resources
from .harness import FULL, Load, Run, problems, run_fault
from .ledger import Report
from .matrix import BY_NAME, MATRIX, Fault

COLUMNS = ("Fault", "Times", "Acknowledged", "Owed", "Lost", "Came again", "Out of order",
           "Sessions lost", "Recovery (s)", "Slowest publish (s)")
CHURN_SECONDS = 0.2
CALM_SECONDS = (5.0, 15.0)
SETTLE_SECONDS = 75.0  # what a fault leaves behind goes within a minute: keys, followed channels
SAMPLES = 15
MOST_CHANGE = 1.05


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    load = Load({kind: max(1, round(count * options.scale)) for kind, count in FULL.items()},
                rate=100 * options.scale)
    faults = [BY_NAME[name] for name in options.fault] or MATRIX
    if options.matrix:
        return _matrix(faults, load, options)
    return _soak([fault for fault in faults if fault.needs_nothing], load, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contrib/soak", description=__doc__)
    parser.add_argument("--matrix", action="store_true", help="every fault, one after the other")
    parser.add_argument("--times", type=int, default=3, help="with --matrix: how often each")
    parser.add_argument("--minutes", type=float, default=10, help="without it: how long")
    parser.add_argument("--seconds", type=float, default=3, help="how long a fault lasts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1, help="of the load: 1 is 340 clients")
    parser.add_argument("--fault", action="append", default=[], choices=sorted(BY_NAME),
                        help="only this one; may be repeated")
    parser.add_argument("--table", help="file for the table, in reStructuredText")
    return parser


# The matrix

def _matrix(faults: Sequence[Fault], load: Load, options: argparse.Namespace) -> int:
    rows, failed = [], 0
    for fault in faults:
        with Cluster(persistent=fault.persistent, env=fault.env, args=fault.args) as cluster:
            report, slowest = run_fault(cluster, fault, load, seconds=options.seconds,
                                        times=options.times, seed=options.seed)
            found = problems(fault, report, cluster.log, options.times)
        print(f"{fault.name}: {report.line()} slowest={slowest:.2f} {found or 'ok'}", flush=True)
        failed += bool(found)
        rows.append(_row(fault, options.times, report, slowest))
        if options.table:
            with open(options.table, "w", encoding="utf-8") as file:
                file.write(_table(rows))
    return min(failed, 1)


def _row(fault: Fault, times: int, report: Report, slowest: float) -> list[str]:
    lost = f"{report.lost} (+{report.gone} gone)" if report.gone else str(report.lost)
    again = f"{report.duplicates}" + (f" (x{report.copies})" if report.copies > 1 else "")
    return [fault.name, str(times), str(report.acknowledged), str(report.owed), lost, again,
            str(report.inversions), str(report.sessions_lost), f"{report.recovery or 0:.1f}",
            f"{slowest:.1f}"]


def _table(rows: list[list[str]]) -> str:
    """An RST table with the date and the command that made it."""
    made = f"``contrib/soak {' '.join(sys.argv[1:])}`` on {datetime.now(UTC):%Y-%m-%d}"
    lines = [f".. Made by {made}", "", ".. list-table::", "   :header-rows: 1", ""]
    for row in [list(COLUMNS), *rows]:
        lines += [f"   {'*' if not index else ' '} - {cell}" for index, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


# Soak

def _soak(faults: Sequence[Fault], load: Load, options: argparse.Namespace) -> int:
    rng = random.Random(options.seed)
    with Cluster() as cluster:
        run = Run(cluster, load, options.seed)
        run.start()
        churn = gevent.spawn(_churn, run)
        _inject_for(60, faults, rng, cluster, run, options.seconds)
        before = _settled(cluster, "after the first minute")
        _inject_for(options.minutes * 60 - 60, faults, rng, cluster, run, options.seconds)
        after = _settled(cluster, "at the end")
        churn.kill()
        run.stop_publishing(patience=60)
        report = run.ledger.report()
        run.stop()
        print("total:", report.line(), flush=True)
        found = problems(BY_NAME["kill -9"], report, cluster.log, times=10)
        found += _growth(before, after)
        print(found or "ok")
    return 1 if found else 0


def _settled(cluster: Cluster, when: str) -> dict[str, float]:
    """Means over some seconds, while the load goes on, a while after the last fault."""
    gevent.sleep(SETTLE_SECONDS)
    samples = []
    for _ in range(SAMPLES):
        samples.append(resources(cluster))
        gevent.sleep(1)
    means = {name: round(mean(one[name] for one in samples), 1) for name in samples[0]}
    print(f"{when}:", means, flush=True)
    return means


def _growth(before: dict[str, float], after: dict[str, float]) -> list[str]:
    ratios = {name: round(after[name] / max(before[name], 1), 3) for name in after}
    print("ratio:", ratios)
    return [f"{name} grew to {ratio} of what they were"
            for name, ratio in ratios.items() if ratio > MOST_CHANGE]


def _inject_for(
    duration: float, faults: Sequence[Fault], rng: random.Random, cluster: Cluster, run: Run,
    seconds: float,
) -> None:
    end = monotonic() + duration
    while monotonic() < end:
        gevent.sleep(rng.uniform(*CALM_SECONDS))
        _inject(rng.choice(faults), cluster, run, seconds)


def _inject(fault: Fault, cluster: Cluster, run: Run, seconds: float) -> None:
    began = monotonic()
    fault.inject(cluster, seconds)
    healed = monotonic()
    while run.ledger.waiting(healed) and monotonic() - healed < 60:
        gevent.sleep(0.2)
    print(f"{healed - began:5.1f} s {fault.name}: back after {monotonic() - healed:.1f} s, "
          f"on their way: {len(run.ledger.missing())}", flush=True)


def _churn(run: Run) -> None:
    """Five clients a second leave, and as many come."""
    kinds = [name for name, count in FULL.items() for _ in range(count)]
    number = 0
    while True:
        gevent.sleep(CHURN_SECONDS)
        number += 1
        run.add(f"{run.site.rng.choice(kinds)}-c{number}")
        run.remove(run.site.rng.choice([one for one in run.clients if one.subscribed]))


if __name__ == "__main__":
    sys.exit(main())
