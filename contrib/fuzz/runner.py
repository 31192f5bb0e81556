"""Runs a target in a worker, and tells what came of it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_CONTRIB = Path(__file__).resolve().parents[1]
_CASE_SECONDS = 30  # a case that takes longer is a finding
_WIDTH = 100
_COVERAGE = re.compile(r"^#\d+\s.*\bcov: (\d+) ft: (\d+)", re.MULTILINE)
_DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_NOISE = re.compile(r"^(INFO|WARNING|#\d|NOTE|MS:|==|\s*$|[0-9a-fx,\\ ]+$)")


class Result(NamedTuple):
    target: str
    cases: int
    seconds: int | None
    """None: it ended early."""
    edges: int
    """Places in the code from which it was seen to go on to others, and how often, in classes."""
    features: int
    outcomes: dict[str, int]
    output: str
    findings: list[Path]


def run(target: str, bounds: Sequence[str], corpus: Path | None, keep: Path) -> Result:
    """Run ``target`` until it is over or there is a finding.

    :param bounds: options of libFuzzer that say when it is over.
    :param keep: directory for inputs that show a finding.
    :raises RuntimeError: the worker failed without one.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        tally = Path(directory, "tally")
        arguments = [*bounds, f"-artifact_prefix={directory}/found-", f"-timeout={_CASE_SECONDS}"]
        if corpus:
            corpus.mkdir(parents=True, exist_ok=True)
            arguments.append(str(corpus))
        done = worker(target, tally, arguments)
        findings = [_kept(found, keep, target) for found in Path(directory).glob("found-*")]
        if done.returncode and not findings:
            raise RuntimeError(f"{target}: the worker failed\n{done.stdout}")
        counts = json.loads(tally.read_text())
    return _result(target, counts, done.stdout, findings)


def worker(
    target: str, tally: Path, arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Start a worker and wait for it; its output is text of both streams."""
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(_CONTRIB))))
    return subprocess.run(
        [sys.executable, "-m", "fuzz.worker", target, str(tally), *arguments], text=True,
        env={**os.environ, "PYTHONPATH": path}, errors="backslashreplace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def _kept(found: Path, keep: Path, target: str) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    kind, _, name = found.name.removeprefix("found-").partition("-")
    return Path(shutil.move(found, keep / f"{target}-{kind}-{name[:12]}"))


def _result(target: str, counts: dict[str, dict[str, int]], output: str, findings: list[Path]
            ) -> Result:
    done, coverage = _DONE.search(output), _COVERAGE.findall(output) or [(0, 0)]
    outcomes = counts["outcomes"]
    cases = int(done[1]) if done else counts["cases"]["run"]
    edges, features = map(int, coverage[-1])
    return Result(target, cases, int(done[2]) if done else None, edges, features, outcomes,
                  output, findings)


def told(result: Result) -> str:
    """A result as it is printed: a line, the outcomes, and each finding with how to repeat it."""
    time = "ended early" if result.seconds is None else f"{result.seconds} s"
    lines = [f"{result.target}: {result.cases} cases, {time}, coverage {result.edges} edges, "
             f"{result.features} features, findings: {len(result.findings)}"]
    ordered = sorted(result.outcomes.items(), key=lambda item: -item[1])
    lines += _wrapped([f"{outcome} {count}" for outcome, count in ordered])
    if result.findings:
        lines += [line for line in result.output.splitlines() if not _NOISE.match(line)]
    for path in result.findings:
        text = base64.b64encode(path.read_bytes()).decode()
        lines += [f"    saved as {path}", f"    base64 {text}",
                  f"    again: contrib/fuzz/run {result.target} --replay {path}"]
    return "\n".join(lines)


def _wrapped(items: list[str]) -> list[str]:
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > _WIDTH:
            lines.append(line)
            line = ""
        line += f"{'; ' if line else '    '}{item}"
    return [*lines, line] if line else lines
