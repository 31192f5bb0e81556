"""Where the time of a worker goes under one of the loads of ``compare``.

py-spy samples the worker twice: once for the functions by their own time, which are printed, and
once for a flame graph. It needs root, or 0 in /proc/sys/kernel/yama/ptrace_scope.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from support.processes import children

from . import tables
from .cache import Missing
from .runs import Stage, run
from .scenarios import SCENARIOS
from .servers import OWN

_START_SECONDS = 3  # that py-spy may take before it samples
_PY_SPY = Path(sys.executable).with_name("py-spy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", choices=SCENARIOS, metavar="SCENARIO",
                        help=", ".join(SCENARIOS))
    parser.add_argument("--duration", type=float, default=5, help="seconds that are sampled")
    parser.add_argument("--top", type=int, default=25, help="functions to print")
    parser.add_argument("--svg", type=Path, help="the flame graph; default: bench-SCENARIO.svg")
    parser.add_argument("--native", action="store_true", help="functions in C as well")


def main(options: argparse.Namespace) -> int:
    svg = options.svg or Path(f"bench-{options.scenario}.svg")
    seconds = max(1, round(options.duration))
    native = ["--native"] if options.native else []
    load = replace(SCENARIOS[options.scenario].load, duration=2 * (seconds + _START_SECONDS))
    with tempfile.TemporaryDirectory(prefix="faye_redis-") as directory:
        stacks = Path(directory) / "stacks"

        def sample(stage: Stage) -> None:
            worker = children(stage.nodes[-1].pid)[0]
            _record(worker, seconds, stacks, "raw", *native)
            _record(worker, seconds, svg, "flamegraph", *native)

        problems = run(OWN, load, sample).problems()
        print(tables.plain(top(stacks.read_text(), options.top)))
    print("\n".join([f"\nflame graph: {svg}", *problems]))
    return 1 if problems else 0


def _record(pid: int, seconds: int, output: Path, form: str, *options: str) -> None:
    command: list[str | Path] = [
        _PY_SPY, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", "500",
        "--format", form, "--output", output, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"py-spy has failed:\n{done.stdout}{done.stderr}")


def top(stacks: str, count: int) -> list[list[str]]:
    """The functions by their own share of the samples.

    :param stacks: a line per stack: functions separated by semicolons, and a number.
    """
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        functions = [_without_line(frame) for frame in stack.split(";")]
        own[functions[-1]] += int(samples)
        within.update(dict.fromkeys(functions, int(samples)))
    total = max(own.total(), 1)
    rows = [[name, f"{number / total:.1%}", f"{within[name] / total:.1%}"]
            for name, number in own.most_common(count)]
    return [["function", "own", "with callees"], *rows]


def _without_line(frame: str) -> str:
    """``name (file:12)`` without the line number, so that a function's lines are added up."""
    head, colon, tail = frame.rpartition(":")
    return f"{head})" if colon and tail.rstrip(")").isdigit() else frame
