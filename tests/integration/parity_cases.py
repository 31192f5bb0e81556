"""The table of protocol cases that Faye's server and this one must answer alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from parity import (
    JSON,
    Begin,
    Case,
    Closed,
    Event,
    Finish,
    Listen,
    Observation,
    Open,
    Receive,
    Request,
    Send,
    Step,
)

from support.nonsense import no_json

MOUNT = "/faye"
ORIGIN = {"Origin": "http://elsewhere.example:8080"}
TYPES = ["long-polling", "cross-origin-long-polling", "callback-polling", "websocket",
         "eventsource", "in-process"]
NO_CHANGE: Mapping[int, Observation] = {}
HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": TYPES}
PUBLISH = {"channel": "/foo", "data": {"hello": "world"}, "id": "1"}
REFUSED: Observation = {"status": 400, "body": "Bad request",
                        "headers": {"content-type": "text/plain; charset=utf-8"}}
NOT_FOUND: Observation = {**REFUSED, "status": 404, "body": "Not found"}
TOO_LARGE: Observation = {**REFUSED, "status": 413, "body": "Request entity too large"}
ANSWERED: Observation = {"status": 200, "headers": {
    "content-type": "application/json; charset=utf-8", "cache-control": "no-cache, no-store",
    "x-content-type-options": "nosniff"}}


def raw(body: str | bytes, path: str = MOUNT, **headers: str) -> Request:
    """POST this body as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", path, body, {**JSON, **named})


def post(message: Any, save: str | None = None, timed: bool = False) -> Request:
    return Request("POST", MOUNT, json.dumps(message), JSON, save, timed)


def form(body: str | bytes, content_type: str | None = "application/x-www-form-urlencoded",
         **headers: str) -> Request:
    named = {"Content-Type": content_type} if content_type is not None else {}
    return Request("POST", MOUNT, body, {**named, **headers})


def encoded(message: Any) -> str:
    """A message as the form field of cross-origin-long-polling."""
    return "message=" + quote(json.dumps(message), safe="$")


def jsonp(message: Any, callback: str | None = "cb", save: str | None = None,
          headers: Mapping[str, str] | None = None) -> Request:
    query = "message=" + quote(json.dumps(message), safe="$")
    if callback is not None:
        query += "&jsonp=" + quote(callback)
    return Request("GET", f"{MOUNT}?{query}", b"", headers or {}, save)


def handshake(name: str = "a") -> Request:
    return post(HANDSHAKE, save=name)


def meta(verb: str, client: str | None = "$a", **fields: Any) -> dict[str, Any]:
    message = {"channel": f"/meta/{verb}", "id": "7", **fields}
    return message if client is None else {**message, "clientId": client}


def subscribe(subscription: Any, client: str = "$a") -> dict[str, Any]:
    return meta("subscribe", client, subscription=subscription)


def unsubscribe(subscription: Any, client: str = "$a") -> dict[str, Any]:
    return meta("unsubscribe", client, subscription=subscription)


def connect(client: str = "$a", kind: str = "long-polling", timeout: Any = 0,
            **fields: Any) -> dict[str, Any]:
    """A connect that is answered at once, or after ``timeout`` ms (None: as the server says)."""
    advice = {} if timeout is None else {"advice": {"timeout": timeout}}
    return meta("connect", client, connectionType=kind, **advice, **fields)


def collect(name: str, message: Any, subscription: Any = "/**", **more: Any) -> Case:
    """Publish to one subscriber and observe what it gets."""
    return Case(name, [handshake(), post(subscribe(subscription)), post(message),
                       post(connect())], **more)


def single(name: str, request: Any, **more: Any) -> Case:
    """One request, by itself."""
    return Case(name, [request if isinstance(request, Request) else post(request)], **more)


def with_client(name: str, *messages: Any, **more: Any) -> Case:
    """Messages of one client, each in a request of its own, after its handshake."""
    return Case(name, [handshake(), *map(post, messages)], **more)


VALUES: tuple[Any, ...] = (
    "string", "", 0, 5, 1.5, True, False, None, [], ["x"], {}, {"x": 1}, "ünï", "a b",
)
"""What a field may hold that should hold something else, truthy in JavaScript and not."""

NONSENSE = {
    **{text: no_json(text) for text in ("", "{")},
    **dict.fromkeys(("5", "null", '"x"'), "400::neither an object nor an array"),
    **dict.fromkeys(("[null]", "[5]"), "400::an array without any message"),
}
"""What is no message, by WebSocket, and the error for it."""

IDS = [value for value in VALUES if value is None or value is False or value in ("string", "")
       or type(value) in (int, float)]
