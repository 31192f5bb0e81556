"""Callback-polling, whatever the query: a script that calls one function with the replies.

The oracle is that of contrib/fuzz: a form with the same fields has to get the same as plain JSON.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_redis.transports import http
from fuzz.finding import Finding
from fuzz.jsonp import check, is_callback

CONNECT = json.dumps({"channel": "/meta/connect", "clientId": "client1",
                      "connectionType": "callback-polling", "advice": {"timeout": 0}})

names = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$.]{0,70}", fullmatch=True) | st.text(max_size=70)
hostile = st.lists(st.sampled_from(
    ["</script>", "<!--", "*/", "\u2028", "\u2029", "\\", '"', "a"])).map("".join)
messages = st.builds(
    lambda channel, id, escaped: json.dumps({"channel": channel, "id": id}, ensure_ascii=escaped),
    hostile, hostile, st.booleans()) | st.just(CONNECT) | st.text()


@given(names, messages)
def test_any_fields(callback: str, message: str) -> None:
    check(urlencode({"jsonp": callback, "message": message}, quote_via=quote))


@given(st.binary(max_size=100))
def test_any_query(query: bytes) -> None:
    check(query.decode("latin-1"))


@pytest.mark.parametrize(("fields", "outcome"), [
    ({"message": CONNECT}, "pushed"), ({"message": "[]", "jsonp": "a.b"}, "answered"),
    ({"message": "[]", "jsonp": "a-b"}, "callback refused"), ({"message": "["}, "refused 400"),
    ({"message": " " * 5000}, "refused 413"),
])
def test_what_the_oracle_sees(fields: dict[str, str], outcome: str) -> None:
    assert check(urlencode(fields)) == [outcome]


@pytest.mark.parametrize(("name", "valid"), [
    ("$", True), ("a.this", True), ("x" * 64, True), ("x" * 65, False), ("this.a", False),
    ("a.", False), ("a\n", False), ("\u00e9", False), ("", False)])
def test_what_a_callback_is(name: str, valid: bool) -> None:
    assert is_callback(name) == valid


@pytest.mark.parametrize("escape", range(4))
def test_the_oracle_can_fail(escape: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [pair for number, pair in enumerate(http._SCRIPT_ESCAPES) if number != escape]
    monkeypatch.setattr(http, "_SCRIPT_ESCAPES", kept)
    with pytest.raises(Finding):
        check(urlencode({"message": CONNECT}))
