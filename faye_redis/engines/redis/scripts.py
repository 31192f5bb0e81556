"""The Lua scripts, run by name: ``lua/<verb>.lua``, its contract in the file's head."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from redis.commands.core import Script

from .wire import Wire, pack

_LOAD_SECONDS = 1.0
_FOLDER = files(__package__) / "lua"


class Scripts:
    """Runs scripts by EVALSHA on connections of the pool, where redis-py loads one again that the
    server has forgotten, or packs them for a connection that sees to that itself.

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

    def load_on(self, wire: Wire) -> None:
        """The same by a connection of its own.

        :raises redis.RedisError: Redis refuses, or does not answer.
        """
        wire.send(b"".join(pack("SCRIPT", "LOAD", str(script.script))
                           for script in self._scripts.values()))
        missing = len(self._scripts)
        while missing > 0:
            for reply in wire.receive(_LOAD_SECONDS):
                if isinstance(reply, redis.RedisError):
                    raise reply
                missing -= 1

    def sha(self, verb: str) -> str:
        """The name by which the server knows the script."""
        return str(self._scripts[verb].sha)

    def command(self, verb: str, keys: Sequence[str], *args: Any) -> bytes:
        """What runs ``lua/<verb>.lua``, packed, for a server that has loaded it."""
        return pack("EVALSHA", self.sha(verb), len(keys), *keys, *args)

    def run(self, verb: str, keys: Sequence[str], *args: Any, pipeline: Any = None) -> Any:
        """Run ``lua/<verb>.lua``; with a pipeline, append it there."""
        return self._scripts[verb](keys=keys, args=args, client=pipeline)