"""Those of them that may be ids."""


def handshakes() -> Iterator[Case]:
    def variant(
        name: str, differs: str = "", ours: Mapping[int, Observation] = NO_CHANGE, **fields: Any
    ) -> Case:
        message = {**HANDSHAKE, "id": "1", **fields}
        message = {key: value for key, value in message.items() if value is not ...}
        saved = None if differs else _saves(message)
        return Case(f"handshake, {name}", [post(message, save=saved)], differs=differs, ours=ours)

    yield variant("all fields", minimumVersion="1.0", ext={"token": 1})
    yield variant("no id", id=...)
    yield variant("no version", version=...)
    yield variant("empty version", version="")
    yield variant("other version", version="9.7beta")
    yield variant("numeric version", version=1)
    yield variant("no types", supportedConnectionTypes=...)
    yield variant("neither version nor types", version=..., supportedConnectionTypes=...)
    yield variant("unknown types and no version", version=..., supportedConnectionTypes=["x"])
    yield variant("no known type", supportedConnectionTypes=["foo", "bar"])
    yield variant("one known type", supportedConnectionTypes=["foo", "websocket", 1, None])
    yield variant("type in a list of a list", supportedConnectionTypes=[["long-polling"]])
    yield variant("types a string", supportedConnectionTypes="long-polling")
    for value in VALUES:
        yield variant(f"types {json.dumps(value)}", supportedConnectionTypes=value)
    yield variant("client id of one's own", clientId="mine")
    yield variant("client id, refused", clientId="mine", version=...)
    yield variant("advice", advice={"timeout": 0, "interval": 5})
    yield variant("connectionType eventsource", connectionType="eventsource")
    yield variant("successful false", successful=False)
    yield Case("handshake twice", [handshake("a"), handshake("b"), post(connect("$a")),
                                   post(connect("$b"))])
    yield Case("handshake in a batch", [post([HANDSHAKE, PUBLISH], save="a")])
    yield Case("handshake, id of each type",
               [post({**HANDSHAKE, "id": value}, save=f"c{index:02}")
                for index, value in enumerate(IDS)])
    yield variant("version a list", version=["1.0"],
                  differs="A version is a string or a number.",
                  ours={0: {"body": [{
                      "id": "1", "channel": "/meta/handshake", "successful": False,
                      "version": "1.0", "supportedConnectionTypes": TYPES,
                      "error": "400:version:Bad request", "advice": {"reconnect": "handshake"}}]}})


def _saves(message: Mapping[str, Any]) -> str | None:
    """The name to save the client id under, if this handshake should succeed."""
    types = message.get("supportedConnectionTypes")
    good = isinstance(types, list) and any(kind in TYPES for kind in types)
    return "a" if good and message.get("version") and not message.get("error") else None


def connects() -> Iterator[Case]:
    yield with_client("connect", connect())
    yield Case("connect, held", [handshake(), post(connect(timeout=None), timed=True)])
    yield Case("connect, held shorter by advice",
               [handshake(), post(connect(timeout=50), timed=True)])
    yield with_client("connect, negative advice", connect(timeout=-5))
    yield Case("connect, empty advice",
               [handshake(), post(meta("connect", connectionType="websocket", advice={}),
                                  timed=True)])
    yield with_client("connect, every type", *(connect(kind=kind) for kind in TYPES))
    yield Case("connect, eventsource is not held",
               [handshake(), post(connect(kind="eventsource", timeout=None), timed=True)])
    yield single("connect, unknown client", connect("unknown"))
    yield single("connect, impossible client id", connect("Not-Possible"))
    yield single("connect, no client id", meta("connect", None, connectionType="websocket"))
    yield single("connect, nothing", {"channel": "/meta/connect"})
    yield with_client("connect, no type", meta("connect"))
    yield with_client("connect, unknown type", connect(kind="carrier-pigeon"))
    yield single("connect, unknown client and type", connect("unknown", "pigeon"))
    yield single("connect, unknown client, no type", meta("connect", "unknown"))
    yield single("connect, no client id, unknown type", meta("connect", None, connectionType="x"))
    for value in IDS:
        yield with_client(f"connect, id {json.dumps(value)}", {**connect(), "id": value})
    for value in VALUES:
        shown = json.dumps(value)
        yield single(f"connect, client id {shown}",
                     meta("connect", value, connectionType="websocket"))
        yield with_client(f"connect, type {shown}", meta("connect", connectionType=value))
    yield Case("connect in a batch with others", [
        handshake(), post([subscribe("/x"), connect(timeout=None)], timed=True)],
        differs="A connect that shares its request is never held: it would hold up the others.",
        ours={1: {"held": False}})
    yield Case("connect brings what waits", [
        handshake(), post(subscribe(["/a", "/b"])), post({"channel": "/a", "data": 1}),
        post({"channel": "/b", "data": 2}), post(connect(timeout=None)), post(connect(id="8"))])
    yield Case("connect, woken by a message", [
        handshake(), post(subscribe("/a")), Begin("held", post(connect(timeout=None))),
        post({"channel": "/a", "data": 1}), Finish("held")])
    yield Case("connect in a batch after its subscription and a message", [
        handshake(), post([subscribe("/a"), {"channel": "/a", "data": 1}, connect()])])
    yield Case("connect over another transport each time", [
        handshake(), post(connect()), jsonp(connect(id="8")), form(encoded(connect(id="9")))])


