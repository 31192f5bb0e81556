"""What is built and downloaded once, and kept in ``~/.cache/faye_redis-bench``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
SOURCES = HERE / "loadgen"
_CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


class Missing(Exception):
    """A program that is needed is not installed, or could not install what is needed."""


def directory() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = root / "faye_redis-bench"
    found.mkdir(parents=True, exist_ok=True)
    return found


@cache
def load_generator() -> Path:
    """The compiled load generator.

    :raises Missing: there is no C compiler.
    """
    sources = sorted(SOURCES.glob("*.[ch]"))
    program = directory() / f"loadgen-{_digest(sources)}"
    if not program.exists():
        compiler = _find("cc")
        with tempfile.TemporaryDirectory(dir=directory()) as scratch:
            built = Path(scratch) / "loadgen"
            units = [source for source in sources if source.suffix == ".c"]
            subprocess.run([compiler, *_CFLAGS, "-o", built, *units], check=True)
            built.rename(program)
    return program


@cache
def node_modules() -> Path:
    """The npm packages of the peers.

    :raises Missing: node or npm is not installed, or npm has failed.
    """
    _find("node")
    manifest = PEERS / "package.json"
    packages = directory() / f"npm-{_digest([manifest])}"
    if not (packages / "installed").exists():
        packages.mkdir(exist_ok=True)
        shutil.copy(manifest, packages)
        _install([_find("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], packages)
    return packages / "node_modules"


@cache
def peer_python() -> Path:
    """The interpreter of a virtual environment with the Python peers.

    :raises Missing: pip has failed.
    """
    wanted = PEERS / "requirements.txt"
    venv = directory() / f"venv-{_digest([wanted])}"
    python = venv / "bin" / "python"
    if not (venv / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        _install([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  "--requirement", wanted], venv)
    return python


def _install(command: list[str | Path], into: Path) -> None:
    """Run in ``into``, and leave a mark there when it is complete."""
    print(f"bench: installing into {into} (once)", file=sys.stderr)
    done = subprocess.run(command, cwd=into, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} could not install its packages")
    (into / "installed").touch()


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{program} is not installed")
    return found


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
