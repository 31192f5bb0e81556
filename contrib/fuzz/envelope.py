"""The bytes of a request, the messages in it, the replies to them, and what is stored."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from faye_redis.bayeux import channels
from faye_redis.bayeux.errors import MESSAGE_DELETED, TEXTS, error
from faye_redis.bayeux.grammar import is_message_id
from faye_redis.bayeux.messages import parse
from faye_redis.bayeux.server import CONNECTION_TYPES, NO_OBJECT
from faye_redis.errors import BadRequest, UnknownClient

from . import grammar
from .finding import expect, no_error_logged
from .values import Message, Source, request
from .world import OPEN, REMOTE, STRICT, World, numbered_clients

LONGEST_ERROR = 300
_NEIGHBOUR: Message = {"channel": "/a", "data": 1, "clientId": "client3", "id": "n"}
_GROWTH = 4  # 1e15 is stored as 1000000000000000.0, commas included
_ADDED = 64  # an id


class Case(NamedTuple):
    data: bytes
    strict: bool
    """Must publishers be known?"""


def generate(source: Source) -> Case:
    strict = source.ConsumeBool()
    return Case(request(source), strict)


def check(case: Case) -> list[str]:
    with numbered_clients(), no_error_logged():
        world = World(STRICT if case.strict else OPEN)
        settings = world.settings
        try:
            found = parse(case.data, settings.max_message_size, settings.max_batch,
                          settings.max_depth)
        except BadRequest as problem:
            expect(problem.status in (400, 413), problem.status)
            return [f"refused {problem.status}"]
        expect(len(case.data) <= settings.max_message_size, "too long", len(case.data))
        expect(len(found) <= settings.max_batch, "too many", found)
        expect(all(_levels(message) <= settings.max_depth for message in found), "too deep", found)
        outcomes = [_check_message(world, message, len(case.data)) for message in found]
        neighbour = {**_NEIGHBOUR, "clientId": world.engine.create_client()}
        expect(_check_message(world, neighbour, 100) == "publish", "a neighbour was not served")
    return outcomes or ["nothing"]


def _levels(value: Any) -> int:
    """Arrays and objects around the innermost value. Deep ones are parsed by nobody."""
    if not isinstance(value, dict | list):
        return 0
    members = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_levels, members), default=0)


def _check_message(world: World, message: Message, size: int) -> str:
    """Carry out one message; returns its verb, with the error's code if it was refused."""
    if not isinstance(message, dict):
        [reply] = world.server.process(message, dict(REMOTE), world.link)
        expect(orjson.loads(reply) == NO_OBJECT, message, reply)
        return "no object"
    before = len(world.engine.published)
    replies = [orjson.loads(reply)
               for reply in world.server.process(message, dict(REMOTE), world.link)]
    reply, *pushed = replies
    published = world.engine.published[before:]
    channel = message.get("channel")
    verb = channel if isinstance(channel, str) and channel in _GRANTED else "publish"
    expect(channel == channels.CONNECT or not pushed, "more than one reply", replies)
    expect(not any("successful" in item for item in pushed), "a message looks like a reply", pushed)
    _check_reply(message, reply, new_client=channel == channels.HANDSHAKE)
    if not reply["successful"]:
        expect(not published and not pushed, "refused, yet stored or sent", message)
        return f"{verb} {reply['error'][:3]}"
    if verb == "publish":
        _check_published(world, message, published, size)
    else:
        expect(not published, "published to a meta channel", message)
        _GRANTED[verb](world, message, reply)
    return verb


def _check_reply(message: Message, reply: Message, new_client: bool) -> None:
    expect(type(reply["successful"]) is bool, reply)
    expect(reply["successful"] == ("error" not in reply), reply)
    for field in ("id", "channel") if new_client else ("id", "channel", "clientId"):
        expect(field not in reply or reply[field] == message[field], field, message, reply)
    odd = not is_message_id(message.get("id"))
    expect("id" in reply or not message.get("id") or odd, "no id", message, reply)
    expect(not odd or reply.get("error") == error(400, "id"), message, reply)
    expect(reply["successful"] or is_documented(reply["error"]), message, reply)


def is_documented(told: Any) -> bool:
    """Is it a code of the table with its text, and short?"""
    if told == MESSAGE_DELETED:
        return True
    if not isinstance(told, str) or len(told) > LONGEST_ERROR:
        return False
    texts = [(f"{code}:", f":{text}") for code, text in TEXTS.items()]
    texts += [("409:", ":Too many wildcard subscriptions"),
              ("405:", ":Longer than max_channel_length, 40"),
              ("405:", ":More segments than max_channel_segments, 4")]
    return any(told.startswith(code) and told.endswith(text) for code, text in texts)


def _check_published(
    world: World, message: Message, published: list[tuple[str, bytes]], size: int
) -> None:
    """Subscribers can read what they get, and it is what was sent."""
    expect(len(published) == 1, "published", len(published), "times")
    [(channel, payload)] = published
    expect(channel == message["channel"] and grammar.CHANNEL.match(channel), message)
    expect(not f"{channel}/".startswith("/meta/"), message)
    expect(len(channel) <= world.settings.max_channel_length, message)
    [stored] = parse(payload, _GROWTH * size + _ADDED, 1, world.settings.max_depth)
    expect(stored["data"] == message["data"] and stored["channel"] == channel, message, stored)
    expect(not {"clientId", "successful", "advice", "error"} & stored.keys(), message, stored)
    expect(isinstance(stored["id"], str) and len(stored["id"]) == 32, stored)


def _handshake(world: World, message: Message, reply: Message) -> None:
    expect(message["version"] not in (None, False, 0, ""), message)  # true, as JavaScript has it
    expect(any(name in CONNECTION_TYPES for name in message["supportedConnectionTypes"]), message)
    expect(_exists(world, reply["clientId"]), reply)


def _connect(world: World, message: Message, reply: Message) -> None:
    expect(message["connectionType"] in CONNECTION_TYPES, message)
    expect(_exists(world, message["clientId"]), message)
    expect(reply["advice"]["reconnect"] == "retry", reply)


def _disconnect(world: World, message: Message, reply: Message) -> None:
    expect(not _exists(world, message["clientId"]), message)


def _subscribe(world: World, message: Message, reply: Message) -> None:
    names = _names(world, message, reply)
    for name in names:
        root = f"{name}/"
        expect(not root.startswith(("/meta/", "/service/")), "open to nobody", name)
    expect(len(names) <= world.settings.max_subscriptions, message)
    expect(world.engine.subscribe(message["clientId"], names) == [], "not subscribed", message)


def _unsubscribe(world: World, message: Message, reply: Message) -> None:
    names = _names(world, message, reply)
    expect(world.engine.unsubscribe(message["clientId"], names) == [], "subscribed", message)


def _names(world: World, message: Message, reply: Message) -> list[str]:
    expect(reply["subscription"] == message["subscription"], message, reply)
    given = message["subscription"]
    names = given if isinstance(given, list) else [given]
    for name in names:
        expect(grammar.CHANNEL.match(name) or grammar.PATTERN.match(name), name)
        expect(len(name) <= world.settings.max_channel_length, name)
    return names


def _exists(world: World, client_id: str) -> bool:
    try:
        world.engine.touch(client_id)
    except UnknownClient:
        return False
    return True


_GRANTED = {channels.HANDSHAKE: _handshake, channels.CONNECT: _connect,
            channels.DISCONNECT: _disconnect, channels.SUBSCRIBE: _subscribe,
            channels.UNSUBSCRIBE: _unsubscribe}
"""What must be true once a verb has succeeded, whatever else it may be refused for."""