def disconnects() -> Iterator[Case]:
    yield with_client("disconnect", meta("disconnect"), connect())
    yield with_client("disconnect twice", meta("disconnect"), meta("disconnect"))
    yield with_client("disconnect, then subscribe", meta("disconnect"), subscribe("/a"))
    yield with_client("disconnect, then unsubscribe", meta("disconnect"), unsubscribe("/a"))
    yield with_client("disconnect, then publish", meta("disconnect"),
                      {**PUBLISH, "clientId": "$a"})
    yield single("disconnect, unknown client", meta("disconnect", "unknown"))
    yield single("disconnect, no client id", meta("disconnect", None))
    for value in VALUES:
        yield single(f"disconnect, client id {json.dumps(value)}", meta("disconnect", value))
    yield with_client("disconnect in a batch", [meta("disconnect"), connect()])


def subscriptions() -> Iterator[Case]:
    good = ("/a", "/a/b/c", "/*", "/**", "/a/*", "/a/**", "/-_!~()$@/Az09", "/metadata",
            "/services/x", "/a" * 16)
    bad = ("a", "/", "//", "/a//b", "/a/", "a/b", "/a b", "/ü", "/a/*/b", "/a/***", "/**/a",
           "/*/*", "*", "**", "/a\n", "/a*", "/a.b", "/a/../b", "/a?", "/a,b", "/\u0000", "/é/*")
    forbidden = ("/meta", "/meta/connect", "/meta/foo", "/meta/*", "/meta/**", "/service",
                 "/service/x", "/service/*", "/service/**")
    for verb in ("subscribe", "unsubscribe"):
        for name in (*good, *bad, *forbidden):
            yield with_client(f"{verb} to {name[:20]!a}", meta(verb, subscription=name))
        for value in IDS:
            yield with_client(f"{verb}, id {json.dumps(value)}",
                              {**meta(verb, subscription="/a"), "id": value})
        for value in VALUES:
            shown = json.dumps(value)
            yield with_client(f"{verb}, subscription {shown}", meta(verb, subscription=value))
            yield single(f"{verb}, client id {shown}", meta(verb, value, subscription="/a"))
        yield with_client(f"{verb}, no subscription", meta(verb))
        yield single(f"{verb}, nothing", {"channel": f"/meta/{verb}"})
        yield single(f"{verb}, no client id, bad channel", meta(verb, None, subscription="a b"))
        yield single(f"{verb}, unknown client", meta(verb, "unknown", subscription="/a"))
        yield single(f"{verb}, unknown client, no subscription", meta(verb, "unknown"))
        yield single(f"{verb}, unknown client, bad channel",
                     meta(verb, "unknown", subscription="a b"))
        yield with_client(f"{verb}, list", meta(verb, subscription=["/a", "/b/*", "/c/**"]))
        yield with_client(f"{verb}, list with one forbidden",
                          meta(verb, subscription=["/a", "/meta/x", "a b"]))
        yield with_client(f"{verb}, list of one list", meta(verb, subscription=[["/a"]]),
                          differs="JavaScript takes a list of one string for that string, until "
                                  "it fails on it: 400.",
                          ours={1: {**ANSWERED, "body": [{
                              "id": "7", "clientId": "$a", "channel": f"/meta/{verb}",
                              "successful": False, "subscription": [["/a"]],
                              "error": "405:/a:Invalid channel"}]}})
    yield from _effects()


