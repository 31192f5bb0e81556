"""The command that publishes one message. What is the same for all messages of a channel is packed
once: that is nine tenths of it."""

from __future__ import annotations

from functools import lru_cache

from ...bayeux.channels import expand
from ...settings import EngineSettings
from ..base import log_retention
from .keys import Keys
from .scripts import Scripts
from .wire import bulk

_OPERATION_MS = 60_000
_CHANNELS = 1024  # of which the constant part is kept
_DEEP = 16  # levels beyond which it is large, and the channel hardly one of those much used


class Publishing:
    """Packs calls of ``publish.lua``."""

    def __init__(self, keys: Keys, scripts: Scripts, settings: EngineSettings) -> None:
        self._keys = keys
        self._scripts = scripts
        retention = log_retention(settings)
        # Extended when half of it is over: no message may go with its log before its time.
        log_life = max(settings.message_ttl, 2 * retention)
        self._limits = (_OPERATION_MS, round(retention * 1000), settings.max_log,
                        round(log_life * 1000))
        self._parts = lru_cache(maxsize=_CHANNELS)(self._pack)

    def command(
        self, channel: str, payload: bytes, operation: str, heard: int, restore_ms: int
    ) -> bytes:
        """The command, packed.

        :param heard: the highest message id that this worker knows of.
        :param restore_ms: for how long after a loss of data messages are logged for nobody.
        """
        pack = self._parts if channel.count("/") <= _DEEP else self._pack
        head, middle, tail = pack(channel, restore_ms)
        key = self._keys.operation(operation).encode()
        return b"".join((head, bulk(key), middle, bulk(payload), bulk(b"%d" % heard), tail))

    def _pack(self, channel: str, restore_ms: int) -> tuple[bytes, bytes, bytes]:
        """What comes before the operation's key, between that and the payload, and last."""
        names = list(expand(channel))
        keys = [self._keys.last_id, self._keys.marker, self._keys.grace,
                *self._keys.channel_sides(names)]
        args = [channel, *self._limits, restore_ms,
                *[self._keys.publish_channel(name) for name in names]]
        first = [b"EVALSHA", self._scripts.sha("publish").encode(), b"%d" % (1 + len(keys))]
        head = b"*%d\r\n" % (len(first) + 1 + len(keys) + 2 + len(args))
        return (head + b"".join(map(bulk, first)),
                b"".join(bulk(key.encode()) for key in keys),
                b"".join(bulk(str(arg).encode()) for arg in args))
