from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_redis.bayeux import messages
from faye_redis.errors import BadRequest

LIMITS = {"max_size": 1000, "max_batch": 5, "max_depth": 6}


def refused(data, **limits):
    with pytest.raises(BadRequest) as caught:
        messages.parse(data, **{**LIMITS, **limits})
    return caught.value.status


@pytest.mark.parametrize(("data", "expected"), [
    (b'{"channel":"/a"}', [{"channel": "/a"}]),
    ('{"channel":"/a"}', [{"channel": "/a"}]),
    ('[{"a":1},{"b":"\u00e9"}]', [{"a": 1}, {"b": "\u00e9"}]),
    (b"[]", []),
    (b"{}", [{}]),
    (b" \n[ {} ]\n", [{}]),
    (b'[null,{"a":1},5,"x",[{}]]', [None, {"a": 1}, 5, "x", [{}]]),
    (b'{"a":1,"a":2}', [{"a": 2}]),
    (b'{"n":18446744073709551616}', [{"n": 2.0**64}]),
    (b'{"s":"\\u0000\\u2028\\ud83d\\ude00"}', [{"s": "\x00\u2028\U0001f600"}]),
], ids=repr)
def test_parse(data, expected):
    assert messages.parse(data, **LIMITS) == expected


@pytest.mark.parametrize("data", [
    b"", "", b"{", b'{"a":}', b"1", b'"x"', b"null", b"true", b"[1]", b"[null]", b"[[]]",
    b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"),
    b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"a":"\\ud800"}', '{"a":"\ud800"}',
    b"{}{}", b"{'a':1}", b"[" * 500,
], ids=repr)
def test_what_is_no_request_is_refused(data):
    assert refused(data) == 400


def test_size_is_counted_in_bytes():
    fits = '{"a":"' + "é" * 496 + '"}'
    assert len(fits) == 504 and len(messages.parse(fits, **LIMITS)) == 1
    assert refused(fits[:-2] + 'x"}') == 413
    assert refused(b" " * 1001) == 413


def test_batch():
    assert len(messages.parse(b"[{},{},{},{},{}]", **LIMITS)) == 5
    assert refused(b"[{},{},{},{},{},{}]") == 413
    assert refused(b"[1,{},{},{},{},{}]") == 413



@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth(opening):
    closing = "]" if opening == "[" else "}"
    def inside(levels):
        return "[{}," + opening * (levels - 1) + "1" + closing * (levels - 1) + "]"
    assert messages.parse(inside(6), **LIMITS)[0] == {}
    assert refused(inside(7)) == 400


def test_brackets_that_are_no_depth():
    wide = b'[{"a":[[],[],[],[]],"b":"[[[[[[[[{{{{"}]'
    assert messages.parse(wide, **LIMITS) == [{"a": [[]] * 4, "b": "[[[[[[[[{{{{"}]


def test_what_the_deepest_limit_lets_in_can_be_sent_again():
    deep = "[" * 253 + "]" * 253
    [message] = messages.parse(f'{{"channel":"/a","data":{deep}}}', 10_000, 100, 254)
    assert json.loads(messages.encode(message)) == message
    assert messages.publication(message)[1].count(b"[") == 253


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_parse_gives_objects_or_bad_request(data):
    try:
        found = messages.parse(data, **LIMITS)
    except BadRequest:
        return
    assert all(isinstance(message, dict) for message in found)


@pytest.mark.parametrize("value", [1, "0", True, [], {}, [0], 0.5], ids=repr)
def test_present(value):
    assert messages.present(value)


@pytest.mark.parametrize("value", [None, 0, "", False, 0.0], ids=repr)
def test_not_present(value):
    assert not messages.present(value)


def test_replies():
    message = {"id": 7, "clientId": "c", "channel": "/a", "data": 1, "ext": {}, "advice": {}}
    assert messages.success(message) == {
        "id": 7, "clientId": "c", "channel": "/a", "successful": True}
    assert messages.refusal(message, "e") == {
        "id": 7, "channel": "/a", "successful": False, "error": "e"}
    assert messages.success({"id": 0, "clientId": "", "channel": None}) == {"successful": True}


def stored(message):
    operation, payload = messages.publication(message)
    return operation, json.loads(payload)


def test_subscribers_get_what_was_published():
    message = {"channel": "/a", "data": {"x": [1, "\u00e9"]}, "id": "1", "clientId": "secret",
               "ext": {"k": 1}, "odd": None}
    operation, received = stored(message)
    assert received == {"channel": "/a", "data": {"x": [1, "\u00e9"]}, "id": operation,
                        "ext": {"k": 1}, "odd": None}
    assert message["id"] == "1" and message["clientId"] == "secret"


def test_publishers_cannot_speak_for_the_server():
    message = {"channel": "/a", "data": 1, "advice": {"reconnect": "none"}, "successful": False}
    operation, received = stored(message)
    assert received == {"channel": "/a", "data": 1, "id": operation}


@given(st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_data_arrives_as_it_is(data):
    assert stored({"channel": "/a", "data": data})[1]["data"] == data


def operation(**fields):
    return stored({"channel": "/a", "data": {"x": 1}, "id": "1", "clientId": "c", **fields})[0]


def test_operation_id_of_a_repetition_is_the_same():
    assert operation() == operation(ext={"attempt": 2})
    assert len(operation()) == 32 and int(operation(), 16) >= 0


@pytest.mark.parametrize("change", [
    {"clientId": "d"}, {"id": "2"}, {"id": 1}, {"channel": "/b"}, {"data": {"x": 2}},
    {"data": {"x": "1"}}, {"clientId": "c1", "id": ""}, {"clientId": None},
], ids=repr)
def test_operation_id_of_another_message_is_another(change):
    assert operation(**change) != operation()


def test_fields_do_not_run_into_each_other():
    assert operation(clientId="ab", id="c") != operation(clientId="a", id="bc")


@pytest.mark.parametrize("lacking", [{"id": None}, {"id": ""}, {"clientId": ""}], ids=repr)
def test_operation_id_without_identity_is_random(lacking):
    assert len({operation(**lacking) for _ in range(50)}) == 50


def test_try_encode(caplog):
    assert messages.try_encode({"a": 1}) == b'{"a":1}'
    assert messages.try_encode({"a": object()}) is None
    assert "no JSON" in caplog.text