def _effects() -> Iterator[Case]:
    a, b = {"channel": "/a", "data": 1}, {"channel": "/b", "data": 2}
    yield with_client("subscribe twice", subscribe("/a"), subscribe("/a"), a, connect())
    yield with_client("subscribe twice in a list", subscribe(["/a", "/a"]), a, connect())
    yield with_client("overlapping subscriptions", subscribe(["/a", "/*", "/**"]), a, connect())
    yield with_client("unsubscribe what was not subscribed", unsubscribe("/a"))
    yield with_client("unsubscribe stops", subscribe(["/a", "/b"]), unsubscribe("/a"), a, b,
                      connect())
    yield with_client("unsubscribe one of two that match", subscribe(["/a", "/*"]),
                      unsubscribe("/a"), a, connect())
    yield with_client("unsubscribe does not take patterns apart", subscribe("/a/b"),
                      unsubscribe("/a/*"), {"channel": "/a/b", "data": 1}, connect())
    yield with_client("wildcard depth", subscribe(["/x/*", "/y/**"]), *(
        {"channel": name, "data": name}
        for name in ("/x", "/x/1", "/x/1/2", "/y", "/y/1", "/y/1/2")), connect())
    refused = ["/a", "/not valid", "/b"]
    yield with_client(
        "subscribe, list with one invalid", subscribe(refused), a, connect(),
        differs="All of a list or none; Faye keeps what stands before the first that is refused.",
        ours={3: {"body": [{"id": "7", "clientId": "$a", "channel": "/meta/connect",
                            "successful": True, "advice": {"reconnect": "retry", "interval": 0,
                                                           "timeout": 2000}}]}})
    yield with_client(
        "unsubscribe, list with one invalid", subscribe(["/a", "/b"]), unsubscribe(refused), a,
        connect(),
        differs="All of a list or none; Faye keeps what stands before the first that is refused.",
        ours={4: {"body": [{"id": "7", "clientId": "$a", "channel": "/meta/connect",
                            "successful": True, "advice": {"reconnect": "retry", "interval": 0,
                                                           "timeout": 2000}},
                           {"channel": "/a", "data": 1}]}})
    many = [f"/many/{index}" for index in range(129)]
    yield with_client(
        "subscribe to 129 channels at once", subscribe(many),
        differs="max_subscriptions, by default 128.",
        ours={1: {"body": [{"id": "7", "clientId": "$a", "channel": "/meta/subscribe",
                            "successful": False, "subscription": many,
                            "error": "409:128:Too many subscriptions"}]}})
    deep = "/a" * 17
    yield with_client(
        "subscribe to a channel of 17 segments", subscribe(deep),
        differs="max_channel_segments, by default 16.",
        ours={1: {"body": [{"id": "7", "clientId": "$a", "channel": "/meta/subscribe",
                            "successful": False, "subscription": deep,
                            "error": f"405:{deep}:More segments than max_channel_segments, 16"}]}})
    long = "/" + "x" * 255
    yield with_client(
        "subscribe to a channel of 256 characters", subscribe(long),
        differs="max_channel_length, by default 255.",
        ours={1: {"body": [{"id": "7", "clientId": "$a", "channel": "/meta/subscribe",
                            "successful": False, "subscription": long,
                            "error": f"405:{long[:255]}:Longer than max_channel_length, 255"}]}})


