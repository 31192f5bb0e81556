"""One target in a process of its own: libFuzzer ends the process when it is done.

    python -m fuzz.worker TARGET TALLY -runs=N ...

The rest of the arguments is libFuzzer's. What happened is counted in the file TALLY.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from gevent import monkey

monkey.patch_all()

import atheris  # noqa: E402

_PAUSE = 0.5  # seconds between two looks at the counts, if it is not known when it will end
_SHOWN = 2000  # characters of a case


class Tally:
    """Counts what happened. libFuzzer runs nothing at exit, so it is written as it goes."""

    def __init__(self, path: Path, runs: int) -> None:
        self._path, self._runs = path, runs
        self._cases = 0
        self._outcomes: Counter[str] = Counter()
        self._due = 0.0

    def add(self, outcomes: list[str]) -> None:
        self._cases += 1
        self._outcomes.update(outcomes)
        if self._cases == self._runs or time.monotonic() >= self._due:
            self._due = time.monotonic() + _PAUSE
            self.write()

    def write(self) -> None:
        counts = {"cases": {"run": self._cases}, "outcomes": self._outcomes}
        self._path.write_text(json.dumps(counts))


def _runs(arguments: Sequence[str]) -> int:
    """Cases until the end; -1 if it is not known."""
    found = [item for item in arguments if item.startswith("-runs=")]
    return int(found[-1].partition("=")[2]) if found else -1


def main(target: str, path: str, *arguments: str) -> None:
    with atheris.instrument_imports(include=["faye_redis"]):
        module = import_module(f"fuzz.{target}")
    tally = Tally(Path(path), _runs(arguments))

    def run(data: bytes) -> None:
        case: Any = module.generate(atheris.FuzzedDataProvider(data))
        try:
            tally.add(module.check(case))
        except BaseException:
            tally.write()
            sys.set_int_max_str_digits(0)
            print(f"case: {repr(case)[:_SHOWN]}", file=sys.stderr, flush=True)
            raise
    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
