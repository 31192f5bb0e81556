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

    def hear(self, *words: str) -> list[Message]:
        """Wait until these words have come, each as often as it stands here; return what has come
        between them, without the ids that the server gives."""
        expected = [json.loads(word) for word in words]

        def heard() -> list[Message]:
            new = map(bare, self._socket.received[self._seen:])
            return [message for message in new if message in expected]
        eventually(lambda: len(heard()) >= len(expected), interval=0.002)
        assert sorted(heard(), key=str) == sorted(expected, key=str), heard()
        new = self._socket.received[self._seen:]
        self._seen += len(new)
        return [bare(message) for message in new if message["channel"] != WORD]


def bare(message: Message) -> Message:
    return {key: value for key, value in message.items() if key != "id"}


def check_undisturbed(line: Line, witness: Witness, *words: str) -> list[Message]:
    """The line can still be used, and the witness hears of it; return what else it has heard.

    :param words: said before, and not heard yet.
    """
    word = witness.word()
    answer = line.say(word)
    assert answer == [{"channel": WORD, "successful": True}], answer
    return witness.hear(*words, word)
