"""Tables, on the terminal and in reStructuredText, with how they were made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import isnan
from pathlib import Path

from support.redis_server import find_binary

Rows = Sequence[Sequence[str]]


def shown(value: float) -> str:
    """Three significant digits, thousands in full; "n/a" when it is not a number."""
    if isnan(value):
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio: float) -> str:
    """A ratio with two significant digits."""
    if ratio < 0.01:
        return "<0.01 x"
    return f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.2g} x"


def plain(rows: Rows) -> str:
    """Aligned columns; the first is text, the others are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def rst(rows: Rows, notes: Sequence[str]) -> str:
    """A list-table, below a comment that says when, where and how it was made."""
    lines = [f".. {line}" for line in made()]
    lines += ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {' ' if index else '*'} - {cell}" for index, cell in enumerate(row)]
    return "\n".join([*lines, "", *(f"{note}\n" for note in notes)])


def made() -> list[str]:
    """Date, machine and command."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("gevent", "gunicorn"))
    return [
        f"Made on {datetime.now(UTC):%Y-%m-%d} by: contrib/bench/run {' '.join(sys.argv[1:])}",
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {packages}, {_store()}",
    ]


def _store() -> str:
    """Name and version of the Redis or Valkey that every run starts."""
    output = subprocess.run([find_binary(), "--version"], capture_output=True, text=True).stdout
    return re.sub(r"^(\w+) server v=(\S+).*", r"\1 \2", output.strip())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
