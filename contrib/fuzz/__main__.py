"""The command line: ``contrib/fuzz/run TARGET|all``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import TARGETS
from .runner import Result, run, told, worker

RUNS = 1_000_000


def main() -> int:
    options = _parser().parse_args()
    try:
        return _replay(options) if options.replay else _search(options)
    except RuntimeError as error:
        sys.exit(f"fuzz: {error}")
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="contrib/fuzz/run", description="Inputs nobody thought of, guided by coverage.")
    parser.add_argument("target", nargs="?", default="all", choices=["all", *TARGETS])
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N",
                        help=f"cases, shared by the targets (default: {RUNS})")
    parser.add_argument("--seconds", type=int, metavar="N",
                        help="time, shared likewise, instead of --runs")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another, other cases")
    parser.add_argument("--corpus", type=Path, metavar="DIR",
                        help="begin with the inputs kept here, and keep those that go further")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), metavar="DIR",
                        help="where inputs that show a finding go (default: fuzz-findings)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="only this saved input")
    return parser


def _search(options: argparse.Namespace) -> int:
    targets = TARGETS if options.target == "all" else (options.target,)
    results = [_run(target, options, number, len(targets))
               for number, target in enumerate(targets)]
    cases = sum(result.cases for result in results)
    findings = sum(len(result.findings) for result in results)
    print(f"total: {cases} cases, findings: {findings}")
    return 1 if findings else 0


def _run(target: str, options: argparse.Namespace, number: int, count: int) -> Result:
    """The first targets get what cannot be shared equally."""
    total = options.runs if options.seconds is None else options.seconds
    share = max(1, total // count + (number < total % count))
    bound = f"-runs={share}" if options.seconds is None else f"-max_total_time={share}"
    corpus = options.corpus and options.corpus / target
    result = run(target, [bound, f"-seed={options.seed}"], corpus, options.findings)
    print(told(result), flush=True)
    return result


def _replay(options: argparse.Namespace) -> int:
    if options.target == "all":
        sys.exit("fuzz: --replay needs the target of the input")
    done = worker(options.target, Path(os.devnull), [str(options.replay)])
    print(done.stdout)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
