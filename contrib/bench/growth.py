"""How the cost of this server grows, as tables and plots.

CPU per delivery and time in Redis against the number of subscribers; CPU per publish against the
number of channels and of patterns; memory against the number of idle clients; deliveries per
second against the number of workers. Writes a PNG file for each figure and tables.rst.

A run in which a message was lost, came twice, out of order or was not acknowledged is named, and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import plots, tables
from .runs import Load, Run, most_clients, run
from .scenarios import (
    RATE,
    REDIS_CPU_PER_PUBLISH,
    SCRIPT_TIME,
    SERVER_CPU,
    SERVER_CPU_PER_PUBLISH,
    Figure,
)
from .servers import OWN

_SMALLEST_STEP = 500  # idle clients; below that the allocator's own steps show


@dataclass(frozen=True)
class Growth:
    """A load that grows, and what is taken at each size.

    :param load: makes the load from the size and the seconds that are measured.
    """

    unit: str
    sizes: tuple[int, ...]
    load: Callable[[int, float], Load]
    figures: tuple[Figure, ...]


def _channels(size: int, seconds: float, pattern: bool = False) -> Load:
    return Load(size, channels=size, publishers=10, outstanding=5, duration=seconds,
                pattern=pattern)


_MANY = (10, 100, 1000, 5000, 10_000)
GROWTHS = {
    "subscribers": Growth(
        "subscribers", (10, 30, 100, 300, 1000, 3000, 10_000, 20_000),
        lambda size, seconds: Load(size, duration=seconds, patience=30),
        (SERVER_CPU, SCRIPT_TIME, REDIS_CPU_PER_PUBLISH)),
    "channels": Growth(
        "channels with one subscriber", _MANY, _channels, (SERVER_CPU_PER_PUBLISH, SCRIPT_TIME)),
    "patterns": Growth(
        "patterns with one subscriber", _MANY,
        lambda size, seconds: _channels(size, seconds, pattern=True),
        (SERVER_CPU_PER_PUBLISH, SCRIPT_TIME)),
    "workers": Growth(
        "workers, 1,000 subscribers", (1, 2),
        lambda size, seconds: Load(1000, workers=size, duration=seconds), (RATE,)),
}
_MEMORY_SIZES = (500, 1000, 2000, 5000, 10_000)
MEMORY = "memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = [*GROWTHS, MEMORY]
    parser.add_argument("--of", action="append", choices=names, metavar="NAME",
                        help=f"only this; may be repeated: {', '.join(names)}")
    parser.add_argument("--most", type=int, default=20_000, help="leave out larger sizes")
    parser.add_argument("--duration", type=float, default=5, help="seconds measured in a run")
    parser.add_argument("--folder", type=Path, default=Path("bench-growth"),
                        help="for plots and tables; default: %(default)s")


def main(options: argparse.Namespace) -> int:
    options.folder.mkdir(parents=True, exist_ok=True)
    texts, notes = [], []
    for name in options.of or [*GROWTHS, MEMORY]:
        measured = _memory(options) if name == MEMORY else _grow(GROWTHS[name], options)
        rows = measured.rows()
        print(f"\n{tables.plain(rows)}\n")
        texts.append(tables.rst(rows, []))
        notes += [f"! {name}: {note}" for note in measured.notes]
        for title, values in measured.lines.items() if measured.sizes else ():
            plots.draw(options.folder, name, measured.unit, title, measured.sizes, values)
    (options.folder / "tables.rst").write_text("\n".join(texts))
    print("\n".join(notes))
    return 1 if notes else 0


@dataclass
class Measured:
    """Values by the title of the figure, one for each size."""

    unit: str
    sizes: list[int]
    lines: dict[str, list[float]]
    notes: list[str]

    def rows(self) -> list[list[str]]:
        head = [self.unit, *self.lines]
        return [head, *([f"{size:,}", *(tables.shown(values[row]) for values in
                                        self.lines.values())]
                        for row, size in enumerate(self.sizes))]


def _grow(growth: Growth, options: argparse.Namespace) -> Measured:
    runs: dict[int, Run] = {}
    notes = []
    for size in _possible(growth.sizes, options.most):
        print(f"{size:,} {growth.unit}", file=sys.stderr)
        try:
            runs[size] = run(OWN, growth.load(size, options.duration))
        except RuntimeError as error:
            notes.append(f"{size:,}: {error}")
    lines = {figure.title: [figure.of(one) for one in runs.values()] for figure in growth.figures}
    return Measured(growth.unit, list(runs), lines, notes + _notes(runs))


def _possible(sizes: Iterable[int], most: int) -> list[int]:
    """Sizes up to ``most``, without those beyond the limit of open files."""
    if most > most_clients():
        print(f"bench: at most {most_clients():,} clients: ulimit -n", file=sys.stderr)
    return [size for size in sizes if size <= min(most, most_clients())]


def _notes(runs: Mapping[int, Run]) -> list[str]:
    return [f"{size:,}: {problem}" for size, one in runs.items() for problem in one.problems()]


def _memory(options: argparse.Namespace) -> Measured:
    """One run that is looked at while it grows."""
    sizes = _possible(_MEMORY_SIZES, max(options.most, _SMALLEST_STEP))
    result = run(OWN, Load(sizes[-1], steps=tuple(sizes), settle=2, duration=0))
    lines = {"server, MB": [look.rss_kb / 1024 for look in result.looks],
             "Redis, MB": [look.redis_bytes / 2**20 for look in result.looks]}
    return Measured("idle clients", sizes, lines, _notes({sizes[-1]: result}))
