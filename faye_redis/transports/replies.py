"""The replies to one array of messages, which may come in any order."""

from __future__ import annotations

from collections.abc import Callable


class Replies:
    """Collects the replies to one array of messages, each in its place."""

    __slots__ = ("_done", "_missing", "_replies")

    def __init__(self, count: int, done: Callable[[list[bytes]], None]) -> None:
        self._replies: list[list[bytes]] = [[]] * count
        self._missing = count
        self._done = done

    def put(self, number: int, replies: list[bytes]) -> None:
        self._replies[number] = replies
        self._missing -= 1
        if not self._missing:
            self._done([reply for replies in self._replies for reply in replies])
