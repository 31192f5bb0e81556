"""The Lua scripts, run by name: ``lua/<verb>.lua``, its contract in the file's head."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from redis.commands.core import Script

_FOLDER = files(__package__) / "lua"


class Scripts:
    """Runs scripts by EVALSHA; redis-py loads one again where the server has forgotten it.

    :param client: connections to run them on; nothing is sent before the first call.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Script] = {
            file.name.removesuffix(".lua"): client.register_script(file.read_text("utf-8"))
            for file in _FOLDER.iterdir()
            if file.name.endswith(".lua")
        }

    def load(self) -> None:
        """Have the server know all scripts, so that no first call needs a second round trip."""
        for script in self._scripts.values():
            self._client.script_load(script.script)

    def run(self, verb: str, keys: Sequence[str], *args: Any, pipeline: Any = None) -> Any:
        """Run ``lua/<verb>.lua``; with a pipeline, append it there."""
        return self._scripts[verb](keys=keys, args=args, client=pipeline)
