"""Child processes that never outlive the tests, and what is known about processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def spawn(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """Start ``command`` at the head of a process group of its own.

    Linux kills it when the thread that started it ends, however that happens (PR_SET_PDEATHSIG,
    set by util-linux's ``setpriv``). Elsewhere only :func:`end` does.
    """
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    options = {"stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen([*prefix, *command], process_group=0, **options)


def end(
    process: subprocess.Popen[Any], with_signal: int = signal.SIGTERM, timeout: float = 10
) -> int:
    """Signal ``process``, wait for it, and kill what remains of its group. Idempotent.

    :param timeout: seconds until it is killed.
    :returns: the exit code; negative is the number of the signal that ended it.
    """
    if process.poll() is None:
        process.send_signal(with_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for the whole process group that ``process`` heads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def children(pid: int) -> list[int]:
    """The pids of the direct children of ``pid``; empty when it is gone (Linux)."""
    try:
        listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in listing.split()]


def descendants(pid: int) -> list[int]:
    """The pids of all children of ``pid``, their children, and so on (Linux)."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie that nobody has waited for does not (Linux)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