def publications() -> Iterator[Case]:
    for name in ("/foo", "/a/b/c", "/metadata", "/service/x", "/-_!~()$@/Az09", "/*", "/a/**",
                 "/meta", "/meta/foo", "/meta/subscribe/x", "/meta/Handshake", "/meta/*",
                 "/meta/**", "/metä", "foo", "/", "//", "/a b", "/a/", "/ü", "/a\n", "", "/a.b"):
        yield single(f"publish to {name!a}", {**PUBLISH, "channel": name})
        yield single(f"publish to {name!a} without data", {"channel": name, "id": "1"})
    for value in IDS:
        yield single(f"publish, id {json.dumps(value)}", {**PUBLISH, "id": value})
    for value in VALUES:
        shown = json.dumps(value)
        if value != ["x"]:
            yield single(f"publish to channel {shown}", {**PUBLISH, "channel": value})
        yield single(f"publish, client id {shown}", {**PUBLISH, "clientId": value})
        yield collect(f"publish data {shown}", {"channel": "/v", "data": value})
    yield single("publish to a channel in a list", {**PUBLISH, "channel": ["/foo"]},
                 differs="JavaScript takes a list of one string for that string, until it fails "
                         "on it: 400.",
                 ours={0: {**ANSWERED, "body": [{"id": "1", "channel": ["/foo"],
                           "successful": False, "error": "405:/foo:Invalid channel"}]}})
    yield single("publish without channel", {"data": 1})
    yield single("publish, stale client id", {**PUBLISH, "clientId": "stale"})
    yield single("publish, with an error", {**PUBLISH, "error": "9::x"},
                 differs="A client cannot set error or successful: they are taken out before "
                         "extensions see the message.",
                 ours={0: {"body": [{"id": "1", "channel": "/foo", "successful": True}]}})
    yield single("publish, with an empty error", {**PUBLISH, "error": ""})
    yield single("publish, id a list", {**PUBLISH, "id": ["x"]},
                 differs="An id is a number or up to 128 printable characters of ASCII, and none "
                         "of < > & and quotes; it is sent back as it came.",
                 ours={0: {"body": [{"channel": "/foo", "successful": False,
                                     "error": "400:id:Bad request"}]}})
    yield collect("publish keeps other fields", {**PUBLISH, "ext": {"a": [1]}, "more": None})
    yield collect("publish hides the publisher", {**PUBLISH, "clientId": "someone"})
    yield with_client("publish comes back to its publisher", subscribe("/foo"),
                      {**PUBLISH, "clientId": "$a"}, connect())
    yield collect("publish, order of a batch",
                  [{"channel": "/n", "data": number} for number in range(20)])
    yield collect("publish, some of a batch refused",
                  [PUBLISH, {"channel": "/x"}, {"channel": "x", "data": 1}, PUBLISH])
    reply = {"id": "7", "clientId": "$a", "channel": "/meta/connect", "successful": True,
             "advice": {"reconnect": "retry", "interval": 0, "timeout": 2000}}
    yield collect("publish to a service channel", {"channel": "/service/x", "data": 1},
                  differs="Service channels are for the server: no client sees their messages, "
                          "not by a subscription to /** either.",
                  ours={3: {"body": [reply]}})
    for field, value in (("advice", {"reconnect": "none"}), ("successful", False)):
        yield collect(f"publish, field {field}", {"channel": "/x", "data": 1, field: value},
                      differs="advice and successful speak for the server: clients obey them, so "
                              "they are not delivered.",
                      ours={3: {"body": [reply, {"channel": "/x", "data": 1}]}})
    long = "/" + "x" * 255
    yield single("publish to a channel of 256 characters", {**PUBLISH, "channel": long},
                 differs="max_channel_length, by default 255.",
                 ours={0: {"body": [{
                     "id": "1", "channel": long, "successful": False,
                     "error": f"405:{long[:255]}:Longer than max_channel_length, 255"}]}})
    yield from _texts(reply)


def _texts(reply: Observation) -> Iterator[Case]:
    def text(name: str, body: str | bytes, **more: Any) -> Case:
        return Case(f"text, {name}", [handshake(), post(subscribe("/**")), raw(body),
                                      post(connect())], **more)

    yield text("UTF-8", '{"channel":"/t","data":"añ漢字🎉\u2028\u2029é"}')
    yield text("escapes", '{"channel":"/t","data":"\\u00e9\\ud83c\\udf89\\u0000\\u2028\\/"}')
    yield text("keys", '{"channel":"/t","data":{"":1,"ключ":{"a b":[]}}}')
    yield text("numbers", '{"channel":"/t","data":[1,-1,1.5,1e3,0.1,1E-7,9007199254740991]}')
    yield text("empty containers", '{"channel":"/t","data":[[],{},[[]],[{}]]}')
    yield text("white space", ' \r\n\t{ "channel" : "/t" , "data" : 1 } \n')
    yield text("the last of two equal keys", '{"channel":"/t","data":1,"data":2}')
    yield text("50 kB", json.dumps({"channel": "/t", "data": "ü🎉\u2028" * 6000}))
    yield text("integer beyond 2^53", '{"channel":"/t","data":9007199254740993}',
               differs="Integers of 64 bits arrive exact; in JavaScript all are doubles.",
               ours={3: {"body": [reply, {"channel": "/t", "data": 9007199254740993}]}})
    yield text("lone surrogate", '{"channel":"/t","data":"\\ud800"}',
               differs="No valid Unicode: refused, since no subscriber could decode it.",
               ours={2: REFUSED, 3: {"body": [reply]}})
    yield text("bad UTF-8", b'{"channel":"/t","data":"\xff"}',
               differs="Refused; Node puts U+FFFD in its place.",
               ours={2: REFUSED, 3: {"body": [reply]}})
    yield text("33 levels", '{"channel":"/t","data":' + "[" * 32 + "]" * 32 + "}",
               differs="max_depth, 32 levels.", ours={2: REFUSED, 3: {"body": [reply]}})


