"""The worker under attack, and what its log may not hold at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from carriers import MOUNT

from support.gunicorn_node import Node

ROOT = Path(__file__).resolve().parents[3]
AMISS = ("Traceback", "failed", "[ERROR]", "[CRITICAL]")


@contextmanager
def worker(options: Mapping[str, str], *args: str) -> Iterator[Node]:
    """A node with one worker, which at the end is still the same and has nothing to complain of.

    :param options: by the names of their variables.
    :param args: for gunicorn.
    """
    variables = {f"FAYE_REDIS_{name.upper()}": value for name, value in options.items()}
    env = {"PYTHONPATH": str(ROOT), "FAYE_REDIS_MOUNT": MOUNT, **variables}
    with Node(workers=1, env=env, args=args) as running:
        before = running.worker_pids()
        yield running
        assert running.worker_pids() == before, running.log
        complaints = [line for line in running.log.splitlines()
                      if any(word in line for word in AMISS)]
        assert not complaints, complaints
