"""Reading the logs of channels and patterns."""

from __future__ import annotations

from collections.abc import Mapping

from ..base import Batch, Message, merge
from .batches import Batches
from .failures import translated
from .keys import Keys
from .wire import pack

Entries = list[tuple[bytes, list[bytes]]]


class Logs:
    """Reads logs together with the commands of other greenlets."""

    def __init__(self, batches: Batches, keys: Keys) -> None:
        self._batches = batches
        self._keys = keys

    @translated()
    def read(self, after: Mapping[str, int], limit: int) -> tuple[Batch, int]:
        """See ``Engine.read``.

        :returns: the result, and the last message id that had been issued then.
        """
        commands = [pack("GET", self._keys.last_id)]  # first: what is later is not ours yet
        for name, position in after.items():
            commands.append(
                pack("XRANGE", self._keys.log(name), f"({position}-0", "+", "COUNT", limit))
            # What was removed comes after the log. It may be trimmed between two commands, and
            # what was gone when it was read has to be seen; what goes now may be told as well.
            commands.append(pack("GET", self._keys.trimmed(name)))
        cut, *found = self._batches.call_all(commands)
        logs, trimmed = found[::2], found[1::2]
        gap = any(int(id or 0) > position
                  for id, position in zip(trimmed, after.values(), strict=True))
        last = int(cut or 0)
        return merge([_messages(entries) for entries in logs], limit, last, gap), last


def _messages(entries: Entries) -> list[Message]:
    """``publish.lua`` writes the fields in this order."""
    return [Message(int(id.partition(b"-")[0]), channel.decode(), payload)
            for id, (_, channel, _, payload) in entries]
