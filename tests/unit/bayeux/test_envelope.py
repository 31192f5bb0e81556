"""Requests of any content, through the verbs to the memory engine and back.

The oracle is that of contrib/fuzz, which says what must be true whatever comes in.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.envelope import Case, check, is_documented
from fuzz.finding import Finding
from fuzz.values import FIELDS, SCALARS, TEMPLATES, Message

values = st.recursive(
    st.sampled_from(SCALARS) | st.text() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20)
templates = st.sampled_from(TEMPLATES)
fields = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(known) | values for name, known in FIELDS.items()})


def merged(template: Message, changes: Message, dropped: set[str]) -> Message:
    return {name: value for name, value in {**template, **changes}.items() if name not in dropped}


messages = st.builds(merged, templates, fields, st.sets(st.sampled_from(list(FIELDS)), max_size=2))


@given(st.lists(messages | templates | values, max_size=8) | messages | values, st.booleans(),
       st.booleans())
def test_any_request_is_answered_as_documented(request: Any, escaped: bool, strict: bool) -> None:
    check(Case(json.dumps(request, ensure_ascii=escaped).encode("utf-8", "replace"), strict))


@given(st.binary(max_size=100))
def test_any_bytes_are_answered_as_documented(data: bytes) -> None:
    check(Case(data, strict=False))


@pytest.mark.parametrize(("message", "outcome"), [
    ({"channel": "/a", "data": 1}, "publish"),
    ({"channel": "/a"}, "publish 402"),
    ({"channel": "/meta/x", "data": 1}, "publish 403"),
    ({"channel": "/a", "data": 1, "error": "mine"}, "publish"),
    ({"channel": "/a", "data": 1, "id": [1]}, "publish 400"), ([], "nothing"),
    ({"channel": "/a/a/a/a/a", "data": 1}, "publish 405"),
    *((template, template["channel"]) for template in TEMPLATES
      if template.get("channel", "").startswith("/meta/")),
])
def test_what_the_oracle_sees(message: Message, outcome: str) -> None:
    assert check(Case(json.dumps(message).encode(), strict=False)) == [outcome]


@pytest.mark.parametrize(("error", "documented"), [
    ("405:/x:Invalid channel", True), ("404::message_deleted", True), ("500::other", False),
    ("999::Unknown client", False), ("401:" + "x" * 300 + ":Unknown client", False), (None, False),
])
def test_what_an_error_is(error: Any, documented: bool) -> None:
    assert is_documented(error) == documented


def test_the_oracle_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faye_redis.bayeux.errors.MAX_ARGUMENTS", 1000)
    with pytest.raises(Finding):
        check(Case(json.dumps({"channel": "x" * 300, "data": 1}).encode(), strict=False))
