"""Runs JavaScript with the npm packages of ``tests/integration/js``."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .processes import end, spawn
from .requirements import require

SCRIPTS = Path(__file__).resolve().parent.parent / "integration" / "js"
INSTALL_TIMEOUT = 300  # s


def run(script: str, *args: str, timeout: float = 60) -> Any:
    """Run a script to its end and return the JSON value that it prints.

    :param script: a file of ``tests/integration/js``, or a path.
    :param timeout: seconds until it is killed.
    :raises AssertionError: it exited with another code than 0; holds what it printed.
    """
    process = start(script, *args, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=timeout)
    finally:
        end(process)
    assert process.returncode == 0, f"{script} exited with {process.returncode}:\n{output}{errors}"
    return json.loads(output)


def start(script: str, *args: str, **options: Any) -> subprocess.Popen[Any]:
    """Start a script and leave it running; its stdout is a text pipe.

    End it with :func:`support.processes.end`.

    :param script: a file of ``tests/integration/js``, or a path.
    :param options: as for Popen.
    """
    program = [require(shutil.which("node"), "node is not installed"), str(SCRIPTS / script)]
    environment = {**os.environ, "NODE_PATH": str(node_modules())}
    options = {"stdout": subprocess.PIPE, "text": True, "env": environment, **options}
    return spawn([*program, *args], **options)


@functools.cache
def node_modules() -> Path:
    """The installed packages; installs them once per machine and lock file.

    Ends the test as :func:`require` says when npm is missing or cannot install them.
    """
    npm = require(shutil.which("npm"), "npm is not installed")
    lock = (SCRIPTS / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "faye_redis-tests" / hashlib.sha256(lock).hexdigest()[:16]
    if not directory.exists():
        require(_install(npm, directory), "npm cannot install the packages of the tests")
    return directory / "node_modules"


def _install(npm: str, directory: Path) -> bool:
    """Install beside ``directory`` and rename, so that it exists only when complete."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        work = Path(scratch) / "packages"
        work.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / name, work)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=work, stdin=subprocess.DEVNULL, timeout=INSTALL_TIMEOUT, check=False
        )
        if done.returncode == 0 and not directory.exists():
            work.rename(directory)
    return directory.exists()
