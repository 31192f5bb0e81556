"""One row: a name, the messages sent, and what becomes of each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carriers import Answer, Line, fits
from raw_client import Message
from witness import WORD, Witness, check_undisturbed

OK = ""
"""In place of an error: carried out."""


def missing(field: str) -> str:
    return f"402:{field}:Missing required parameter"


def unsupported(types: str) -> str:
    return f"301:{types}:Connection types not supported"


def unknown(client_id: str) -> str:
    return f"401:{client_id[:255]}:Unknown client"


def forbidden(channel: str) -> str:
    return f"403:{channel}:Forbidden channel"


def invalid(channel: str) -> str:
    return f"405:{channel[:255]}:Invalid channel"


def too_long(channel: str) -> str:
    limit = ("Longer than max_channel_length, 255" if len(channel) > 255
             else "More segments than max_channel_segments, 16")
    return f"405:{channel[:255]}:{limit}"


def bad(field: str = "") -> str:
    return f"400:{field}:Bad request"


@dataclass(frozen=True)
class Row:
    """Messages that share an array with one that is well-formed.

    :param sent: JSON of one message, or of several with commas between; ``$id`` is the client.
    :param errors: of each, in order; ``OK`` for none.
    :param id: what comes back as the ``id`` of each.
    :param heard: what others receive because of them.
    """

    name: str
    sent: str
    errors: str | Sequence[str]
    id: Any = None
    heard: Sequence[Message] = ()

    def check(self, carrier: str, line: Line, client: str, witness: Witness) -> None:
        """Send it before and behind a good message, which is carried out both times."""
        sent, word = self.sent.replace("$id", client), witness.word()
        documents = [f"[{sent},{word}]", f"[{word},{sent}]"]
        answers = [line.say(document) for document in documents]
        if not fits(carrier, documents[0]):
            same([getattr(answer, "status", answer) for answer in answers], [414, 414])
            same(check_undisturbed(line, witness), [])
        else:
            wanted = [(not error, error, self.id) for error in self._errors(client)]
            same([outcomes(answer) for answer in answers], [wanted, wanted])
            heard = check_undisturbed(line, witness, word, word)
            same(heard, list(self.heard) * 2)

    def _errors(self, client: str) -> list[str]:
        errors = [self.errors] if isinstance(self.errors, str) else self.errors
        return [error.replace("$id", client) for error in errors]


def outcomes(answer: Answer) -> list[tuple[Any, str, Any]]:
    """What became of each message, but for the good one, which must be among them."""
    assert isinstance(answer, list), answer
    replies = [reply for reply in answer if reply.get("channel") != WORD]
    assert len(replies) == len(answer) - 1, answer
    return [(reply["successful"], reply.get("error", OK), reply.get("id")) for reply in replies]


def errors(answer: Any) -> list[str]:
    """Of each reply, in order."""
    assert isinstance(answer, list), answer
    return [reply.get("error", OK) for reply in answer]


def same(got: Any, wanted: Any) -> None:
    assert got == wanted, f"{got} instead of {wanted}"


def quoted(text: str) -> str:
    """As a JSON string, in ASCII."""
    return json.dumps(text)
