"""Another client of the server under attack: it must not notice."""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack

from carriers import MOUNT, Line
from raw_client import Message, RawClient, SocketClient

from support.waiting import eventually

WORD = "/witness/word"


class Witness:
    """A client subscribed to ``/**``: what it receives is what was carried out.

    :param url: of the node, without the mount.
    :param stack: ends it at its exit.
    """

    def __init__(self, url: str, stack: ExitStack) -> None:
        client = RawClient([url + MOUNT])
        client.subscribe("/**")
        self._socket = SocketClient(client, url + MOUNT, stack)
        self._numbers = itertools.count()
        self._seen = 0

    def forget(self) -> None:
        """Begin anew."""
        self._seen = len(self._socket.received)

    def word(self) -> str:
        """The text of a message that only this witness waits for; publish it and ``hear`` it."""
        return json.dumps({"channel": WORD, "data": next(self._numbers)})

    def hear(self, word: str, times: int = 1) -> list[Message]:
        """Wait until ``word`` has come so often; return what else has come since the last time,
        without the ids that the server gives."""
        def heard() -> bool:
            return sum(map(is_word, self._socket.received[self._seen:])) >= times

        def is_word(message: Message) -> bool:
            return bare(message) == json.loads(word)
        eventually(heard)
        new = self._socket.received[self._seen:]
        self._seen += len(new)
        assert sum(map(is_word, new)) == times, new
        return [bare(message) for message in new if not is_word(message)]


def bare(message: Message) -> Message:
    return {key: value for key, value in message.items() if key != "id"}


def check_undisturbed(line: Line, witness: Witness) -> list[Message]:
    """The line can still be used, and the witness hears of it; return what else it has heard."""
    word = witness.word()
    answer = line.say(word)
    assert answer == [{"channel": WORD, "successful": True}], answer
    return witness.hear(word)
