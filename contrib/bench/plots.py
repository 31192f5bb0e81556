"""Plots as PNG files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_WIDE_RANGE = 50  # from here on sizes are on a logarithmic axis


def draw(
    folder: Path, name: str, unit: str, title: str, sizes: Sequence[int], values: Sequence[float]
) -> Path:
    """One curve from zero, in ``folder``; returns the file."""
    import matplotlib  # only here: everything else runs without it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(sizes, values, marker="o")
    axes.set(xlabel=unit, ylabel=title, ylim=(0, 1.15 * max(values)))
    if sizes[-1] >= _WIDE_RANGE * sizes[0]:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    path = folder / f"{name}-{re.sub(r'[^a-z0-9]+', '-', title.lower())}.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
