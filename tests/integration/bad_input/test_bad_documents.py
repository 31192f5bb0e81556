"""What is no array of messages: refused as a whole, and told why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from carriers import Answer, Closed, Line, Refusal, ask, fits
from refusals import check_refusal, check_refused_message
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node
from support.waiting import eventually

GOOD = '{"channel":"/a","data":1}'
HEARD = {"channel": "/a", "data": 1}


@dataclass(frozen=True)
class Document:
    """All that is sent at once.

    :param status: of the answer to an HTTP request, or in the error for a WebSocket message.
    :param close: the code with which a WebSocket is closed instead.
    :param reason: words of the text that goes with the status.
    """

    name: str
    sent: str | bytes
    status: int = 400
    close: int | None = None
    reason: Sequence[str] = ()


def nested(levels: int) -> str:
    """A batch of that many levels: those of an array and of an object are two of them."""
    data = "[" * (levels - 2) + "]" * (levels - 2)
    return f'[{{"channel":"/a","data":{data}}}]'


REFUSED = [
    Document("empty", ""),
    Document("white space", " \r\n\t"),
    Document("cut off", '{"channel":'),
    Document("cut off behind a message", f"[{GOOD},"),
    Document("one bracket too many", f"[{GOOD}]]"),
    Document("two documents", f"{GOOD} {GOOD}"),
    Document("number", "1"),
    Document("string", '"x"'),
    Document("null", "null"),
    Document("true", "true"),
    Document("no JSON", "channel=/a"),
    Document("JavaScript", "{channel:'/a',data:1}"),
    Document("comment", f"/**/{GOOD}"),
    Document("array without any object", "[1]"),
    Document("array of null", "[null]"),
    Document("array of an array", f"[[{GOOD}]]"),
    Document("array of many scalars", '[1,"x",null,true]'),
    Document("NaN", f'[{GOOD},{{"channel":"/a","data":NaN}}]'),
    Document("Infinity", f'[{GOOD},{{"channel":"/a","data":Infinity}}]'),
    Document("-Infinity", f'[{GOOD},{{"channel":"/a","data":-Infinity}}]'),
    Document("1e400", f'[{GOOD},{{"channel":"/a","data":1e400}}]'),
    Document("NaN as an id", f'[{GOOD},{{"channel":"/a","data":1,"id":NaN}}]'),
    Document("lone high surrogate", f'[{GOOD},{{"channel":"/a","data":"\\ud800"}}]'),
    Document("lone low surrogate", f'[{GOOD},{{"channel":"/a","data":"\\udc00x"}}]'),
    Document("lone surrogate in a key", f'[{GOOD},{{"channel":"/a","data":{{"\\ud800":1}}}}]'),
    Document("surrogates the wrong way round",
             f'[{GOOD},{{"channel":"/a","data":"\\ude00\\ud83d"}}]'),
    Document("raw control character", f'[{GOOD},{{"channel":"/a","data":"\n"}}]'),
    Document("invalid UTF-8", b'{"channel":"/a","data":"\xff"}', close=1007),
    Document("UTF-8 cut off", b'{"channel":"/a","data":"\xc3', close=1007),
    Document("overlong UTF-8", b'{"channel":"/a","data":"\xc0\xaf"}', close=1007),
    Document("UTF-8 of a surrogate", b'{"channel":"/a","data":"\xed\xa0\x80"}', close=1007),
    Document("UTF-16 with a mark", GOOD.encode("utf-16"), close=1007),
    Document("UTF-16", GOOD.encode("utf-16-le")),
    Document("byte order mark", b"\xef\xbb\xbf" + GOOD.encode()),
    Document("100,000 brackets", "[" * 100_000),
    Document("50,000 braces", '{"a":' * 50_000),
    Document("33 levels", nested(33), reason=["max_depth", "32"]),
    Document("100,000 levels", nested(100_000), reason=["depth"]),
    Document("101 messages", "[" + ",".join([GOOD] * 101) + "]", 413, reason=["max_batch", "100"]),
    Document("101 scalars", "[" + ",".join("1" * 101) + "]", 413, reason=["max_batch", "100"]),
    Document("one byte over max_message_size", GOOD.ljust(2**20 + 1), 413, 1009,
             ["max_message_size", "1048576"]),
]


@pytest.mark.parametrize("document", REFUSED, ids=lambda document: document.name)
def test_refused(
    document: Document, carrier: str, line: Line, node: Node, witness: Witness
) -> None:
    logged = f"WebSocket message refused ({document.status}): "
    before = node.log.count(logged)
    check(document, carrier, line.say(document.sent), node)
    assert check_undisturbed(line, witness) == []
    if carrier == "websocket" and document.close is None:
        eventually(lambda: node.log.count(logged) == before + 1)


def check(document: Document, carrier: str, answer: Answer, node: Node) -> None:
    if not fits(carrier, document.sent):
        assert isinstance(answer, Refusal) and answer.status == 414
    elif carrier != "websocket":
        check_refusal(answer, document.status, document.reason)
    elif document.close:
        assert answer == Closed(document.close)
    else:
        by_http = ask(node.port, document.sent)
        check_refusal(by_http, document.status, document.reason)
        check_refused_message(answer, by_http)


ACCEPTED: list[tuple[str, str, list[Any], int]] = [
    ("empty array", "[]", [], 0),
    ("object without an array", GOOD, [{"channel": "/a", "successful": True}], 1),
    ("100 messages", "[" + ",".join([GOOD] * 100) + "]",
     [{"channel": "/a", "successful": True}] * 100, 100),
]


@pytest.mark.parametrize(("sent", "replies", "times"), [row[1:] for row in ACCEPTED],
                         ids=[row[0] for row in ACCEPTED])
def test_accepted(
    sent: str, replies: list[Any], times: int, carrier: str, line: Line, witness: Witness
) -> None:
    answer = line.say(sent)
    if fits(carrier, sent):
        assert answer == replies
    else:
        assert isinstance(answer, Refusal) and answer.status == 414
        times = 0
    assert check_undisturbed(line, witness) == [HEARD] * times


def test_the_deepest_that_is_accepted_is_delivered(line: Line, witness: Witness) -> None:
    assert line.say(nested(32)) == [{"channel": "/a", "successful": True}]
    [message] = check_undisturbed(line, witness)
    assert str(message["data"]) == "[" * 30 + "]" * 30