def bodies() -> Iterator[Case]:
    for body in ("", "{", "[", "nope", "'x'", "NaN", "{'a':1}", "[1,]", '{"a":1} x', "5", '"x"',
                 "true", "\ufeff{}", "[{}", '{"channel":/foo}', "undefined"):
        yield single(f"body {body!a}", raw(body))
        yield single(f"message {body!a}", form("message=" + quote(body)))
        yield single(f"JSON-P message {body!a}",
                     Request("GET", f"{MOUNT}?message={quote(body)}&jsonp=cb"))
    for body in ("[]", "{}", "[{}]", "[{},{}]", '[{"channel":"/x","data":1}]'):
        yield single(f"body {body!a}", raw(body))
        yield single(f"message {body!a}", form("message=" + quote(body)))
        yield single(f"JSON-P message {body!a}",
                     Request("GET", f"{MOUNT}?message={quote(body)}&jsonp=cb"))
    for body in ("null", "[null]", "[5]", '["x",true]', "[[]]", '[[{"channel":"/x"}]]'):
        yield single(f"body {body!a}", raw(body),
                     differs="No message in it: 400, never an empty array, which CometD takes for "
                             "a failure; Faye answers as to {}.", ours={0: REFUSED})
    yield single("body with a scalar among messages", raw('[null,{"channel":"/x","data":1}]'),
                 differs="Members of an array that are no objects are answered with an error, in "
                         "their place.",
                 ours={0: {"body": [{"successful": False, "error": "400::Bad request"},
                                    {"channel": "/x", "successful": True}]}})
    yield single("batch of 100", [PUBLISH] * 100)
    yield single("batch of 101", [PUBLISH] * 101,
                 differs="max_batch, by default 100.", ours={0: TOO_LARGE})
    yield single("body above 1 MiB", raw(json.dumps({**PUBLISH, "data": "x" * 2**20})),
                 differs="max_message_size, by default 1 MiB.", ours={0: TOO_LARGE})


def content_types() -> Iterator[Case]:
    body = encoded([PUBLISH])
    for kind in ("application/x-www-form-urlencoded", "text/plain;charset=UTF-8",
                 "application/xml", "multipart/form-data; boundary=x", "x", ""):
        yield single(f"form as {kind!r}", form(body, kind))
        yield single(f"JSON as {kind!r}", form(json.dumps(PUBLISH), kind))
    yield single("form without Content-Type", form(body, None))
    yield single("JSON without Content-Type", form(json.dumps(PUBLISH), None))
    for kind in ("application/json", "application/json;charset=UTF-8",
                 "application/json; charset=utf-8", "application/json; x=y; z"):
        yield single(f"JSON as {kind!r}", form(json.dumps(PUBLISH), kind))
        yield single(f"form as {kind!r}", form(body, kind))
    for kind in ("Application/JSON", "application/json ; charset=utf-8"):
        yield single(f"JSON as {kind!r}", form(json.dumps(PUBLISH), kind),
                     differs="Media types have no case, and a space before the ; is allowed (RFC "
                             "9110).",
                     ours={0: {**ANSWERED, "body": [{"id": "1", "channel": "/foo",
                                                     "successful": True}]}})
    yield single("form with + for a space", form("message=" + quote_plus(json.dumps(PUBLISH))))
    yield single("form with other fields", form("a=b&" + body + "&c&d="))
    yield single("form with two messages", form(body + "&message=%5B%5D"))
    yield single("form without message", form("other=1"))
    yield single("form, empty", form(""))
    yield single("form, valid callback", form(body + "&jsonp=cb"))
    yield single("form, invalid callback", form(body + "&jsonp=1%202"),
                 differs="A POST has no callback, so it is not looked at.",
                 ours={0: {**ANSWERED, "body": [{"id": "1", "channel": "/foo",
                                                 "successful": True}]}})
    yield single("message in the query of a POST",
                 Request("POST", f"{MOUNT}?{body}", "", JSON))


def scripts() -> Iterator[Case]:
    for callback in (None, "", "cb", "_", "$", "a.b.c", "__jsonp1__", "A$1", "Faye.x", "x" * 64):
        yield single(f"JSON-P callback {callback!r}", jsonp(PUBLISH, callback))
    for callback in ("1a", "a b", "a-b", "alert(1)", "a.", ".a", "a..b", "a\n", "a;b", "ü", "a[0]",
                     "<script>", " a"):
        yield single(f"JSON-P callback {callback!a}", jsonp(PUBLISH, callback))
    for callback, why in (("delete", "A reserved word"), ("x" * 65, "Above 64 characters")):
        yield single(f"JSON-P callback {callback[:10]!r}, {why.lower()}",
                     jsonp(PUBLISH, callback),
                     differs="Callbacks that are no sensible name of a function are refused: "
                             "reserved words, and more than 64 characters.", ours={0: REFUSED})
    yield Case("JSON-P session", [
        handshake(), jsonp(subscribe("/**")),
        jsonp({**PUBLISH, "data": "</script>\u2028\u2029*/é"}), jsonp(connect())])
    yield single("JSON-P with an origin", jsonp(PUBLISH, headers=ORIGIN))
    yield single("JSON-P, errors", jsonp([meta("connect", "unknown"), {}]))
    yield single("GET without anything", Request("GET", MOUNT))
    yield single("GET without message", Request("GET", MOUNT + "?jsonp=cb"))
    yield single("GET with other fields", Request("GET", f"{MOUNT}?a=b&{encoded(PUBLISH)}&c"))


