"""What an engine says upwards, written down; and streams that keep what they are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from faye_redis.engines.base import Message, Snapshot


class Recorder:
    """``EngineEvents`` that only remembers."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.calls: list[tuple[Any, ...]] = []

    def messages(self, batch: list[Message]) -> None:
        self.heard += batch

    def released(self, client_id: str, epoch: int, heard: int) -> None:
        """As a worker without a stream of the client."""
        self.calls.append(("released", client_id, epoch))

    def changed(self, client_id: str, version: int, since: int) -> None:
        self.calls.append(("changed", client_id, version))

    def destroyed(self, client_id: str, kicked: bool = False) -> None:
        self.calls.append(("kicked" if kicked else "destroyed", client_id))

    def forgotten(self, client_id: str) -> None:
        self.calls.append(("forgotten", client_id))

    def delivered(self, heard: int, written: bool) -> int:
        return heard

    def connected(self, client_id: str, connect_id: str) -> None:
        self.calls.append(("connected", client_id, connect_id))

    def remembered(self) -> list[Snapshot]:
        return []

    def restored(self) -> None:
        """Nothing was remembered."""

    def recovered(self) -> None:
        self.calls.append(("recovered",))

    def missed(self) -> None:
        self.calls.append(("missed",))

    def expired(self, client_id: str, channels: list[str]) -> None:
        self.calls.append(("expired", client_id, sorted(channels)))


class RecordingStream:
    """A stream that takes everything, or nothing while ``full``, and whose peer confirms at once,
    or not while ``silent``."""

    request = None
    confirms = True

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.replies: list[Any] = []
        self.closed_with: int | None = None
        self.full = False
        self.silent = False
        self.unconfirmed: list[Callable[[], None]] = []

    def push(self, messages: list[Message], version: int) -> bool:
        self.payloads += [message.payload for message in messages]
        return not self.full

    def checkpoint(self, done: Callable[[], None]) -> None:
        if self.silent:
            self.unconfirmed.append(done)
        else:
            done()

    def reply(self, items: list[bytes]) -> None:
        self.replies += [orjson.loads(item) for item in items]

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code

    @property
    def data(self) -> list[Any]:
        return [orjson.loads(payload)["data"] for payload in self.payloads]


class AnswerStream(RecordingStream):
    """Keeps each answer to a connect in one piece, encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[list[bytes]] = []

    def reply(self, items: list[bytes]) -> None:
        self.answers.append(items)
