"""The command ``faye-redis``, run as by cron."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(
    *arguments: str, stdin: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with these variables as the only ``FAYE_REDIS_*``."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("FAYE_REDIS_")}
    return subprocess.run(
        [sys.executable, "-m", "faye_redis.cli", *arguments], cwd=ROOT, env={**env, **variables},
        input=stdin, text=True, capture_output=True, timeout=60, check=False)
