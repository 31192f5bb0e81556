"""One gunicorn with gevent workers, as a node of the cluster under test."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .processes import alive, children, end, free_port, spawn
from .waiting import eventually


class Node:
    """``gunicorn -k gevent`` with one application on a port of 127.0.0.1.

    :param app: ``module:name`` of the application.
    :param workers: number of worker processes.
    :param env: environment variables in addition to this process's own.
    :param args: further arguments for gunicorn; of two equal options the later counts.
    :param conf: gunicorn's configuration (its ``-c``).
    :param cwd: directory it starts in, from which ``app`` can also be imported.

    Use as a context manager, or pair :meth:`start` with :meth:`close`. The port stays the
    same from one start to the next.
    """

    def __init__(
        self,
        app: str = "faye_redis.wsgi:application",
        *,
        workers: int = 2,
        env: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        conf: str = "python:faye_redis.gunicorn_conf",
        cwd: str | Path | None = None,
    ) -> None:
        self.port = free_port()
        self._workers = workers
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", str(workers),
                         "-b", f"127.0.0.1:{self.port}", "--no-control-socket", "-c", conf,
                         *args, app]
        self._directory = Path(tempfile.mkdtemp(prefix="faye_redis-"))
        self._log = self._directory / "log"
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        """``http://`` address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the node has printed so far, over all its starts."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The pid of the running master process."""
        return self._running().pid

    def worker_pids(self) -> list[int]:
        """The pids of the running workers, oldest first."""
        return [pid for pid in sorted(children(self.pid)) if alive(pid)]

    def start(self) -> Node:
        """Start and return once every worker runs and one answers HTTP, whatever the status.

        :raises RuntimeError: gunicorn ended instead; holds its log.
        """
        with self._log.open("ab") as log:
            self._process = spawn(
                self._command, stdout=log, stderr=log, env=self._env, cwd=self._cwd
            )
        eventually(self._answers, timeout=30)
        return self

    def _answers(self) -> bool:
        if self._running().poll() is not None:
            raise RuntimeError(f"gunicorn ended:\n{self.log}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return len(self.worker_pids()) == self._workers

    def send_signal(self, number: int) -> None:
        """Send a signal to the master (SIGHUP reloads the workers)."""
        self._running().send_signal(number)

    def kill_worker(self, pid: int | None = None, with_signal: int = signal.SIGKILL) -> int:
        """End one worker, by default the oldest, and return its pid once it is gone.

        The master starts another one in its place.
        """
        pid = pid or self.worker_pids()[0]
        os.kill(pid, with_signal)
        eventually(lambda: not alive(pid), timeout=30)
        return pid

    def stop(self, timeout: float = 40) -> int:
        """End as in production (SIGTERM), and return the exit code.

        :param timeout: seconds after which it is killed, and the exit code is -9.
        """
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """SIGKILL for the master and its workers at once, as when the machine is gone."""
        self._end(signal.SIGKILL, 0)

    def _end(self, with_signal: int, timeout: float) -> int:
        process = self._running()
        workers = self.worker_pids()
        code = end(process, with_signal, timeout)
        eventually(lambda: not any(map(alive, workers)))
        self._process = None
        return code

    def _running(self) -> subprocess.Popen[Any]:
        assert self._process is not None, "the node is not running"
        return self._process

    def close(self) -> None:
        """Kill what still runs and delete the log."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Node:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()