def methods_and_paths() -> Iterator[Case]:
    for method in ("PUT", "DELETE", "PATCH", "HEAD"):
        text = "" if method == "HEAD" else "Method not allowed"
        yield single(f"method {method}", Request(method, MOUNT, "" if method == "HEAD" else "{}"),
                     differs="405, with the methods that are allowed.",
                     ours={0: {"status": 405, "body": text}})
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-Mine"}
    yield single("preflight", Request("OPTIONS", MOUNT, headers={**ORIGIN, **ask}))
    yield single("preflight, origin null", Request("OPTIONS", MOUNT, headers={"Origin": "null"}))
    yield single("preflight, no origin", Request("OPTIONS", MOUNT))
    yield single("preflight on a sub-path", Request("OPTIONS", MOUNT + "/connect", headers=ORIGIN))
    yield single("preflight by POST", Request("POST", MOUNT, "{}", {**ORIGIN, **ask, **JSON}))
    yield single("preflight by GET", Request("GET", MOUNT, headers={**ORIGIN, **ask}))
    yield single("POST that names another method",
                 raw(json.dumps(PUBLISH), Access_Control_Request_Method="GET"))
    yield single("preflight, Referer for Origin",
                 Request("OPTIONS", MOUNT, headers={"Referer": "http://page.example/x"}),
                 differs="Referer never stands in for Origin: it is no origin.",
                 ours={0: {"headers": {
                     "access-control-allow-credentials": "true",
                     "access-control-allow-headers":
                         "Accept, Authorization, Content-Type, Pragma, X-Requested-With",
                     "access-control-allow-methods": "POST, GET",
                     "access-control-allow-origin": "*", "access-control-max-age": "86400"}}})
    yield single("POST with an origin", raw(json.dumps(PUBLISH), **ORIGIN))
    yield single("POST with origin null", raw(json.dumps(PUBLISH), Origin="null"))
    yield single("form with an origin", form(encoded(PUBLISH), "text/plain", **ORIGIN))
    yield single("refused POST with an origin", raw("{", **ORIGIN))
    for path in ("/faye/", "/faye/handshake", "/faye/a/b/c", "/faye//", "/faye?x=1", "/faye/?x",
                 "/faye.json", "/faye/connect.json"):
        yield single(f"path {path}", raw(json.dumps(PUBLISH), path))
    for path in ("/", "/fay", "/fayes", "/faye-x", "/FAYE", "/x/faye", "//faye"):
        yield single(f"path {path}", raw(json.dumps(PUBLISH), path), only=("status",))
    for path in ("/faye%2Fx", "/%66aye"):
        yield single(f"path {path}", raw(json.dumps(PUBLISH), path), only=("status",),
                     differs="A WSGI application is given its path decoded.",
                     ours={0: {"status": 200}})
    yield single("no such script", Request("GET", "/faye/missing.js"), only=("status",))
    for path in ("/faye.js", "/faye/client.js"):
        yield single(f"script {path}", Request("GET", path), only=("status",))
    yield single("script's map", Request("GET", "/faye/faye-browser-min.js.map"), only=("status",),
                 differs="The browser client is one of our own, so its map has another name.",
                 ours={0: {"status": 404}})


