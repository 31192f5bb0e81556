"""Wrong names of channels and clients. Redis never hears of them: names become parts of keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import takewhile
from typing import Any

import pytest
from carriers import CARRIERS, MOUNT, Line
from raw_client import RawClient
from redis import Redis
from rows import OK, Row, forbidden, invalid, missing, quoted, too_long, unknown
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node
from support.redis_server import RedisServer

CANARY = "canary"


@pytest.fixture(scope="module")
def options(server: RedisServer) -> dict[str, str]:
    return {"url": server.url, "restore_window": "0"}  # an unknown client is unknown at once


def publish(name: str, error: str, heard: bool = False) -> Row:
    message = {"channel": name, "data": 1}
    return Row(f"publish to {name[:30]!a}, {len(name)} long", json.dumps(message), error,
               heard=[message] if heard else [])


def subscribe(name: str, error: str) -> Row:
    sent = (f'{{"channel":"/meta/{verb}","clientId":"$id","subscription":{quoted(name)}}}'
            for verb in ("subscribe", "unsubscribe"))
    return Row(f"subscribe to {name[:30]!a}, {len(name)} long", ",".join(sent), [error, error])


LONG = "/" + "a" * 254
DEEP = "/a" * 16
LITERAL = "/Az09-_!~()$@"

NO_NAMES = (
    "foo", "/", "//", "//a", "/a/", "/a//b", "/a b", " /a", "/a ", "/f\xf6\xf6", "/\u0663",
    "/\uff41", "/foo\n", "x\n/foo", "/foo\r\nFLUSHALL\r\n", "/foo\x00", "/a]", "/[a]", "/.", "/..",
    "/../a", "/{x}", "/a:b", "/a;b", "/a?", "/a%2fb", "/a\\b", "/a'", '/a"', "/<b>", "/a,/b",
    "/a');redis.call('flushall')--", "');redis.call('flushall')--", "FLUSHALL",
    "/a*", "/*a", "/a**", "/**a", "/a/***", "/a/*/b", "/**/a", "/*/*", "*", "**", "/a/b*",
)
"""Neither channels nor patterns."""

PATTERNS = ("/*", "/**", "/a/*", "/a/b/**")


def channels() -> Iterator[Row]:
    for name in NO_NAMES:
        yield publish(name, invalid(name))
        yield subscribe(name, invalid(name))
    for name in PATTERNS:
        yield publish(name, invalid(name))
        yield subscribe(name, OK)
    for name in ("/meta", "/meta/x", "/meta/subscribe/x", "/meta/connect/", "/meta/*", "/meta/**"):
        fault = invalid(name) if name.endswith("/") else forbidden(name)
        yield publish(name, fault)
        yield subscribe(name, fault)
    for name in ("/service", "/service/x", "/service/*", "/service/**"):
        yield subscribe(name, forbidden(name))
    yield publish("/service/x", OK)
    yield publish("/services/x", OK, heard=True)
    yield publish("/metal", OK, heard=True)


def limits() -> Iterator[Row]:
    for name in (LONG, DEEP, LITERAL):
        yield publish(name, OK, heard=True)
        yield subscribe(name, OK)
    for name in (LONG + "a", DEEP + "/a", DEEP + "/a" * 200, "/" + "a" * 100_000):
        yield publish(name, too_long(name))
        yield subscribe(name, too_long(name))
    yield subscribe("/a" * 15 + "/**", OK)
    yield subscribe(DEEP + "/**", too_long(DEEP + "/**"))
    yield subscribe(LONG[:-2] + "/**", too_long(LONG[:-2] + "/**"))


def subscriptions() -> Iterator[Row]:
    """What stands in place of a name."""
    values: Mapping[str, str] = {
        "5": "5", "true": "true", "{}": "[object Object]", '{"a":1}': "[object Object]",
        "[5]": "5", "[null]": "", '["/a",5]': "5", '["/a","bad"]': "bad", '["bad","/a"]': "bad",
        '[["/a"]]': "/a", '["/a",["/b"]]': "/b", '["/a",{}]': "[object Object]", '[""]': ""}
    for verb in ("subscribe", "unsubscribe"):
        start = f'{{"channel":"/meta/{verb}","clientId":"$id"'
        for given, shown in values.items():
            yield Row(f"{verb} {given}", f'{start},"subscription":{given}}}', invalid(shown))
        for given in ("null", '""', "0", "false"):
            yield Row(f"{verb} {given}", f'{start},"subscription":{given}}}',
                      missing("subscription"))
        yield Row(f"{verb} nothing", start + "}", missing("subscription"))
        yield Row(f"{verb} an empty list", start + ',"subscription":[]}', OK)
        yield Row(f"{verb} the same twice", start + ',"subscription":["/x","/x"]}', OK)


VERBS = {"connect": '"connectionType":"websocket"', "subscribe": '"subscription":"/x"',
         "unsubscribe": '"subscription":"/x"', "disconnect": '"data":1'}
CLIENT_IDS: Mapping[str, str] = {
    "null": missing("clientId"), '""': missing("clientId"), "0": missing("clientId"),
    "false": missing("clientId"), "5": unknown("5"), "1.5": unknown("1.5"), "true": unknown("true"),
    "{}": unknown("[object Object]"), "[]": unknown(""), '["$id"]': unknown("$id"),
    **{quoted(name): unknown(name) for name in (
        "unknown", "index", "clients", "UPPER", "a:b", "a*", "*", "../a", "a b", "\x00", "a\x00",
        "a\r\nFLUSHALL\r\n", "a\n", "\u0663", "\xe9", "{x}", "a" * 64, "a" * 65, "a" * 200_000,
        "');redis.call('flushall')--")},
    '"$id\\n"': unknown("$id\n"), '" $id"': unknown(" $id"),
}


def client_ids() -> Iterator[Row]:
    """Each with all verbs that need one."""
    def row(name: str, field: str, error: str) -> Row:
        sent = (f'{{"channel":"/meta/{verb}",{fields}{field}}}' for verb, fields in VERBS.items())
        return Row(name, ",".join(sent), [error] * len(VERBS))
    yield row("no client id", "", missing("clientId"))
    for given, error in CLIENT_IDS.items():
        yield row(f"client id {given[:30]}, {len(given)} long", f',"clientId":{given}', error)


@pytest.mark.parametrize("row", [*channels(), *limits(), *subscriptions(), *client_ids()],
                         ids=lambda row: row.name)
def test_name(row: Row, carrier: str, line: Line, client: str, witness: Witness) -> None:
    row.check(carrier, line, client, witness)


@pytest.mark.parametrize("names", [["/good", "bad"], ["bad", "/good"], ["/good", "/meta/x"],
                                   ["/good", "/service/**"], ["/good", 5]], ids=str)
def test_of_a_list_with_a_wrong_name_nothing_is_subscribed_to(
    names: list[Any], line: Line, node: Node, witness: Witness
) -> None:
    client = RawClient([node.url + MOUNT])
    [reply] = line.say(json.dumps([{"channel": "/meta/subscribe", "clientId": client.client_id,
                                    "subscription": names}]))
    assert (reply["successful"], reply["subscription"]) == (False, names)
    client.publish("/good", 1)
    client.connect(hold=False)
    assert client.received == []
    assert check_undisturbed(line, witness) == [{"channel": "/good", "data": 1}]
    client.disconnect()


def hostile(name: str) -> str:
    """All verbs with a name that is none, marked with the canary."""
    marked = f"{name} {CANARY}"
    fields = {"clientId": marked, "connectionType": "websocket", "subscription": marked}
    return json.dumps([{"channel": marked, "data": 1}, *(
        {"channel": f"/meta/{verb}", **fields} for verb in VERBS)])


def test_redis_never_hears_of_them(server: RedisServer, node: Node, witness: Witness) -> None:
    with Redis.from_url(server.url, decode_responses=True) as redis, redis.monitor() as monitor:
        for name, make in zip(NO_NAMES * 4, list(CARRIERS.values()) * len(NO_NAMES), strict=True):
            with closing(make(node.port)) as line:
                errors = [reply["error"][:3] for reply in line.say(hostile(name))]
                assert errors == ["405", "401", "401", "401", "401"]
        redis.echo("the end")
        commands = [command["command"] for command in takewhile(
            lambda command: "the end" not in command["command"], monitor.listen())]
    assert commands != []
    assert [command for command in commands if CANARY in command] == []


def test_no_command_is_made_of_a_name(server: RedisServer, node: Node) -> None:
    """Names that are in order and mean something elsewhere; what is stored stays."""
    with Redis.from_url(server.url, decode_responses=True) as redis:
        redis.set(CANARY, "sings")
        before = set(redis.info("commandstats"))
        client = RawClient([node.url + MOUNT])
        for name in (LITERAL, "/FLUSHALL", "/$1$a@()", "/~(flushall)", "/!-~"):
            client.subscribe(name)
            client.publish(name, f"\r\nFLUSHALL\r\n{name}")
        client.connect()
        assert [message["data"][12:] for message in client.received] == [
            message["channel"] for message in client.received]
        assert len(client.received) == 5
        client.disconnect()
        assert redis.get(CANARY) == "sings"
        assert set(redis.info("commandstats")) - before <= {"cmdstat_get"}
        assert "cmdstat_flushall" not in before
