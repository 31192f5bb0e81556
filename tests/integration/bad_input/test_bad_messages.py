"""Messages with wrong fields: an error for each, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from carriers import MOUNT, Line
from raw_client import RawClient
from rows import OK, Row, bad, invalid, missing, quoted, unsupported
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node

TYPES = '"supportedConnectionTypes":["websocket"]'


def handshake(name: str, fields: str, error: str, id: Any = None) -> Row:
    return Row(f"handshake, {name}", f'{{"channel":"/meta/handshake",{fields}}}', error, id)


def connect(name: str, fields: str, error: str) -> Row:
    """Answered at once, also where it is in order."""
    return Row(f"connect, {name}", '{"channel":"/meta/connect","clientId":"$id",'
               f'"advice":{{"timeout":0}}{fields}}}', error)


def delivered(name: str, data: str) -> Row:
    """Data of any kind arrives as it was sent."""
    heard = {"channel": "/a", "data": json.loads(data)}
    return Row(f"data, {name}", f'{{"channel":"/a","data":{data}}}', OK, heard=[heard])


NO_OBJECTS = [Row(f"no object: {sent}", sent, bad())
              for sent in ("1", "0.5", '"x"', "true", "null", "[]", "[[]]",
                           '[{"channel":"/a","data":1}]')]

CHANNELS = [
    Row("empty object", "{}", missing("data")),
    Row("no channel", '{"data":1}', invalid("")),
    Row("channel 5", '{"channel":5,"data":1}', invalid("5")),
    Row("channel null", '{"channel":null,"data":1}', invalid("")),
    Row("channel true", '{"channel":true,"data":1}', invalid("true")),
    Row("channel {}", '{"channel":{},"data":1}', invalid("[object Object]")),
    Row("channel of a list", '{"channel":["/a"],"data":1}', invalid("/a")),
    Row("channel empty", '{"channel":"","data":1}', invalid("")),
    Row("channel null, no data", '{"channel":null}', missing("data")),
]

HANDSHAKES = [
    handshake("no version", TYPES, missing("version")),
    handshake("version null", f'"version":null,{TYPES}', missing("version")),
    handshake("version empty", f'"version":"",{TYPES}', missing("version")),
    handshake("version {}", f'"version":{{}},{TYPES}', bad("version")),
    handshake("version []", f'"version":[],{TYPES}', bad("version")),
    handshake("version true", f'"version":true,{TYPES}', bad("version")),
    handshake("version 1", f'"version":1,{TYPES}', OK),
    handshake("no types", '"version":"1.0"', missing("supportedConnectionTypes")),
    *(handshake(f"types {types}", f'"version":"1.0","supportedConnectionTypes":{types}',
                unsupported(shown))
      for types, shown in (('"websocket"', "websocket"), ("[]", ""), ("[1]", "1"), ("5", "5"),
                           ("{}", "[object Object]"), ('["x","y"]', "x,y"), ("[null]", ""),
                           ('[["websocket"]]', "websocket"), ('[{"a":1}]', "[object Object]"))),
    handshake("1000 unknown types", '"version":"1.0","supportedConnectionTypes":'
              + json.dumps(["pigeon"] * 1000), unsupported((",".join(["pigeon"] * 1000))[:255])),
    handshake("1000 types, one known", '"version":"1.0","supportedConnectionTypes":'
              + json.dumps(["pigeon"] * 999 + ["websocket"]), OK),
    handshake("a client id of one's own", f'"version":"1.0",{TYPES},"clientId":"mine"', OK),
]

CONNECTS = [
    connect("no type", "", missing("connectionType")),
    connect("type null", ',"connectionType":null', missing("connectionType")),
    connect("type unknown", ',"connectionType":"pigeon"', unsupported("pigeon")),
    connect("type 5", ',"connectionType":5', unsupported("5")),
    connect("type {}", ',"connectionType":{}', unsupported("[object Object]")),
    connect("type in a list", ',"connectionType":["websocket"]', unsupported("websocket")),
    connect("another type than before", ',"connectionType":"eventsource"', OK),
]

GOOD_IDS: list[tuple[str, Any]] = [
    ("1", 1), ("-7", -7), ("1.5", 1.5), ('"1"', "1"), ("9007199254740993", 9007199254740993),
    ('"' + "a" * 128 + '"', "a" * 128), ('"AZaz09_.:+/={}-"', "AZaz09_.:+/={}-"),
    ("null", None), ('""', None),
]
BAD_IDS = ("{}", "[]", '{"a":1}', "[1]", "true", '"a b"', '"a\\n"', '"<script>"', '"\\u00e9"',
           '"\\u0663"', '"a\\u0000"', "\"'\"", '"' + "a" * 129 + '"', '"' + "a" * 10_000 + '"')


def ids() -> Iterator[Row]:
    for given, echoed in GOOD_IDS:
        yield Row(f"id {given[:20]}", f'{{"channel":"/a","data":1,"id":{given}}}', OK, echoed,
                  [{"channel": "/a", "data": 1}])
        yield handshake(f"id {given[:20]}", f'"version":"1.0",{TYPES},"id":{given}', OK, echoed)
    for given in BAD_IDS:
        name = f"id {given[:20]}, {len(given)} long"
        yield Row(name, f'{{"channel":"/a","data":1,"id":{given}}}', bad("id"))
        yield handshake(name, f'"version":"1.0",{TYPES},"id":{given}', bad("id"))
        yield Row(f"{name}, and no data", f'{{"channel":"/a","id":{given}}}', bad("id"))


DATA = [
    Row("no data", '{"channel":"/a"}', missing("data")),
    delivered("null", "null"),
    delivered("false", "false"),
    delivered("0", "0"),
    delivered("empty string", '""'),
    delivered("empty object", "{}"),
    delivered("control characters", quoted("".join(map(chr, range(32))) + "\x7f\x80\x9f")),
    delivered("what could end a script", quoted("\u2028\u2029</script>*/<!--")),
    delivered("what could be markup", quoted("<script>alert(1)</script>&amp;\"'")),
    delivered("pairs of surrogates", '"\\ud83d\\ude00"'),
]

STRIPPED = [
    Row("error and successful of one's own",
        '{"channel":"/a","data":1,"error":"499:mine:Mine","successful":false}', OK,
        heard=[{"channel": "/a", "data": 1}]),
    Row("clientId and advice go no further",
        '{"channel":"/a","data":1,"clientId":"$id","advice":{"reconnect":"none"}}', OK,
        heard=[{"channel": "/a", "data": 1}]),
    handshake("error of one's own", f'"version":"1.0",{TYPES},"error":"499:mine:Mine"', OK),
    connect("error of one's own", ',"connectionType":"eventsource","error":"499:mine:Mine"', OK),
    Row("subscribe, error of one's own", '{"channel":"/meta/subscribe","clientId":"$id",'
        '"subscription":"/x","error":{"a":1},"successful":"no"}', OK),
]

LAST_KEY_WINS = [
    Row("a channel, then /meta/subscribe",
        '{"channel":"/a","data":1,"channel":"/meta/subscribe","clientId":"$id",'
        '"subscription":"/x"}', OK),
    Row("/meta/subscribe, then a channel",
        '{"channel":"/meta/subscribe","clientId":"$id","subscription":"/x","channel":"/a",'
        '"data":1}', OK, heard=[{"channel": "/a", "data": 1, "subscription": "/x"}]),
    Row("the same key in other characters",
        '{"channel":"/meta/subscribe","ch\\u0061nnel":"/a","data":1}', OK,
        heard=[{"channel": "/a", "data": 1}]),
    Row("data twice", '{"channel":"/a","data":1,"data":2}', OK,
        heard=[{"channel": "/a", "data": 2}]),
    Row("a wrong id, then a right one", '{"channel":"/a","id":{},"id":"1","data":1}', OK, "1",
        [{"channel": "/a", "data": 1}]),
]

ORDER = [
    Row("handshake, and what would need its client id",
        f'{{"channel":"/meta/handshake","version":"1.0",{TYPES}}},'
        '{"channel":"/meta/subscribe","subscription":"/x"},'
        '{"channel":"/meta/connect","connectionType":"websocket"}',
        [OK, missing("clientId"), missing("clientId")]),
]

ROWS = [*NO_OBJECTS, *CHANNELS, *HANDSHAKES, *CONNECTS, *ids(), *DATA, *STRIPPED, *LAST_KEY_WINS,
        *ORDER]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_message(row: Row, carrier: str, line: Line, client: str, witness: Witness) -> None:
    row.check(carrier, line, client, witness)


VERBS = {
    "connect": '{"channel":"/meta/connect","connectionType":"websocket","clientId":"$id"}',
    "subscribe": '{"channel":"/meta/subscribe","subscription":"/x","clientId":"$id"}',
    "unsubscribe": '{"channel":"/meta/unsubscribe","subscription":"/x","clientId":"$id"}',
    "disconnect": '{"channel":"/meta/disconnect","clientId":"$id","error":"499::Mine"}',
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_comes_behind_a_disconnect(
    verb: str, line: Line, node: Node, witness: Witness
) -> None:
    client = RawClient([node.url + MOUNT]).client_id
    answer = line.say(f"[{VERBS['disconnect']},{VERBS[verb]}]".replace("$id", client))
    assert isinstance(answer, list)
    assert [reply.get("error", OK) for reply in answer] == [OK, f"401:{client}:Unknown client"]
    assert check_undisturbed(line, witness) == []


@pytest.mark.parametrize("sent", NO_OBJECTS, ids=lambda row: row.name)
def test_the_reply_to_what_is_no_object_is_in_its_place(
    sent: Row, line: Line, witness: Witness
) -> None:
    word = witness.word()
    answer = line.say(f"[{word},{sent.sent},{word}]")
    assert isinstance(answer, list)
    assert answer[1] == {"successful": False, "error": bad()}
    assert [reply["successful"] for reply in answer] == [True, False, True]
    assert witness.hear(word, word) == []
