"""Answers of streams that lost their client: how far they had come."""

from __future__ import annotations

from collections.abc import Sequence

from ..concurrency import Event, monotonic
from .base import Owed

_WAIT_SECONDS = 0.8  # a stream has 0.5 to ask its peer
_REMEMBER_SECONDS = 2.0

_Key = tuple[str, str, int]


class Handovers:
    """Waits for answers. One that comes before it is waited for is remembered: it travels on
    another connection than the reply to the connect."""

    def __init__(self) -> None:
        self._answers: dict[_Key, tuple[int, float]] = {}
        self._came: dict[_Key, Event] = {}

    def answered(self, client_id: str, server_id: str, epoch: int, position: int) -> None:
        """A stream has come so far; never waits."""
        now = monotonic()
        for key, (_, at) in list(self._answers.items()):
            if now - at < _REMEMBER_SECONDS:
                break  # the rest is younger
            del self._answers[key]
        key = (client_id, server_id, epoch)
        self._answers[key] = (position, now)
        if came := self._came.get(key):
            came.set()

    def wait(self, client_id: str, owed: Sequence[Owed]) -> list[int | None]:
        """The position of each stream; None if its worker did not say in time."""
        end = monotonic() + _WAIT_SECONDS
        return [self._wait((client_id, one.server_id, one.epoch), end if one.reachable else 0)
                for one in owed]

    def _wait(self, key: _Key, end: float) -> int | None:
        if key not in self._answers and monotonic() < end:
            came = self._came.setdefault(key, Event())
            came.wait(max(end - monotonic(), 0))
            self._came.pop(key, None)
        answer = self._answers.get(key)
        return answer[0] if answer else None
