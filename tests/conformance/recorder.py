"""What an engine says upwards, written down; and streams that keep what they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from faye_redis.engines.base import Message


class Recorder:
    """``EngineEvents`` that only remembers."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.calls: list[tuple[Any, ...]] = []

    def messages(self, batch: list[Message]) -> None:
        self.heard += batch

    def released(self, client_id: str, epoch: int) -> None:
        """As a worker without a stream of the client."""
        self.calls.append(("released", client_id, epoch))

    def changed(self, client_id: str, version: int) -> None:
        self.calls.append(("changed", client_id, version))

    def destroyed(self, client_id: str) -> None:
        self.calls.append(("destroyed", client_id))

    def delivered(self, heard: int) -> int:
        return heard

    def resume(self, client_id: str, connect_id: str) -> None:
        self.calls.append(("resume", client_id, connect_id))

    def recovered(self) -> None:
        self.calls.append(("recovered",))

    def expired(self, client_id: str, channels: list[str]) -> None:
        self.calls.append(("expired", client_id, sorted(channels)))


class RecordingStream:
    """A stream that takes everything, or nothing while ``full``."""

    request = None

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.replies: list[Any] = []
        self.closed_with: int | None = None
        self.full = False

    def push(self, payloads: Sequence[bytes]) -> bool:
        self.payloads += payloads
        return not self.full

    def reply(self, items: list[bytes]) -> None:
        self.replies += [orjson.loads(item) for item in items]

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code

    @property
    def data(self) -> list[Any]:
        return [orjson.loads(payload)["data"] for payload in self.payloads]