def websockets() -> Iterator[Case]:
    def on_socket(name: str, *texts: Any, frames: int = 1, **more: Any) -> Case:
        """Each message in a frame, answered by ``frames`` frames."""
        steps: list[Step] = [handshake(), Open("s")]
        for text in texts:
            steps += [Send("s", text if isinstance(text, str) else json.dumps(text)),
                      Receive("s", frames)]
        return Case(f"WebSocket, {name}", steps, **more)

    yield on_socket("object", PUBLISH)
    yield on_socket("array", [PUBLISH])
    yield on_socket("empty array", "[]")
    yield on_socket("empty object", "{}")
    yield on_socket("batch", [PUBLISH, subscribe("/x"), {"channel": "x", "data": 1}])
    yield on_socket("verbs", subscribe("/x"), unsubscribe("/x"), subscribe("/meta/x"),
                    connect("unknown"), meta("connect"), meta("disconnect", None),
                    meta("subscribe"), connect(kind="websocket"))
    yield Case("WebSocket, handshake", [Open("s"), Send("s", json.dumps(HANDSHAKE)),
                                        Receive("s", save="a")])
    yield Case("WebSocket, held connect", [
        handshake(), Open("s"), Send("s", json.dumps(connect(kind="websocket", timeout=None))),
        Receive("s", timed=True)])
    for text, error in NONSENSE.items():
        yield Case(f"WebSocket, {text!r}",
                   [Open("s"), Send("s", text), Send("s", json.dumps(PUBLISH)), Receive("s")],
                   differs="What cannot be parsed is answered with an error that says why; Faye "
                           "passes it over, or answers as to {}.",
                   ours={3: {"frames": [[{"successful": False, "error": error}]]}})
    yield Case("WebSocket, subprotocol", [Open("s", subprotocols=["bayeux"])])
    yield Case("WebSocket on a sub-path", [Open("s", "/faye/x"), Send("s", json.dumps(PUBLISH)),
                                           Receive("s")])
    bind = Send("s", json.dumps(connect(kind="websocket", timeout=None)))
    yield Case("WebSocket, what waited is pushed", [
        handshake(), post(subscribe("/a")), post({"channel": "/a", "data": 1}), Open("s"), bind,
        Receive("s"), Receive("s")])
    yield Case("WebSocket, own message", [
        handshake(), post(subscribe("/a")), Open("s"), bind,
        Send("s", json.dumps({"channel": "/a", "data": "é\u2028"})), Receive("s", 2)])
    yield Case("WebSocket, disconnect from elsewhere", [
        handshake(), post(subscribe("/a")), Open("s"), bind, post({"channel": "/a", "data": 1}),
        Receive("s"), post(meta("disconnect")), Closed("s")],
        differs="The held connect is answered before the socket is closed; Faye is too late.",
        ours={7: {"frames": [[{
            "id": "7", "clientId": "$a", "channel": "/meta/connect", "successful": True,
            "advice": {"reconnect": "retry", "interval": 0, "timeout": 2000}}]]}})
    yield Case("WebSocket, connect in a batch", [
        handshake(), Open("s"),
        Send("s", json.dumps([subscribe("/x"), connect(kind="websocket", timeout=None)])),
        Receive("s", timed=True)],
        differs="What stands beside a connect is answered at once, in a frame of its own.",
        ours={3: {"held": False, "frames": [[{
            "id": "7", "clientId": "$a", "channel": "/meta/subscribe", "successful": True,
            "subscription": "/x"}]]}})


def event_streams() -> Iterator[Case]:
    at_once = post(connect(kind="eventsource", timeout=None))
    yield Case("EventSource", [
        handshake(), post(subscribe("/a")), Listen("e", "/faye/$a"), at_once,
        post({"channel": "/a", "data": {"t": "é\u2028\r\n🎉"}}), Event("e"),
        post({"channel": "/a", "data": None}), Event("e")])
    yield Case("EventSource, what waited", [
        handshake(), post(subscribe("/a")), post({"channel": "/a", "data": 1}),
        Listen("e", "/faye/$a"), at_once, Event("e")])
    # Faye's browser client does so: its first connect goes while the stream is being opened.
    yield Case("EventSource, a poll after it was opened", [
        handshake(), post(subscribe("/a")), Listen("e", "/faye/$a"), post(connect()), at_once,
        post({"channel": "/a", "data": 1}), Event("e")])
    yield Case("EventSource with several types accepted", [
        handshake(), Request("GET", "/faye/none", headers={"Accept": "text/html, */*"})])
    yield Case("EventSource with an origin", [handshake(), Listen("e", "/faye/$a", ORIGIN)],
               differs="Allowed origins are named, as in other answers, so that pages elsewhere "
                       "can read the stream; Faye's cannot be read there.",
               ours={1: {"headers": {
                   "content-type": "text/event-stream", "cache-control": "no-cache, no-store",
                   "access-control-allow-origin": ORIGIN["Origin"],
                   "access-control-allow-credentials": "true"}}})
    yield Case("EventSource, unknown client", [Listen("e", "/faye/unknown")],
               differs="404, on which a client falls back; Faye holds a stream that stays silent.",
               ours={0: {"status": 404, "first": [],
                         "headers": {"content-type": "text/plain; charset=utf-8"}}})


CASES: tuple[Case, ...] = (
    *handshakes(), *connects(), *disconnects(), *subscriptions(), *publications(), *bodies(),
    *content_types(), *scripts(), *methods_and_paths(), *websockets(), *event_streams(),
)
