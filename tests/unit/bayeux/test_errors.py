from __future__ import annotations

import pytest

from faye_redis.bayeux.errors import MESSAGE_DELETED, TEXTS, error, exceeded


@pytest.mark.parametrize(("code", "text"), [
    (300, "Version mismatch"), (301, "Connection types not supported"), (302, "Extension mismatch"),
    (400, "Bad request"), (401, "Unknown client"), (402, "Missing required parameter"),
    (403, "Forbidden channel"), (404, "Unknown channel"), (405, "Invalid channel"),
    (406, "Unknown extension"), (407, "Failed to publish"), (409, "Too many subscriptions"),
    (429, "Too many messages"), (500, "Internal server error"),
])
def test_table(code, text):
    assert error(code) == f"{code}::{text}"
    assert len(TEXTS) == 14


@pytest.mark.parametrize(("args", "expected"), [
    (("/x",), "/x"), (("a", "b"), "a,b"), ((["a", "b"],), "a,b"), (([],), ""), ((None,), ""),
    ((5,), "5"), ((1.0,), "1"), ((1.5,), "1.5"), ((True,), "true"), ((False,), "false"),
    (({"a": 1},), "[object Object]"), ((["a", None, [1, {}]],), "a,,1,[object Object]"),
], ids=repr)
def test_arguments_are_written_as_javascript_does(args, expected):
    assert error(405, *args) == f"405:{expected}:Invalid channel"


def test_long_arguments_are_cut():
    assert error(401, "x" * 255) == f"401:{'x' * 255}:Unknown client"
    assert error(401, "x" * 1_000_000) == f"401:{'x' * 255}:Unknown client"


@pytest.mark.parametrize(("option", "limit", "text"), [
    ("max_subscriptions", 128, "409:128:Too many subscriptions"),
    ("max_wildcards", 0, "409:0:Too many wildcard subscriptions"),
    ("max_message_rate", 0.5, "429:0.5:Too many messages"),
    ("max_handshake_rate", 200, "429:200:Too many handshakes"),
])
def test_what_is_too_much(option, limit, text):
    assert exceeded(option, limit) == text


def test_many_arguments_are_not_all_written():
    written = []

    class Counted(list):
        def __iter__(self):
            return (written.append(item) or item for item in super().__iter__())
    assert error(405, Counted(["x" * 10] * 1000)).startswith("405:xxxxxxxxxx,xxxxxxxxxx,")
    assert len(written) == 24  # 255 characters


def test_deleted():
    assert MESSAGE_DELETED == "404::message_deleted"
